// SPDX-License-Identifier: GPL-2.0
/* Services: the objects, their changes, and publishing these. */

#include <linux/slab.h>

#include "conn.h"
#include "node.h"
#include "service.h"
#include "sweep.h"

static u32 service_hash(const void *data, u32 len, u32 seed)
{
	return jhash(data, strlen(data), seed);
}

static u32 service_obj_hash(const void *data, u32 len, u32 seed)
{
	const struct k8snet_service *svc = data;

	return service_hash(svc->name, len, seed);
}

static int service_obj_cmp(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct k8snet_service *svc = obj;

	return strcmp(arg->key, svc->name);
}

static const struct rhashtable_params service_params = {
	.head_offset = offsetof(struct k8snet_service, hash),
	.hashfn = service_hash,
	.obj_hashfn = service_obj_hash,
	.obj_cmpfn = service_obj_cmp,
	.automatic_shrinking = true,
};

struct k8snet_service *k8snet_service_find(struct k8snet_net *kn,
					   const char *name)
{
	k8snet_assert_cfg(kn);
	return rhashtable_lookup_fast(&kn->services, name, service_params);
}

/* A plan with the settings of @spec, and for the rest those of @old. */
static struct k8snet_plan *plan_settings(const struct k8snet_plan *old,
					 const struct k8snet_service_spec *spec)
{
	bool ranges = spec->replace & K8SNET_SERVICE_REPLACE_SOURCE_RANGE;
	unsigned int n = ranges ? spec->n_ranges : old ? old->n_ranges : 0;
	struct k8snet_plan *plan = k8snet_plan_alloc(n);

	if (!plan)
		return NULL;
	if (n)
		memcpy(plan->ranges, ranges ? spec->ranges : old->ranges,
		       n * sizeof(*plan->ranges));
#define TAKE(field)							\
	(plan->field = spec->has_##field ? spec->field : old ? old->field : 0)
	TAKE(scheduler);
	TAKE(external_policy);
	TAKE(internal_policy);
	TAKE(no_endpoints);
	TAKE(on_removal);
	TAKE(dsr);
	TAKE(affinity);
	TAKE(range_scope);
#undef TAKE
	return plan;
}

/* Everything that can fail comes before the first change that a packet sees. */
static int service_update(struct k8snet_net *kn, struct k8snet_service *svc,
			  const struct k8snet_service_spec *spec,
			  const struct k8snet_endpoint_spec *eps,
			  unsigned int n_eps, enum k8snet_merge how,
			  struct netlink_ext_ack *extack)
{
	struct k8snet_plan *old = svc->plan;
	struct k8snet_endpoint_state *states;
	const struct k8snet_node_conf *node;
	bool had_dsr = old && old->dsr;
	struct k8snet_plan *plan;
	unsigned int n;
	int err;

	err = k8snet_frontends_check(kn, svc, spec, extack);
	if (err)
		return err;
	err = k8snet_endpoints_merge(kn, svc, eps, n_eps, how, &states, &n,
				     extack);
	if (err)
		return err;
	plan = plan_settings(old, spec);
	if (!plan) {
		err = -ENOMEM;
		goto err_states;
	}
	node = k8snet_cfg_dereference(kn, kn->node);
	err = k8snet_plan_build(plan, states, n, node->name, node->zone);
	if (err)
		goto err_plan;
	err = k8snet_frontends_change(kn, svc, spec, plan);
	if (err) {
		if (err == -EEXIST)
			NL_SET_ERR_MSG(extack,
				       "frontend changes its type: remove it first");
		else if (err == -ENOSPC)
			NL_SET_ERR_MSG(extack,
				       "too many port ranges on one address");
		goto err_plan;
	}
	svc->plan = plan;
	if (old)
		k8snet_plan_free_rcu(old);
	WRITE_ONCE(kn->n_dsr, kn->n_dsr + !!plan->dsr - had_dsr);
	k8snet_endpoints_commit(kn, svc, plan, states, n);
	/* New UDP frontends, or a set that is not empty any more. */
	k8snet_sweep(kn, svc);
	k8snet_net_changed(kn);
	return 0;

err_plan:
	k8snet_plan_free(plan);
err_states:
	k8snet_endpoints_merge_undo(states, n);
	return err;
}

static void service_free_rcu(struct rcu_head *head)
{
	struct k8snet_service *svc = container_of(head, struct k8snet_service,
						  rcu);

	k8snet_plan_free(svc->plan);
	kfree(svc->traffic);
	kfree(svc->drops);
	kfree(svc);
}

int k8snet_service_create(struct k8snet_net *kn, const char *name,
			  const struct k8snet_service_spec *spec,
			  struct k8snet_service **res,
			  struct netlink_ext_ack *extack)
{
	struct k8snet_service *svc;
	size_t len = strlen(name);
	int err;

	k8snet_assert_cfg(kn);
	if (k8snet_service_find(kn, name)) {
		NL_SET_ERR_MSG(extack, "service exists already");
		return -EEXIST;
	}
	if (kn->n_services >= K8SNET_SERVICES_MAX) {
		NL_SET_ERR_MSG(extack, "too many services in this namespace");
		return -ENOSPC;
	}
	svc = kzalloc(struct_size(svc, name, len + 1), GFP_KERNEL_ACCOUNT);
	if (!svc)
		return -ENOMEM;
	memcpy(svc->name, name, len + 1);
	svc->proto = spec->proto;
	INIT_LIST_HEAD(&svc->frontends);
	INIT_LIST_HEAD(&svc->endpoints);
	INIT_LIST_HEAD(&svc->gone);

	err = k8snet_hooks_get(kn);
	if (err)
		goto err_free;
	err = xa_alloc_cyclic(&kn->service_ids, &svc->id, svc,
			      XA_LIMIT(1, INT_MAX), &kn->next_service_id,
			      GFP_KERNEL_ACCOUNT);
	if (err < 0)
		goto err_hooks;
	err = rhashtable_insert_fast(&kn->services, &svc->hash, service_params);
	if (err)
		goto err_id;
	err = service_update(kn, svc, spec, spec->endpoints, spec->n_endpoints,
			     K8SNET_MERGE_REPLACE, extack);
	if (err)
		goto err_hash;
	kn->n_services++;
	*res = svc;
	return 0;

err_hash:
	rhashtable_remove_fast(&kn->services, &svc->hash, service_params);
err_id:
	xa_erase(&kn->service_ids, svc->id);
err_hooks:
	k8snet_hooks_put(kn);
err_free:
	/* Frontends that were in the tables and taken back name it. */
	kfree_rcu(svc, rcu);
	return err;
}

int k8snet_service_change(struct k8snet_net *kn, struct k8snet_service *svc,
			  const struct k8snet_service_spec *spec,
			  struct netlink_ext_ack *extack)
{
	bool replace = spec->replace & K8SNET_SERVICE_REPLACE_ENDPOINT;

	k8snet_assert_cfg(kn);
	return service_update(kn, svc, spec, spec->endpoints, spec->n_endpoints,
			      replace ? K8SNET_MERGE_REPLACE : K8SNET_MERGE_ADD, extack);
}

/*
 * Removal. Packets reach a service only through its frontends:
 *
 *  - the frontends are unpublished first, so from here on no packet finds the
 *    service anew;
 *  - one that has found it before may use the service, its plan and the
 *    endpoints in the plan until its RCU section ends; all are freed by
 *    call_rcu() after that;
 *  - endpoints may be named by flows and affinity entries for longer, which
 *    hold references and know the service by its id only.
 */
static void service_unlink(struct k8snet_net *kn, struct k8snet_service *svc,
			   bool *wait, bool *kick)
{
	struct k8snet_frontend *fe, *tmp;
	struct k8snet_endpoint *ep, *next;

	k8snet_assert_cfg(kn);
	list_for_each_entry_safe(fe, tmp, &svc->frontends, node)
		k8snet_frontend_unpublish(kn, fe);
	rhashtable_remove_fast(&kn->services, &svc->hash, service_params);
	xa_erase(&kn->service_ids, svc->id);
	kn->n_services--;
	WRITE_ONCE(kn->n_dsr, kn->n_dsr - !!svc->plan->dsr);

	list_for_each_entry_safe(ep, next, &svc->endpoints, node) {
		WRITE_ONCE(ep->removed, true);
		WRITE_ONCE(ep->usable, 0);
		k8snet_conn_left(ep, wait, kick);
		list_del_init(&ep->node);
		k8snet_endpoint_put(ep);
	}
	kn->n_endpoints -= svc->n_endpoints;
	call_rcu(&svc->rcu, service_free_rcu);
	k8snet_hooks_put(kn);
	k8snet_net_changed(kn);
}

/* What service_unlink() has found to do. */
static void flows_settle(struct k8snet_net *kn, bool wait, bool kick)
{
	if (wait)
		k8snet_conn_endpoints_changed_sync(kn);
	else if (kick)
		k8snet_conn_endpoints_changed(kn);
}

void k8snet_service_remove(struct k8snet_net *kn, struct k8snet_service *svc)
{
	bool wait = false, kick = false;

	service_unlink(kn, svc, &wait, &kick);
	flows_settle(kn, wait, kick);
}

/* A change of nothing but endpoints. */
static const struct k8snet_service_spec endpoints_only;

/* A plan for the service as it is, on a node of that name in that zone. */
static struct k8snet_plan *plan_again(struct k8snet_net *kn,
				      const struct k8snet_service *svc,
				      const char *name, const char *zone)
{
	struct k8snet_endpoint_state *states;
	struct k8snet_endpoint *ep;
	struct k8snet_plan *plan;
	unsigned int n = 0;

	states = kvmalloc_array(svc->n_endpoints, sizeof(*states),
				GFP_KERNEL_ACCOUNT);
	if (!states)
		return NULL;
	list_for_each_entry(ep, &svc->endpoints, node)
		states[n++] = (struct k8snet_endpoint_state){
			.ep = ep,
			.weight = ep->weight,
			.flags = ep->flags,
			.hints = ep->hints,
		};
	plan = plan_settings(svc->plan, &endpoints_only);
	if (plan && k8snet_plan_build(plan, states, n, name, zone)) {
		k8snet_plan_free(plan);
		plan = NULL;
	}
	kvfree(states);
	return plan;
}

int k8snet_services_replan(struct k8snet_net *kn, const char *name,
			   const char *zone)
{
	const struct k8snet_node_conf *node;
	struct k8snet_service *svc;
	struct k8snet_plan *old;
	unsigned long id;
	int err = 0;

	k8snet_assert_cfg(kn);
	node = k8snet_cfg_dereference(kn, kn->node);
	if (!strcmp(node->name, name) && !strcmp(node->zone, zone))
		return 0;

	xa_for_each(&kn->service_ids, id, svc) {
		if (!svc->hinted)
			continue;
		svc->next_plan = plan_again(kn, svc, name, zone);
		if (!svc->next_plan) {
			err = -ENOMEM;
			break;
		}
		cond_resched();
	}
	xa_for_each(&kn->service_ids, id, svc) {
		if (!svc->next_plan)
			continue;
		if (err) {
			k8snet_plan_free(svc->next_plan);
		} else {
			old = svc->plan;
			svc->plan = svc->next_plan;
			k8snet_frontends_set_plan(kn, svc, svc->plan);
			k8snet_plan_free_rcu(old);
			k8snet_plan_mark(svc->next_plan, svc);
		}
		svc->next_plan = NULL;
	}
	return err;
}

int k8snet_endpoint_add(struct k8snet_net *kn, struct k8snet_service *svc,
			const struct k8snet_endpoint_spec *specs, unsigned int n,
			struct netlink_ext_ack *extack)
{
	k8snet_assert_cfg(kn);
	return service_update(kn, svc, &endpoints_only, specs, n, K8SNET_MERGE_ADD,
			      extack);
}

int k8snet_endpoint_change(struct k8snet_net *kn, struct k8snet_service *svc,
			   const struct k8snet_endpoint_spec *specs,
			   unsigned int n, struct netlink_ext_ack *extack)
{
	k8snet_assert_cfg(kn);
	return service_update(kn, svc, &endpoints_only, specs, n, K8SNET_MERGE_CHANGE,
			      extack);
}

int k8snet_endpoint_remove(struct k8snet_net *kn, struct k8snet_service *svc,
			   const struct k8snet_endpoint_spec *specs,
			   unsigned int n, struct netlink_ext_ack *extack)
{
	k8snet_assert_cfg(kn);
	return service_update(kn, svc, &endpoints_only, specs, n, K8SNET_MERGE_REMOVE,
			      extack);
}

void k8snet_service_flush(struct k8snet_net *kn)
{
	bool wait = false, kick = false;
	struct k8snet_service *svc;
	unsigned long id;

	k8snet_assert_cfg(kn);
	xa_for_each(&kn->service_ids, id, svc) {
		service_unlink(kn, svc, &wait, &kick);
		cond_resched();
	}
	flows_settle(kn, wait, kick);
}

int k8snet_service_net_init(struct k8snet_net *kn)
{
	int err;

	xa_init_flags(&kn->service_ids, XA_FLAGS_ALLOC1);
	k8snet_sweep_net_init(kn);
	err = rhashtable_init(&kn->services, &service_params);
	if (err)
		return err;
	err = k8snet_frontend_net_init(kn);
	if (err)
		rhashtable_destroy(&kn->services);
	return err;
}

/* All services are gone: net_pre_exit(). */
void k8snet_service_net_exit(struct k8snet_net *kn)
{
	k8snet_sweep_net_exit(kn);
	k8snet_frontend_net_exit(kn);
	rhashtable_destroy(&kn->services);
	xa_destroy(&kn->service_ids);
}
