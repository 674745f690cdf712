// SPDX-License-Identifier: GPL-2.0
/*
 * The packets of known flows. Everything that is not plainly so is a miss and
 * goes to the stack untouched: fragments, IP options, a TTL that ends here,
 * SYN, packets too big for the way out, devices with a queue or
 * a program that must see the packet.
 */

#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/netfilter/nf_conntrack_acct.h>
#include <net/netfilter/nf_conntrack_ecache.h>
#include <net/netfilter/nf_conntrack_l4proto.h>
#include <net/arp.h>
#include <net/ndisc.h>
#include <net/sch_generic.h>

#include "chain.h"
#include "drop.h"
#include "flow.h"

static void timeout_set(struct nf_conn *ct, u32 timeout)
{
	/* After f->refresh, for flow_mind_silence(): who sees the new time sees
	 * that the flow has been looked at.
	 */
	smp_store_release(&ct->timeout, nfct_time_stamp + timeout);
}

void k8snet_flow_prolong(const struct k8snet_flow *f)
{
	struct nf_conn *ct = f->ct;
	struct net *net = nf_ct_net(ct);
	u8 state;

	if (f->proto == IPPROTO_TCP) {
		do {
			state = READ_ONCE(ct->proto.tcp.state);
			timeout_set(ct, READ_ONCE(nf_tcp_pernet(net)->timeouts
						  [state]));
			/* Pairs with tcp_close_track(): its time is the last,
			 * or its state is seen here.
			 */
			smp_mb();
		} while (unlikely(READ_ONCE(ct->proto.tcp.state) != state));
	} else if (test_bit(IPS_ASSURED_BIT, &ct->status)) {
		timeout_set(ct, READ_ONCE(nf_udp_pernet(net)->timeouts
					  [UDP_CT_REPLIED]));
	}
}

/*
 * Keeps the conntrack entry from expiring, as each packet would have in the
 * stack; once a second is often enough for timeouts of 30 seconds and more.
 * False: the stack must see this packet, because the entry has timed out, or
 * because it alone decides that a UDP flow is a stream and assured.
 */
static bool flow_refresh(struct k8snet_net *kn, struct k8snet_flow *f)
{
	const struct nf_conn *ct = f->ct;

	if (nf_ct_is_expired(ct) || !k8snet_ipsec_plain(kn->net)) {
		k8snet_flow_remove(kn, f);
		return false;
	}
	/* To the outside the stack knows the way: k8snet_flow_is_known(). */
	if (!f->peer && !f->route)
		return false;
	if (f->route && !k8snet_flow_hop_current(kn, f)) {
		k8snet_flow_remove(kn, f);
		return false;
	}
	WRITE_ONCE(f->refresh, jiffies + HZ);
	if (f->proto == IPPROTO_UDP && !test_bit(IPS_ASSURED_BIT, &ct->status))
		return false;
	k8snet_flow_prolong(f);
	return true;
}

/* Would what is attached to the way to a pod see and perhaps keep the packet?
 * A queueing discipline (bandwidth limits), tc and netfilter egress on the
 * bridge's port, XDP on the pod's device. (Generic XDP and tc ingress there
 * come after us.) None of them tells that it has come.
 */
static __always_inline bool pod_path_plain(const struct k8snet_flow *f)
{
	const struct net_device *peer = f->peer;

	return peer->flags & IFF_UP &&
	       !k8snet_dev_has_nf_egress(f->out) &&
	       !k8snet_dev_has_tc_egress(f->out) &&
	       !rcu_dereference(f->txq->qdisc)->enqueue &&
	       !peer->xdp_state[XDP_MODE_DRV].prog &&
	       !peer->xdp_state[XDP_MODE_DRV].link;
}

/* Has the device nothing to do to the packet that it cannot do? */
static __always_inline bool offload_done(const struct sk_buff *skb,
					 const struct k8snet_flow *f)
{
	return likely(f->offloads) ||
	       (skb->ip_summed != CHECKSUM_PARTIAL && !skb_is_gso(skb) &&
		!skb_is_nonlinear(skb));
}

/* The same of an uplink, for a packet that needs nothing done to it: no
 * queueing discipline, nobody who looks on. Then what dev_queue_xmit() does
 * besides calling the device has no effect. One that locks itself (tunnels,
 * veth), or there would be the transmit lock to take. One that is down has a
 * queueing discipline, which drops.
 */
static __always_inline bool uplink_path_plain(const struct k8snet_flow *f,
					      const struct sk_buff *skb)
{
	struct net_device *dev = f->out;

	return !rcu_dereference(f->txq->qdisc)->enqueue &&
	       f->lltx && !skb_is_gso(skb) && offload_done(skb, f) &&
	       !k8snet_dev_has_nf_egress(dev) &&
	       !k8snet_dev_has_tc_egress(dev) && !dev_nit_active(dev) &&
	       !netif_xmit_stopped(f->txq);
}

static bool too_big(const struct sk_buff *skb, unsigned int mtu)
{
	return skb->len > mtu &&
	       (!skb_is_gso(skb) || !skb_gso_validate_network_len(skb, mtu));
}

/* Is the device to finish the checksum of this very header? It may be that of
 * one further inside, of a tunnel that ends in the pods; but then this one, too,
 * if there is one and the packet is to be cut up.
 */
static __always_inline bool csum_is_partial(const struct sk_buff *skb,
					    const void *transport)
{
	return skb->ip_summed == CHECKSUM_PARTIAL &&
	       (likely(skb_checksum_start(skb) == transport) ||
		(skb_is_gso(skb) && skb_shinfo(skb)->gso_type &
				    SKB_GSO_UDP_TUNNEL_CSUM));
}

/* One checksum field of the transport header. See
 * inet_proto_csum_replace_by_diff(): where the device is to finish it, only
 * the pseudo-header is in it yet.
 */
static __always_inline void l4_csum_update(__sum16 *check,
					   const struct k8snet_flow *f,
					   bool partial)
{
	if (partial)
		*check = ~csum_fold(csum_add(f->addr_diff,
					     csum_unfold(*check)));
	else
		*check = csum_fold(csum_add(f->full_diff,
					    ~csum_unfold(*check)));
}

/*
 * What a device has summed up over the whole packet (CHECKSUM_COMPLETE). The
 * transport header has changed by minus what its pseudo-header has. IPv4's
 * header sums up to the same as before, IPv6's has new addresses, which
 * balance that, and one hop less.
 */
static __always_inline void skb_csum_update(struct sk_buff *skb,
					    const struct k8snet_flow *f,
					    const u8 family)
{
	if (likely(skb->ip_summed != CHECKSUM_COMPLETE))
		return;
	if (!f->peer)
		skb_forward_csum(skb);	/* as whatever is sent out again */
	else if (family == NFPROTO_IPV4)
		skb->csum = csum_sub(skb->csum, f->addr_diff);
	else
		skb->csum = csum_sub(skb->csum, (__force __wsum)htons(1));
}

/* Writes what the flow says into the packet, @nh being its network header. */
static __always_inline void translate(struct sk_buff *skb, void *nh,
				      const struct k8snet_flow *f,
				      const u8 family)
{
	const unsigned int hlen = family == NFPROTO_IPV4 ?
				  sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	struct udphdr *uh = nh + hlen;
	struct tcphdr *th = nh + hlen;
	struct ipv6hdr *ip6h = nh;
	struct iphdr *iph = nh;

	if (f->proto == IPPROTO_TCP) {
		l4_csum_update(&th->check, f, csum_is_partial(skb, th));
		skb_csum_update(skb, f, family);
	} else if (uh->check || csum_is_partial(skb, uh)) {
		l4_csum_update(&uh->check, f, csum_is_partial(skb, uh));
		if (!uh->check)
			uh->check = CSUM_MANGLED_0;
		skb_csum_update(skb, f, family);
	} else if (skb->ip_summed == CHECKSUM_COMPLETE) {
		skb->ip_summed = CHECKSUM_NONE;
	}
	memcpy(nh + hlen, &f->ports, sizeof(f->ports));
	if (family == NFPROTO_IPV4) {
		iph->saddr = f->src.ip;
		iph->daddr = f->dst.ip;
		iph->ttl--;
		iph->check = csum_fold(csum_add(f->hdr_diff,
						~csum_unfold(iph->check)));
	} else {
		ip6h->saddr = f->src.in6;
		ip6h->daddr = f->dst.in6;
		ip6h->hop_limit--;
	}
}

/* Is the flow still what it was when it was learned, and the packet one that
 * it may carry? Removes a flow whose connection is over. @transport: its header.
 */
static __always_inline bool flow_usable(struct k8snet_net *kn,
					struct k8snet_flow *f,
					const struct sk_buff *skb,
					const void *transport)
{
	const struct tcphdr *th = transport;

	if (unlikely(f->gen != k8snet_flow_gen(kn)))
		return false;
	if (unlikely(nf_ct_is_dying(f->ct) ||
		     (f->proto == IPPROTO_TCP &&
		      !k8snet_flow_tcp_carried(READ_ONCE(f->ct->proto.tcp.state))))) {
		k8snet_flow_remove(kn, f);
		return false;
	}
	if (f->check_lladdr &&
	    unlikely(!ether_addr_equal(eth_hdr(skb)->h_source, f->lladdr)))
		return false;
	if (unlikely(time_after_eq(jiffies, READ_ONCE(f->refresh)))) {
		/* It may be the stack's, which does not tell. */
		if (f->proto == IPPROTO_TCP)
			WRITE_ONCE(f->ack, ntohl(th->ack_seq));
		return flow_refresh(kn, f);
	}
	return true;
}

/* What one namespace knows of a packet is not another's business. Packets
 * from a pod were scrubbed by its veth just now; tc may have added something.
 */
static __always_inline void packet_scrub(struct sk_buff *skb,
					 const struct k8snet_flow *f)
{
	if (unlikely(!f->check_lladdr || skb->_skb_refdst || skb->_nfct ||
		     skb_has_extensions(skb))) {
		skb_scrub_packet(skb, true);
		return;
	}
	skb->pkt_type = PACKET_HOST;
	skb->skb_iif = 0;
	skb->ignore_df = 0;
	skb->mark = 0;
	skb_clear_tstamp(skb);
	nf_reset_trace(skb);
}

/*
 * TCP closes: conntrack's state, timeout and events, as its own table says for
 * a segment with FIN and for one without, from either side. (Its judgement of
 * sequence numbers is off, see k8snet_flow_publish().) An RST counts if it
 * follows directly upon what its sender has sent: conntrack, which has not
 * seen that, could not tell it from a forged one, and looks at all others, as
 * at those of whom nothing has come by here yet.
 */
static noinline bool tcp_close_track(struct k8snet_net *kn,
				     const struct k8snet_flow *f,
				     const struct tcphdr *th)
{
	struct nf_conn *ct = f->ct;
	bool fin = th->fin;
	u8 old, now;

	if (th->rst && (!READ_ONCE(f->packets) ||
			ntohl(th->seq) != READ_ONCE(f->seq_end)))
		return false;
	spin_lock(&ct->lock);
	old = ct->proto.tcp.state;
	if (th->rst && k8snet_flow_tcp_carried(old)) {
		now = TCP_CONNTRACK_CLOSE;
		goto out;
	}
	switch (old) {
	case TCP_CONNTRACK_ESTABLISHED:
		now = fin ? TCP_CONNTRACK_FIN_WAIT : old;
		break;
	case TCP_CONNTRACK_FIN_WAIT:
	case TCP_CONNTRACK_CLOSE_WAIT:
		now = fin ? TCP_CONNTRACK_LAST_ACK : TCP_CONNTRACK_CLOSE_WAIT;
		break;
	case TCP_CONNTRACK_LAST_ACK:
		now = fin ? old : TCP_CONNTRACK_TIME_WAIT;
		break;
	default:
		spin_unlock(&ct->lock);
		return false;
	}
out:
	WRITE_ONCE(ct->proto.tcp.state, now);
	/* By this conntrack knows that a SYN from the same port is not of this
	 * connection, and may get another endpoint. After an RST it would look
	 * for that in the last segment, which it has not seen.
	 */
	if (now != old && (now == TCP_CONNTRACK_FIN_WAIT ||
			   now == TCP_CONNTRACK_CLOSE))
		ct->proto.tcp.seen[f->dir].flags |= IP_CT_TCP_FLAG_CLOSE_INIT;
	/* Pairs with k8snet_flow_prolong(). */
	smp_mb();
	WRITE_ONCE(ct->timeout, nfct_time_stamp +
		   READ_ONCE(nf_tcp_pernet(kn->net)->timeouts[now]));
	spin_unlock(&ct->lock);

	if (now != old) {
		nf_conntrack_event_cache(IPCT_PROTOINFO, ct);
		if (nf_ct_ecache_exist(ct))
			nf_ct_deliver_cached_events(ct);
	}
	return true;
}

/* @len: of the segment with its header. */
static __always_inline void seq_end_note(struct k8snet_flow *f,
					 const struct tcphdr *th,
					 unsigned int len)
{
	WRITE_ONCE(f->seq_end, ntohl(th->seq) + len - th->doff * 4 + th->fin);
}

/* True: conntrack need not see the segment. Context: BH off. */
static __always_inline bool tcp_track(struct k8snet_net *kn,
				      struct k8snet_flow *f,
				      const struct tcphdr *th,
				      unsigned int len)
{
	const __be32 ends = TCP_FLAG_FIN | TCP_FLAG_RST;

	if (unlikely(tcp_flag_word(th) & ends ||
		     READ_ONCE(f->ct->proto.tcp.state) !=
		     TCP_CONNTRACK_ESTABLISHED) &&
	    !tcp_close_track(kn, f, th))
		return false;
	seq_end_note(f, th, len);
	return true;
}

/* Everything that counts a packet of a known flow. Context: BH off. */
static __always_inline void flow_count(struct k8snet_flow *f,
				       const struct sk_buff *skb,
				       const bool tracked)
{
	struct k8snet_flow_stats *stats = this_cpu_ptr(f->stats);
	unsigned int len = skb->len;

	/* One that is lost to another CPU is not missed (flow.h). */
	data_race(f->packets++);
	/* Likewise. */
	data_race(f->bytes += len);
	u64_stats_update_begin(&stats->syncp);
	u64_stats_inc(&stats->packets);
	u64_stats_add(&stats->bytes, len);
	u64_stats_update_end(&stats->syncp);
	if (!tracked && f->acct) {
		atomic64_inc(&f->acct->packets);
		atomic64_add(len, &f->acct->bytes);
	}
}

static __always_inline void output_pod(struct sk_buff *skb,
				       const struct k8snet_flow *f)
{
	memcpy(skb_mac_header(skb), f->macs, sizeof(f->macs));
	skb->dev = f->peer;
	/* The queue it came in by is one of another device. */
	skb_set_queue_mapping(skb, 0);
	if (likely(f->port_counts))
		dev_sw_netstats_tx_add(f->out, 1, skb->len + ETH_HLEN);
}

/*
 * The next hop's Ethernet header, as the neighbour entry has it ready; NULL if
 * the entry wants to see the packet (it is to be asked for, or to be checked),
 * or the device is another than Ethernet. A reader that loses the race with a
 * change of the MAC leaves it to the stack's way, too.
 */
static __always_inline struct neighbour *hop_neigh(const struct k8snet_flow *f)
{
	struct neighbour *n;

	if (f->nexthop6)
		n = __ipv6_neigh_lookup_noref(f->out, &f->nexthop.in6);
	else
		n = __ipv4_neigh_lookup_noref(f->out,
					      (__force u32)f->nexthop.ip);
	if (unlikely(!n || !(READ_ONCE(n->nud_state) & NUD_CONNECTED) ||
		     READ_ONCE(n->hh.hh_len) != ETH_HLEN))
		return NULL;
	return n;
}

/* The way to a node when its neighbour entry is ready. Consumes @skb. */
static __always_inline void output_hop(struct sk_buff *skb,
				       const struct k8snet_flow *f,
				       const struct neighbour *n,
				       const u8 family)
{
	const struct hh_cache *hh = &n->hh;
	unsigned int seq;

	__skb_push(skb, ETH_HLEN);
	do {
		seq = read_seqbegin(&hh->hh_lock);
		memcpy(skb->data,
		       (const u8 *)hh->hh_data + HH_DATA_OFF(ETH_HLEN),
		       ETH_HLEN);
	} while (read_seqretry(&hh->hh_lock, seq));
	skb_reset_mac_header(skb);
	/* The entry's is of its own family: IPv4 may go by an IPv6 next hop. */
	eth_hdr(skb)->h_proto = family == NFPROTO_IPV4 ? htons(ETH_P_IP) :
							 htons(ETH_P_IPV6);
	skb->dev = f->out;
	if (unlikely(!uplink_path_plain(f, skb))) {
		dev_queue_xmit(skb);
		return;
	}
	skb_set_queue_mapping(skb, 0);
	/* netdev_start_xmit() would note the time for a watchdog, which devices
	 * that lock themselves see to themselves.
	 */
	if (unlikely(__netdev_start_xmit(f->out->netdev_ops, skb, f->out,
					 false) == NETDEV_TX_BUSY))
		kfree_skb(skb);
}

/* The same when it is not. */
static void output_hop_slow(struct k8snet_net *kn, struct sk_buff *skb,
			    const struct k8snet_flow *f)
{
	struct dst_entry *dst;

	if (!f->route) {
		skb->dev = f->out;
		neigh_xmit(f->nexthop6 ? NEIGH_ND_TABLE : NEIGH_ARP_TABLE,
			   f->out, &f->nexthop, skb);
		return;
	}
	dst = k8snet_route_dst(kn, f->route, NULL);
	if (!dst) {
		k8snet_drop(kn, skb, K8SNET_STAT_NO_ROUTE);
		return;
	}
	skb_dst_set(skb, dst);
	k8snet_forward_to_node(f->route, skb);
}

/* For queueing disciplines and VLANs, as ip_forward() does. */
static noinline void priority_set(const struct net *net, struct sk_buff *skb)
{
	if (READ_ONCE(net->ipv4.sysctl_ip_fwd_update_priority))
		skb->priority = rt_tos2priority(ip_hdr(skb)->tos);
}

static __always_inline unsigned int l4_len(u8 proto)
{
	return proto == IPPROTO_TCP ? sizeof(struct tcphdr) :
				      sizeof(struct udphdr);
}

/* @tracked: conntrack has seen the packet, which holds the entry. */
static __always_inline enum k8snet_flow_verdict
flow_output(struct k8snet_net *kn, struct sk_buff *skb, struct k8snet_flow *f,
	    const u8 family, const bool tracked)
{
	const unsigned int hlen = family == NFPROTO_IPV4 ?
				  sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	/* Again after each step that may move the packet's head. */
	const struct tcphdr *th = (void *)(skb_network_header(skb) + hlen);
	struct neighbour *n = NULL;

	/* Whoever takes the packet in the end. */
	if (!tracked && f->proto == IPPROTO_TCP)
		WRITE_ONCE(f->ack, ntohl(th->ack_seq));
	if (unlikely(too_big(skb, f->mtu)))
		return K8SNET_FLOW_MISS;
	if (f->peer) {
		if (unlikely(!pod_path_plain(f) || !offload_done(skb, f)))
			return K8SNET_FLOW_MISS;
	} else {
		n = hop_neigh(f);
		/* A shared packet cannot get more than it has. */
		if (unlikely(skb_headroom(skb) < f->headroom) &&
		    (skb_shared(skb) || skb_cow_head(skb, f->headroom)))
			return K8SNET_FLOW_MISS;
	}
	if (skb_cloned(skb) &&
	    unlikely(skb_ensure_writable(skb, hlen + l4_len(f->proto))))
		return K8SNET_FLOW_MISS;

	th = (void *)(skb_network_header(skb) + hlen);
	/* The last that can turn out otherwise: it changes the connection. */
	if (f->proto != IPPROTO_TCP)
		;
	else if (tracked)
		seq_end_note(f, th, skb->len - hlen);
	else if (!tcp_track(kn, f, th, skb->len - hlen))
		return K8SNET_FLOW_MISS;

	translate(skb, skb_network_header(skb), f, family);
	flow_count(f, skb, tracked);
	if (tracked)
		nf_reset_ct(skb);
	packet_scrub(skb, f);
	if (f->peer) {
		output_pod(skb, f);
		return K8SNET_FLOW_POD;
	}
	if (family == NFPROTO_IPV4 && unlikely(ip_hdr(skb)->tos))
		priority_set(kn->net, skb);
	if (likely(n))
		output_hop(skb, f, n, family);
	else
		output_hop_slow(kn, skb, f);
	return K8SNET_FLOW_CONSUMED;
}

/* Makes the headers lie in one piece, where they do not or the packet is
 * short.
 */
static noinline bool headers_pull(struct sk_buff *skb, bool ipv6)
{
	unsigned int hlen = ipv6 ? sizeof(struct ipv6hdr) :
				   sizeof(struct iphdr);
	u8 proto;

	if (!pskb_may_pull(skb, hlen))
		return false;
	proto = ipv6 ? ipv6_hdr(skb)->nexthdr : ip_hdr(skb)->protocol;
	return pskb_may_pull(skb, hlen + (proto == IPPROTO_TCP ?
					  sizeof(struct tcphdr) :
					  sizeof(struct udphdr)));
}

/* The headers that are needed in one piece? */
static __always_inline bool headers_whole(struct sk_buff *skb, const bool ipv6)
{
	const unsigned int most = sizeof(struct tcphdr) +
		(ipv6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));

	return likely(skb_headlen(skb) >= most) || headers_pull(skb, ipv6);
}

/* Only UDP, and a TCP segment that does not open a connection. */
static __always_inline bool l4_carried(const void *transport, u8 proto)
{
	if (proto == IPPROTO_TCP)
		return !(tcp_flag_word(transport) & TCP_FLAG_SYN);
	return proto == IPPROTO_UDP;
}

/* Padding of short frames goes; a length that lies is the stack's. */
static __always_inline bool length_settle(struct sk_buff *skb,
					  unsigned int len,
					  unsigned int hlen)
{
	return likely(skb->len == len) ||
	       (len >= hlen && skb->len > len && !pskb_trim_rcsum(skb, len));
}

static __always_inline enum k8snet_flow_verdict
rx_ipv4(struct k8snet_net *kn, struct sk_buff *skb)
{
	const struct iphdr *iph;
	struct k8snet_flow *f;
	__be32 ports;

	if (!headers_whole(skb, false))
		return K8SNET_FLOW_MISS;
	iph = ip_hdr(skb);
	if (unlikely(*(const u8 *)iph != 0x45 || ip_is_fragment(iph) ||
		     iph->ttl <= 1 || !l4_carried(iph + 1, iph->protocol)))
		return K8SNET_FLOW_MISS;

	memcpy(&ports, iph + 1, sizeof(ports));
	f = k8snet_flow_lookup4(kn, &iph->saddr, ports,
				(u32)skb->dev->ifindex << 8 | iph->protocol);
	if (!f || !flow_usable(kn, f, skb, iph + 1) ||
	    !length_settle(skb, ntohs(iph->tot_len),
			   sizeof(*iph) + l4_len(f->proto)))
		return K8SNET_FLOW_MISS;
	return flow_output(kn, skb, f, NFPROTO_IPV4, false);
}

static __always_inline enum k8snet_flow_verdict
rx_ipv6(struct k8snet_net *kn, struct sk_buff *skb)
{
	const struct ipv6hdr *ip6h;
	struct k8snet_flow *f;
	__be32 ports;

	if (!headers_whole(skb, true))
		return K8SNET_FLOW_MISS;
	ip6h = ipv6_hdr(skb);
	if (unlikely(ip6h->version != 6 || ip6h->hop_limit <= 1 ||
		     !l4_carried(ip6h + 1, ip6h->nexthdr)))
		return K8SNET_FLOW_MISS;

	memcpy(&ports, ip6h + 1, sizeof(ports));
	f = k8snet_flow_lookup6(kn, &ip6h->saddr, ports,
				(u32)skb->dev->ifindex << 8 | ip6h->nexthdr);
	/* A length of 0 is a jumbogram's or that of GSO beyond 64 kB. */
	if (!f || !flow_usable(kn, f, skb, ip6h + 1) ||
	    !length_settle(skb, ntohs(ip6h->payload_len) + sizeof(*ip6h),
			   sizeof(*ip6h) + l4_len(f->proto)))
		return K8SNET_FLOW_MISS;
	return flow_output(kn, skb, f, NFPROTO_IPV6, false);
}

enum k8snet_flow_verdict k8snet_flow_rx(struct k8snet_net *kn,
					struct sk_buff *skb)
{
	if (unlikely(skb_vlan_tag_present(skb)))
		return K8SNET_FLOW_MISS;
	if (skb->protocol == htons(ETH_P_IP))
		return rx_ipv4(kn, skb);
	if (skb->protocol == htons(ETH_P_IPV6))
		return rx_ipv6(kn, skb);
	return K8SNET_FLOW_MISS;
}

enum k8snet_flow_verdict k8snet_flow_output(struct k8snet_net *kn,
					    struct sk_buff *skb,
					    struct k8snet_flow *f)
{
	if (f->family == NFPROTO_IPV4)
		return flow_output(kn, skb, f, NFPROTO_IPV4, true);
	return flow_output(kn, skb, f, NFPROTO_IPV6, true);
}
