// SPDX-License-Identifier: GPL-2.0
/* Services: configuration, publication and the decision about a new flow. */

#include <linux/slab.h>
#include <linux/sort.h>
#include <net/netfilter/nf_conntrack_core.h>

#include "affinity.h"
#include "conn.h"
#include "node.h"
#include "pod.h"
#include "route.h"
#include "service.h"

/* ---- tables ---- */

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

static const struct rhashtable_params frontend_params = {
	.head_offset = offsetof(struct k8snet_frontend, hash),
	.key_offset = offsetof(struct k8snet_frontend, key),
	.key_len = sizeof(struct k8snet_frontend_key),
	.automatic_shrinking = true,
};

static const struct rhashtable_params vip_params = {
	.head_offset = offsetof(struct k8snet_vip, hash),
	.key_offset = offsetof(struct k8snet_vip, addr),
	.key_len = offsetofend(struct k8snet_vip, family) -
		   offsetof(struct k8snet_vip, addr),
	.automatic_shrinking = true,
};

static struct k8snet_frontend *frontend_find(struct k8snet_net *kn,
					     const struct k8snet_frontend_key *k)
{
	return rhashtable_lookup(&kn->frontends, k, frontend_params);
}

struct k8snet_frontend *k8snet_frontend_lookup_rcu(struct k8snet_net *kn,
						   const union nf_inet_addr *addr,
						   u8 family, u8 proto,
						   __be16 port)
{
	struct k8snet_frontend_key key = {
		.addr = *addr,
		.family = family,
		.proto = proto,
		.port = port,
	};
	struct k8snet_frontend *fe;

	BUILD_BUG_ON(sizeof(key) != 20);	/* hashed as a whole: no holes */
	fe = frontend_find(kn, &key);
	if (fe)
		return fe;

	memset(&key.addr, 0, sizeof(key.addr));
	key.family = 0;
	fe = frontend_find(kn, &key);
	if (fe && k8snet_node_is_nodeport_addr(kn, addr, family))
		return fe;
	return NULL;
}

static struct k8snet_vip *vip_find(struct k8snet_net *kn,
				   const union nf_inet_addr *addr, u8 family)
{
	const struct {
		union nf_inet_addr addr;
		u32 family;
	} key = { .addr = *addr, .family = family };

	BUILD_BUG_ON(sizeof(key) != vip_params.key_len);
	return rhashtable_lookup(&kn->vips, &key, vip_params);
}

struct k8snet_vip *k8snet_vip_lookup_rcu(struct k8snet_net *kn,
					 const union nf_inet_addr *addr,
					 u8 family)
{
	return vip_find(kn, addr, family);
}

/* ---- the decision ---- */

enum k8snet_origin k8snet_service_origin(struct k8snet_net *kn,
					 const union nf_inet_addr *saddr,
					 u8 family, bool in_bridge)
{
	const struct k8snet_node_conf *node = rcu_dereference(kn->node);

	if (in_bridge || k8snet_route_lookup_rcu(kn, saddr, family) ||
	    k8snet_prefixes_match(node->cluster, node->n_cluster, saddr, family))
		return K8SNET_ORIGIN_POD;
	return K8SNET_ORIGIN_OUTSIDE;
}

/*
 * Would replies of the chosen endpoint reach a pod without passing this node,
 * which has translated the destination? They would where neither of both is
 * here: a pod that uses a node port of a node that is not its own.
 */
static bool replies_go_astray(struct k8snet_net *kn,
			      const struct k8snet_decision *d)
{
	return d->origin == K8SNET_ORIGIN_POD &&
	       !(READ_ONCE(d->ep->flags) & K8SNET_EP_LOCAL) &&
	       !k8snet_pod_lookup_rcu(kn, &d->ep->addr, d->family) &&
	       !k8snet_pod_lookup_rcu(kn, &d->saddr, d->family);
}

/*
 * loadBalancerSourceRanges, with kube-proxy's scope: load-balancer addresses
 * only. A node that is in the ranges also reaches the service by the address
 * itself, as when the load balancer's address is bound on it.
 */
static bool source_allowed(struct k8snet_net *kn, const struct k8snet_plan *plan,
			   const struct k8snet_decision *d)
{
	const struct k8snet_node_conf *node = rcu_dereference(kn->node);

	if (d->fe->type != K8SNET_FRONTEND_LB_IP || !plan->n_ranges)
		return true;
	if (k8snet_prefixes_match(plan->ranges, plan->n_ranges, &d->saddr,
				  d->family))
		return true;
	return k8snet_addr_equal(&d->saddr, &d->daddr) &&
	       k8snet_prefixes_match(plan->ranges, plan->n_ranges,
				     &node->address[k8snet_family_index(d->family)],
				     d->family);
}

static void decide_no_endpoint(struct k8snet_decision *d)
{
	const struct k8snet_plan *plan = d->plan;
	unsigned int f = k8snet_family_index(d->family);

	if (plan->no_endpoints == K8SNET_NO_ENDPOINTS_PASS) {
		d->verdict = K8SNET_LOOKUP_PASS;
		d->reason = "no usable endpoint, and the service lets such packets pass";
	} else if (plan->set[f][K8SNET_POLICY_CLUSTER].n) {
		/* Another node can serve it: no reason to tell the client
		 * that nobody does.
		 */
		d->verdict = K8SNET_LOOKUP_DROP;
		d->reason = "traffic policy local, and no usable endpoint on this node";
	} else if (plan->no_endpoints == K8SNET_NO_ENDPOINTS_DROP) {
		d->verdict = K8SNET_LOOKUP_DROP;
		d->reason = "no usable endpoint, and the service drops such packets";
	} else {
		d->verdict = K8SNET_LOOKUP_REJECT;
		d->reason = "no usable endpoint";
	}
}

static void decide_endpoint(struct k8snet_net *kn, struct k8snet_decision *d)
{
	struct k8snet_service *svc = d->fe->svc;
	const struct k8snet_plan *plan = d->plan;
	struct k8snet_endpoint *ep = NULL;
	u32 turn;

	if (plan->affinity)
		ep = k8snet_affinity_lookup_rcu(kn, svc->id, &d->saddr,
						d->family, d->policy,
						plan->affinity);
	if (ep) {
		d->reason = "session affinity";
	} else {
		/* A dry run shows the next turn without taking it. */
		turn = d->dry || plan->scheduler != K8SNET_SCHED_RR ?
		       atomic_read(&svc->rr) : atomic_fetch_inc(&svc->rr);
		ep = k8snet_sched_pick(plan->scheduler, d->set,
				       k8snet_sched_hash(plan->scheduler,
							 &kn->hash_key, d),
				       turn);
	}
	if (plan->affinity && !d->dry)
		k8snet_affinity_update(kn, svc->id, &d->saddr, d->family, ep,
				       plan->affinity);
	d->ep = ep;
	d->verdict = K8SNET_LOOKUP_ENDPOINT;
}

void k8snet_service_decide(struct k8snet_net *kn, struct k8snet_decision *d)
{
	unsigned int f = k8snet_family_index(d->family);
	const struct k8snet_plan *plan;
	const struct k8snet_vip *vip;
	bool external, local;

	d->fe = k8snet_frontend_lookup_rcu(kn, &d->daddr, d->family, d->proto,
					   d->dport);
	if (!d->fe) {
		vip = k8snet_vip_lookup_rcu(kn, &d->daddr, d->family);
		if (vip && READ_ONCE(vip->cluster_users)) {
			d->verdict = K8SNET_LOOKUP_REJECT;
			d->reason = "a cluster IP, but no service has this port of it";
		} else {
			d->verdict = K8SNET_LOOKUP_NONE;
			d->reason = "no service has this address and port";
		}
		return;
	}

	plan = rcu_dereference(d->fe->svc->plan);
	d->plan = plan;
	if (!source_allowed(kn, plan, d)) {
		d->verdict = K8SNET_LOOKUP_DROP;
		d->reason = "source is not in the service's source ranges";
		return;
	}

	/*
	 * Policy local of external frontends is about traffic from outside:
	 * pods and the node need not be sent through a load balancer to reach
	 * an endpoint on another node.
	 */
	external = d->fe->type != K8SNET_FRONTEND_CLUSTER_IP;
	local = (external ? plan->external_policy : plan->internal_policy) ==
		K8SNET_POLICY_LOCAL;
	d->policy = K8SNET_POLICY_CLUSTER;
	d->reason = "traffic policy cluster";
	if (local && external && d->origin != K8SNET_ORIGIN_OUTSIDE) {
		d->reason = "traffic policy local is for traffic from outside";
	} else if (local) {
		d->policy = K8SNET_POLICY_LOCAL;
		d->reason = "traffic policy local";
	}

	d->set = &plan->set[f][d->policy];
	if (!d->set->n) {
		decide_no_endpoint(d);
		return;
	}
	decide_endpoint(kn, d);

	/*
	 * Replies must come back through this node wherever it has translated
	 * the destination of a client that they would otherwise reach by
	 * another way, or, for a pod that got itself, not leave the pod.
	 */
	d->hairpin = d->origin != K8SNET_ORIGIN_NODE &&
		     k8snet_addr_equal(&d->ep->addr, &d->saddr);
	if (external)
		d->snat = !local || d->origin == K8SNET_ORIGIN_NODE ||
			  replies_go_astray(kn, d);
	else
		d->snat = d->origin == K8SNET_ORIGIN_OUTSIDE;
	/* The node's own address is what a translation would give. */
	if (d->origin == K8SNET_ORIGIN_NODE &&
	    k8snet_node_is_local_addr(kn, &d->saddr, d->family))
		d->snat = false;
	d->snat |= d->hairpin;
}

/* ---- stale conntrack entries ---- */

/*
 * A UDP entry that was made before the service existed, or while it had no
 * endpoint and let packets pass, would keep a busy client from the service
 * for as long as it goes on sending (kubernetes issues 48370, 59368). TCP
 * clients give up and connect anew.
 *
 * Context: nf_ct_iterate_cleanup_net(), BH off.
 */
static int is_stale(struct nf_conn *ct, void *data)
{
	const struct nf_conntrack_tuple *t =
		&ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple;
	struct k8snet_net *kn = data;
	const struct k8snet_frontend *fe;
	const struct k8snet_plan *plan;
	bool stale = false;

	if (t->dst.protonum != IPPROTO_UDP || ct->status & IPS_DST_NAT)
		return 0;

	rcu_read_lock();
	fe = k8snet_frontend_lookup_rcu(kn, &t->dst.u3, t->src.l3num,
					IPPROTO_UDP, t->dst.u.udp.port);
	if (fe) {
		plan = rcu_dereference(fe->svc->plan);
		stale = plan->set[k8snet_family_index(t->src.l3num)]
				 [K8SNET_POLICY_CLUSTER].n;
	}
	rcu_read_unlock();
	if (stale)
		k8snet_stat_inc(kn, CT_STALE);
	return stale;
}

/* One walk serves all changes made before it. */
static void sweep_work(struct work_struct *work)
{
	struct k8snet_net *kn = container_of(work, struct k8snet_net,
					     sweep_work);
	const struct nf_ct_iter_data iter = { .net = kn->net, .data = kn };

	nf_ct_iterate_cleanup_net(is_stale, &iter);
}

/* ---- endpoints ---- */

static void endpoint_free_rcu(struct rcu_head *head)
{
	kfree(container_of(head, struct k8snet_endpoint, rcu));
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

struct k8snet_endpoint *
k8snet_endpoint_find(struct k8snet_service *svc,
		     const struct k8snet_endpoint_spec *spec)
{
	struct k8snet_endpoint *ep;

	list_for_each_entry(ep, &svc->endpoints, node)
		if (!endpoint_cmp_spec(ep, spec))
			return ep;
	return NULL;
}

static struct k8snet_endpoint *endpoint_alloc(const struct k8snet_service *svc,
					      const struct k8snet_endpoint_spec *s)
{
	struct k8snet_endpoint *ep = kzalloc(sizeof(*ep), GFP_KERNEL);

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

static void state_apply(struct k8snet_endpoint_state *state,
			const struct k8snet_endpoint_spec *s)
{
	state->flags = (state->flags & ~s->mask) | (s->flags & s->mask);
	if (s->has_weight)
		state->weight = s->weight;
}

enum merge { MERGE_REPLACE, MERGE_ADD, MERGE_CHANGE, MERGE_REMOVE };

/*
 * What the endpoints of a service will be: an array sorted by address and
 * port, as both inputs are. Existing endpoints keep their identity, and with
 * it their counters and flows; new ones are not on the service's list yet
 * (list_empty()). Nothing of the service is changed.
 */
static int endpoints_merge(struct k8snet_net *kn, struct k8snet_service *svc,
			   const struct k8snet_endpoint_spec *specs,
			   unsigned int n, enum merge how,
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
		sorted = kvmalloc_array(n, sizeof(*sorted), GFP_KERNEL);
		if (!sorted)
			return -ENOMEM;
		memcpy(sorted, specs, n * sizeof(*sorted));
		sort(sorted, n, sizeof(*sorted), spec_cmp, NULL);
		s = sorted;
		end = sorted + n;
	}
	if (svc->n_endpoints + n) {
		out = kvmalloc_array(svc->n_endpoints + n, sizeof(*out),
				     GFP_KERNEL);
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
			if (how == MERGE_CHANGE || how == MERGE_REMOVE) {
				NL_SET_ERR_MSG(extack, "service has no such endpoint");
				err = -ENOENT;
				goto err_free;
			}
			out[count].ep = endpoint_alloc(svc, s);
			if (!out[count].ep)
				goto err_free;
			out[count].weight = out[count].ep->weight;
			out[count].flags = out[count].ep->flags;
			state_apply(&out[count++], s++);
			continue;
		}
		if (!cmp && how == MERGE_ADD) {
			NL_SET_ERR_MSG(extack, "service has this endpoint already");
			err = -EEXIST;
			goto err_free;
		}
		if (!(cmp < 0 && how == MERGE_REPLACE) &&
		    !(!cmp && how == MERGE_REMOVE)) {
			out[count].ep = ep;
			out[count].weight = ep->weight;
			out[count].flags = ep->flags;
			if (!cmp && how == MERGE_REPLACE) {
				out[count].weight = 1;
				out[count].flags = K8SNET_EP_READY |
						   K8SNET_EP_SERVING;
			}
			if (!cmp)
				state_apply(&out[count], s);
			count++;
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
	while (count--)
		if (list_empty(&out[count].ep->node))
			k8snet_endpoint_put(out[count].ep);
	kvfree(out);
	kvfree(sorted);
	return err;
}

static void endpoints_merge_undo(struct k8snet_endpoint_state *states,
				 unsigned int n)
{
	while (n--)
		if (list_empty(&states[n].ep->node))
			k8snet_endpoint_put(states[n].ep);
	kvfree(states);
}

/* The plan made of @states is published: the endpoints become so. */
static void endpoints_commit(struct k8snet_net *kn, struct k8snet_service *svc,
			     const struct k8snet_plan *plan,
			     struct k8snet_endpoint_state *states,
			     unsigned int n)
{
	bool wait = false, kick = false;
	struct k8snet_endpoint *ep, *tmp;
	LIST_HEAD(old);
	unsigned int i;

	list_splice_init(&svc->endpoints, &old);
	for (i = 0; i < n; i++) {
		ep = states[i].ep;
		if (svc->proto == IPPROTO_UDP && !list_empty(&ep->node) &&
		    ep->flags & K8SNET_EP_SERVING &&
		    !(states[i].flags & K8SNET_EP_SERVING)) {
			kick = true;
			wait |= atomic_read(&ep->active) > 0;
		}
		WRITE_ONCE(ep->weight, states[i].weight);
		WRITE_ONCE(ep->flags, states[i].flags);
		/* From the old list, or new and on none: either way. */
		list_del(&ep->node);
		list_add_tail(&ep->node, &svc->endpoints);
	}
	k8snet_plan_mark(plan, states, n);

	kn->n_endpoints += n - svc->n_endpoints;
	svc->n_endpoints = n;
	list_for_each_entry_safe(ep, tmp, &old, node) {
		WRITE_ONCE(ep->removed, true);
		WRITE_ONCE(ep->usable, 0);
		if (svc->proto == IPPROTO_UDP) {
			kick = true;
			wait |= atomic_read(&ep->active) > 0;
		}
		list_del_init(&ep->node);
		k8snet_endpoint_put(ep);
	}
	kvfree(states);

	/*
	 * UDP flows of these endpoints move at once. With flows known, the
	 * request is not answered before they have; one that starts at this
	 * very moment from an old plan is found by the work.
	 */
	if (wait)
		k8snet_conn_endpoints_changed_sync(kn);
	else if (kick)
		k8snet_conn_endpoints_changed(kn);
}

/* ---- frontends ---- */

static int vip_get(struct k8snet_net *kn, const struct k8snet_frontend *fe)
{
	bool cluster = fe->type == K8SNET_FRONTEND_CLUSTER_IP;
	struct k8snet_vip *vip;
	int err;

	if (fe->type == K8SNET_FRONTEND_NODE_PORT)
		return 0;
	vip = vip_find(kn, &fe->key.addr, fe->key.family);
	if (vip) {
		vip->users++;
		WRITE_ONCE(vip->cluster_users, vip->cluster_users + cluster);
		return 0;
	}
	vip = kzalloc(sizeof(*vip), GFP_KERNEL);
	if (!vip)
		return -ENOMEM;
	vip->addr = fe->key.addr;
	vip->family = fe->key.family;
	vip->users = 1;
	vip->cluster_users = cluster;
	err = rhashtable_insert_fast(&kn->vips, &vip->hash, vip_params);
	if (err)
		kfree(vip);
	return err;
}

static void vip_put(struct k8snet_net *kn, const struct k8snet_frontend *fe)
{
	bool cluster = fe->type == K8SNET_FRONTEND_CLUSTER_IP;
	struct k8snet_vip *vip;

	if (fe->type == K8SNET_FRONTEND_NODE_PORT)
		return;
	vip = vip_find(kn, &fe->key.addr, fe->key.family);
	if (WARN_ON_ONCE(!vip))
		return;
	WRITE_ONCE(vip->cluster_users, vip->cluster_users - cluster);
	if (--vip->users)
		return;
	rhashtable_remove_fast(&kn->vips, &vip->hash, vip_params);
	kfree_rcu(vip, rcu);
}

/* Publishes a frontend. -EEXIST cannot be: the caller holds cfg_lock and has
 * looked.
 */
static int frontend_publish(struct k8snet_net *kn, struct k8snet_frontend *fe)
{
	int err;

	err = vip_get(kn, fe);
	if (err)
		return err;
	err = rhashtable_insert_fast(&kn->frontends, &fe->hash,
				     frontend_params);
	if (err) {
		vip_put(kn, fe);
		return err;
	}
	list_add_tail(&fe->node, &fe->svc->frontends);
	fe->svc->n_frontends++;
	return 0;
}

/*
 * Packets find a frontend only in the hash, and use it within the RCU section
 * of that lookup: after the removal and a grace period nobody holds it. Its
 * service is freed later still (k8snet_service_remove()).
 */
static void frontend_unpublish(struct k8snet_net *kn,
			       struct k8snet_frontend *fe)
{
	rhashtable_remove_fast(&kn->frontends, &fe->hash, frontend_params);
	list_del(&fe->node);
	fe->svc->n_frontends--;
	vip_put(kn, fe);
	kfree_rcu(fe, rcu);
}

static u32 frontend_replace_bit(u8 type)
{
	/* In the order of enum k8snet_frontend_type. */
	return K8SNET_SERVICE_REPLACE_CLUSTER_IP << type;
}

/*
 * May the service have these frontends? Each must be free, or the service's
 * own and stay or go with this very change.
 */
static int frontends_check(struct k8snet_net *kn, struct k8snet_service *svc,
			   const struct k8snet_service_spec *spec,
			   struct netlink_ext_ack *extack)
{
	const struct k8snet_frontend *fe;
	unsigned int i, k, total = spec->n_frontends;

	for (i = 0; i < spec->n_frontends; i++) {
		const struct k8snet_frontend_spec *s = &spec->frontends[i];

		for (k = 0; k < i; k++) {
			if (!memcmp(&s->key, &spec->frontends[k].key,
				    sizeof(s->key))) {
				NL_SET_ERR_MSG(extack, "frontend given twice");
				return -EINVAL;
			}
		}
		fe = frontend_find(kn, &s->key);
		if (!fe || (fe->svc == svc &&
			    spec->replace & frontend_replace_bit(fe->type)))
			continue;
		if (fe->svc == svc)
			NL_SET_ERR_MSG(extack, "service has this frontend already");
		else if (fe->type == K8SNET_FRONTEND_NODE_PORT)
			NL_SET_ERR_MSG(extack, "node port belongs to another service");
		else
			NL_SET_ERR_MSG(extack, "frontend belongs to another service");
		return -EEXIST;
	}
	if (svc)
		list_for_each_entry(fe, &svc->frontends, node)
			total += !(spec->replace &
				   frontend_replace_bit(fe->type));
	if (total > K8SNET_FRONTENDS_MAX) {
		NL_SET_ERR_MSG(extack, "too many frontends for one service");
		return -E2BIG;
	}
	return 0;
}

/*
 * Publishes the frontends of @spec that are new and moves those that stay
 * to @keep. On an error the service has what it had.
 */
static int frontends_change(struct k8snet_net *kn, struct k8snet_service *svc,
			    const struct k8snet_service_spec *spec)
{
	struct k8snet_frontend *fe, *tmp;
	unsigned int i;
	LIST_HEAD(fresh);
	LIST_HEAD(stay);
	int err;

	/* Of the old ones: what stays. The rest is left in svc->frontends. */
	list_for_each_entry_safe(fe, tmp, &svc->frontends, node)
		if (!(spec->replace & frontend_replace_bit(fe->type)))
			list_move_tail(&fe->node, &stay);

	for (i = 0; i < spec->n_frontends; i++) {
		const struct k8snet_frontend_spec *s = &spec->frontends[i];

		fe = frontend_find(kn, &s->key);
		if (fe && fe->type == s->type) {
			list_move_tail(&fe->node, &stay);
			continue;
		}
		if (fe) {
			/* The same address and port in another role: the old
			 * entry must go before the new one fits.
			 */
			err = -EEXIST;
			goto err_undo;
		}
		fe = kzalloc(sizeof(*fe), GFP_KERNEL);
		if (!fe) {
			err = -ENOMEM;
			goto err_undo;
		}
		fe->key = s->key;
		fe->type = s->type;
		fe->svc = svc;
		err = frontend_publish(kn, fe);
		if (err) {
			kfree(fe);
			goto err_undo;
		}
		list_move_tail(&fe->node, &fresh);
	}

	list_for_each_entry_safe(fe, tmp, &svc->frontends, node)
		frontend_unpublish(kn, fe);
	list_splice_tail(&stay, &svc->frontends);
	list_splice_tail(&fresh, &svc->frontends);
	return 0;

err_undo:
	list_for_each_entry_safe(fe, tmp, &fresh, node)
		frontend_unpublish(kn, fe);
	list_splice_tail(&stay, &svc->frontends);
	return err;
}

/* ---- services ---- */

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
	TAKE(affinity);
#undef TAKE
	return plan;
}

/* New UDP frontends, or a set that is not empty any more: see is_stale(). */
static void sweep(struct k8snet_net *kn, const struct k8snet_service *svc)
{
	if (svc->proto == IPPROTO_UDP)
		queue_work(k8snet_wq, &kn->sweep_work);
}

/*
 * Everything that can fail comes before the first change that a packet can
 * see, but for new frontends, which are taken back if a later one fails.
 */
static int service_update(struct k8snet_net *kn, struct k8snet_service *svc,
			  const struct k8snet_service_spec *spec,
			  const struct k8snet_endpoint_spec *eps,
			  unsigned int n_eps, enum merge how,
			  struct netlink_ext_ack *extack)
{
	struct k8snet_plan *old = k8snet_cfg_dereference(kn, svc->plan);
	struct k8snet_endpoint_state *states;
	struct k8snet_plan *plan;
	unsigned int n;
	int err;

	err = frontends_check(kn, svc, spec, extack);
	if (err)
		return err;
	err = endpoints_merge(kn, svc, eps, n_eps, how, &states, &n, extack);
	if (err)
		return err;
	plan = plan_settings(old, spec);
	if (!plan) {
		err = -ENOMEM;
		goto err_states;
	}
	err = k8snet_plan_build(plan, states, n);
	if (err)
		goto err_plan;
	/* A service without a plan is new: it must have one before the first
	 * frontend leads to it.
	 */
	if (!old)
		rcu_assign_pointer(svc->plan, plan);
	err = frontends_change(kn, svc, spec);
	if (err) {
		if (err == -EEXIST)
			NL_SET_ERR_MSG(extack,
				       "frontend changes its type: remove it first");
		if (!old)
			RCU_INIT_POINTER(svc->plan, NULL);
		goto err_plan_rcu;
	}

	if (old) {
		rcu_assign_pointer(svc->plan, plan);
		k8snet_plan_free_rcu(old);
	}
	endpoints_commit(kn, svc, plan, states, n);
	sweep(kn, svc);
	k8snet_net_changed(kn);
	return 0;

err_plan_rcu:
	/* A new service's plan was reachable through its frontends. */
	if (!old) {
		synchronize_rcu();
		endpoints_merge_undo(states, n);
		k8snet_plan_free(plan);
		return err;
	}
err_plan:
	k8snet_plan_free(plan);
err_states:
	endpoints_merge_undo(states, n);
	return err;
}

static void service_free_rcu(struct rcu_head *head)
{
	struct k8snet_service *svc = container_of(head, struct k8snet_service,
						  rcu);

	k8snet_plan_free(rcu_dereference_raw(svc->plan));
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
	svc = kzalloc(struct_size(svc, name, len + 1), GFP_KERNEL);
	if (!svc)
		return -ENOMEM;
	memcpy(svc->name, name, len + 1);
	svc->proto = spec->proto;
	INIT_LIST_HEAD(&svc->frontends);
	INIT_LIST_HEAD(&svc->endpoints);

	err = k8snet_hooks_get(kn);
	if (err)
		goto err_free;
	err = xa_alloc_cyclic(&kn->service_ids, &svc->id, svc,
			      XA_LIMIT(1, INT_MAX), &kn->next_service_id,
			      GFP_KERNEL);
	if (err < 0)
		goto err_hooks;
	err = rhashtable_insert_fast(&kn->services, &svc->hash, service_params);
	if (err)
		goto err_id;
	err = service_update(kn, svc, spec, spec->endpoints, spec->n_endpoints,
			     MERGE_REPLACE, extack);
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
	/* Frontends that were published and taken back led to it. */
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
			      replace ? MERGE_REPLACE : MERGE_ADD, extack);
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
void k8snet_service_remove(struct k8snet_net *kn, struct k8snet_service *svc)
{
	struct k8snet_frontend *fe, *tmp;
	struct k8snet_endpoint *ep, *next;
	bool wait = false;

	k8snet_assert_cfg(kn);
	list_for_each_entry_safe(fe, tmp, &svc->frontends, node)
		frontend_unpublish(kn, fe);
	rhashtable_remove_fast(&kn->services, &svc->hash, service_params);
	xa_erase(&kn->service_ids, svc->id);
	kn->n_services--;

	list_for_each_entry_safe(ep, next, &svc->endpoints, node) {
		WRITE_ONCE(ep->removed, true);
		WRITE_ONCE(ep->usable, 0);
		wait |= atomic_read(&ep->active) > 0;
		list_del_init(&ep->node);
		k8snet_endpoint_put(ep);
	}
	kn->n_endpoints -= svc->n_endpoints;
	if (svc->proto == IPPROTO_UDP) {
		if (wait)
			k8snet_conn_endpoints_changed_sync(kn);
		else if (svc->n_endpoints)
			k8snet_conn_endpoints_changed(kn);
	}
	call_rcu(&svc->rcu, service_free_rcu);
	k8snet_hooks_put(kn);
	k8snet_net_changed(kn);
}

/* A change of nothing but endpoints. */
static const struct k8snet_service_spec endpoints_only;

int k8snet_endpoint_add(struct k8snet_net *kn, struct k8snet_service *svc,
			const struct k8snet_endpoint_spec *specs, unsigned int n,
			struct netlink_ext_ack *extack)
{
	k8snet_assert_cfg(kn);
	return service_update(kn, svc, &endpoints_only, specs, n, MERGE_ADD,
			      extack);
}

int k8snet_endpoint_change(struct k8snet_net *kn, struct k8snet_service *svc,
			   const struct k8snet_endpoint_spec *specs,
			   unsigned int n, struct netlink_ext_ack *extack)
{
	k8snet_assert_cfg(kn);
	return service_update(kn, svc, &endpoints_only, specs, n, MERGE_CHANGE,
			      extack);
}

int k8snet_endpoint_remove(struct k8snet_net *kn, struct k8snet_service *svc,
			   const struct k8snet_endpoint_spec *specs,
			   unsigned int n, struct netlink_ext_ack *extack)
{
	k8snet_assert_cfg(kn);
	return service_update(kn, svc, &endpoints_only, specs, n, MERGE_REMOVE,
			      extack);
}

void k8snet_service_flush(struct k8snet_net *kn)
{
	struct k8snet_service *svc;
	unsigned long id;

	k8snet_assert_cfg(kn);
	xa_for_each(&kn->service_ids, id, svc) {
		k8snet_service_remove(kn, svc);
		cond_resched();
	}
}

int k8snet_service_net_init(struct k8snet_net *kn)
{
	int err;

	xa_init_flags(&kn->service_ids, XA_FLAGS_ALLOC1);
	INIT_WORK(&kn->sweep_work, sweep_work);
	err = rhashtable_init(&kn->services, &service_params);
	if (err)
		return err;
	err = rhashtable_init(&kn->frontends, &frontend_params);
	if (err)
		goto err_services;
	err = rhashtable_init(&kn->vips, &vip_params);
	if (err)
		goto err_frontends;
	return 0;

err_frontends:
	rhashtable_destroy(&kn->frontends);
err_services:
	rhashtable_destroy(&kn->services);
	return err;
}

/* All services are gone: net_pre_exit(). */
void k8snet_service_net_exit(struct k8snet_net *kn)
{
	cancel_work_sync(&kn->sweep_work);
	rhashtable_destroy(&kn->vips);
	rhashtable_destroy(&kn->frontends);
	rhashtable_destroy(&kn->services);
	xa_destroy(&kn->service_ids);
}
