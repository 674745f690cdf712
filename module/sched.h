/* SPDX-License-Identifier: GPL-2.0 */
/* Choosing one endpoint of a set. */
#ifndef _K8SNET_SCHED_H
#define _K8SNET_SCHED_H

#include <linux/siphash.h>

#include "plan.h"

struct k8snet_decision;

/*
 * One endpoint of a set that is not empty. O(1) in the number of endpoints.
 * @hash: of the flow's addresses and ports, keyed as the scheduler asks
 * (k8snet_sched_hash()). @turn: of a round robin. Context: RCU.
 */
struct k8snet_endpoint *k8snet_sched_pick(u8 scheduler,
					  const struct k8snet_set *set,
					  u64 hash, u32 turn);
/* Hash of a flow; the same on every node for maglev, else with the
 * namespace's secret.
 */
u64 k8snet_sched_hash(u8 scheduler, const siphash_key_t *secret,
		      const struct k8snet_decision *d);
/* Builds what the scheduler needs for @set->ep with @weights, of which none
 * is 0. 0 or -ENOMEM. May sleep.
 */
int k8snet_sched_build(struct k8snet_set *set, u8 scheduler,
		       const u32 *weights);

#endif /* _K8SNET_SCHED_H */
