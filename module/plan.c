// SPDX-License-Identifier: GPL-2.0
/* Plans: what the packet path knows of a service. */

#include <linux/mm.h>
#include <linux/slab.h>

#include "plan.h"
#include "sched.h"
#include "service.h"

struct k8snet_plan *k8snet_plan_alloc(unsigned int n_ranges)
{
	struct k8snet_plan *plan;

	plan = kzalloc(struct_size(plan, ranges, n_ranges), GFP_KERNEL_ACCOUNT);
	if (plan)
		plan->n_ranges = n_ranges;
	return plan;
}

/*
 * Which endpoints may get a new flow, as kube-proxy's pkg/proxy/topology.go
 * has it: the ready ones; if there is none of them, those that serve while
 * they terminate. An endpoint that terminates and does not serve is never
 * used. Independent for each family and policy.
 */
enum eligible { ELIGIBLE_READY, ELIGIBLE_DRAINING };

static bool is_eligible(const struct k8snet_endpoint_state *s, u8 family,
			u8 policy, enum eligible what)
{
	const u32 draining = K8SNET_EP_SERVING | K8SNET_EP_TERMINATING;

	if (s->ep->family != family || !s->weight)
		return false;
	if (policy == K8SNET_POLICY_LOCAL && !(s->flags & K8SNET_EP_LOCAL))
		return false;
	if (what == ELIGIBLE_READY)
		return s->flags & K8SNET_EP_READY;
	return (s->flags & draining) == draining;
}

/*
 * Topology, as topology.go has it: if every ready endpoint has node hints and
 * one of them is for this node, those that are; else the same with zones; else
 * all. One endpoint without a hint means that whoever gives them is not done
 * yet, and following the others would leave it without flows.
 */
enum topology { TOPOLOGY_ALL, TOPOLOGY_ZONE, TOPOLOGY_NODE };

static bool names_have(const char *names, unsigned int n, const char *name)
{
	if (!*name)
		return false;
	for (; n--; names = k8snet_hint_next(names))
		if (!strcmp(names, name))
			return true;
	return false;
}

static bool has_hint(const struct k8snet_hints *h, enum topology by,
		     const char *name, const char *zone)
{
	const char *names = h->names;
	unsigned int i;

	if (by == TOPOLOGY_ZONE)
		return names_have(names, h->n_zones, zone);
	for (i = 0; i < h->n_zones; i++)
		names = k8snet_hint_next(names);
	return names_have(names, h->n_nodes, name);
}

static enum topology topology(const struct k8snet_endpoint_state *eps,
			      unsigned int n, u8 family, const char *name,
			      const char *zone)
{
	bool all_nodes = true, all_zones = true;
	bool a_node = false, a_zone = false;
	const struct k8snet_hints *h;
	unsigned int i;

	for (i = 0; i < n && (all_nodes || all_zones); i++) {
		if (!is_eligible(&eps[i], family, K8SNET_POLICY_CLUSTER,
				 ELIGIBLE_READY))
			continue;
		h = eps[i].hints;
		all_nodes &= h && h->n_nodes;
		all_zones &= h && h->n_zones;
		if (!h)
			continue;
		a_node |= has_hint(h, TOPOLOGY_NODE, name, zone);
		a_zone |= has_hint(h, TOPOLOGY_ZONE, name, zone);
	}
	if (all_nodes && a_node)
		return TOPOLOGY_NODE;
	return all_zones && a_zone ? TOPOLOGY_ZONE : TOPOLOGY_ALL;
}

/* Which endpoints a set is made of; policy local wins over topology, and so
 * does having none that is ready.
 */
struct choice {
	u8 family;
	u8 policy;
	enum eligible what;
	enum topology by;
	const char *name, *zone;
};

static bool is_chosen(const struct k8snet_endpoint_state *s,
		      const struct choice *c)
{
	if (!is_eligible(s, c->family, c->policy, c->what))
		return false;
	return c->by == TOPOLOGY_ALL || has_hint(s->hints, c->by, c->name,
						 c->zone);
}

static int set_build(struct k8snet_set *set, u8 scheduler, struct choice *c,
		     const struct k8snet_endpoint_state *eps, unsigned int n)
{
	unsigned int count = 0, i;
	u32 *weights;
	int err;

	if (c->policy == K8SNET_POLICY_CLUSTER)
		c->by = topology(eps, n, c->family, c->name, c->zone);
	for (i = 0; i < n; i++)
		count += is_chosen(&eps[i], c);
	if (!count) {
		c->what = ELIGIBLE_DRAINING;
		c->by = TOPOLOGY_ALL;
		for (i = 0; i < n; i++)
			count += is_chosen(&eps[i], c);
	}
	if (!count)
		return 0;

	set->ep = kvmalloc_array(count, sizeof(*set->ep), GFP_KERNEL_ACCOUNT);
	weights = kvmalloc_array(count, sizeof(*weights), GFP_KERNEL_ACCOUNT);
	if (!set->ep || !weights) {
		kvfree(weights);
		return -ENOMEM;
	}
	for (i = 0; i < n; i++) {
		if (!is_chosen(&eps[i], c))
			continue;
		weights[set->n] = eps[i].weight;
		set->ep[set->n++] = eps[i].ep;
	}
	err = k8snet_sched_build(set, scheduler, weights);
	kvfree(weights);
	return err;
}

int k8snet_plan_build(struct k8snet_plan *plan,
		      const struct k8snet_endpoint_state *eps, unsigned int n,
		      const char *name, const char *zone)
{
	unsigned int f, policy;
	int err;

	for (f = 0; f < ARRAY_SIZE(plan->set); f++) {
		for (policy = 0; policy < ARRAY_SIZE(plan->set[f]); policy++) {
			struct choice c = {
				.family = k8snet_family_of_index(f),
				.policy = policy,
				.name = name,
				.zone = zone,
			};

			err = set_build(&plan->set[f][policy], plan->scheduler,
					&c, eps, n);
			if (err)
				return err;
		}
	}
	return 0;
}

void k8snet_plan_mark(const struct k8snet_plan *plan,
		      const struct k8snet_service *svc)
{
	struct k8snet_endpoint *ep;
	unsigned int f, policy, k;

	list_for_each_entry(ep, &svc->endpoints, node)
		ep->next_usable = 0;
	for (f = 0; f < ARRAY_SIZE(plan->set); f++) {
		for (policy = 0; policy < ARRAY_SIZE(plan->set[f]); policy++) {
			const struct k8snet_set *set = &plan->set[f][policy];

			for (k = 0; k < set->n; k++)
				set->ep[k]->next_usable |= BIT(policy);
		}
	}
	list_for_each_entry(ep, &svc->endpoints, node)
		WRITE_ONCE(ep->usable, ep->next_usable);
}

void k8snet_plan_free(struct k8snet_plan *plan)
{
	unsigned int f, policy;

	if (!plan)
		return;
	for (f = 0; f < ARRAY_SIZE(plan->set); f++) {
		for (policy = 0; policy < ARRAY_SIZE(plan->set[f]); policy++) {
			kvfree(plan->set[f][policy].ep);
			kvfree(plan->set[f][policy].alias);
			kvfree(plan->set[f][policy].slot);
		}
	}
	kfree(plan);
}

static void plan_free_rcu(struct rcu_head *head)
{
	k8snet_plan_free(container_of(head, struct k8snet_plan, rcu));
}

/* A reader got the plan from a frontend inside an RCU section that began before
 * the pointer was replaced, or the frontend taken out of the tables; after a
 * grace period there is none.
 */
void k8snet_plan_free_rcu(struct k8snet_plan *plan)
{
	call_rcu(&plan->rcu, plan_free_rcu);
}
