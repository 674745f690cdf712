/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Packets and bytes of services and endpoints.
 *
 * They are conntrack's: an entry of a service's flow is given room for counters
 * (as net.netfilter.nf_conntrack_acct does for all), the stack and the fast
 * path count in the entry, and the work that looks after the records of flows
 * (conn.c) adds up what is new, once a second and before somebody asks. So
 * there is nothing per processor, nothing that two flows share on the packet
 * path, and no memory at all for what has no traffic.
 */
#ifndef _K8SNET_TRAFFIC_H
#define _K8SNET_TRAFFIC_H

#include <net/netfilter/nf_conntrack.h>

/* By enum ip_conntrack_dir: from the clients, and back to them. */
struct k8snet_traffic {
	u64 packets[IP_CT_DIR_MAX];
	u64 bytes[IP_CT_DIR_MAX];
};

/*
 * Lets a new flow be counted, from its first packet of @len bytes on. Without
 * memory it is not. Context: packet path; @ct unconfirmed.
 */
void k8snet_traffic_begin(struct nf_conn *ct, unsigned int len);

/* What @ct has counted beyond @seen, which is brought up to date. False:
 * nothing. Context: any.
 */
bool k8snet_traffic_read(const struct nf_conn *ct, struct k8snet_traffic *seen,
			 struct k8snet_traffic *more);

/* Adds to *@sum, which is allocated first if it is NULL. One at a time:
 * conn_lock. May be called in an RCU section.
 */
void k8snet_traffic_add(struct k8snet_traffic **sum,
			const struct k8snet_traffic *more);

/* The sum as it is now, 0 where there is none. Context: whatever keeps the
 * object that has it.
 */
void k8snet_traffic_get(struct k8snet_traffic *const *sum,
			struct k8snet_traffic *now);

#endif /* _K8SNET_TRAFFIC_H */
