// SPDX-License-Identifier: GPL-2.0
/* The node's counters. */

#include "netns.h"
#include "stats.h"

const char *const k8snet_stat_names[K8SNET_STAT_NUM] = {
#define X(id, name) [K8SNET_STAT_##id] = name,
	K8SNET_STATS(X)
#undef X
};

u64 k8snet_stat_read(const struct k8snet_net *kn, enum k8snet_stat id)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct k8snet_stats *s = per_cpu_ptr(kn->stats, cpu);
		unsigned int start;
		u64 v;

		do {
			start = u64_stats_fetch_begin(&s->syncp);
			v = u64_stats_read(&s->v[id]);
		} while (u64_stats_fetch_retry(&s->syncp, start));
		sum += v;
	}
	return sum;
}
