/* SPDX-License-Identifier: GPL-2.0 */
/* Session affinity: which endpoint a client had last. */
#ifndef _K8SNET_AFFINITY_H
#define _K8SNET_AFFINITY_H

#include "addr.h"
#include "netns.h"

int k8snet_affinity_net_init(struct k8snet_net *kn);
void k8snet_affinity_net_exit(struct k8snet_net *kn);

/* The endpoint that @client had of a service, if it is not longer ago than
 * @timeout seconds and still in the usable set of @policy; else NULL.
 * Context: RCU.
 */
struct k8snet_endpoint *k8snet_affinity_lookup_rcu(struct k8snet_net *kn,
						   u32 service_id,
						   const union nf_inet_addr *client,
						   u8 family, u8 policy,
						   u32 timeout);
/* Remembers it from now. A full table is counted, and the client then has no
 * affinity. Context: RCU, BH off; may allocate atomically.
 */
void k8snet_affinity_update(struct k8snet_net *kn, u32 service_id,
			    const union nf_inet_addr *client, u8 family,
			    struct k8snet_endpoint *ep, u32 timeout);

#endif /* _K8SNET_AFFINITY_H */
