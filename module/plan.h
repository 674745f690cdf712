/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Plans. What the packet path needs of a service is its plan: settings,
 * source ranges and, for each family and traffic policy, the endpoints that
 * may get a new flow. A plan is immutable; every change builds a new one aside
 * and publishes it with one pointer, so that a packet sees the service as it
 * was before a change or as it is after it, and never between.
 */
#ifndef _K8SNET_PLAN_H
#define _K8SNET_PLAN_H

#include "addr.h"
#include "endpoint.h"

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
	u8 range_scope;			/* enum k8snet_range_scope */
	u8 on_removal;			/* enum k8snet_on_removal */
	u8 dsr;				/* enum k8snet_dsr */
	u32 affinity;			/* seconds; 0: none */
	/* By family and policy; the local set is a subset of the other. */
	struct k8snet_set set[2][K8SNET_POLICY_MAX + 1];
	unsigned int n_ranges;
	struct k8snet_prefix ranges[];
};

struct k8snet_plan *k8snet_plan_alloc(unsigned int n_ranges);
/* Fills a plan's sets from @eps, which is sorted by address and port; the
 * settings are already there. @name, @zone: what hints call this node and its
 * zone, "" for nothing. 0 or -ENOMEM. May sleep.
 */
int k8snet_plan_build(struct k8snet_plan *plan,
		      const struct k8snet_endpoint_state *eps, unsigned int n,
		      const char *name, const char *zone);
/* Tells the endpoints of the service which sets of a plan, now published, they
 * are in. Context: cfg_lock held.
 */
void k8snet_plan_mark(const struct k8snet_plan *plan,
		      const struct k8snet_service *svc);
void k8snet_plan_free(struct k8snet_plan *plan);	/* never published */
void k8snet_plan_free_rcu(struct k8snet_plan *plan);

#endif /* _K8SNET_PLAN_H */
