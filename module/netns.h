/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The module's state in one network namespace, which is one node.
 *
 * Locks, outermost first (docs/locking.md):
 *
 *	fib_lock	mutex: pod routes and their copies in the FIB
 *	RTNL		links, ports, addresses
 *	cfg_lock	mutex: every object below; all writers
 *
 * The packet path takes none of them: it reads under RCU what the writers
 * publish.
 */
#ifndef _K8SNET_NETNS_H
#define _K8SNET_NETNS_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rhashtable.h>
#include <linux/siphash.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "k8snet.h"
#include "stats.h"

struct k8snet_chains;
struct k8snet_flow_stats;
struct k8snet_masq_table;
struct k8snet_node_conf;
struct k8snet_route_lens;
struct socket;

struct k8snet_net {
	struct net *net;
	struct mutex cfg_lock;		/* all configuration, see above */
	/* Counts changes, for consistent dumps. From 1, because 0 means
	 * "do not check" to netlink. Written under cfg_lock.
	 */
	u32 genid;
	/* Objects that need the packet hooks; hooks.c, cfg_lock. */
	unsigned int hook_users;
	unsigned int localhost_users;	/* localhost.c, cfg_lock */
	bool localhost_nodeports;	/* ... the setting is one of them */
	siphash_key_t hash_key;		/* secret of this namespace; constant */
	struct k8snet_stats __percpu *stats;

	/* node.c */
	struct k8snet_node_conf __rcu *node;	/* never NULL; cfg_lock */
	struct work_struct node_work;		/* follows the addresses */

	/* bridge.c: struct k8snet_bridge.node; RTNL and cfg_lock to change,
	 * either or RCU to walk.
	 */
	struct list_head bridges;
	unsigned int n_bridges;

	/* pod.c: by address, one entry an address; cfg_lock to change */
	struct rhashtable pods;
	struct xarray pod_ids;			/* dump order; cfg_lock */
	unsigned int n_pods;

	/* route.c */
	struct mutex fib_lock;
	struct socket *fib_sock;		/* fib_lock */
	struct work_struct fib_work;		/* puts lost FIB routes back */
	struct rhashtable routes;		/* by prefix; cfg_lock */
	struct k8snet_route_lens __rcu *route_lens; /* lengths in use */
	struct xarray route_ids;		/* dump order; cfg_lock */
	unsigned int n_routes;

	/* masq.c */
	struct k8snet_masq_table __rcu *masqs;	/* may be NULL; cfg_lock */

	/* service.c */
	struct rhashtable services;		/* by name; cfg_lock */
	struct rhashtable frontends;		/* by address, protocol, port */
	struct rhashtable vips;			/* by address */
	unsigned int n_ranges;			/* frontends that are port
						 * ranges; READ_ONCE
						 */
	struct xarray service_ids;		/* dump order; cfg_lock */
	u32 next_service_id;
	unsigned int n_services;
	unsigned int n_dsr;			/* with DSR; READ_ONCE */
	unsigned int n_endpoints;
	struct work_struct sweep_work;		/* stale conntrack entries */

	/* affinity.c */
	struct rhashtable affinities;
	atomic_t n_affinities;
	struct delayed_work affinity_work;

	struct k8snet_chains __percpu *chains;	/* chain.c */

	/* flow.c */
	atomic_t flow_gen;			/* what flows rely on; read by
						 * every packet
						 */
	struct rhashtable flows4, flows6;
	/* Of flows that no bridge has to do with. */
	struct k8snet_flow_stats __percpu *flow_stats;
	atomic_t n_flows;
	struct delayed_work flow_work;
	int flow_hurry;				/* flow.c; xchg(), cmpxchg() */
	/* How far it is: in which table, what it has seen in this round, and
	 * how long a round is to take; flow_work.
	 */
	struct rhashtable *flow_table;
	struct rhashtable_iter flow_iter;
	unsigned int flow_seen, flow_dead, flow_round_ms;
	struct list_head uplinks;		/* RTNL, RCU */
	struct work_struct uplink_work;
	int uplink_wanted;			/* ifindex; xchg() */
	bool flow_leaving;			/* RTNL */

	/* conn.c */
	struct llist_head __percpu *conn_new;	/* lockless, producers */
	/* Of entries in conntrack's table, and of those not there yet. */
	struct list_head conns, conns_awaited;	/* conn_lock */
	struct mutex conn_lock;
	struct delayed_work conn_work;
	unsigned long conn_flags;		/* conn.c */
	atomic_t n_conns;
	/* Which round of looking at all records it is, and how many have been
	 * looked at; conn_lock.
	 */
	unsigned int conn_round, conn_seen;
};

extern unsigned int k8snet_net_id;
/* All work of the module runs here; nothing waits in it for RTNL or cfg_lock
 * holders that flush it (see each work).
 */
extern struct workqueue_struct *k8snet_wq;

static inline struct k8snet_net *k8snet_net(const struct net *net)
{
	return net_generic(net, k8snet_net_id);
}

#define k8snet_assert_cfg(kn)	lockdep_assert_held(&(kn)->cfg_lock)
/* rcu_dereference for holders of cfg_lock. */
#define k8snet_cfg_dereference(kn, p)					\
	rcu_dereference_protected(p, lockdep_is_held(&(kn)->cfg_lock))

/* A change was made: dumps in progress are marked interrupted. */
static inline void k8snet_net_changed(struct k8snet_net *kn)
{
	k8snet_assert_cfg(kn);
	if (!++kn->genid)
		kn->genid = 1;
}

int k8snet_net_init(void);
void k8snet_net_uninit(void);

/*
 * Registers the namespace's packet hooks for the first object that needs
 * them (a bridge, a service, a masquerade rule) and removes them with the
 * last. Namespaces without such an object, the pods' own above all, never
 * see a hook of ours. Context: cfg_lock held, may sleep.
 */
int k8snet_hooks_get(struct k8snet_net *kn);
void k8snet_hooks_put(struct k8snet_net *kn);

#endif /* _K8SNET_NETNS_H */
