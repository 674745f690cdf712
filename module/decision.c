// SPDX-License-Identifier: GPL-2.0
/* The decision about a new flow: which endpoint of which service, if any. */

#include "affinity.h"
#include "bridge.h"
#include "decision.h"
#include "dsr.h"
#include "localhost.h"
#include "node.h"
#include "pod.h"
#include "route.h"
#include "sched.h"
#include "service.h"

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
 * An address of the node's own is somebody's, even inside a service CIDR that
 * was chosen badly.
 */
bool k8snet_service_unassigned(struct k8snet_net *kn,
			       const union nf_inet_addr *addr, u8 family)
{
	const struct k8snet_node_conf *node = rcu_dereference(kn->node);

	return k8snet_prefixes_match(node->service, node->n_service, addr,
				     family) &&
	       !k8snet_node_is_local_addr(kn, addr, family);
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
 * What the node's own process sends has the address that goes with the route to
 * the virtual address, the default route for one. A pod of another node answers
 * to it, and may not reach this node by it where the nodes have several
 * networks: if it is neither the one that "node set ip" or its default says, nor
 * the one that is used towards the pod's node.
 */
static bool source_is_astray(struct k8snet_net *kn,
			     const struct k8snet_decision *d)
{
	const struct k8snet_node_conf *node = rcu_dereference(kn->node);
	const union nf_inet_addr *own =
		&node->address[k8snet_family_index(d->family)];
	union nf_inet_addr towards;
	struct k8snet_route *r;
	struct dst_entry *dst;

	if (k8snet_addr_any(own) || k8snet_addr_equal(own, &d->saddr) ||
	    k8snet_bridge_is_gateway(kn, &d->saddr, d->family) ||
	    k8snet_pod_lookup_rcu(kn, &d->ep->addr, d->family))
		return false;
	r = k8snet_route_lookup_rcu(kn, &d->ep->addr, d->family);
	if (!r)
		return false;
	local_bh_disable();	/* a dry run has it on */
	dst = k8snet_route_dst(kn, r, &towards);
	local_bh_enable();
	if (!dst)
		return false;
	dst_release(dst);
	return !k8snet_addr_equal(&towards, &d->saddr);
}

/*
 * loadBalancerSourceRanges. kube-proxy's scope is load-balancer addresses
 * only; the other one is everything that the outside can reach. A node that is
 * in the ranges also reaches the service by the address itself, as when the
 * load balancer's address is bound on it.
 */
static bool source_allowed(struct k8snet_net *kn, const struct k8snet_plan *plan,
			   const struct k8snet_decision *d)
{
	const struct k8snet_node_conf *node = rcu_dereference(kn->node);

	if (!plan->n_ranges || d->fe->type == K8SNET_FRONTEND_CLUSTER_IP)
		return true;
	if (d->fe->type != K8SNET_FRONTEND_LB_IP &&
	    plan->range_scope == K8SNET_RANGE_SCOPE_LB)
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

/*
 * Ports on loopback are for processes of this node whose packets have the
 * node's address by now (localhost.c); a question that only wants to know may
 * still have the client's own. Anything else that has loopback as its
 * destination comes from outside, and is dropped when it is routed.
 */
static bool is_from_here(const struct k8snet_decision *d)
{
	return d->origin == K8SNET_ORIGIN_NODE &&
	       (d->dry || !k8snet_addr_loopback(&d->saddr, d->family));
}

static struct k8snet_frontend *frontend_of(struct k8snet_net *kn,
					   const struct k8snet_decision *d)
{
	struct k8snet_frontend *fe;

	if (k8snet_localhost_addr(&d->daddr, d->family))
		return is_from_here(d) ?
			k8snet_localhost_frontend_rcu(kn, &d->daddr, d->family,
						      d->proto, d->dport) :
			NULL;
	fe = k8snet_frontend_lookup_rcu(kn, &d->daddr, d->family, d->proto,
					d->dport);
	if (!fe && d->unpacked)
		fe = k8snet_frontend_lookup_node_port_rcu(kn, d->proto,
							  d->dport);
	return fe;
}

/* By enum k8snet_no_endpoints. */
static const u8 no_endpoints_verdict[] = {
	[K8SNET_NO_ENDPOINTS_REJECT] = K8SNET_LOOKUP_REJECT,
	[K8SNET_NO_ENDPOINTS_DROP] = K8SNET_LOOKUP_DROP,
	[K8SNET_NO_ENDPOINTS_PASS] = K8SNET_LOOKUP_NONE,
};

/* No service has the destination. Is it nevertheless ours to answer for? */
static void decide_no_frontend(struct k8snet_net *kn, struct k8snet_decision *d)
{
	const struct k8snet_node_conf *node = rcu_dereference(kn->node);
	const struct k8snet_vip *vip;

	d->verdict = K8SNET_LOOKUP_NONE;
	d->reason = "no service has this address and port";
	vip = k8snet_vip_lookup_rcu(kn, &d->daddr, d->family);
	if (vip && READ_ONCE(vip->cluster_users)) {
		d->verdict = no_endpoints_verdict[node->dead_ports];
		d->reason = "a cluster IP, but no service has this port of it";
	} else if (!vip && k8snet_service_unassigned(kn, &d->daddr,
						     d->family)) {
		d->unassigned = true;
		d->verdict = no_endpoints_verdict[node->unassigned_ips];
		d->reason = "in the service CIDR, but no service has this address";
	}
}

void k8snet_service_decide(struct k8snet_net *kn, struct k8snet_decision *d)
{
	unsigned int f = k8snet_family_index(d->family);
	const struct k8snet_plan *plan;
	bool external, local;

	d->fe = frontend_of(kn, d);
	if (!d->fe) {
		decide_no_frontend(kn, d);
		return;
	}

	plan = rcu_dereference(d->fe->plan);
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
	if (d->unpacked && external) {
		local = true;
		d->policy = K8SNET_POLICY_LOCAL;
		d->reason = "another node sent it here for a direct answer";
	} else if (d->fe->type == K8SNET_FRONTEND_HOST_PORT) {
		/* One pod, on this node: nothing to choose, and its answers
		 * come back here whatever the client's address.
		 */
		local = true;
		d->reason = "a host port";
	} else if (local && external && d->origin != K8SNET_ORIGIN_OUTSIDE) {
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
		d->snat = source_is_astray(kn, d);
	d->snat |= d->hairpin;
	d->dsr = k8snet_dsr_applies(kn, d);
	if (d->dsr)
		d->snat = false;
}
