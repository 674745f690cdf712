// SPDX-License-Identifier: GPL-2.0
/* Packets that are refused: counted, traced, and told the kernel. */

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/slab.h>
#include <net/ipv6.h>

#include "drop.h"
#include "service.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/*
 * TCP, UDP and SCTP begin with both ports. A fragment that is not the first has
 * none. Whatever cannot be read is left 0: the packet may be the reason why.
 */
static void read_ports(const struct sk_buff *skb, int off, u8 proto,
		       __be16 ports[2])
{
	__be16 buf[2];
	const __be16 *p;

	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP &&
	    proto != IPPROTO_SCTP)
		return;
	p = skb_header_pointer(skb, off, sizeof(buf), buf);
	if (p)
		memcpy(ports, p, sizeof(buf));
}

static void ends_ipv4(const struct sk_buff *skb, int off,
		      struct sockaddr_in *src, struct sockaddr_in *dst,
		      u8 *proto)
{
	const struct iphdr *iph;
	__be16 ports[2] = {};
	struct iphdr buf;

	src->sin_family = AF_INET;
	dst->sin_family = AF_INET;
	iph = skb_header_pointer(skb, off, sizeof(buf), &buf);
	if (!iph || iph->version != 4 || iph->ihl < 5)
		return;
	*proto = iph->protocol;
	if (!(iph->frag_off & htons(IP_OFFSET)))
		read_ports(skb, off + iph->ihl * 4, *proto, ports);
	src->sin_addr.s_addr = iph->saddr;
	src->sin_port = ports[0];
	dst->sin_addr.s_addr = iph->daddr;
	dst->sin_port = ports[1];
}

static void ends_ipv6(const struct sk_buff *skb, int off,
		      struct sockaddr_in6 *src, struct sockaddr_in6 *dst,
		      u8 *proto)
{
	const struct ipv6hdr *ip6h;
	__be16 ports[2] = {};
	struct ipv6hdr buf;
	__be16 frag_off;
	int thoff;
	u8 next;

	src->sin6_family = AF_INET6;
	dst->sin6_family = AF_INET6;
	ip6h = skb_header_pointer(skb, off, sizeof(buf), &buf);
	if (!ip6h || ip6h->version != 6)
		return;
	next = ip6h->nexthdr;
	thoff = ipv6_skip_exthdr(skb, off + sizeof(buf), &next, &frag_off);
	*proto = next;
	if (thoff > 0 && !(frag_off & htons(IP6_OFFSET)))
		read_ports(skb, thoff, next, ports);
	src->sin6_addr = ip6h->saddr;
	src->sin6_port = ports[0];
	dst->sin6_addr = ip6h->daddr;
	dst->sin6_port = ports[1];
}

void k8snet_trace_ends(const struct sk_buff *skb, void *src, void *dst,
		       u8 *proto)
{
	int off = skb_network_offset(skb);

	memset(src, 0, sizeof(struct sockaddr_in6));
	memset(dst, 0, sizeof(struct sockaddr_in6));
	*proto = 0;
	/* Not set yet by one that could not even be parsed so far. */
	if (off < 0)
		return;
	if (skb->protocol == htons(ETH_P_IP))
		ends_ipv4(skb, off, src, dst, proto);
	else if (skb->protocol == htons(ETH_P_IPV6))
		ends_ipv6(skb, off, src, dst, proto);
}

/* Most services never drop a packet: the counters come with the first one. */
static void service_count(struct k8snet_service *svc, enum k8snet_stat reason)
{
	atomic_long_t *n = READ_ONCE(svc->drops), *fresh;

	if (unlikely(!n)) {
		fresh = kcalloc(K8SNET_STAT_NUM, sizeof(*fresh),
				GFP_ATOMIC | __GFP_NOWARN);
		if (!fresh)
			return;
		n = cmpxchg(&svc->drops, NULL, fresh);
		if (n)
			kfree(fresh);
		else
			n = fresh;
	}
	atomic_long_inc(&n[reason]);
}

void k8snet_drop_note(struct k8snet_net *kn, const struct sk_buff *skb,
		      enum k8snet_stat reason, struct k8snet_service *svc)
{
	k8snet_stat_add_id(kn, reason, 1);
	if (svc)
		service_count(svc, reason);
	trace_k8snet_drop(kn->net, skb, k8snet_stat_names[reason],
			  svc ? svc->name : "");
}

enum skb_drop_reason k8snet_drop_reason(enum k8snet_stat reason)
{
	switch (reason) {
	case K8SNET_STAT_PORT_RX_INVALID:
	case K8SNET_STAT_BRIDGE_TX_INVALID:
		return SKB_DROP_REASON_HDR_TRUNC;
	case K8SNET_STAT_PORT_RX_PROTO:
		return SKB_DROP_REASON_UNHANDLED_PROTO;
	case K8SNET_STAT_BRIDGE_DOWN:
	case K8SNET_STAT_PORT_DOWN:
		return SKB_DROP_REASON_DEV_READY;
	case K8SNET_STAT_NO_POD:
	case K8SNET_STAT_NO_ROUTE:
		return SKB_DROP_REASON_IP_OUTNOROUTES;
	case K8SNET_STAT_NO_NEIGHBOUR:
		return SKB_DROP_REASON_NEIGH_CREATEFAIL;
	case K8SNET_STAT_TOO_BIG:
		return SKB_DROP_REASON_PKT_TOO_BIG;
	case K8SNET_STAT_NOMEM:
		return SKB_DROP_REASON_NOMEM;
	default:
		return SKB_DROP_REASON_NETFILTER_DROP;
	}
}
