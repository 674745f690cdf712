// SPDX-License-Identifier: GPL-2.0
/*
 * The slow path: what is done with the first packet of a flow. It decides
 * where the flow goes and leaves the translation to nf_nat, which then takes
 * care of every later packet, the replies and the ICMP errors.
 */

#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/tcp.h>
#include <net/netfilter/ipv4/nf_reject.h>
#include <net/netfilter/ipv6/nf_reject.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_nat.h>

#include "bridge.h"
#include "conn.h"
#include "drop.h"
#include "dsr.h"
#include "localhost.h"
#include "masq.h"
#include "nat.h"
#include "node.h"
#include "pod.h"
#include "service.h"
#include "traffic.h"

static bool is_echo_request(const struct nf_conntrack_tuple *t)
{
	if (t->dst.protonum == IPPROTO_ICMP)
		return t->dst.u.icmp.type == ICMP_ECHO;
	return t->dst.protonum == IPPROTO_ICMPV6 &&
	       t->dst.u.icmp.type == ICMPV6_ECHO_REQUEST;
}

/* The gateway address of a pod bridge, or any. */
static union nf_inet_addr gateway_of(const struct net_device *dev, u8 family)
{
	const struct k8snet_bridge_addr *gw;

	gw = rcu_dereference(k8snet_bridge_priv(dev)->gateway
			     [k8snet_family_index(family)]);
	return gw ? gw->prefix.addr : (union nf_inet_addr){};
}

static unsigned int translate_destination(struct k8snet_net *kn,
					  const struct sk_buff *skb,
					  struct nf_conn *ct,
					  const union nf_inet_addr *addr,
					  __be16 port,
					  struct k8snet_service *svc)
{
	struct nf_nat_range2 range = {
		.flags = NF_NAT_RANGE_MAP_IPS,
		.min_addr = *addr,
		.max_addr = *addr,
	};
	unsigned int verdict;

	if (port) {
		range.flags |= NF_NAT_RANGE_PROTO_SPECIFIED;
		range.min_proto.all = port;
		range.max_proto.all = port;
	}
	verdict = nf_nat_setup_info(ct, &range, NF_NAT_MANIP_DST);
	if (verdict != NF_ACCEPT)
		k8snet_drop_note(kn, skb, K8SNET_STAT_NAT_FAILED, svc);
	return verdict;
}

/*
 * A virtual address has no host behind it that could answer a ping: the node
 * does, so that a person who tries sees that the address is served here.
 */
static unsigned int ping_vip(struct k8snet_net *kn, const struct sk_buff *skb,
			     struct nf_conn *ct,
			     const struct nf_conntrack_tuple *t, u8 family,
			     const struct nf_hook_state *state)
{
	const struct k8snet_node_conf *node = rcu_dereference(kn->node);
	union nf_inet_addr addr = {};

	if (!k8snet_vip_lookup_rcu(kn, &t->dst.u3, family)) {
		if (node->unassigned_ips == K8SNET_NO_ENDPOINTS_PASS ||
		    !k8snet_service_unassigned(kn, &t->dst.u3, family))
			return NF_ACCEPT;
		k8snet_drop_note(kn, skb, K8SNET_STAT_SVC_UNASSIGNED, NULL);
		return NF_DROP;
	}
	if (k8snet_node_is_local_addr(kn, &t->dst.u3, family))
		return NF_ACCEPT;
	if (state->in && k8snet_bridge_dev(state->in))
		addr = gateway_of(state->in, family);
	if (k8snet_addr_any(&addr))
		addr = node->address[k8snet_family_index(family)];
	if (k8snet_addr_any(&addr))
		return NF_ACCEPT;
	k8snet_stat_inc(kn, VIP_PING);
	return translate_destination(kn, skb, ct, &addr, 0, NULL);
}

/* A segment of a connection that is not known here any more. ICMP errors would
 * not end it.
 */
static bool is_midstream(const struct sk_buff *skb, const struct nf_conn *ct)
{
	const struct tcphdr *th;
	struct tcphdr buf;

	if (nf_ct_protonum(ct) != IPPROTO_TCP)
		return false;
	th = skb_header_pointer(skb, skb_transport_offset(skb), sizeof(buf),
				&buf);
	return th && !th->syn;
}

/* A local sender must not see EPERM: its packet is taken, not dropped. */
static unsigned int drop(struct sk_buff *skb, const struct nf_hook_state *state)
{
	if (state->hook != NF_INET_LOCAL_OUT)
		return NF_DROP;
	kfree_skb_reason(skb, SKB_DROP_REASON_NETFILTER_DROP);
	return NF_STOLEN;
}

/*
 * Refuses a packet as kube-proxy's REJECT does: ICMP and ICMPv6 port
 * unreachable for every protocol, which a TCP client sees as ECONNREFUSED.
 */
static unsigned int reject(struct sk_buff *skb, const struct nf_conn *ct,
			   const struct nf_hook_state *state)
{
	k8snet_localhost_restore(skb, state);
	if (is_midstream(skb, ct) && state->pf == NFPROTO_IPV6)
		nf_send_reset6(state->net, state->sk, skb, state->hook);
	else if (is_midstream(skb, ct))
		nf_send_reset(state->net, state->sk, skb, state->hook);
	else if (state->pf == NFPROTO_IPV6)
		nf_send_unreach6(state->net, skb, ICMPV6_PORT_UNREACH,
				 state->hook);
	else
		nf_send_unreach(skb, ICMP_PORT_UNREACH, state->hook);
	return drop(skb, state);
}

/*
 * The source address that makes replies come back to this node. A pod that
 * reaches itself must find it on its own link: the bridge's address. All
 * others see the node's; on a node that has none but the bridge's, that.
 */
bool k8snet_nat_source(struct k8snet_net *kn, const struct k8snet_decision *d,
		       union nf_inet_addr *addr)
{
	const struct k8snet_node_conf *node = rcu_dereference(kn->node);
	const struct k8snet_pod *pod;

	*addr = node->address[k8snet_family_index(d->family)];
	if (!d->hairpin && !k8snet_addr_any(addr))
		return true;
	pod = k8snet_pod_lookup_rcu(kn, &d->ep->addr, d->family);
	if (pod)
		*addr = gateway_of(pod->port->br->dev, d->family);
	return !k8snet_addr_any(addr);
}

static unsigned int translate_source(struct k8snet_net *kn,
				     const struct sk_buff *skb,
				     struct nf_conn *ct,
				     const struct k8snet_decision *d)
{
	union nf_inet_addr addr;

	if (!k8snet_nat_source(kn, d, &addr)) {
		k8snet_drop_note(kn, skb, K8SNET_STAT_SNAT_NO_ADDRESS,
				 d->fe->svc);
		return NF_DROP;
	}
	return k8snet_snat_setup(kn, skb, ct, &addr, 0, d->fe->svc);
}

/*
 * What nf_nat_setup_info() comes to for one address and one port, for a flow
 * without a helper: there is nothing to choose and nothing to look for, which
 * it does all the same. @ct is not confirmed: nobody else sees it.
 */
static void set_destination(struct nf_conn *ct, const struct k8snet_endpoint *ep)
{
	struct nf_conntrack_tuple *reply = &ct->tuplehash[IP_CT_DIR_REPLY].tuple;

	if (!k8snet_addr_equal(&reply->src.u3, &ep->addr) ||
	    (ep->port && reply->src.u.all != ep->port))
		ct->status |= IPS_DST_NAT;
	reply->src.u3 = ep->addr;
	if (ep->port)
		reply->src.u.all = ep->port;
	ct->status |= IPS_DST_NAT_DONE;
}

/* The rest, once the destination is the endpoint. */
static unsigned int begin(struct k8snet_net *kn, const struct sk_buff *skb,
			  struct nf_conn *ct, const struct k8snet_decision *d)
{
	struct k8snet_service *svc = d->fe->svc;
	unsigned int verdict;

	if (d->snat) {
		verdict = translate_source(kn, skb, ct, d);
		if (verdict != NF_ACCEPT)
			return verdict;
	}
	k8snet_traffic_begin(ct, skb->len);
	atomic_long_inc(&d->ep->flows);
	atomic_long_inc(&svc->flows);
	k8snet_stat_inc(kn, SVC_FLOWS);
	return NF_ACCEPT;
}

static unsigned int translate(struct k8snet_net *kn, const struct sk_buff *skb,
			      struct nf_conn *ct,
			      const struct k8snet_decision *d)
{
	unsigned int verdict;

	verdict = translate_destination(kn, skb, ct, &d->ep->addr, d->ep->port,
					d->fe->svc);
	if (verdict == NF_ACCEPT)
		verdict = begin(kn, skb, ct, d);
	if (verdict == NF_ACCEPT)
		k8snet_conn_add(kn, ct, d);
	return verdict;
}

/* The counter of a packet that is rejected or dropped. */
static enum k8snet_stat refusal(const struct k8snet_decision *d)
{
	if (d->unassigned)
		return K8SNET_STAT_SVC_UNASSIGNED;
	if (!d->fe)
		return K8SNET_STAT_SVC_DEAD_PORT;
	if (d->verdict == K8SNET_LOOKUP_REJECT)
		return K8SNET_STAT_SVC_REJECTED;
	if (!d->set)
		return K8SNET_STAT_SVC_DROPPED_RANGE;
	return d->policy == K8SNET_POLICY_LOCAL ? K8SNET_STAT_SVC_DROPPED_POLICY :
						  K8SNET_STAT_SVC_DROPPED_NONE;
}

static unsigned int act(struct k8snet_net *kn, struct sk_buff *skb,
			struct nf_conn *ct, const struct k8snet_decision *d,
			const struct nf_hook_state *state)
{
	struct k8snet_service *svc = d->fe ? d->fe->svc : NULL;

	switch (d->verdict) {
	case K8SNET_LOOKUP_ENDPOINT:
		if (likely(!nf_ct_is_confirmed(ct)))
			return translate(kn, skb, ct, d);
		/* From before there was the service, or its node's nf_nat: it
		 * cannot be translated any more. Who asks again begins anew.
		 */
		nf_ct_kill(ct);
		k8snet_drop_note(kn, skb, K8SNET_STAT_CT_STALE, svc);
		return drop(skb, state);
	case K8SNET_LOOKUP_REJECT:
		if (svc)
			atomic_long_inc(&svc->rejected);
		k8snet_drop_note(kn, skb, refusal(d), svc);
		return reject(skb, ct, state);
	case K8SNET_LOOKUP_DROP:
		if (svc)
			atomic_long_inc(&svc->dropped);
		k8snet_drop_note(kn, skb, refusal(d), svc);
		return NF_DROP;
	case K8SNET_LOOKUP_PASS:
		k8snet_stat_inc(kn, SVC_PASSED);
		k8snet_localhost_restore(skb, state);
		break;
	default:
		break;
	}
	return NF_ACCEPT;
}

/* Where a new flow goes. */
static void decide(struct k8snet_net *kn, const struct sk_buff *skb,
		   const struct nf_conntrack_tuple *t,
		   const struct nf_hook_state *state,
		   struct k8snet_decision *d)
{
	d->family = state->pf;
	d->proto = t->dst.protonum;
	d->saddr = t->src.u3;
	d->daddr = t->dst.u3;
	d->sport = t->src.u.all;
	d->dport = t->dst.u.all;
	if (state->hook == NF_INET_LOCAL_OUT)
		d->origin = K8SNET_ORIGIN_NODE;
	else
		d->origin = k8snet_service_origin(kn, &d->saddr, d->family,
						  k8snet_bridge_dev(state->in));
	d->unpacked = state->hook == NF_INET_PRE_ROUTING &&
		      k8snet_dsr_is_unpacked(skb, d->family);
	k8snet_service_decide(kn, d);
}

unsigned int k8snet_nat_onepass(struct k8snet_net *kn,
				const struct sk_buff *skb, struct nf_conn *ct,
				const struct nf_hook_state *state,
				struct k8snet_decision *d)
{
	memset(d, 0, sizeof(*d));
	decide(kn, skb, &ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple, state, d);
	switch (d->verdict) {
	case K8SNET_LOOKUP_ENDPOINT:
		set_destination(ct, d->ep);
		return begin(kn, skb, ct, d);
	case K8SNET_LOOKUP_NONE:
		return nf_nat_alloc_null_binding(ct, state->hook);
	default:
		return NF_REPEAT;
	}
}

void k8snet_nat_forget(struct k8snet_net *kn, const struct k8snet_decision *d)
{
	if (!d->ep)
		return;
	atomic_long_dec(&d->ep->flows);
	atomic_long_dec(&d->fe->svc->flows);
	k8snet_stat_add(kn, SVC_FLOWS, -1);
}

static unsigned int new_flow(struct sk_buff *skb,
			     const struct nf_hook_state *state)
{
	struct k8snet_net *kn = k8snet_net(state->net);
	const struct nf_conntrack_tuple *t;
	struct k8snet_decision d = {};
	enum ip_conntrack_info ctinfo;
	struct nf_conn *ct;

	ct = nf_ct_get(skb, &ctinfo);
	if (ctinfo != IP_CT_NEW)	/* expected by a helper: its business */
		return NF_ACCEPT;
	t = &ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple;
	if (is_echo_request(t))
		return ping_vip(kn, skb, ct, t, state->pf, state);
	if (t->dst.protonum != IPPROTO_TCP && t->dst.protonum != IPPROTO_UDP &&
	    t->dst.protonum != IPPROTO_SCTP)
		return NF_ACCEPT;

	decide(kn, skb, t, state, &d);
	return act(kn, skb, ct, &d, state);
}

/*
 * Asked by nf_nat at PRE_ROUTING and LOCAL_OUT, once for each new flow.
 * Addresses and ports are conntrack's, which has checked the headers.
 */
unsigned int k8snet_nat_hook(void *priv, struct sk_buff *skb,
			     const struct nf_hook_state *state)
{
	unsigned int verdict;

	/* What the node's own processes send is in process context. */
	local_bh_disable();
	verdict = new_flow(skb, state);
	local_bh_enable();
	return verdict;
}
