// SPDX-License-Identifier: GPL-2.0
/*
 * The packets of known flows. Everything that is not plainly so is a miss and
 * goes to the stack untouched: fragments, IP options, a TTL that ends here,
 * SYN, FIN and RST, packets too big for the way out, devices with a queue or
 * a program that must see the packet.
 */

#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/netfilter/nf_conntrack_acct.h>
#include <net/netfilter/nf_conntrack_l4proto.h>
#include <net/sch_generic.h>

#include "flow.h"

/*
 * Keeps the conntrack entry from expiring, as each packet would have in the
 * stack; once a second is often enough for timeouts of 30 seconds and more.
 * False: the stack must see this packet, because the entry has timed out, or
 * because it alone decides that a UDP flow is a stream and assured.
 */
static bool flow_refresh(struct k8snet_net *kn, struct k8snet_flow *f)
{
	struct nf_conn *ct = f->ct;
	u32 timeout;

	if (nf_ct_is_expired(ct)) {
		k8snet_flow_remove(kn, f);
		return false;
	}
	WRITE_ONCE(f->refresh, jiffies + HZ);
	if (f->proto == IPPROTO_TCP) {
		timeout = READ_ONCE(nf_tcp_pernet(kn->net)->timeouts
				    [TCP_CONNTRACK_ESTABLISHED]);
	} else {
		if (!test_bit(IPS_ASSURED_BIT, &ct->status))
			return false;
		timeout = READ_ONCE(nf_udp_pernet(kn->net)->timeouts
				    [UDP_CT_REPLIED]);
	}
	WRITE_ONCE(ct->timeout, nfct_time_stamp + timeout);
	return true;
}

/* Would what is attached to the way to a pod see and perhaps keep the packet?
 * A queueing discipline (bandwidth limits), tc and netfilter egress on the
 * bridge's port, XDP on the pod's device. (Generic XDP and tc ingress there
 * come after us.)
 */
static bool pod_path_plain(const struct net_device *port,
			   const struct net_device *peer)
{
	const struct netdev_queue *txq = netdev_get_tx_queue(port, 0);

	return !k8snet_dev_has_nf_egress(port) &&
	       !k8snet_dev_has_tc_egress(port) &&
	       !rcu_dereference(txq->qdisc)->enqueue &&
	       !peer->xdp_state[XDP_MODE_DRV].prog &&
	       !peer->xdp_state[XDP_MODE_DRV].link;
}

/* The pod's end of the port, if packets may be put there; else NULL. */
static struct net_device *pod_device(const struct k8snet_flow *f)
{
	const struct net_device_ops *ops = f->port->netdev_ops;
	struct net_device *peer;

	if (unlikely(!ops->ndo_get_peer_dev || !netif_running(f->port)))
		return NULL;
	peer = ops->ndo_get_peer_dev(f->port);
	if (unlikely(!peer || !(peer->flags & IFF_UP) ||
		     !pod_path_plain(f->port, peer)))
		return NULL;
	return peer;
}

static bool too_big(const struct sk_buff *skb, unsigned int mtu)
{
	return skb->len > mtu &&
	       (!skb_is_gso(skb) || !skb_gso_validate_network_len(skb, mtu));
}

/* A shared packet cannot get more headroom than it has. */
static bool room_for_header(const struct sk_buff *skb,
			    const struct net_device *dev)
{
	return !skb_shared(skb) ||
	       skb_headroom(skb) >= LL_RESERVED_SPACE(dev);
}

/* One checksum field of the transport header. See
 * inet_proto_csum_replace_by_diff(): where the device is to finish it, only
 * the pseudo-header is in it yet.
 */
static __always_inline void l4_csum_update(struct sk_buff *skb, __sum16 *check,
					   const struct k8snet_flow *f,
					   bool ipv6)
{
	if (skb->ip_summed == CHECKSUM_PARTIAL) {
		*check = ~csum_fold(csum_add(f->addr_diff,
					     csum_unfold(*check)));
		return;
	}
	*check = csum_fold(csum_add(f->full_diff, ~csum_unfold(*check)));
	/* The IPv4 header sums up to the same as before; the transport header
	 * has changed by minus what its pseudo-header has.
	 */
	if (skb->ip_summed == CHECKSUM_COMPLETE && !ipv6)
		skb->csum = csum_sub(skb->csum, f->addr_diff);
}

static __always_inline void l4_translate(struct sk_buff *skb,
					 const struct k8snet_flow *f,
					 unsigned int thoff, bool ipv6)
{
	void *th = skb_network_header(skb) + thoff;

	if (f->proto == IPPROTO_TCP) {
		struct tcphdr *tcph = th;

		l4_csum_update(skb, &tcph->check, f, ipv6);
	} else {
		struct udphdr *uh = th;

		if (uh->check || skb->ip_summed == CHECKSUM_PARTIAL) {
			l4_csum_update(skb, &uh->check, f, ipv6);
			if (!uh->check)
				uh->check = CSUM_MANGLED_0;
		}
	}
	memcpy(th, &f->ports, sizeof(f->ports));
}

static __always_inline void ipv4_translate(struct sk_buff *skb,
					   const struct k8snet_flow *f)
{
	struct iphdr *iph = ip_hdr(skb);

	l4_translate(skb, f, sizeof(*iph), false);
	iph->saddr = f->src.ip;
	iph->daddr = f->dst.ip;
	iph->check = csum_fold(csum_add(f->addr_diff,
					~csum_unfold(iph->check)));
	ip_decrease_ttl(iph);
}

static __always_inline void ipv6_translate(struct sk_buff *skb,
					   const struct k8snet_flow *f)
{
	struct ipv6hdr *ip6h = ipv6_hdr(skb);

	l4_translate(skb, f, sizeof(*ip6h), true);
	ip6h->saddr = f->src.in6;
	ip6h->daddr = f->dst.in6;
	ip6h->hop_limit--;
}

/* Is the flow still what it was when it was learned, and the packet one that
 * it may carry? Removes a flow whose connection is over.
 */
static __always_inline bool flow_usable(struct k8snet_net *kn,
					struct k8snet_flow *f,
					const struct sk_buff *skb)
{
	if (unlikely(f->gen != k8snet_flow_gen(kn)))
		return false;
	if (unlikely(nf_ct_is_dying(f->ct) ||
		     (f->proto == IPPROTO_TCP &&
		      READ_ONCE(f->ct->proto.tcp.state) !=
		      TCP_CONNTRACK_ESTABLISHED))) {
		k8snet_flow_remove(kn, f);
		return false;
	}
	if (f->check_lladdr &&
	    unlikely(!ether_addr_equal(eth_hdr(skb)->h_source, f->lladdr)))
		return false;
	if (unlikely(time_after_eq(jiffies, READ_ONCE(f->refresh))))
		return flow_refresh(kn, f);
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

static __always_inline void flow_count(struct k8snet_net *kn,
				       struct k8snet_flow *f,
				       const struct sk_buff *skb)
{
	WRITE_ONCE(f->packets, f->packets + 1);
	WRITE_ONCE(f->bytes, f->bytes + skb->len);
	nf_ct_acct_update(f->ct, f->dir, skb->len);
	dev_sw_netstats_rx_add(f->bridge, skb->len);
	dev_sw_netstats_tx_add(f->bridge, 1, skb->len);
	k8snet_stat_inc(kn, FLOW_PACKETS);
}

static __always_inline enum k8snet_flow_verdict
flow_output(struct k8snet_net *kn, struct sk_buff *skb, struct k8snet_flow *f,
	    u8 family, unsigned int thlen)
{
	const unsigned int hlen = family == NFPROTO_IPV4 ?
				  sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	struct net_device *peer = NULL;
	struct dst_entry *dst = NULL;

	if (f->route) {
		dst = k8snet_route_dst(kn, f->route, NULL);
		if (unlikely(!dst))
			return K8SNET_FLOW_MISS;
		if (unlikely(too_big(skb, dst_mtu(dst)) ||
			     !room_for_header(skb, dst_dev(dst))))
			goto miss;
	} else {
		peer = pod_device(f);
		if (unlikely(!peer || too_big(skb, f->mtu)))
			return K8SNET_FLOW_MISS;
	}
	if (skb_cloned(skb) &&
	    unlikely(skb_ensure_writable(skb, hlen + thlen)))
		goto miss;

	if (family == NFPROTO_IPV4)
		ipv4_translate(skb, f);
	else
		ipv6_translate(skb, f);
	flow_count(kn, f, skb);

	packet_scrub(skb, f);
	if (dst) {
		skb_dst_set(skb, dst);
		k8snet_forward_to_node(f->route, skb);
		return K8SNET_FLOW_CONSUMED;
	}
	ether_addr_copy(eth_hdr(skb)->h_dest, f->h_dest);
	ether_addr_copy(eth_hdr(skb)->h_source, f->h_source);
	skb->dev = peer;
	return K8SNET_FLOW_POD;

miss:
	dst_release(dst);
	return K8SNET_FLOW_MISS;
}

/* Bytes of transport header that are needed, or 0 for a miss. Only a TCP
 * segment that neither opens nor closes is carried.
 */
static __always_inline unsigned int l4_check(struct sk_buff *skb, u8 proto,
					     unsigned int thoff)
{
	const struct tcphdr *th;

	if (proto == IPPROTO_UDP)
		return pskb_may_pull(skb, thoff + sizeof(struct udphdr)) ?
		       sizeof(struct udphdr) : 0;
	if (proto != IPPROTO_TCP ||
	    !pskb_may_pull(skb, thoff + sizeof(struct tcphdr)))
		return 0;
	th = (void *)(skb_network_header(skb) + thoff);
	if (tcp_flag_word(th) & (TCP_FLAG_SYN | TCP_FLAG_FIN | TCP_FLAG_RST))
		return 0;
	return sizeof(struct tcphdr);
}

static enum k8snet_flow_verdict rx_ipv4(struct k8snet_net *kn,
					struct sk_buff *skb)
{
	struct k8snet_flow_key4 key;
	const struct iphdr *iph;
	struct k8snet_flow *f;
	unsigned int thlen, len;

	if (unlikely(!pskb_may_pull(skb, sizeof(*iph))))
		return K8SNET_FLOW_MISS;
	iph = ip_hdr(skb);
	if (unlikely(*(const u8 *)iph != 0x45 || ip_is_fragment(iph) ||
		     iph->ttl <= 1))
		return K8SNET_FLOW_MISS;
	thlen = l4_check(skb, iph->protocol, sizeof(*iph));
	if (!thlen)
		return K8SNET_FLOW_MISS;

	iph = ip_hdr(skb);
	key.src = iph->saddr;
	key.dst = iph->daddr;
	memcpy(&key.ports, iph + 1, sizeof(key.ports));
	key.iif_proto = (u32)skb->dev->ifindex << 8 | iph->protocol;
	f = k8snet_flow_lookup4(kn, &key);
	if (!f || !flow_usable(kn, f, skb))
		return K8SNET_FLOW_MISS;

	/* Padding of short frames; a length that lies is the stack's. */
	len = ntohs(iph->tot_len);
	if (unlikely(skb->len != len) &&
	    (len < sizeof(*iph) + thlen || skb->len < len ||
	     pskb_trim_rcsum(skb, len)))
		return K8SNET_FLOW_MISS;
	return flow_output(kn, skb, f, NFPROTO_IPV4, thlen);
}

static enum k8snet_flow_verdict rx_ipv6(struct k8snet_net *kn,
					struct sk_buff *skb)
{
	const struct ipv6hdr *ip6h;
	struct k8snet_flow_key6 key;
	struct k8snet_flow *f;
	unsigned int thlen, len;

	if (unlikely(!pskb_may_pull(skb, sizeof(*ip6h))))
		return K8SNET_FLOW_MISS;
	ip6h = ipv6_hdr(skb);
	if (unlikely(ip6h->version != 6 || ip6h->hop_limit <= 1))
		return K8SNET_FLOW_MISS;
	thlen = l4_check(skb, ip6h->nexthdr, sizeof(*ip6h));
	if (!thlen)
		return K8SNET_FLOW_MISS;

	ip6h = ipv6_hdr(skb);
	key.src = ip6h->saddr;
	key.dst = ip6h->daddr;
	memcpy(&key.ports, ip6h + 1, sizeof(key.ports));
	key.iif_proto = (u32)skb->dev->ifindex << 8 | ip6h->nexthdr;
	f = k8snet_flow_lookup6(kn, &key);
	if (!f || !flow_usable(kn, f, skb))
		return K8SNET_FLOW_MISS;

	/* 0 is a jumbogram or GSO beyond 64 kB. */
	len = ntohs(ip6h->payload_len) + sizeof(*ip6h);
	if (unlikely(skb->len != len) &&
	    (len < sizeof(*ip6h) + thlen || skb->len < len ||
	     pskb_trim_rcsum(skb, len)))
		return K8SNET_FLOW_MISS;
	return flow_output(kn, skb, f, NFPROTO_IPV6, thlen);
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
