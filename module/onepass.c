// SPDX-License-Identifier: GPL-2.0
/*
 * New flows in one pass ("fastpath auto"): a packet from a pod for which there
 * is no known flow, because it opens a connection, or its answer does, is
 * given to conntrack and translated right in the port's rx_handler, and goes
 * the way that a flow would.
 *
 * That is what the stack would have done with it, and only where it would: as
 * soon as anybody else has a say in the matter (a hook of netfilter, a rule of
 * nf_nat, of routing or of IPsec, a program on the bridge), and for whatever
 * is not plainly a packet between pods, the stack is asked. Forwarding itself
 * is asked for once after each change of the configuration: the stack must
 * have sent a packet from a pod to that pod, or by that pod route, before.
 */

#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/inetdevice.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <net/netfilter/nf_conntrack_core.h>
#include <net/netfilter/nf_conntrack_helper.h>
#include <net/netfilter/nf_conntrack_seqadj.h>
#include <net/netfilter/nf_nat.h>

#include "chain.h"
#include "conn.h"
#include "dsr.h"
#include "masq.h"
#include "nat.h"
#include "node.h"
#include "onepass.h"

/* ---- whether anybody else wants to see packets ---- */

/* Does the stack forward at all, and by destination alone? */
static bool routing_plain(const struct net *net, const struct net_device *br,
			  const u8 family)
{
	struct in_device *in_dev;

	if (family == NFPROTO_IPV6) {
		if (!ipv6_mod_enabled())
			return false;
#ifdef CONFIG_IPV6_MULTIPLE_TABLES
		if (READ_ONCE(net->ipv6.fib6_has_custom_rules))
			return false;
#endif
		return READ_ONCE(net->ipv6.devconf_all->forwarding);
	}
#ifdef CONFIG_IP_MULTIPLE_TABLES
	if (READ_ONCE(net->ipv4.fib_has_custom_rules))
		return false;
#endif
	in_dev = __in_dev_get_rcu(br);
	return in_dev && IN_DEV_FORWARD(in_dev);
}

static bool bridge_plain(const struct net_device *dev)
{
	/* XDP on the bridge, which has no way of its own for it, is generic. */
	return netif_running(dev) && !rcu_access_pointer(dev->xdp_prog) &&
	       !k8snet_dev_has_ingress(dev) &&
	       !k8snet_dev_has_nf_egress(dev) &&
	       !k8snet_dev_has_tc_egress(dev);
}

/* ---- the packet ---- */

static bool ipv4_plain(struct sk_buff *skb)
{
	const struct iphdr *iph;
	unsigned int len;

	if (!pskb_may_pull(skb, sizeof(*iph)))
		return false;
	iph = ip_hdr(skb);
	if (*(const u8 *)iph != 0x45 || ip_is_fragment(iph) || iph->ttl <= 1 ||
	    (iph->protocol != IPPROTO_TCP && iph->protocol != IPPROTO_UDP) ||
	    ip_fast_csum(iph, 5))
		return false;
	len = ntohs(iph->tot_len);
	if (skb->len < len || len < sizeof(*iph) + sizeof(struct udphdr))
		return false;
	if (ipv4_is_multicast(iph->daddr) || ipv4_is_lbcast(iph->daddr) ||
	    ipv4_is_loopback(iph->daddr) || ipv4_is_zeronet(iph->daddr))
		return false;
	return !pskb_trim_rcsum(skb, len);
}

static bool ipv6_plain(struct sk_buff *skb)
{
	const struct ipv6hdr *ip6h;
	unsigned int len;

	if (!pskb_may_pull(skb, sizeof(*ip6h)))
		return false;
	ip6h = ipv6_hdr(skb);
	if (ip6h->version != 6 || ip6h->hop_limit <= 1 ||
	    (ip6h->nexthdr != IPPROTO_TCP && ip6h->nexthdr != IPPROTO_UDP))
		return false;
	len = ntohs(ip6h->payload_len) + sizeof(*ip6h);
	if (skb->len < len || len < sizeof(*ip6h) + sizeof(struct udphdr))
		return false;
	if ((ipv6_addr_type(&ip6h->daddr) &
	     (IPV6_ADDR_UNICAST | IPV6_ADDR_LOOPBACK | IPV6_ADDR_LINKLOCAL |
	      IPV6_ADDR_MAPPED)) != IPV6_ADDR_UNICAST)
		return false;
	return !pskb_trim_rcsum(skb, len);
}

static bool skb_is_labelled(const struct sk_buff *skb)
{
#ifdef CONFIG_NETWORK_SECMARK
	return skb->secmark;
#else
	return false;
#endif
}

static bool packet_plain(struct sk_buff *skb, const u8 family)
{
	unsigned int hlen;
	u8 proto;

	if (skb_vlan_tag_present(skb) ||
	    is_multicast_ether_addr(eth_hdr(skb)->h_dest) ||
	    skb->_nfct || skb->mark || skb_is_labelled(skb))
		return false;
	if (family == NFPROTO_IPV4) {
		if (!ipv4_plain(skb))
			return false;
		hlen = sizeof(struct iphdr);
		proto = ip_hdr(skb)->protocol;
	} else {
		if (!ipv6_plain(skb))
			return false;
		hlen = sizeof(struct ipv6hdr);
		proto = ipv6_hdr(skb)->nexthdr;
	}
	return pskb_may_pull(skb, hlen + (proto == IPPROTO_TCP ?
					  sizeof(struct tcphdr) :
					  sizeof(struct udphdr)));
}

/* ---- the way ---- */

/* Where the connection's packets of that direction end; false: not in the
 * pods' network, or the stack has not been asked yet.
 */
static bool way_find(struct k8snet_net *kn, const struct nf_conn *ct,
		     struct k8snet_flow_way *way, const u8 family)
{
	const union nf_inet_addr *dst =
		&ct->tuplehash[!way->dir].tuple.src.u3;
	struct k8snet_route *r;

	way->to = k8snet_pod_lookup_rcu(kn, dst, family);
	if (way->to)
		return way->to->port->br == way->br &&
		       READ_ONCE(way->to->routed_gen
				 [k8snet_family_index(family)]) == way->gen;
	r = k8snet_route_lookup_rcu(kn, dst, family);
	if (!r || r->bridge != way->br->dev ||
	    READ_ONCE(r->routed_gen) != way->gen)
		return false;
	way->route = r;
	return true;
}

/* The source, as at POST_ROUTING. Masquerade translates nothing that stays on
 * the bridge, but counts.
 */
static unsigned int source_settle(struct k8snet_net *kn, struct sk_buff *skb,
				  const struct nf_hook_state *in)
{
	const struct nf_hook_state state = {
		.hook = NF_INET_POST_ROUTING,
		.pf = in->pf,
		.out = in->in,
		.net = in->net,
	};

	return rcu_access_pointer(kn->masqs) ?
	       k8snet_masq_hook(NULL, skb, &state) : NF_ACCEPT;
}

/* nf_conntrack_confirm() of a flow that the stack gets to see again if that
 * fails: the packet is not dropped, and conntrack is not to count it so. Nobody
 * else writes this CPU's counters meanwhile.
 */
static bool confirmed(const struct net *net, struct sk_buff *skb)
{
	struct ip_conntrack_stat *stat = this_cpu_ptr(net->ct.stat);
	unsigned int insert_failed = stat->insert_failed, drop = stat->drop;

	if (likely(nf_conntrack_confirm(skb) == NF_ACCEPT))
		return true;
	stat->insert_failed = insert_failed;
	stat->drop = drop;
	return false;
}

/* Most of UDP is a question and an answer, which needs no flow. */
static bool is_worth_it(const struct nf_conn *ct, enum ip_conntrack_info info)
{
	return nf_ct_protonum(ct) != IPPROTO_UDP ||
	       info == IP_CT_ESTABLISHED ||
	       test_bit(IPS_ASSURED_BIT, &ct->status);
}

/* The answers come back on the same way. */
static void learn_back(struct k8snet_net *kn, struct nf_conn *ct,
		       const struct k8snet_flow *f,
		       const struct k8snet_flow_way *way)
{
	struct k8snet_flow_way back = {
		.br = way->br,
		.from = way->to,
		.to = way->from,
		.gen = way->gen,
		.dir = !way->dir,
	};
	struct k8snet_flow *b;

	if (way->to)
		back.iif = way->to->port->dev->ifindex;
	else if (f->out->type == ARPHRD_ETHER &&
		 k8snet_flow_uplink(kn, f->out->ifindex))
		back.iif = f->out->ifindex;
	else
		return;
	if (k8snet_flow_is_known(kn, ct, &back))
		return;
	b = k8snet_flow_alloc(kn);
	if (b && (!k8snet_flow_make(kn, b, ct, &back) ||
		  !k8snet_flow_publish(kn, b)))
		k8snet_flow_discard(kn, b);
}

/* Sends the packet, and learns both directions if it is time. */
static enum k8snet_flow_verdict output(struct k8snet_net *kn,
				       struct sk_buff *skb, struct nf_conn *ct,
				       enum ip_conntrack_info info,
				       const struct k8snet_flow_way *way)
{
	enum k8snet_flow_verdict verdict;
	struct k8snet_flow once;
	struct k8snet_flow *f = NULL;

	if (k8snet_flow_may_learn(skb, ct, info) && is_worth_it(ct, info) &&
	    !k8snet_flow_is_known(kn, ct, way))
		f = k8snet_flow_alloc(kn);
	if (!f)
		return k8snet_flow_make(kn, &once, ct, way) ?
		       k8snet_flow_output(kn, skb, &once) : K8SNET_FLOW_MISS;

	if (!k8snet_flow_make(kn, f, ct, way)) {
		k8snet_flow_discard(kn, f);
		return K8SNET_FLOW_MISS;
	}
	if (k8snet_flow_publish(kn, f)) {
		learn_back(kn, ct, f, way);
		return k8snet_flow_output(kn, skb, f);
	}
	verdict = k8snet_flow_output(kn, skb, f);
	k8snet_flow_discard(kn, f);
	return verdict;
}

/* A packet that conntrack has seen. @in is its view of it. */
static enum k8snet_flow_verdict tracked(struct k8snet_net *kn,
					struct sk_buff *skb,
					struct k8snet_flow_way *way,
					const struct nf_hook_state *in)
{
	enum ip_conntrack_info info;
	struct k8snet_decision d;
	struct nf_conn *ct;
	bool fresh;

	d.ep = NULL;	/* none decided */
	ct = nf_ct_get(skb, &info);
	if (!ct || (info != IP_CT_NEW && info != IP_CT_ESTABLISHED &&
		    info != IP_CT_ESTABLISHED_REPLY) ||
	    nfct_help(ct) || nfct_seqadj(ct) || k8snet_dsr_has(kn, ct))
		return K8SNET_FLOW_MISS;
	fresh = !nf_ct_is_confirmed(ct);
	if (fresh && !nf_nat_initialized(ct, NF_NAT_MANIP_DST)) {
		switch (k8snet_nat_onepass(kn, skb, ct, in, &d)) {
		case NF_ACCEPT:
			break;
		case NF_REPEAT:
			return K8SNET_FLOW_MISS;
		default:
			goto drop;
		}
	}
	way->dir = CTINFO2DIR(info);
	if (!way_find(kn, ct, way, in->pf)) {
		/* The stack goes on with what has been decided. */
		if (d.ep)
			k8snet_conn_add(kn, ct, &d);
		return K8SNET_FLOW_MISS;
	}
	if (fresh) {
		if (source_settle(kn, skb, in) != NF_ACCEPT)
			goto drop;
		/* nf_nat would see now whether another flow has the tuple of
		 * the answers, look for another source port if so, and note
		 * the source for flows that are to get the same. Here it keeps
		 * its port, and the confirmation, which looks as well, fails
		 * if that cannot be: then all is done again, by the stack.
		 */
		if (!confirmed(kn->net, skb)) {
			k8snet_nat_forget(kn, &d);
			nf_reset_ct(skb);
			return K8SNET_FLOW_MISS;
		}
		/* Where two packets of one flow race, the loser gets the
		 * other's entry: the stack sorts that out.
		 */
		if (skb_nfct(skb) != &ct->ct_general) {
			k8snet_nat_forget(kn, &d);
			return K8SNET_FLOW_MISS;
		}
		if (d.ep)
			k8snet_conn_add(kn, ct, &d);
		k8snet_stat_inc(kn, FLOW_ONEPASS);
	} else if (nf_conntrack_confirm(skb) != NF_ACCEPT) {
		goto drop;	/* never; it tells listeners of changes */
	}
	return output(kn, skb, ct, info, way);

drop:
	kfree_skb_reason(skb, SKB_DROP_REASON_NETFILTER_DROP);
	return K8SNET_FLOW_CONSUMED;
}

enum k8snet_flow_verdict k8snet_onepass_rx(struct k8snet_port *port,
					   struct sk_buff *skb)
{
	struct k8snet_bridge *br = port->br;
	struct k8snet_net *kn = br->kn;
	struct k8snet_flow_way way = {
		.br = br,
		.iif = port->dev->ifindex,
		.gen = k8snet_flow_gen(kn),
	};
	struct nf_hook_state state = {
		.hook = NF_INET_PRE_ROUTING,
		.in = br->dev,
		.net = kn->net,
	};
	union nf_inet_addr src, dst;
	enum k8snet_flow_verdict ret;
	unsigned int verdict;

	if (rcu_dereference(kn->node)->fastpath != K8SNET_FASTPATH_AUTO ||
	    !READ_ONCE(port->antispoof))
		return K8SNET_FLOW_MISS;
	if (skb->protocol == htons(ETH_P_IP))
		state.pf = NFPROTO_IPV4;
	else if (skb->protocol == htons(ETH_P_IPV6))
		state.pf = NFPROTO_IPV6;
	else
		return K8SNET_FLOW_MISS;
	if (!packet_plain(skb, state.pf) || !bridge_plain(br->dev) ||
	    !routing_plain(kn->net, br->dev, state.pf) ||
	    !k8snet_ipsec_plain(kn->net) || !k8snet_chain_is_plain(kn, state.pf))
		return K8SNET_FLOW_MISS;

	k8snet_skb_addrs(skb, state.pf, &src, &dst);
	way.from = k8snet_pod_of_port_rcu(port, &src, state.pf);
	if (!k8snet_port_owns(port, way.from, eth_hdr(skb)->h_source))
		return K8SNET_FLOW_MISS;

	/* As at the stack's entrance. Whoever had it last left his notes. */
	memset(skb->cb, 0, max(sizeof(struct inet_skb_parm),
			       sizeof(struct inet6_skb_parm)));
	skb->dev = br->dev;
	verdict = nf_conntrack_in(skb, &state);
	if (likely(verdict == NF_ACCEPT)) {
		ret = tracked(kn, skb, &way, &state);
	} else {
		kfree_skb_reason(skb, SKB_DROP_REASON_NETFILTER_DROP);
		ret = K8SNET_FLOW_CONSUMED;
	}
	if (ret == K8SNET_FLOW_MISS)
		skb->dev = port->dev;
	return ret;
}
