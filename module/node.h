/* SPDX-License-Identifier: GPL-2.0 */
/* The node's settings and its addresses. */
#ifndef _K8SNET_NODE_H
#define _K8SNET_NODE_H

#include "addr.h"
#include "netns.h"

enum {
	/* Earlier addresses that are remembered, of each family. */
	K8SNET_NODE_FORMER_MAX = 4,
};

/* Immutable once published in kn->node. */
struct k8snet_node_conf {
	struct rcu_head rcu;		/* first: what is behind it compares */
	union nf_inet_addr ip[2];	/* set by the user; any: not set */
	/* In use: ip, or where that is not set the one found, or any. */
	union nf_inet_addr address[2];
	u8 nodeport_mode;		/* enum k8snet_nodeport_mode */
	u8 fastpath;			/* enum k8snet_fastpath */
	u16 nodeport_min, nodeport_max;
	u32 flow_max;			/* directions in the fast path */
	u8 dead_ports, unassigned_ips;	/* enum k8snet_no_endpoints */
	u8 nodeport_localhost;		/* node ports on loopback, too */
	unsigned int n_nodeport, n_cluster, n_service;
	struct k8snet_prefix nodeport[K8SNET_PREFIXES_MAX];
	struct k8snet_prefix cluster[K8SNET_PREFIXES_MAX];
	struct k8snet_prefix service[K8SNET_PREFIXES_MAX];
	/* What topology hints call this node and its zone; "": nothing. */
	char name[K8SNET_NAME_MAX + 1];
	char zone[K8SNET_ZONE_MAX + 1];
	/* From here on what no request shows. Device that has address; 0:
	 * none. Packets with that source may leave through another one.
	 */
	int address_ifindex[2];
	/* Earlier addresses, any in empty places: node_work ends their flows
	 * when they are no longer local.
	 */
	union nf_inet_addr former[2][K8SNET_NODE_FORMER_MAX];
};

/* The notifiers that follow the addresses of all namespaces; after
 * k8snet_net_init() and before k8snet_net_uninit().
 */
int k8snet_node_init(void);
void k8snet_node_uninit(void);
int k8snet_node_net_init(struct k8snet_net *kn);
void k8snet_node_net_exit(struct k8snet_net *kn);
/* The defaults, for k8snet_node_reset(); NULL: no memory. */
struct k8snet_node_conf *k8snet_node_defaults(void);
/* Back to them: takes @conf. Context: cfg_lock held. */
void k8snet_node_reset(struct k8snet_net *kn, struct k8snet_node_conf *conf);
/* Looks for the node's addresses again. Context: any that may queue work. */
void k8snet_node_update(struct k8snet_net *kn);
/* The same at once, and tells the listeners of a change. Without memory the
 * old addresses stay. Context: RTNL and cfg_lock held.
 */
void k8snet_node_refresh(struct k8snet_net *kn);

/* A copy to be changed, for k8snet_node_publish() or kfree(). */
struct k8snet_node_conf *k8snet_node_copy(struct k8snet_net *kn);
/* Finds the addresses of @conf and puts it in force, or frees it where it
 * changes nothing. Returns whether a listener would see the change.
 * Context: RTNL and cfg_lock held.
 */
bool k8snet_node_publish(struct k8snet_net *kn, struct k8snet_node_conf *conf);

/* Does @addr answer on node ports? Context: RCU. */
bool k8snet_node_is_nodeport_addr(struct k8snet_net *kn,
				  const union nf_inet_addr *addr, u8 family);
/* Is @addr an IPv6 address of the namespace, one that is tentative yet
 * included; on @dev, if not NULL? Context: any.
 */
bool k8snet_node_has_ip6(struct net *net, const struct in6_addr *addr,
			 const struct net_device *dev);
/* Is @addr local to the namespace, loopback left out? Context: RCU. */
bool k8snet_node_is_local_addr(struct k8snet_net *kn,
			       const union nf_inet_addr *addr, u8 family);

/* netlink_node.c. Context: cfg_lock held. */
void k8snet_node_notify(struct k8snet_net *kn);

#endif /* _K8SNET_NODE_H */
