// SPDX-License-Identifier: GPL-2.0
/*
 * Node ports and host ports on 127.0.0.1 and ::1, without route_localnet.
 *
 * A packet with a loopback address must not leave the node, nor may one come
 * in, and the kernel sees to that when it routes. So the client's address is
 * the node's own from before conntrack on, and loopback again after nf_nat on
 * the way back: for conntrack, nf_nat, routing and firewalls the flow is one
 * from the node's address to 127.0.0.1:NODEPORT, which is translated as any
 * other. Only what a process of this node sends is looked at: packets to
 * loopback from elsewhere are dropped by routing as ever (CVE-2020-8558 was
 * route_localnet letting them in).
 */

#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/sctp.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_core.h>
#include <net/netfilter/nf_conntrack_zones.h>

#include "decision.h"
#include "frontend.h"
#include "localhost.h"
#include "node.h"

static union nf_inet_addr localhost_of(u8 family)
{
	union nf_inet_addr a = {};

	if (family == NFPROTO_IPV6)
		a.in6 = in6addr_loopback;
	else
		a.ip = htonl(INADDR_LOOPBACK);
	return a;
}

bool k8snet_localhost_addr(const union nf_inet_addr *addr, u8 family)
{
	const union nf_inet_addr localhost = localhost_of(family);

	return k8snet_addr_equal(addr, &localhost);
}

/* A host port of that very address is there whatever the setting says. */
struct k8snet_frontend *
k8snet_localhost_frontend_rcu(struct k8snet_net *kn,
			      const union nf_inet_addr *addr, u8 family,
			      u8 proto, __be16 port)
{
	struct k8snet_frontend *fe;

	fe = k8snet_frontend_lookup_rcu(kn, addr, family, proto, port);
	if (!fe && rcu_dereference(kn->node)->nodeport_localhost)
		fe = k8snet_frontend_lookup_node_port_rcu(kn, proto, port);
	return fe;
}

/*
 * Finds protocol and ports of a packet that is whole and has no extension
 * header; the others are not for us.
 */
static bool ports_get(const struct sk_buff *skb, u8 family,
		      struct nf_conntrack_tuple *t, unsigned int *thoff)
{
	const __be16 *ports;
	__be16 buf[2];

	if (family == NFPROTO_IPV6) {
		t->dst.protonum = ipv6_hdr(skb)->nexthdr;
		*thoff = skb_network_offset(skb) + sizeof(struct ipv6hdr);
	} else {
		if (ip_is_fragment(ip_hdr(skb)))
			return false;
		t->dst.protonum = ip_hdr(skb)->protocol;
		*thoff = skb_network_offset(skb) + ip_hdrlen(skb);
	}
	if (t->dst.protonum != IPPROTO_TCP && t->dst.protonum != IPPROTO_UDP &&
	    t->dst.protonum != IPPROTO_SCTP)
		return false;
	ports = skb_header_pointer(skb, *thoff, sizeof(buf), buf);
	if (!ports)
		return false;
	t->src.u.all = ports[0];
	t->dst.u.all = ports[1];
	return true;
}

/* Where the checksum that covers the addresses is, from the transport header;
 * 0: there is none.
 */
static unsigned int check_offset(u8 proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return offsetof(struct tcphdr, check);
	case IPPROTO_UDP:
		return offsetof(struct udphdr, check);
	default:
		return 0;
	}
}

/* The transport's checksum after the address @from has become @to. */
static void check_replace(struct sk_buff *skb, u8 family, u8 proto,
			  __sum16 *check, const union nf_inet_addr *from,
			  const union nf_inet_addr *to)
{
	bool udp = proto == IPPROTO_UDP;

	/* Of UDP 0 means none, unless the device is to fill it in. */
	if (udp && !*check && skb->ip_summed != CHECKSUM_PARTIAL)
		return;
	if (family == NFPROTO_IPV6)
		inet_proto_csum_replace16(check, skb, from->ip6, to->ip6, true);
	else
		inet_proto_csum_replace4(check, skb, from->ip, to->ip, true);
	if (udp && !*check)
		*check = CSUM_MANGLED_0;
}

/* Source (@src) or destination becomes @to. False: no memory. */
static bool addr_replace(struct sk_buff *skb, u8 family, u8 proto,
			 unsigned int thoff, bool src,
			 const union nf_inet_addr *to)
{
	unsigned int off = check_offset(proto);
	union nf_inet_addr from[2];
	struct iphdr *iph;

	if (skb_ensure_writable(skb, thoff + (off ? off + sizeof(__sum16) : 0)))
		return false;
	k8snet_skb_addrs(skb, family, &from[1], &from[0]);
	if (off)
		check_replace(skb, family, proto,
			      (__sum16 *)(skb->data + thoff + off), &from[src],
			      to);
	if (family == NFPROTO_IPV6) {
		if (src)
			ipv6_hdr(skb)->saddr = to->in6;
		else
			ipv6_hdr(skb)->daddr = to->in6;
		return true;
	}
	iph = ip_hdr(skb);
	csum_replace4(&iph->check, from[src].ip, to->ip);
	if (src)
		iph->saddr = to->ip;
	else
		iph->daddr = to->ip;
	return true;
}

/* A flow between two loopback addresses that was there before the node port, or
 * that has its port by chance: it goes on as it is.
 */
static bool is_known(struct net *net, const struct nf_conntrack_tuple *t)
{
	struct nf_conntrack_tuple_hash *h;

	h = nf_conntrack_find_get(net, &nf_ct_zone_dflt, t);
	if (!h)
		return false;
	nf_ct_put(nf_ct_tuplehash_to_ctrack(h));
	return true;
}

/*
 * LOCAL_OUT, before conntrack: what goes to a node port on loopback gets the
 * node's address as its source.
 */
static unsigned int localhost_out(void *priv, struct sk_buff *skb,
				  const struct nf_hook_state *state)
{
	struct k8snet_net *kn = k8snet_net(state->net);
	const struct k8snet_node_conf *node = rcu_dereference(kn->node);
	unsigned int f = k8snet_family_index(state->pf), thoff;
	struct nf_conntrack_tuple t = {};

	k8snet_skb_addrs(skb, state->pf, &t.src.u3, &t.dst.u3);
	if (!k8snet_localhost_addr(&t.dst.u3, state->pf) ||
	    !ports_get(skb, state->pf, &t, &thoff) ||
	    !k8snet_localhost_frontend_rcu(kn, &t.dst.u3, state->pf,
					   t.dst.protonum, t.dst.u.all))
		return NF_ACCEPT;
	if (!k8snet_localhost_addr(&t.src.u3, state->pf)) {
		/* The answers would not find back to this process; whoever
		 * listens on the port itself gets it.
		 */
		nf_ct_set(skb, NULL, IP_CT_UNTRACKED);
		return NF_ACCEPT;
	}
	if (!node->address_ifindex[f])
		return NF_ACCEPT;
	t.src.l3num = state->pf;
	if (is_known(state->net, &t))
		return NF_ACCEPT;
	if (!addr_replace(skb, state->pf, t.dst.protonum, thoff, true,
			  &node->address[f]))
		return NF_DROP;
	return NF_ACCEPT;
}

void k8snet_localhost_restore(struct sk_buff *skb,
			      const struct nf_hook_state *state)
{
	const union nf_inet_addr localhost = localhost_of(state->pf);
	struct nf_conntrack_tuple t = {};
	unsigned int thoff;

	if (state->hook != NF_INET_LOCAL_OUT)
		return;
	k8snet_skb_addrs(skb, state->pf, &t.src.u3, &t.dst.u3);
	if (k8snet_localhost_addr(&t.dst.u3, state->pf) &&
	    !k8snet_localhost_addr(&t.src.u3, state->pf) &&
	    ports_get(skb, state->pf, &t, &thoff))
		addr_replace(skb, state->pf, t.dst.protonum, thoff, true,
			     &localhost);
}

/*
 * An ICMP error about a packet that the process has sent. nf_nat has put the
 * destination back inside of it; the source is ours to put back, for the socket
 * is found by it. Of IPv4 the inner header's checksum takes up the difference,
 * and the outer one does not change.
 */
static void error_restore(struct sk_buff *skb, u8 family, unsigned int thoff,
			  const struct nf_conntrack_tuple *orig)
{
	const union nf_inet_addr localhost = localhost_of(family);
	struct icmp6hdr *icmp6h;
	struct ipv6hdr *in6;
	struct iphdr *in4;

	if (family == NFPROTO_IPV6) {
		if (skb_ensure_writable(skb, thoff + sizeof(*icmp6h) +
					sizeof(*in6)))
			return;
		icmp6h = (void *)skb->data + thoff;
		in6 = (void *)(icmp6h + 1);
		if (!ipv6_addr_equal(&in6->saddr, &orig->src.u3.in6) ||
		    !ipv6_addr_equal(&in6->daddr, &localhost.in6))
			return;
		inet_proto_csum_replace16(&icmp6h->icmp6_cksum, skb,
					  orig->src.u3.ip6, localhost.ip6,
					  false);
		in6->saddr = localhost.in6;
		return;
	}
	if (skb_ensure_writable(skb, thoff + sizeof(struct icmphdr) +
				sizeof(*in4)))
		return;
	in4 = (void *)skb->data + thoff + sizeof(struct icmphdr);
	if (in4->saddr != orig->src.u3.ip || in4->daddr != localhost.ip)
		return;
	csum_replace4(&in4->check, in4->saddr, localhost.ip);
	in4->saddr = localhost.ip;
}

/*
 * LOCAL_IN, after nf_nat: an answer from 127.0.0.1:NODEPORT to the node's
 * address is one to 127.0.0.1. Only of a flow that began on loopback here, so
 * nothing that comes from outside on its own account gets a loopback address.
 */
static unsigned int localhost_in(void *priv, struct sk_buff *skb,
				 const struct nf_hook_state *state)
{
	const union nf_inet_addr localhost = localhost_of(state->pf);
	const struct nf_conntrack_tuple *orig;
	struct nf_conntrack_tuple t = {};
	enum ip_conntrack_info ctinfo;
	const struct nf_conn *ct;
	unsigned int thoff;

	ct = nf_ct_get(skb, &ctinfo);
	if (!ct || !(ct->status & IPS_DST_NAT) ||
	    CTINFO2DIR(ctinfo) != IP_CT_DIR_REPLY)
		return NF_ACCEPT;
	orig = &ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple;
	if (!k8snet_localhost_addr(&orig->dst.u3, state->pf))
		return NF_ACCEPT;
	k8snet_skb_addrs(skb, state->pf, &t.src.u3, &t.dst.u3);
	if (!k8snet_addr_equal(&t.dst.u3, &orig->src.u3))
		return NF_ACCEPT;
	if (ctinfo == IP_CT_RELATED_REPLY) {
		thoff = skb_network_offset(skb) +
			(state->pf == NFPROTO_IPV6 ? sizeof(struct ipv6hdr) :
						     ip_hdrlen(skb));
		error_restore(skb, state->pf, thoff, orig);
		return NF_ACCEPT;
	}
	if (!ports_get(skb, state->pf, &t, &thoff))
		return NF_ACCEPT;
	if (!addr_replace(skb, state->pf, t.dst.protonum, thoff, false,
			  &localhost))
		return NF_DROP;
	return NF_ACCEPT;
}

static const struct nf_hook_ops localhost_ops[] = {
	{
		.pf = NFPROTO_IPV4,
		.hooknum = NF_INET_LOCAL_OUT,
		.priority = NF_IP_PRI_CONNTRACK - 1,
		.hook = localhost_out,
	},
	{
		.pf = NFPROTO_IPV4,
		.hooknum = NF_INET_LOCAL_IN,
		.priority = NF_IP_PRI_NAT_SRC + 1,
		.hook = localhost_in,
	},
	{
		.pf = NFPROTO_IPV6,
		.hooknum = NF_INET_LOCAL_OUT,
		.priority = NF_IP6_PRI_CONNTRACK - 1,
		.hook = localhost_out,
	},
	{
		.pf = NFPROTO_IPV6,
		.hooknum = NF_INET_LOCAL_IN,
		.priority = NF_IP6_PRI_NAT_SRC + 1,
		.hook = localhost_in,
	},
};

int k8snet_localhost_get(struct k8snet_net *kn)
{
	int err = 0;

	k8snet_assert_cfg(kn);
	if (!kn->localhost_users)
		err = nf_register_net_hooks(kn->net, localhost_ops,
					    ARRAY_SIZE(localhost_ops));
	if (!err)
		kn->localhost_users++;
	return err;
}

void k8snet_localhost_put(struct k8snet_net *kn)
{
	k8snet_assert_cfg(kn);
	if (!--kn->localhost_users)
		nf_unregister_net_hooks(kn->net, localhost_ops,
					ARRAY_SIZE(localhost_ops));
}

int k8snet_localhost_set(struct k8snet_net *kn, bool on)
{
	int err = 0;

	k8snet_assert_cfg(kn);
	if (on == kn->localhost_nodeports)
		return 0;
	if (on)
		err = k8snet_localhost_get(kn);
	else
		k8snet_localhost_put(kn);
	if (!err)
		kn->localhost_nodeports = on;
	return err;
}
