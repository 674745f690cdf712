// SPDX-License-Identifier: GPL-2.0
/* Packets and bytes of services and endpoints; see traffic.h. */

#include <linux/slab.h>
#include <net/netfilter/nf_conntrack_acct.h>
#include <net/netfilter/nf_conntrack_extend.h>

#include "traffic.h"

void k8snet_traffic_begin(struct nf_conn *ct, unsigned int len)
{
	/* Not NULL: it had none, and this packet is not counted. */
	if (!nf_conn_acct_find(ct) &&
	    nf_ct_ext_add(ct, NF_CT_EXT_ACCT, GFP_ATOMIC))
		nf_ct_acct_update(ct, IP_CT_DIR_ORIGINAL, len);
}

/* Counters may have been set to 0 meanwhile ("conntrack -z"). */
static u64 beyond(const atomic64_t *counter, u64 *seen)
{
	u64 now = atomic64_read(counter);
	u64 more = now >= *seen ? now - *seen : now;

	*seen = now;
	return more;
}

bool k8snet_traffic_read(const struct nf_conn *ct, struct k8snet_traffic *seen,
			 struct k8snet_traffic *more)
{
	const struct nf_conn_acct *acct = nf_conn_acct_find(ct);
	bool any = false;
	unsigned int i;

	if (!acct)
		return false;
	for (i = 0; i < IP_CT_DIR_MAX; i++) {
		more->packets[i] = beyond(&acct->counter[i].packets,
					  &seen->packets[i]);
		more->bytes[i] = beyond(&acct->counter[i].bytes,
					&seen->bytes[i]);
		any |= more->packets[i];
	}
	return any;
}

void k8snet_traffic_add(struct k8snet_traffic **sum,
			const struct k8snet_traffic *more)
{
	struct k8snet_traffic *t = *sum;
	unsigned int i;

	if (!t) {
		t = kzalloc(sizeof(*t), GFP_NOWAIT | __GFP_NOWARN);
		if (!t)
			return;
		/* Zeroed before it is seen. */
		smp_store_release(sum, t);
	}
	for (i = 0; i < IP_CT_DIR_MAX; i++) {
		WRITE_ONCE(t->packets[i], t->packets[i] + more->packets[i]);
		WRITE_ONCE(t->bytes[i], t->bytes[i] + more->bytes[i]);
	}
}

void k8snet_traffic_get(struct k8snet_traffic *const *sum,
			struct k8snet_traffic *now)
{
	/* With k8snet_traffic_add(): zeroed when it is seen. */
	const struct k8snet_traffic *t = smp_load_acquire(sum);
	unsigned int i;

	memset(now, 0, sizeof(*now));
	for (i = 0; t && i < IP_CT_DIR_MAX; i++) {
		now->packets[i] = READ_ONCE(t->packets[i]);
		now->bytes[i] = READ_ONCE(t->bytes[i]);
	}
}
