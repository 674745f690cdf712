/* SPDX-License-Identifier: GPL-2.0 */
/* Pod routes: which remote pod CIDR is behind which node. */
#ifndef _K8SNET_ROUTE_H
#define _K8SNET_ROUTE_H

#include <linux/rhashtable.h>
#include <net/dst_cache.h>

#include "addr.h"
#include "netns.h"

struct k8snet_route {
	struct rhash_head hash;		/* kn->routes */
	struct k8snet_prefix prefix;	/* constant, the key */
	union nf_inet_addr via;		/* constant; of prefix.family */
	struct net_device *bridge;	/* constant; goes only after the route */
	int oif;			/* constant; 0: any */
	u32 id;				/* kn->route_ids */
	u32 routed_gen;			/* as of a pod (pod.h) */
	struct dst_cache dst_cache;	/* towards via; per CPU */
	/* The way to the node when it was last looked at, a hash of it (learn.c),
	 * and when to look again, in jiffies. Packets write both, without a
	 * lock: what they find is the same.
	 */
	u64 hop;
	unsigned long hop_due;
	struct rcu_head rcu;
};

int k8snet_route_net_init(struct k8snet_net *kn);
void k8snet_route_net_exit(struct k8snet_net *kn);

/* Longest prefix that holds @addr, valid in the caller's RCU section. */
struct k8snet_route *k8snet_route_lookup_rcu(struct k8snet_net *kn,
					     const union nf_inet_addr *addr,
					     u8 family);
/*
 * The route towards the node in @r->via, with a reference or NULL. Cached per
 * CPU and checked for being current. Context: RCU, BH off.
 * @saddr: if not NULL, gets the address this node uses towards it.
 */
struct dst_entry *k8snet_route_dst(struct k8snet_net *kn,
				   struct k8snet_route *r,
				   union nf_inet_addr *saddr);
/* What a new route is made of, as the request names it. */
struct k8snet_route_conf {
	struct k8snet_prefix prefix;
	union nf_inet_addr via;
	int bridge;		/* ifindex; 0: the only one */
	int oif;		/* ifindex; 0: any */
};

/*
 * Add a route and its copy in the FIB, or remove both; all or nothing, and
 * the listeners are told. Context: no lock held; they take fib_lock, RTNL and
 * cfg_lock, the kernel's rtnetlink takes RTNL once more in between.
 */
int k8snet_route_add(struct k8snet_net *kn,
		     const struct k8snet_route_conf *conf,
		     struct netlink_ext_ack *extack);
int k8snet_route_del(struct k8snet_net *kn, const struct k8snet_prefix *prefix);
struct k8snet_route *k8snet_route_get(struct k8snet_net *kn,
				      const struct k8snet_prefix *prefix);
/* Removes the routes of a bridge that goes. Their copies in the FIB go with
 * the device. Context: RTNL and cfg_lock held.
 */
void k8snet_route_flush_bridge(struct k8snet_net *kn,
			       const struct net_device *bridge);
/* As that, all bridges. Context: cfg_lock held, no bridge left. */
void k8snet_route_flush(struct k8snet_net *kn);
/* netlink_route.c. Context: cfg_lock held. */
void k8snet_route_notify(struct k8snet_net *kn, const struct k8snet_route *r,
			 u8 cmd);

#endif /* _K8SNET_ROUTE_H */
