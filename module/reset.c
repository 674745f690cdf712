// SPDX-License-Identifier: GPL-2.0
/*
 * Ends of connections whose endpoint is gone ("on-removal reset"): each end of
 * a TCP connection gets a reset, each end of an SCTP association an ABORT, that
 * looks as if the other had sent it.
 *
 * An ABORT is believed if it has its receiver's verification tag (RFC 9260,
 * 8.5.1), which conntrack has seen in INIT and INIT ACK. A reset is believed
 * only with the very sequence number that is expected next (RFC 5961, 3.2).
 * conntrack knows it of a connection whose last packets took the stack's way;
 * of one in the fast path the flows do, mostly: each end gets a reset with every
 * number that may be it. Each also gets a segment that is too old, which it
 * answers with what it expects (RFC 9293, 3.10.7.4), unless it has just answered
 * another: Linux does so twice a second. That answer finds no connection any
 * more: a client's is reset by the service (nat.c, or the endpoint it is now led
 * to), an endpoint's by the client's host, or by this node.
 */

#include <linux/sctp.h>
#include <linux/tcp.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/route.h>
#include <net/sctp/checksum.h>
#include <net/tcp.h>

#include "addr.h"
#include "flow.h"
#include "reset.h"

/* One TCP segment without data, or one SCTP packet with an ABORT chunk. */
struct segment {
	u8 family, proto;
	union nf_inet_addr src, dst;
	__be16 sport, dport;
	u32 seq, ack;			/* TCP */
	bool rst;			/* TCP */
	__be32 vtag;			/* SCTP */
};

struct sctp_abort {
	struct sctphdr head;
	struct sctp_chunkhdr chunk;
};

static unsigned int segment_len(const struct segment *s)
{
	return s->proto == IPPROTO_TCP ? sizeof(struct tcphdr) :
					 sizeof(struct sctp_abort);
}

static void put_tcp(struct sk_buff *skb, const struct segment *s)
{
	struct tcphdr *th;

	skb_reset_transport_header(skb);
	th = skb_put_zero(skb, sizeof(*th));
	th->source = s->sport;
	th->dest = s->dport;
	th->seq = htonl(s->seq);
	th->ack_seq = htonl(s->ack);
	th->doff = sizeof(*th) / 4;
	th->ack = 1;
	th->rst = s->rst;
	if (s->family == NFPROTO_IPV4)
		th->check = csum_tcpudp_magic(s->src.ip, s->dst.ip, sizeof(*th),
					      IPPROTO_TCP,
					      csum_partial(th, sizeof(*th), 0));
	else
		th->check = csum_ipv6_magic(&s->src.in6, &s->dst.in6,
					    sizeof(*th), IPPROTO_TCP,
					    csum_partial(th, sizeof(*th), 0));
}

static void put_sctp(struct sk_buff *skb, const struct segment *s)
{
	struct sctp_abort *abort;

	skb_reset_transport_header(skb);
	abort = skb_put_zero(skb, sizeof(*abort));
	abort->head.source = s->sport;
	abort->head.dest = s->dport;
	abort->head.vtag = s->vtag;
	abort->chunk.type = SCTP_CID_ABORT;
	abort->chunk.length = htons(sizeof(abort->chunk));
	abort->head.checksum = sctp_compute_cksum(skb,
						  skb_transport_offset(skb));
	skb->ip_summed = CHECKSUM_UNNECESSARY;
}

static void put_segment(struct sk_buff *skb, const struct segment *s)
{
	if (s->proto == IPPROTO_TCP)
		put_tcp(skb, s);
	else
		put_sctp(skb, s);
}

/* Routed as what the node itself sends, but from an address that may be
 * another's.
 */
static struct dst_entry *route_ipv4(struct net *net, const struct segment *s)
{
	struct flowi4 fl4 = {
		.saddr = s->src.ip,
		.daddr = s->dst.ip,
		.flowi4_proto = s->proto,
		.flowi4_flags = FLOWI_FLAG_ANYSRC,
	};
	struct rtable *rt = ip_route_output_key(net, &fl4);

	return IS_ERR(rt) ? NULL : &rt->dst;
}

static struct dst_entry *route_ipv6(struct net *net, const struct segment *s)
{
	struct flowi6 fl6 = {
		.saddr = s->src.in6,
		.daddr = s->dst.in6,
		.flowi6_proto = s->proto,
		.flowi6_flags = FLOWI_FLAG_ANYSRC,
	};
	struct dst_entry *dst = ip6_route_output(net, NULL, &fl6);

	if (!dst->error)
		return dst;
	dst_release(dst);
	return NULL;
}

static void send_ipv4(struct net *net, struct sk_buff *skb,
		      const struct segment *s)
{
	struct iphdr *iph;

	skb_reset_network_header(skb);
	iph = skb_put_zero(skb, sizeof(*iph));
	iph->version = 4;
	iph->ihl = sizeof(*iph) / 4;
	iph->frag_off = htons(IP_DF);
	iph->ttl = READ_ONCE(net->ipv4.sysctl_ip_default_ttl);
	iph->protocol = s->proto;
	iph->saddr = s->src.ip;
	iph->daddr = s->dst.ip;
	put_segment(skb, s);
	skb->protocol = htons(ETH_P_IP);
	ip_local_out(net, NULL, skb);
}

static void send_ipv6(struct net *net, struct sk_buff *skb,
		      const struct segment *s)
{
	struct ipv6hdr *ip6h;

	skb_reset_network_header(skb);
	ip6h = skb_put_zero(skb, sizeof(*ip6h));
	ip6_flow_hdr(ip6h, 0, 0);
	ip6h->hop_limit = ip6_dst_hoplimit(skb_dst(skb));
	ip6h->nexthdr = s->proto;
	ip6h->payload_len = htons(segment_len(s));
	ip6h->saddr = s->src.in6;
	ip6h->daddr = s->dst.in6;
	put_segment(skb, s);
	skb->protocol = htons(ETH_P_IPV6);
	ip6_local_out(net, NULL, skb);
}

static void segment_send(struct net *net, const struct segment *s)
{
	struct dst_entry *dst = s->family == NFPROTO_IPV4 ?
				route_ipv4(net, s) : route_ipv6(net, s);
	struct sk_buff *skb;

	if (!dst)
		return;
	skb = alloc_skb(LL_MAX_HEADER + sizeof(struct ipv6hdr) +
			segment_len(s), GFP_ATOMIC);
	if (!skb) {
		dst_release(dst);
		return;
	}
	skb_reserve(skb, LL_MAX_HEADER);
	skb_dst_set(skb, dst);
	/* It has its addresses: no NAT, and no firewall's "invalid". */
	nf_ct_set(skb, NULL, IP_CT_UNTRACKED);
	if (s->family == NFPROTO_IPV4)
		send_ipv4(net, skb, s);
	else
		send_ipv6(net, skb, s);
}

#define SEQS_MAX	(1 + K8SNET_FLOW_SEQS)

/* The numbers of which one is expected next in @dir; that of conntrack first. */
static unsigned int seqs_next(struct k8snet_net *kn, struct nf_conn *ct, u8 dir,
			      u32 seqs[SEQS_MAX])
{
	unsigned int n = 1, seen, i;
	u32 more[K8SNET_FLOW_SEQS];

	spin_lock(&ct->lock);
	seqs[0] = ct->proto.tcp.seen[dir].td_end;
	spin_unlock(&ct->lock);
	seen = k8snet_flow_seqs(kn, ct, dir, more);
	for (i = 0; i < seen; i++)
		if (more[i] != seqs[0] && more[i] != seqs[n - 1])
			seqs[n++] = more[i];
	return n;
}

static void reset_end(struct net *net, struct segment *s, const u32 *seqs,
		      unsigned int n)
{
	unsigned int i;

	s->rst = true;
	for (i = 0; i < n; i++) {
		s->seq = seqs[i];
		segment_send(net, s);
	}
	s->rst = false;
	s->seq = seqs[0] - 1;
	segment_send(net, s);
}

static void reset_tcp(struct k8snet_net *kn, struct nf_conn *ct,
		      struct segment *client, struct segment *server)
{
	u32 down[SEQS_MAX], up[SEQS_MAX];
	unsigned int n_down = seqs_next(kn, ct, IP_CT_DIR_REPLY, down);
	unsigned int n_up = seqs_next(kn, ct, IP_CT_DIR_ORIGINAL, up);

	client->ack = up[n_up - 1];
	reset_end(kn->net, client, down, n_down);
	server->ack = down[n_down - 1];
	reset_end(kn->net, server, up, n_up);
}

/* conntrack's tag of a direction is the one that packets in it must have; 0: it
 * has not seen it.
 */
static void reset_sctp(struct net *net, struct nf_conn *ct,
		       struct segment *client, struct segment *server)
{
	spin_lock(&ct->lock);
	client->vtag = ct->proto.sctp.vtag[IP_CT_DIR_REPLY];
	server->vtag = ct->proto.sctp.vtag[IP_CT_DIR_ORIGINAL];
	spin_unlock(&ct->lock);
	if (client->vtag)
		segment_send(net, client);
	if (server->vtag)
		segment_send(net, server);
}

void k8snet_reset_send(struct k8snet_net *kn, struct nf_conn *ct)
{
	const struct nf_conntrack_tuple *in =
		&ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple;
	const struct nf_conntrack_tuple *back =
		&ct->tuplehash[IP_CT_DIR_REPLY].tuple;
	struct segment client = {
		.family = in->src.l3num, .proto = in->dst.protonum,
		.src = in->dst.u3, .dst = in->src.u3,
		.sport = in->dst.u.all, .dport = in->src.u.all,
	};
	struct segment server = {
		.family = in->src.l3num, .proto = in->dst.protonum,
		.src = back->dst.u3, .dst = back->src.u3,
		.sport = back->dst.u.all, .dport = back->src.u.all,
	};

	local_bh_disable();
	if (client.proto == IPPROTO_TCP)
		reset_tcp(kn, ct, &client, &server);
	else
		reset_sctp(kn->net, ct, &client, &server);
	local_bh_enable();
}
