/* SPDX-License-Identifier: GPL-2.0 */
/* Endpoints of a service. */
#ifndef _K8SNET_ENDPOINT_H
#define _K8SNET_ENDPOINT_H

#include <linux/refcount.h>

#include "addr.h"
#include "netns.h"
#include "traffic.h"

struct k8snet_plan;

/* Topology hints of an endpoint: which zones and nodes it is meant for. */
struct k8snet_hints {
	u8 n_zones, n_nodes;
	char names[];			/* zones, then nodes; each with NUL */
};

/*
 * An endpoint of one service. Owned by the service's list; the flows and the
 * affinity entries that name it hold references of their own, plans do not:
 * an endpoint is released only after a plan without it was published, and
 * freed a grace period later.
 */
struct k8snet_endpoint {
	union nf_inet_addr addr;	/* constant */
	__be16 port;			/* constant; 0: the flow's own */
	u8 family;			/* constant */
	u8 proto;			/* constant, the service's */
	u32 weight;			/* cfg_lock */
	u32 flags;			/* K8SNET_EP_ bits; written under
					 * cfg_lock, READ_ONCE elsewhere
					 */
	bool removed;			/* WRITE_ONCE under cfg_lock */
	u8 on_removal;			/* the service's; the same */
	/* In which of the published plan's sets it is: BIT(enum
	 * k8snet_policy). READ_ONCE on the packet path.
	 */
	u8 usable;
	u8 next_usable;			/* while a plan is published; cfg_lock */
	refcount_t refs;
	u32 service_id;			/* constant */
	atomic_t active;		/* live flows; conn.c */
	atomic_long_t flows;		/* given to it; per new flow */
	struct k8snet_hints *hints;	/* NULL: none; cfg_lock */
	struct k8snet_traffic *traffic;	/* NULL: none yet; conn_lock */
	struct list_head node;		/* svc->endpoints or ->gone; cfg_lock */
	bool untold;			/* a change is to be told; cfg_lock */
	struct rcu_head rcu;
};

/* An endpoint as a message gives it. */
struct k8snet_endpoint_spec {
	union nf_inet_addr addr;
	__be16 port;
	u8 family;
	bool has_weight;
	u32 weight;
	u32 flags, mask;		/* mask 0: flags not given */
	/* Hints point into the message. */
	bool has_zones, has_nodes;
	u8 n_zones, n_nodes;
	const char *zone[K8SNET_HINTS_MAX], *node[K8SNET_HINTS_MAX];
};

/* An endpoint as it is to be once the plan made of it is published. */
struct k8snet_endpoint_state {
	struct k8snet_endpoint *ep;
	u32 weight;
	u32 flags;
	struct k8snet_hints *hints;	/* @ep's, or new ones in their place */
};

/* The next of a list of names that are put together. */
static inline const char *k8snet_hint_next(const char *name)
{
	return name + strlen(name) + 1;
}

/* Drops a reference; the last frees after a grace period. Any context. */
void k8snet_endpoint_put(struct k8snet_endpoint *ep);
static inline bool __must_check k8snet_endpoint_get(struct k8snet_endpoint *ep)
{
	return refcount_inc_not_zero(&ep->refs);
}

enum k8snet_merge {
	K8SNET_MERGE_REPLACE,	/* these instead of those there are */
	K8SNET_MERGE_ADD,
	K8SNET_MERGE_CHANGE,
	K8SNET_MERGE_REMOVE,
};

/*
 * What the endpoints of a service will be: an array sorted by address and
 * port, as both inputs are. Existing endpoints keep their identity, and with
 * it their counters and flows; new ones are not on the service's list yet
 * (list_empty()). Nothing of the service is changed. Context: cfg_lock held.
 */
int k8snet_endpoints_merge(struct k8snet_net *kn, struct k8snet_service *svc,
			   const struct k8snet_endpoint_spec *specs,
			   unsigned int n, enum k8snet_merge how,
			   struct k8snet_endpoint_state **states,
			   unsigned int *n_states,
			   struct netlink_ext_ack *extack);
/* Frees @states and the endpoints that were made for it. */
void k8snet_endpoints_merge_undo(struct k8snet_endpoint_state *states,
				 unsigned int n);
/*
 * The plan made of @states is published: the endpoints become so. Frees
 * @states. What is to be told of it is marked, or on svc->gone, until
 * k8snet_endpoints_notify(). Context: cfg_lock held; may wait for flows to end.
 */
void k8snet_endpoints_commit(struct k8snet_net *kn, struct k8snet_service *svc,
			     const struct k8snet_plan *plan,
			     struct k8snet_endpoint_state *states,
			     unsigned int n);

#endif /* _K8SNET_ENDPOINT_H */
