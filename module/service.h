/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Services: frontends, endpoints and the policy that leads from one to the
 * other.
 *
 * What the packet path needs of a service is its plan: settings, source
 * ranges and, for each family and traffic policy, the endpoints that may get
 * a new flow. A plan is immutable; every change builds a new one aside and
 * publishes it with one pointer, so that a packet sees the service as it was
 * before a change or as it is after it, and never between.
 */
#ifndef _K8SNET_SERVICE_H
#define _K8SNET_SERVICE_H

#include <linux/refcount.h>
#include <linux/rhashtable.h>

#include "addr.h"
#include "netns.h"

/*
 * An endpoint of one service. Owned by the service's list; the flows and the
 * affinity entries that name it hold references of their own, plans do not:
 * an endpoint is released only after a plan without it was published, and
 * freed a grace period later.
 */
struct k8snet_endpoint {
	union nf_inet_addr addr;	/* constant */
	__be16 port;			/* constant */
	u8 family;			/* constant */
	u8 proto;			/* constant, the service's */
	u32 weight;			/* cfg_lock */
	u32 flags;			/* K8SNET_EP_*; written under cfg_lock,
					 * READ_ONCE elsewhere
					 */
	bool removed;			/* WRITE_ONCE under cfg_lock */
	/* In which of the published plan's sets it is: BIT(enum
	 * k8snet_policy). READ_ONCE on the packet path.
	 */
	u8 usable;
	u8 next_usable;			/* while a plan is published; cfg_lock */
	refcount_t refs;
	u32 service_id;			/* constant */
	atomic_t active;		/* live flows; conn.c */
	atomic_long_t flows;		/* given to it; per new flow */
	struct list_head node;		/* svc->endpoints; cfg_lock */
	struct rcu_head rcu;
};

/* Endpoints that a new flow may get. Part of a plan. */
struct k8snet_set {
	unsigned int n;
	unsigned int n_slots;		/* 0: all of the same weight */
	struct k8snet_endpoint **ep;	/* n */
	/* How weights and schedulers are made O(1); by scheduler:
	 * random: Walker's alias table, n entries;
	 * rr: the order of one round, n_slots entries;
	 * maglev: the lookup table, n_slots entries.
	 */
	struct k8snet_alias *alias;
	u16 *slot;
};

/* One column of Walker's alias table: @ep[i] with probability @keep / 2^32,
 * else @ep[other].
 */
struct k8snet_alias {
	u32 keep;
	u32 other;
};

struct k8snet_plan {
	struct rcu_head rcu;
	u8 scheduler;			/* enum k8snet_scheduler */
	u8 external_policy;		/* enum k8snet_policy */
	u8 internal_policy;
	u8 no_endpoints;		/* enum k8snet_no_endpoints */
	u32 affinity;			/* seconds; 0: none */
	/* By family and policy; the local set is a subset of the other. */
	struct k8snet_set set[2][K8SNET_POLICY_MAX + 1];
	unsigned int n_ranges;
	struct k8snet_prefix ranges[];
};

struct k8snet_frontend_key {
	union nf_inet_addr addr;	/* any for a node port */
	u8 family;			/* 0 for a node port: both families */
	u8 proto;
	__be16 port;
};

/* A (address, protocol, port) that is captured. */
struct k8snet_frontend {
	struct rhash_head hash;		/* kn->frontends */
	struct k8snet_frontend_key key;	/* constant */
	u8 type;			/* enum k8snet_frontend_type; constant */
	struct k8snet_service *svc;	/* constant */
	struct list_head node;		/* svc->frontends; cfg_lock */
	struct rcu_head rcu;
};

/* An address that has frontends, so that other ports of it and pings to it
 * can be answered.
 */
struct k8snet_vip {
	struct rhash_head hash;		/* kn->vips */
	union nf_inet_addr addr;
	u32 family;
	unsigned int users;		/* frontends; cfg_lock */
	unsigned int cluster_users;	/* those that are cluster IPs */
	struct rcu_head rcu;
};

struct k8snet_service {
	struct rhash_head hash;		/* kn->services */
	struct k8snet_plan __rcu *plan;	/* never NULL while published */
	u32 id;				/* kn->service_ids */
	u8 proto;			/* constant */
	atomic_t rr;			/* round robin: flows so far */
	/* Counted per new flow or refused packet. */
	atomic_long_t flows, rejected, dropped;
	/* Configuration that is not in the plan; cfg_lock. */
	struct list_head frontends;
	struct list_head endpoints;
	unsigned int n_frontends, n_endpoints;
	struct rcu_head rcu;
	char name[];			/* constant, NUL-terminated */
};

/* Where a new flow comes from. */
enum k8snet_origin {
	K8SNET_ORIGIN_POD,		/* a pod of this node or of another */
	K8SNET_ORIGIN_NODE,		/* a process of this node */
	K8SNET_ORIGIN_OUTSIDE,
};

/* A question to k8snet_service_decide(), and its answer. */
struct k8snet_decision {
	/* Question. */
	u8 family;
	u8 proto;
	enum k8snet_origin origin;
	union nf_inet_addr saddr, daddr;
	__be16 sport, dport;
	/* Only explain: no counter, no affinity entry, no turn of a round
	 * robin is used up.
	 */
	bool dry;

	/* Answer, valid in the caller's RCU section. */
	enum k8snet_lookup_verdict verdict;
	const struct k8snet_frontend *fe;
	const struct k8snet_plan *plan;
	const struct k8snet_set *set;
	u8 policy;			/* of set */
	struct k8snet_endpoint *ep;	/* verdict ENDPOINT */
	bool snat;			/* the source must be translated, too */
	bool hairpin;			/* because the endpoint is the client */
	const char *reason;		/* a constant sentence */
};

/*
 * What happens to a new flow: pure reading of the published state, used by
 * the packet path and by "lookup" alike. Context: RCU, BH off.
 */
void k8snet_service_decide(struct k8snet_net *kn, struct k8snet_decision *d);

/* Where packets with this source come from, seen from this node.
 * @in_bridge: they arrived by a pod bridge. Context: RCU.
 */
enum k8snet_origin k8snet_service_origin(struct k8snet_net *kn,
					 const union nf_inet_addr *saddr,
					 u8 family, bool in_bridge);

/* The frontend that captures a destination, node ports included, or NULL.
 * Context: RCU.
 */
struct k8snet_frontend *k8snet_frontend_lookup_rcu(struct k8snet_net *kn,
						   const union nf_inet_addr *addr,
						   u8 family, u8 proto,
						   __be16 port);
struct k8snet_vip *k8snet_vip_lookup_rcu(struct k8snet_net *kn,
					 const union nf_inet_addr *addr,
					 u8 family);

int k8snet_service_net_init(struct k8snet_net *kn);
void k8snet_service_net_exit(struct k8snet_net *kn);
/* Removes all services. Context: cfg_lock held. */
void k8snet_service_flush(struct k8snet_net *kn);

/* Configuration; all under cfg_lock. */

/* A frontend or an endpoint as a message gives it. */
struct k8snet_frontend_spec {
	struct k8snet_frontend_key key;
	u8 type;
};

struct k8snet_endpoint_spec {
	union nf_inet_addr addr;
	__be16 port;
	u8 family;
	bool has_weight;
	u32 weight;
	u32 flags, mask;		/* mask 0: flags not given */
};

/* A service as a message gives it. Lists are only looked at where @replace
 * has their bit; for a new service all bits are set.
 */
struct k8snet_service_spec {
	u8 proto;
	u8 scheduler, external_policy, internal_policy, no_endpoints;
	u32 affinity;
	bool has_scheduler, has_external_policy, has_internal_policy;
	bool has_no_endpoints, has_affinity;
	u32 replace;			/* K8SNET_SERVICE_REPLACE_* */
	unsigned int n_frontends, n_endpoints, n_ranges;
	struct k8snet_frontend_spec *frontends;
	struct k8snet_endpoint_spec *endpoints;
	struct k8snet_prefix *ranges;
};

struct k8snet_service *k8snet_service_find(struct k8snet_net *kn,
					   const char *name);
int k8snet_service_create(struct k8snet_net *kn, const char *name,
			  const struct k8snet_service_spec *spec,
			  struct k8snet_service **svc,
			  struct netlink_ext_ack *extack);
int k8snet_service_change(struct k8snet_net *kn, struct k8snet_service *svc,
			  const struct k8snet_service_spec *spec,
			  struct netlink_ext_ack *extack);
void k8snet_service_remove(struct k8snet_net *kn, struct k8snet_service *svc);

int k8snet_endpoint_add(struct k8snet_net *kn, struct k8snet_service *svc,
			const struct k8snet_endpoint_spec *specs, unsigned int n,
			struct netlink_ext_ack *extack);
int k8snet_endpoint_change(struct k8snet_net *kn, struct k8snet_service *svc,
			   const struct k8snet_endpoint_spec *specs,
			   unsigned int n, struct netlink_ext_ack *extack);
int k8snet_endpoint_remove(struct k8snet_net *kn, struct k8snet_service *svc,
			   const struct k8snet_endpoint_spec *specs,
			   unsigned int n, struct netlink_ext_ack *extack);
struct k8snet_endpoint *
k8snet_endpoint_find(struct k8snet_service *svc,
		     const struct k8snet_endpoint_spec *spec);

/* Drops a reference; the last frees after a grace period. Any context. */
void k8snet_endpoint_put(struct k8snet_endpoint *ep);
static inline bool __must_check k8snet_endpoint_get(struct k8snet_endpoint *ep)
{
	return refcount_inc_not_zero(&ep->refs);
}

/* plan.c */

/* An endpoint as it is to be once the plan made of it is published. */
struct k8snet_endpoint_state {
	struct k8snet_endpoint *ep;
	u32 weight;
	u32 flags;
};

struct k8snet_plan *k8snet_plan_alloc(unsigned int n_ranges);
/* Fills a plan's sets from @eps, which is sorted by address and port; the
 * settings are already there. 0 or -ENOMEM. May sleep.
 */
int k8snet_plan_build(struct k8snet_plan *plan,
		      const struct k8snet_endpoint_state *eps, unsigned int n);
/* Tells the endpoints which sets of a plan, now published, they are in. */
void k8snet_plan_mark(const struct k8snet_plan *plan,
		      const struct k8snet_endpoint_state *eps, unsigned int n);
void k8snet_plan_free(struct k8snet_plan *plan);	/* never published */
void k8snet_plan_free_rcu(struct k8snet_plan *plan);

/* sched.c */
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

#endif /* _K8SNET_SERVICE_H */
