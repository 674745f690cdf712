/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Services: frontends, endpoints and the policy that leads from one to the
 * other.
 */
#ifndef _K8SNET_SERVICE_H
#define _K8SNET_SERVICE_H

#include <linux/rhashtable.h>

#include "endpoint.h"
#include "frontend.h"
#include "netns.h"
#include "plan.h"

struct k8snet_service {
	struct rhash_head hash;		/* kn->services */
	u32 id;				/* kn->service_ids */
	u8 proto;			/* constant */
	atomic_t rr;			/* round robin: flows so far */
	/* Counted per new flow or refused packet. */
	atomic_long_t flows, rejected, dropped;
	/* By reason, K8SNET_STAT_NUM of them; NULL: none yet. cmpxchg(). */
	atomic_long_t *drops;
	struct k8snet_traffic *traffic;	/* NULL: none yet; conn_lock */
	/* Configuration that is not in the plan; cfg_lock. */
	struct k8snet_plan *plan;	/* its frontends', for packets */
	struct list_head frontends;
	struct list_head endpoints;
	struct list_head gone;		/* endpoints whose end is to be told */
	unsigned int n_frontends, n_endpoints;
	bool hinted;			/* an endpoint has topology hints */
	struct k8snet_plan *next_plan;	/* k8snet_services_replan() only */
	struct rcu_head rcu;
	char name[];			/* constant, NUL-terminated */
};

int k8snet_service_net_init(struct k8snet_net *kn);
void k8snet_service_net_exit(struct k8snet_net *kn);
/* Removes all services. Context: cfg_lock held. */
void k8snet_service_flush(struct k8snet_net *kn);

/* Configuration; all under cfg_lock. */

/* A service as a message gives it. Lists are only looked at where @replace
 * has their bit; for a new service all bits are set.
 */
struct k8snet_service_spec {
	u8 proto;
	u8 scheduler, external_policy, internal_policy, no_endpoints;
	u8 range_scope, on_removal, dsr;
	u32 affinity;
	bool has_scheduler, has_external_policy, has_internal_policy;
	bool has_no_endpoints, has_affinity, has_range_scope, has_on_removal;
	bool has_dsr;
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
/*
 * The node is @name in @zone from now on: services whose endpoints have hints
 * get new plans, all of them or, without memory, none.
 */
int k8snet_services_replan(struct k8snet_net *kn, const char *name,
			   const char *zone);
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

#endif /* _K8SNET_SERVICE_H */
