// SPDX-License-Identifier: GPL-2.0
/* Plans: what the packet path knows of a service. */

#include <linux/mm.h>
#include <linux/slab.h>

#include "plan.h"
#include "sched.h"

struct k8snet_plan *k8snet_plan_alloc(unsigned int n_ranges)
{
	struct k8snet_plan *plan;

	plan = kzalloc(struct_size(plan, ranges, n_ranges), GFP_KERNEL);
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
enum eligible { ELIGIBLE_READY, ELIGIBLE_DRAINING, ELIGIBLE_NUM };

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

static int set_build(struct k8snet_set *set, u8 scheduler, u8 family,
		     u8 policy, const struct k8snet_endpoint_state *eps,
		     unsigned int n)
{
	unsigned int count = 0, i;
	enum eligible what;
	u32 *weights;
	int err;

	for (what = ELIGIBLE_READY; what < ELIGIBLE_NUM && !count; what++)
		for (i = 0; i < n; i++)
			count += is_eligible(&eps[i], family, policy, what);
	if (!count)
		return 0;
	what--;

	set->ep = kvmalloc_array(count, sizeof(*set->ep), GFP_KERNEL);
	weights = kvmalloc_array(count, sizeof(*weights), GFP_KERNEL);
	if (!set->ep || !weights) {
		kvfree(weights);
		return -ENOMEM;
	}
	for (i = 0; i < n; i++) {
		if (!is_eligible(&eps[i], family, policy, what))
			continue;
		weights[set->n] = eps[i].weight;
		set->ep[set->n++] = eps[i].ep;
	}
	err = k8snet_sched_build(set, scheduler, weights);
	kvfree(weights);
	return err;
}

int k8snet_plan_build(struct k8snet_plan *plan,
		      const struct k8snet_endpoint_state *eps, unsigned int n)
{
	unsigned int f, policy;
	int err;

	for (f = 0; f < ARRAY_SIZE(plan->set); f++) {
		for (policy = 0; policy < ARRAY_SIZE(plan->set[f]); policy++) {
			err = set_build(&plan->set[f][policy], plan->scheduler,
					k8snet_family_of_index(f), policy, eps,
					n);
			if (err)
				return err;
		}
	}
	return 0;
}

void k8snet_plan_mark(const struct k8snet_plan *plan,
		      const struct k8snet_endpoint_state *eps, unsigned int n)
{
	unsigned int f, policy, i, k;

	for (i = 0; i < n; i++)
		eps[i].ep->next_usable = 0;
	for (f = 0; f < ARRAY_SIZE(plan->set); f++) {
		for (policy = 0; policy < ARRAY_SIZE(plan->set[f]); policy++) {
			const struct k8snet_set *set = &plan->set[f][policy];

			for (k = 0; k < set->n; k++)
				set->ep[k]->next_usable |= BIT(policy);
		}
	}
	for (i = 0; i < n; i++)
		WRITE_ONCE(eps[i].ep->usable, eps[i].ep->next_usable);
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

/* A reader got the plan from svc->plan inside an RCU section that began
 * before the pointer was replaced; after a grace period there is none.
 */
void k8snet_plan_free_rcu(struct k8snet_plan *plan)
{
	call_rcu(&plan->rcu, plan_free_rcu);
}
