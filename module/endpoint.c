// SPDX-License-Identifier: GPL-2.0
/* Endpoints of a service: which there are, and how a change makes others. */

#include <linux/slab.h>
#include <linux/sort.h>

#include "conn.h"
#include "endpoint.h"
#include "service.h"

static void endpoint_free_rcu(struct rcu_head *head)
{
	struct k8snet_endpoint *ep = container_of(head, struct k8snet_endpoint,
						  rcu);

	kfree(ep->hints);
	kfree(ep->traffic);
	kfree(ep);
}

/*
 * The last reference is gone: the service's list, flows and affinity entries
 * have dropped theirs. A packet may still have found the endpoint in a plan
 * that was replaced meanwhile, and tries refcount_inc_not_zero() on it: the
 * memory stays for a grace period.
 */
void k8snet_endpoint_put(struct k8snet_endpoint *ep)
{
	if (refcount_dec_and_test(&ep->refs))
		call_rcu(&ep->rcu, endpoint_free_rcu);
}

static int endpoint_cmp(const union nf_inet_addr *a, u8 family_a, __be16 port_a,
			const union nf_inet_addr *b, u8 family_b, __be16 port_b)
{
	int r;

	if (family_a != family_b)
		return family_a < family_b ? -1 : 1;
	r = memcmp(a, b, sizeof(*a));
	if (r)
		return r;
	return (int)ntohs(port_a) - (int)ntohs(port_b);
}

static int endpoint_cmp_spec(const struct k8snet_endpoint *ep,
			     const struct k8snet_endpoint_spec *s)
{
	return endpoint_cmp(&ep->addr, ep->family, ep->port,
			    &s->addr, s->family, s->port);
}

static int spec_cmp(const void *a, const void *b)
{
	const struct k8snet_endpoint_spec *x = a, *y = b;

	return endpoint_cmp(&x->addr, x->family, x->port,
			    &y->addr, y->family, y->port);
}

static struct k8snet_endpoint *endpoint_alloc(const struct k8snet_service *svc,
					      const struct k8snet_endpoint_spec *s)
{
	struct k8snet_endpoint *ep = kzalloc(sizeof(*ep), GFP_KERNEL_ACCOUNT);

	if (!ep)
		return NULL;
	ep->addr = s->addr;
	ep->port = s->port;
	ep->family = s->family;
	ep->proto = svc->proto;
	ep->service_id = svc->id;
	ep->flags = K8SNET_EP_READY | K8SNET_EP_SERVING;
	ep->weight = 1;
	refcount_set(&ep->refs, 1);
	INIT_LIST_HEAD(&ep->node);
	return ep;
}

static char *name_put(char *to, const char *name)
{
	size_t size = strlen(name) + 1;

	memcpy(to, name, size);
	return to + size;
}

/* Hints as @s has them, and of what it does not name those of @old. */
static struct k8snet_hints *hints_make(const struct k8snet_hints *old,
				       const struct k8snet_endpoint_spec *s)
{
	const char *zone[K8SNET_HINTS_MAX], *node[K8SNET_HINTS_MAX];
	unsigned int n_zones = s->has_zones ? s->n_zones : 0;
	unsigned int n_nodes = s->has_nodes ? s->n_nodes : 0;
	const char *name = old ? old->names : NULL;
	struct k8snet_hints *hints;
	size_t len = 0;
	unsigned int i;
	char *to;

	memcpy(zone, s->zone, sizeof(zone));
	memcpy(node, s->node, sizeof(node));
	for (i = 0; old && i < old->n_zones; i++) {
		if (!s->has_zones)
			zone[n_zones++] = name;
		name = k8snet_hint_next(name);
	}
	for (i = 0; old && i < old->n_nodes; i++) {
		if (!s->has_nodes)
			node[n_nodes++] = name;
		name = k8snet_hint_next(name);
	}
	if (!n_zones && !n_nodes)
		return NULL;

	for (i = 0; i < n_zones; i++)
		len += strlen(zone[i]) + 1;
	for (i = 0; i < n_nodes; i++)
		len += strlen(node[i]) + 1;
	hints = kmalloc(struct_size(hints, names, len), GFP_KERNEL_ACCOUNT);
	if (!hints)
		return ERR_PTR(-ENOMEM);
	hints->n_zones = n_zones;
	hints->n_nodes = n_nodes;
	to = hints->names;
	for (i = 0; i < n_zones; i++)
		to = name_put(to, zone[i]);
	for (i = 0; i < n_nodes; i++)
		to = name_put(to, node[i]);
	return hints;
}

/* What the message says of an endpoint; on an error @state is as it was. */
static int state_apply(struct k8snet_endpoint_state *state,
		       const struct k8snet_endpoint_spec *s,
		       struct netlink_ext_ack *extack)
{
	u32 flags = (state->flags & ~s->mask) | (s->flags & s->mask);
	struct k8snet_hints *hints;

	/* As in EndpointSlice: ready means serving, and not terminating. */
	if (flags & K8SNET_EP_READY && (flags & K8SNET_EP_TERMINATING ||
					!(flags & K8SNET_EP_SERVING))) {
		NL_SET_ERR_MSG(extack,
			       "ready endpoint must be serving and not terminating");
		return -EINVAL;
	}
	if (s->has_zones || s->has_nodes) {
		hints = hints_make(state->hints, s);
		if (IS_ERR(hints))
			return PTR_ERR(hints);
		state->hints = hints;
	}
	state->flags = flags;
	if (s->has_weight)
		state->weight = s->weight;
	return 0;
}

int k8snet_endpoints_merge(struct k8snet_net *kn, struct k8snet_service *svc,
			   const struct k8snet_endpoint_spec *specs,
			   unsigned int n, enum k8snet_merge how,
			   struct k8snet_endpoint_state **states,
			   unsigned int *n_states,
			   struct netlink_ext_ack *extack)
{
	const struct k8snet_endpoint_spec *s = specs, *end = specs + n;
	struct k8snet_endpoint_spec *sorted = NULL;
	struct k8snet_endpoint_state *out = NULL;
	struct k8snet_endpoint *ep;
	unsigned int count = 0, i;
	int err = -ENOMEM;
	int cmp;

	if (n) {
		sorted = kvmalloc_array(n, sizeof(*sorted), GFP_KERNEL_ACCOUNT);
		if (!sorted)
			return -ENOMEM;
		memcpy(sorted, specs, n * sizeof(*sorted));
		sort(sorted, n, sizeof(*sorted), spec_cmp, NULL);
		s = sorted;
		end = sorted + n;
	}
	if (svc->n_endpoints + n) {
		out = kvmalloc_array(svc->n_endpoints + n, sizeof(*out),
				     GFP_KERNEL_ACCOUNT);
		if (!out)
			goto err_free;
	}
	for (i = 1; i < n; i++) {
		if (!spec_cmp(&sorted[i - 1], &sorted[i])) {
			NL_SET_ERR_MSG(extack, "endpoint given twice");
			err = -EINVAL;
			goto err_free;
		}
	}

	ep = list_first_entry_or_null(&svc->endpoints, typeof(*ep), node);
	while (ep || s < end) {
		cmp = !ep ? 1 : s == end ? -1 : endpoint_cmp_spec(ep, s);
		if (cmp > 0) {		/* only in the message */
			if (how == K8SNET_MERGE_CHANGE || how == K8SNET_MERGE_REMOVE) {
				NL_SET_ERR_MSG(extack, "service has no such endpoint");
				err = -ENOENT;
				goto err_free;
			}
			out[count].ep = endpoint_alloc(svc, s);
			if (!out[count].ep)
				goto err_free;
			out[count].weight = out[count].ep->weight;
			out[count].flags = out[count].ep->flags;
			out[count].hints = NULL;
			err = state_apply(&out[count++], s++, extack);
			if (err)
				goto err_free;
			err = -ENOMEM;
			continue;
		}
		if (!cmp && how == K8SNET_MERGE_ADD) {
			NL_SET_ERR_MSG(extack, "service has this endpoint already");
			err = -EEXIST;
			goto err_free;
		}
		if (!(cmp < 0 && how == K8SNET_MERGE_REPLACE) &&
		    !(!cmp && how == K8SNET_MERGE_REMOVE)) {
			out[count].ep = ep;
			out[count].weight = ep->weight;
			out[count].flags = ep->flags;
			out[count].hints = ep->hints;
			if (!cmp && how == K8SNET_MERGE_REPLACE) {
				out[count].weight = 1;
				out[count].flags = K8SNET_EP_READY |
						   K8SNET_EP_SERVING;
				out[count].hints = NULL;
			}
			count++;
			err = cmp ? 0 :
			      state_apply(&out[count - 1], s, extack);
			if (err)
				goto err_free;
			err = -ENOMEM;
		}
		if (!cmp)
			s++;
		ep = list_is_last(&ep->node, &svc->endpoints) ? NULL :
		     list_next_entry(ep, node);
	}

	if (kn->n_endpoints - svc->n_endpoints + count > K8SNET_ENDPOINTS_MAX) {
		NL_SET_ERR_MSG(extack, "too many endpoints in this namespace");
		err = -ENOSPC;
		goto err_free;
	}
	kvfree(sorted);
	*states = out;
	*n_states = count;
	return 0;

err_free:
	k8snet_endpoints_merge_undo(out, count);
	kvfree(sorted);
	return err;
}

void k8snet_endpoints_merge_undo(struct k8snet_endpoint_state *states,
				 unsigned int n)
{
	while (n--) {
		if (states[n].hints != states[n].ep->hints)
			kfree(states[n].hints);
		if (list_empty(&states[n].ep->node))
			k8snet_endpoint_put(states[n].ep);
	}
	kvfree(states);
}

void k8snet_endpoints_commit(struct k8snet_net *kn, struct k8snet_service *svc,
			     const struct k8snet_plan *plan,
			     struct k8snet_endpoint_state *states,
			     unsigned int n)
{
	bool wait = false, kick = false;
	struct k8snet_endpoint *ep, *tmp;
	LIST_HEAD(old);
	unsigned int i;

	list_splice_init(&svc->endpoints, &old);
	svc->hinted = false;
	for (i = 0; i < n; i++) {
		ep = states[i].ep;
		if (svc->proto == IPPROTO_UDP && !list_empty(&ep->node) &&
		    ep->flags & K8SNET_EP_SERVING &&
		    !(states[i].flags & K8SNET_EP_SERVING)) {
			kick = true;
			wait |= atomic_read(&ep->active) > 0;
		}
		ep->untold = list_empty(&ep->node) ||
			     ep->weight != states[i].weight ||
			     ep->flags != states[i].flags ||
			     ep->hints != states[i].hints;
		WRITE_ONCE(ep->weight, states[i].weight);
		WRITE_ONCE(ep->flags, states[i].flags);
		if (ep->hints != states[i].hints) {
			kfree(ep->hints);
			ep->hints = states[i].hints;
		}
		svc->hinted |= !!ep->hints;
		WRITE_ONCE(ep->on_removal, plan->on_removal);
		/* From the old list, or new and on none: either way. */
		list_del(&ep->node);
		list_add_tail(&ep->node, &svc->endpoints);
	}
	k8snet_plan_mark(plan, svc);

	kn->n_endpoints += n - svc->n_endpoints;
	svc->n_endpoints = n;
	list_for_each_entry_safe(ep, tmp, &old, node) {
		WRITE_ONCE(ep->on_removal, plan->on_removal);
		WRITE_ONCE(ep->removed, true);
		WRITE_ONCE(ep->usable, 0);
		k8snet_conn_left(ep, &wait, &kick);
		list_move_tail(&ep->node, &svc->gone);
	}
	kvfree(states);

	/*
	 * Flows of these endpoints move or end at once. With flows known, the
	 * request is not answered before they have; one that starts at this
	 * very moment from an old plan is found by the work.
	 */
	if (wait)
		k8snet_conn_endpoints_changed_sync(kn);
	else if (kick)
		k8snet_conn_endpoints_changed(kn);
}
