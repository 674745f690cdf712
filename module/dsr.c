// SPDX-License-Identifier: GPL-2.0
/* Direct server return; see dsr.h. */

#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/inet_ecn.h>
#include <net/ip_tunnels.h>
#include <net/ipv6.h>
#include <net/netfilter/nf_conntrack_acct.h>
#include <net/netfilter/nf_conntrack_core.h>

#include "bridge.h"
#include "decision.h"
#include "drop.h"
#include "dsr.h"
#include "pod.h"
#include "route.h"
#include "service.h"

enum { OUTER_TTL = 64 };

/* A frontend whose service says so. The address of a node port may be another
 * node's. Cluster IPs have nothing to do with it.
 */
static const struct k8snet_frontend *
frontend_get(struct k8snet_net *kn, const union nf_inet_addr *addr, u8 family,
	     u8 proto, __be16 port)
{
	const struct k8snet_frontend *fe;

	fe = k8snet_frontend_lookup_rcu(kn, addr, family, proto, port);
	if (!fe)
		fe = k8snet_frontend_lookup_node_port_rcu(kn, proto, port);
	if (!fe || fe->type == K8SNET_FRONTEND_CLUSTER_IP ||
	    !rcu_dereference(fe->plan)->dsr)
		return NULL;
	return fe;
}

bool k8snet_dsr_applies(struct k8snet_net *kn, const struct k8snet_decision *d)
{
	return d->plan->dsr && d->origin == K8SNET_ORIGIN_OUTSIDE &&
	       d->fe->type != K8SNET_FRONTEND_CLUSTER_IP &&
	       !(READ_ONCE(d->ep->flags) & K8SNET_EP_LOCAL) &&
	       !k8snet_pod_lookup_rcu(kn, &d->ep->addr, d->family) &&
	       k8snet_route_lookup_rcu(kn, &d->ep->addr, d->family);
}

bool k8snet_dsr_is_unpacked(const struct sk_buff *skb, u8 family)
{
	return family == NFPROTO_IPV4 ?
	       IPCB(skb)->flags & K8SNET_DSR_UNPACKED :
	       IP6CB(skb)->flags & K8SNET_DSR_UNPACKED;
}

bool k8snet_dsr_has(struct k8snet_net *kn, const struct nf_conn *ct)
{
	const struct nf_conntrack_tuple *t =
		&ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple;

	if ((ct->status & IPS_NAT_MASK) != IPS_DST_NAT)
		return false;
	return frontend_get(kn, &t->dst.u3, t->src.l3num, t->dst.protonum,
			    t->dst.u.all);
}

/* Where the transport header begins, seen from the network header, or 0: not one
 * that can be handled.
 */
static unsigned int transport_offset(const struct sk_buff *skb, u8 family,
				     u8 proto)
{
	int off = skb_network_offset(skb), thoff;
	__be16 frag_off = 0;
	u8 next;

	if (family == NFPROTO_IPV4)
		return ip_is_fragment(ip_hdr(skb)) ? 0 : ip_hdrlen(skb);
	next = ipv6_hdr(skb)->nexthdr;
	thoff = ipv6_skip_exthdr(skb, off + sizeof(struct ipv6hdr), &next,
				 &frag_off);
	return thoff < 0 || frag_off || next != proto ? 0 : thoff - off;
}

void k8snet_dsr_refresh(const struct sk_buff *skb, u8 family,
			struct nf_conn *ct)
{
	unsigned int thoff = transport_offset(skb, family, IPPROTO_TCP);
	u32 seconds = K8SNET_DSR_TIMEOUT_SECONDS;
	const struct tcphdr *th;
	struct tcphdr buf;
	u8 *flags;

	if (!thoff)
		return;
	th = skb_header_pointer(skb, skb_network_offset(skb) + thoff,
				sizeof(buf), &buf);
	if (!th)
		return;
	/* After its end the client still acknowledges the server's. */
	flags = &ct->proto.tcp.seen[IP_CT_DIR_ORIGINAL].flags;
	if (th->fin || th->rst || th->syn) {
		spin_lock_bh(&ct->lock);
		*flags &= ~IP_CT_TCP_FLAG_CLOSE_INIT;
		if (!th->syn)	/* else from the same port anew */
			*flags |= IP_CT_TCP_FLAG_CLOSE_INIT;
		spin_unlock_bh(&ct->lock);
	}
	if (READ_ONCE(*flags) & IP_CT_TCP_FLAG_CLOSE_INIT)
		seconds = K8SNET_DSR_CLOSE_SECONDS;
	WRITE_ONCE(ct->timeout, nfct_time_stamp + seconds * HZ);
	nf_ct_acct_update(ct, IP_CT_DIR_ORIGINAL, skb->len);
}

/* The flow that a packet which is about to leave belongs to, or NULL. */
static const struct nf_conn *flow_of(struct k8snet_net *kn,
				     const struct sk_buff *skb)
{
	enum ip_conntrack_info ctinfo;
	const struct nf_conn *ct = nf_ct_get(skb, &ctinfo);

	/* Most packets are from a pod, or replies. */
	if (!READ_ONCE(kn->n_dsr) || !ct || skb->sk ||
	    CTINFO2DIR(ctinfo) != IP_CT_DIR_ORIGINAL ||
	    !k8snet_dsr_has(kn, ct))
		return NULL;
	return ct;
}

unsigned int k8snet_dsr_overhead(struct k8snet_net *kn,
				 const struct sk_buff *skb, u8 family)
{
	if (!flow_of(kn, skb))
		return 0;
	return family == NFPROTO_IPV4 ? sizeof(struct iphdr) :
					sizeof(struct ipv6hdr);
}

/* The destination as the client has written it. The headers are writable. */
static void restore_destination(struct sk_buff *skb, u8 family, u8 proto,
				unsigned int thoff,
				const struct nf_conntrack_tuple *t)
{
	void *header = skb_network_header(skb);
	struct ipv6hdr *ip6h = header;
	struct iphdr *iph = header;
	struct udphdr *uh = header + thoff;
	struct tcphdr *th = header + thoff;
	__sum16 *check = proto == IPPROTO_TCP ? &th->check : &uh->check;
	/* Both begin with the two ports. */
	bool sum = proto == IPPROTO_TCP || uh->check ||
		   skb->ip_summed == CHECKSUM_PARTIAL;

	if (sum && family == NFPROTO_IPV4)
		inet_proto_csum_replace4(check, skb, iph->daddr, t->dst.u3.ip,
					 true);
	else if (sum)
		inet_proto_csum_replace16(check, skb, ip6h->daddr.s6_addr32,
					  t->dst.u3.in6.s6_addr32, true);
	if (sum)
		inet_proto_csum_replace2(check, skb, uh->dest, t->dst.u.all,
					 false);
	if (sum && proto == IPPROTO_UDP && !uh->check)
		uh->check = CSUM_MANGLED_0;
	uh->dest = t->dst.u.all;
	if (family == NFPROTO_IPV4) {
		csum_replace4(&iph->check, iph->daddr, t->dst.u3.ip);
		iph->daddr = t->dst.u3.ip;
	} else {
		ip6h->daddr = t->dst.u3.in6;
	}
}

static void push_ipv4(struct net *net, struct sk_buff *skb,
		      const union nf_inet_addr *src,
		      const union nf_inet_addr *dst)
{
	u8 tos = ip_hdr(skb)->tos;
	struct iphdr *iph;

	skb_set_inner_ipproto(skb, IPPROTO_IPIP);
	skb_push(skb, sizeof(*iph));
	skb_reset_network_header(skb);
	iph = ip_hdr(skb);
	memset(iph, 0, sizeof(*iph));
	iph->version = 4;
	iph->ihl = sizeof(*iph) / 4;
	iph->tos = INET_ECN_encapsulate(tos, tos);
	iph->tot_len = htons(skb->len);
	iph->frag_off = htons(IP_DF);
	iph->ttl = OUTER_TTL;
	iph->protocol = IPPROTO_IPIP;
	iph->saddr = src->ip;
	iph->daddr = dst->ip;
	__ip_select_ident(net, iph, skb_shinfo(skb)->gso_segs ?: 1);
	ip_send_check(iph);
	memset(IPCB(skb), 0, sizeof(*IPCB(skb)));
}

static void push_ipv6(struct sk_buff *skb, const union nf_inet_addr *src,
		      const union nf_inet_addr *dst)
{
	u8 tos = ipv6_get_dsfield(ipv6_hdr(skb));
	struct ipv6hdr *ip6h;

	skb_set_inner_ipproto(skb, IPPROTO_IPV6);
	skb_push(skb, sizeof(*ip6h));
	skb_reset_network_header(skb);
	ip6h = ipv6_hdr(skb);
	ip6_flow_hdr(ip6h, INET_ECN_encapsulate(tos, tos), 0);
	ip6h->payload_len = htons(skb->len - sizeof(*ip6h));
	ip6h->nexthdr = IPPROTO_IPV6;
	ip6h->hop_limit = OUTER_TTL;
	ip6h->saddr = src->in6;
	ip6h->daddr = dst->in6;
	memset(IP6CB(skb), 0, sizeof(*IP6CB(skb)));
}

bool k8snet_dsr_xmit(struct k8snet_net *kn, struct sk_buff *skb,
		     struct k8snet_route *r, struct dst_entry *dst,
		     const union nf_inet_addr *saddr)
{
	const struct nf_conn *ct = flow_of(kn, skb);
	const struct nf_conntrack_tuple *t;
	u8 family = r->prefix.family, proto;
	enum k8snet_stat reason = K8SNET_STAT_TOO_BIG;
	unsigned int thoff, hlen;
	bool ipv4 = family == NFPROTO_IPV4;

	if (!ct)
		return false;
	t = &ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple;
	proto = t->dst.protonum;
	hlen = ipv4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	thoff = transport_offset(skb, family, proto);
	/* What was put together may be as long as a packet can be. */
	if (!thoff || skb->len + hlen > IP_MAX_MTU)
		goto drop;
	reason = K8SNET_STAT_NOMEM;
	if (skb_ensure_writable(skb, thoff + (proto == IPPROTO_TCP ?
					      sizeof(struct tcphdr) :
					      sizeof(struct udphdr))))
		goto drop;
	restore_destination(skb, family, proto, thoff, t);
	if (skb_cow_head(skb, LL_RESERVED_SPACE(dst_dev(dst)) + hlen) ||
	    iptunnel_handle_offloads(skb, ipv4 ? SKB_GSO_IPXIP4 :
						 SKB_GSO_IPXIP6))
		goto drop;
	if (ipv4)
		push_ipv4(kn->net, skb, saddr, &r->via);
	else
		push_ipv6(skb, saddr, &r->via);
	/* From here on it is the node's own packet. */
	nf_reset_ct(skb);
	skb_dst_drop(skb);
	skb_dst_set(skb, dst);
	k8snet_stat_inc(kn, DSR_SENT);
	k8snet_forward_to_node(r, skb);
	return true;

drop:
	dst_release(dst);
	k8snet_drop(kn, skb, reason);
	return true;
}

/* ---- the endpoint's node ---- */

/* Both ports of what is @off into the packet. */
static bool ports_get(const struct sk_buff *skb, unsigned int off, u8 proto,
		      __be16 ports[2])
{
	__be16 buf[2];
	const __be16 *p;

	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP)
		return false;
	p = skb_header_pointer(skb, off, sizeof(buf), buf);
	if (!p)
		return false;
	memcpy(ports, p, sizeof(buf));
	return true;
}

/* The length of the inner packet, or 0: not ours. The outer header is @ohl. */
static unsigned int inner_ipv4(struct k8snet_net *kn, struct sk_buff *skb,
			       unsigned int ohl)
{
	union nf_inet_addr daddr;
	const struct iphdr *iph;
	__be16 ports[2];

	if (!pskb_may_pull(skb, ohl + sizeof(*iph)))
		return 0;
	iph = (void *)(skb_network_header(skb) + ohl);
	if (*(const u8 *)iph != 0x45 || ip_is_fragment(iph) ||
	    ip_fast_csum(iph, iph->ihl) ||
	    ntohs(iph->tot_len) < sizeof(*iph) ||
	    ntohs(iph->tot_len) > skb->len - ohl ||
	    !ports_get(skb, ohl + sizeof(*iph), iph->protocol, ports))
		return 0;
	k8snet_addr_from_ip(&daddr, iph->daddr);
	return frontend_get(kn, &daddr, NFPROTO_IPV4, iph->protocol,
			    ports[1]) ? ntohs(iph->tot_len) : 0;
}

static unsigned int inner_ipv6(struct k8snet_net *kn, struct sk_buff *skb,
			       unsigned int ohl)
{
	const struct ipv6hdr *ip6h;
	union nf_inet_addr daddr;
	unsigned int len;
	__be16 ports[2];

	if (!pskb_may_pull(skb, ohl + sizeof(*ip6h)))
		return 0;
	ip6h = (void *)(skb_network_header(skb) + ohl);
	len = sizeof(*ip6h) + ntohs(ip6h->payload_len);
	if (ip6h->version != 6 || len > skb->len - ohl ||
	    !ports_get(skb, ohl + sizeof(*ip6h), ip6h->nexthdr, ports))
		return 0;
	daddr.in6 = ip6h->daddr;
	return frontend_get(kn, &daddr, NFPROTO_IPV6, ip6h->nexthdr,
			    ports[1]) ? len : 0;
}

/* What a driver or GRO has put together is longer than its headers say. */
static bool unpack(struct sk_buff *skb, unsigned int ohl, unsigned int len)
{
	if (iptunnel_pull_offloads(skb))
		return false;
	skb_pull_rcsum(skb, ohl);
	if (pskb_trim_rcsum(skb, len))
		return false;
	skb_reset_network_header(skb);
	/* Whoever hashed or tracked it has seen another packet. */
	skb_clear_hash(skb);
	nf_reset_ct(skb);
	skb_dst_drop(skb);
	return true;
}

/*
 * The packet that the rest of PRE_ROUTING sees, from defragmentation on, is the
 * client's. Only what is for a service that says so is unpacked; other tunnels
 * are left to whom they belong to. A pod cannot send one. Anybody else who can
 * could send what is inside of it as well: nothing is trusted that is in it.
 */
unsigned int k8snet_dsr_receive(void *priv, struct sk_buff *skb,
				const struct nf_hook_state *state)
{
	struct k8snet_net *kn = k8snet_net(state->net);
	unsigned int ohl, len;

	if (!READ_ONCE(kn->n_dsr))
		return NF_ACCEPT;
	if (state->pf == NFPROTO_IPV4) {
		if (likely(ip_hdr(skb)->protocol != IPPROTO_IPIP) ||
		    ip_is_fragment(ip_hdr(skb)))
			return NF_ACCEPT;
		ohl = ip_hdrlen(skb);
		len = inner_ipv4(kn, skb, ohl);
	} else {
		if (likely(ipv6_hdr(skb)->nexthdr != IPPROTO_IPV6))
			return NF_ACCEPT;
		ohl = sizeof(struct ipv6hdr);
		len = inner_ipv6(kn, skb, ohl);
	}
	if (!len)
		return NF_ACCEPT;
	/* Pods do not send such packets, and what is inside of one has no
	 * sender that the port could have checked. This is the last place to
	 * see where it came from: the node that it goes to cannot.
	 */
	if (k8snet_bridge_dev(state->in)) {
		k8snet_drop_note(kn, skb, K8SNET_STAT_SPOOFED, NULL);
		return NF_DROP;
	}
	if (!unpack(skb, ohl, len)) {
		k8snet_drop_note(kn, skb, K8SNET_STAT_NOMEM, NULL);
		return NF_DROP;
	}
	if (state->pf == NFPROTO_IPV4) {
		memset(IPCB(skb), 0, sizeof(*IPCB(skb)));
		IPCB(skb)->iif = skb->skb_iif;
		IPCB(skb)->flags = K8SNET_DSR_UNPACKED;
		skb_set_transport_header(skb, sizeof(struct iphdr));
	} else {
		memset(IP6CB(skb), 0, sizeof(*IP6CB(skb)));
		IP6CB(skb)->iif = skb->dev->ifindex;
		IP6CB(skb)->nhoff = offsetof(struct ipv6hdr, nexthdr);
		IP6CB(skb)->flags = K8SNET_DSR_UNPACKED;
		skb_set_transport_header(skb, sizeof(struct ipv6hdr));
	}
	k8snet_stat_inc(kn, DSR_RECEIVED);
	return NF_ACCEPT;
}
