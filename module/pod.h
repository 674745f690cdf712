/* SPDX-License-Identifier: GPL-2.0 */
/* Pods: which addresses and MAC live behind which bridge port. */
#ifndef _K8SNET_POD_H
#define _K8SNET_POD_H

#include <linux/rhashtable.h>

#include "addr.h"
#include "bridge.h"

/* One address of a pod, an entry of kn->pods. */
struct k8snet_pod_addr {
	struct rhash_head hash;
	struct k8snet_pod_key {
		union nf_inet_addr addr;
		u32 family;	/* 0: this entry is not used */
	} key;
};

struct k8snet_pod {
	struct k8snet_pod_addr addr[2];	/* by k8snet_family_index() */
	struct k8snet_port *port;	/* constant; outlives the pod */
	struct list_head node;		/* port->pods */
	struct hlist_node lladdr_node;	/* port->br->lladdrs */
	u8 lladdr[ETH_ALEN];		/* constant */
	u32 id;				/* kn->pod_ids */
	/* kn->flow_gen when the stack last forwarded a packet from a pod to
	 * it, by family; packets write, WRITE_ONCE.
	 */
	u32 routed_gen[2];
	struct rcu_head rcu;
};

int k8snet_pod_net_init(struct k8snet_net *kn);
void k8snet_pod_net_exit(struct k8snet_net *kn);

/* The pod that has an address, valid in the caller's RCU section. */
struct k8snet_pod *k8snet_pod_lookup_rcu(struct k8snet_net *kn,
					 const union nf_inet_addr *addr,
					 u8 family);
/* As that, if it is a pod of the port; else that of another port, or NULL. */
struct k8snet_pod *k8snet_pod_of_port_rcu(struct k8snet_port *port,
					  const union nf_inet_addr *addr,
					  u8 family);
/* A pod of the bridge that has a MAC, valid in the caller's RCU section. */
struct k8snet_pod *k8snet_pod_lookup_lladdr_rcu(struct k8snet_bridge *br,
						const u8 *lladdr);
/* As k8snet_pod_lookup_rcu(). Context: cfg_lock held. */
struct k8snet_pod *k8snet_pod_lookup(struct k8snet_net *kn,
				     const union nf_inet_addr *addr, u8 family);
/*
 * A pod of one or two addresses (by k8snet_family_index(), @families bit i:
 * addr[i] is one) on a port. Context: RTNL and cfg_lock held.
 */
struct k8snet_pod *k8snet_pod_create(struct k8snet_port *port,
				     const union nf_inet_addr addr[2],
				     unsigned int families, const u8 *lladdr,
				     struct netlink_ext_ack *extack);
/* Context: cfg_lock held. */
void k8snet_pod_remove(struct k8snet_net *kn, struct k8snet_pod *pod);
/* Removes the pods of a port, or of the namespace. Context: cfg_lock held. */
void k8snet_pod_flush_port(struct k8snet_port *port);
void k8snet_pod_flush(struct k8snet_net *kn);

#endif /* _K8SNET_POD_H */
