// SPDX-License-Identifier: GPL-2.0
/*
 * Where packets go: what the stack sends on the bridge, and what helps the
 * stack decide to send it there.
 *
 * The stack routes and filters; it has decided that a packet leaves by the
 * bridge, when it is handed to k8snet_bridge_xmit(). Which pod, or which node
 * of a pod route, follows from the packet's IP destination alone: a MAC that
 * the stack remembers may be older than the tables.
 */

#include <linux/etherdevice.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/if_vlan.h>
#include <linux/inetdevice.h>
#include <linux/ip.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <net/arp.h>
#include <net/dst.h>
#include <net/dst_metadata.h>
#include <net/icmp.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/neighbour.h>
#include <net/route.h>

#include "bridge.h"
#include "drop.h"
#include "dsr.h"
#include "flow.h"
#include "netns.h"
#include "pod.h"
#include "route.h"
#include "stats.h"

/* Is the packet, or each of what it will be segmented into, too big for @mtu?
 * skb->data is the network header or what is @hlen bytes before it.
 */
static bool forward_too_big(const struct sk_buff *skb, unsigned int mtu)
{
	if (skb->len - skb_network_offset(skb) <= mtu)
		return false;
	return !skb_is_gso(skb) || !skb_gso_validate_network_len(skb, mtu);
}

/*
 * Tells the sender, who may be the node itself, that @mtu is what goes through
 * here. The *_ndo_send() variants undo what source NAT has done to the packet,
 * for by now it has passed POST_ROUTING. Frees nothing.
 */
static void forward_tell_mtu(struct k8snet_bridge *br, struct sk_buff *skb,
			     u8 family, unsigned int mtu)
{
	if (!skb_valid_dst(skb))	/* a packet socket's */
		return;
	skb_dst_update_pmtu_no_confirm(skb, mtu);
	if (family == NFPROTO_IPV4)
		icmp_ndo_send(skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED,
			      htonl(mtu));
	else
		icmpv6_ndo_send(skb, ICMPV6_PKT_TOOBIG, 0, mtu);
}

static bool ipv4_may_fragment(const struct sk_buff *skb)
{
	return !(ip_hdr(skb)->frag_off & htons(IP_DF)) || skb->ignore_df;
}

/* Copies of a frame of the node's own to every pod. */
static netdev_tx_t xmit_flood(struct k8snet_bridge *br, struct sk_buff *skb)
{
	struct k8snet_port *port;
	struct sk_buff *copy;

	list_for_each_entry_rcu(port, &br->ports, node) {
		if (!k8snet_port_running(port))
			continue;
		if (forward_too_big(skb, READ_ONCE(port->dev->mtu))) {
			k8snet_drop_note(br->kn, skb, K8SNET_STAT_TOO_BIG,
					 NULL);
			continue;
		}
		copy = skb_clone(skb, GFP_ATOMIC);
		if (!copy) {
			k8snet_stat_inc(br->kn, NOMEM);
			break;
		}
		copy->dev = port->dev;
		dev_queue_xmit(copy);
	}
	dev_sw_netstats_tx_add(br->dev, 1, skb->len);
	consume_skb(skb);
	return NETDEV_TX_OK;
}

static netdev_tx_t xmit_drop(struct k8snet_bridge *br, struct sk_buff *skb,
			     enum k8snet_stat reason)
{
	DEV_STATS_INC(br->dev, tx_dropped);
	k8snet_drop(br->kn, skb, reason);
	return NETDEV_TX_OK;
}

static netdev_tx_t xmit_to_pod(struct k8snet_bridge *br, struct sk_buff *skb,
			       const struct k8snet_pod *pod, u8 family)
{
	const struct k8snet_port *port = pod->port;
	unsigned int mtu = READ_ONCE(port->dev->mtu);

	if (unlikely(!k8snet_port_running(port)))
		return xmit_drop(br, skb, K8SNET_STAT_PORT_DOWN);
	/* The bridge's MTU may be set to more than this port's. */
	if (unlikely(forward_too_big(skb, mtu))) {
		forward_tell_mtu(br, skb, family, mtu);
		return xmit_drop(br, skb, K8SNET_STAT_TOO_BIG);
	}
	if (skb_cow_head(skb, 0))
		return xmit_drop(br, skb, K8SNET_STAT_NOMEM);
	skb_reset_mac_header(skb);
	ether_addr_copy(eth_hdr(skb)->h_dest, pod->lladdr);
	ether_addr_copy(eth_hdr(skb)->h_source, br->dev->dev_addr);

	k8snet_stat_inc(br->kn, TO_POD);
	dev_sw_netstats_tx_add(br->dev, 1, skb->len);
	skb->dev = port->dev;
	dev_queue_xmit(skb);
	return NETDEV_TX_OK;
}

/*
 * neigh_xmit(), but for who asks. ARP takes the source of the packet that waits
 * for the answer as its own, if that is one of the node's: of the node's own
 * packets the bridge's address. The other node has its pod route to that and,
 * with strict reverse path filtering, does not answer who is not where its
 * route says. A first question without a packet is asked by the address of
 * @dev.
 */
static void to_node_neigh_ipv4(struct sk_buff *skb, struct net_device *dev,
			       __be32 nexthop)
{
	struct neighbour *n;

	n = __ipv4_neigh_lookup_noref(dev, (__force u32)nexthop);
	if (!n)
		n = __neigh_create(&arp_tbl, &nexthop, dev, false);
	if (IS_ERR(n)) {
		k8snet_drop(k8snet_net(dev_net(dev)), skb,
			    K8SNET_STAT_NO_NEIGHBOUR);
		return;
	}
	if (unlikely(!(READ_ONCE(n->nud_state) & NUD_VALID)))
		neigh_event_send(n, NULL);
	neigh_output(n, skb, false);
}

/*
 * Out towards the node of pod route @r. skb_dst() is the route to that node;
 * the packet's own destination says nothing about the next hop, hence not
 * dst_output(). The route is dropped here: a packet that waits for the
 * neighbour to be resolved would otherwise be sent, once it is, to what its
 * route and destination name together, and the pod is nobody's neighbour.
 * Consumes @skb. Context: RCU, BH off.
 */
void k8snet_forward_to_node(struct k8snet_route *r, struct sk_buff *skb)
{
	struct dst_entry *dst = skb_dst(skb);
	struct net_device *dev = dst_dev(dst);
	struct in6_addr nexthop6;
	bool arp = false;
	__be32 nexthop;

	if (skb_cow_head(skb, LL_RESERVED_SPACE(dev))) {
		k8snet_drop(k8snet_net(dev_net(dev)), skb, K8SNET_STAT_NOMEM);
		return;
	}
	if (r->prefix.family == NFPROTO_IPV6) {
		nexthop6 = *rt6_nexthop(dst_rt6_info(dst), &r->via.in6);
	} else if (dst_rtable(dst)->rt_gw_family == AF_INET6) {
		nexthop6 = dst_rtable(dst)->rt_gw6;
	} else {
		nexthop = rt_nexthop(dst_rtable(dst), r->via.ip);
		arp = true;
	}
	skb->dev = dev;
	skb_dst_drop(skb);
	if (arp)
		to_node_neigh_ipv4(skb, dev, nexthop);
	else
		neigh_xmit(NEIGH_ND_TABLE, dev, &nexthop6, skb);
}

/* A fragment, made by ip_do_fragment(), which carries nothing of ours along.
 * Context: as the caller of ip_do_fragment() here: RCU, BH off.
 */
static int to_node_fragment(struct net *net, struct sock *sk,
			    struct sk_buff *skb)
{
	struct k8snet_route *r;
	union nf_inet_addr daddr;

	k8snet_addr_from_ip(&daddr, ip_hdr(skb)->daddr);
	r = k8snet_route_lookup_rcu(k8snet_net(net), &daddr, NFPROTO_IPV4);
	if (!r) {
		k8snet_drop(k8snet_net(net), skb, K8SNET_STAT_NO_ROUTE);
		return -ENETUNREACH;
	}
	k8snet_forward_to_node(r, skb);
	return 0;
}

static void xmit_fragments(struct k8snet_net *kn, struct sk_buff *skb)
{
	/* Left by whoever had the packet last, a qdisc for one. */
	memset(IPCB(skb), 0, sizeof(*IPCB(skb)));
	ip_do_fragment(kn->net, NULL, skb, to_node_fragment);
}

static void count_to_node(struct k8snet_bridge *br, const struct sk_buff *skb)
{
	k8snet_stat_inc(br->kn, TO_NODE);
	dev_sw_netstats_tx_add(br->dev, 1, skb->len + ETH_HLEN);
}

/* Segments that are too big are fragmented, as ip_finish_output_gso() does.
 * skb->data is the network header, and the packet holds its route, of which each
 * segment gets a reference. Consumes @skb. Context: RCU, BH off.
 */
static netdev_tx_t xmit_segments(struct k8snet_bridge *br, struct sk_buff *skb,
				 struct k8snet_route *r, unsigned int mtu)
{
	struct sk_buff *segs = skb_gso_segment(skb, 0);
	struct sk_buff *next;

	if (IS_ERR_OR_NULL(segs))
		return xmit_drop(br, skb, K8SNET_STAT_TOO_BIG);
	count_to_node(br, skb);
	consume_skb(skb);
	skb_list_walk_safe(segs, skb, next) {
		skb_mark_not_on_list(skb);
		if (skb->len > mtu)
			xmit_fragments(br->kn, skb);
		else
			k8snet_forward_to_node(r, skb);
	}
	return NETDEV_TX_OK;
}

static netdev_tx_t xmit_to_node(struct k8snet_bridge *br, struct sk_buff *skb,
				struct k8snet_route *r)
{
	struct k8snet_net *kn = br->kn;
	u8 family = r->prefix.family;
	struct dst_entry *dst;
	unsigned int mtu, overhead;
	union nf_inet_addr saddr;
	bool fragment = false;

	dst = k8snet_route_dst(kn, r, &saddr);
	if (unlikely(!dst))
		return xmit_drop(br, skb, K8SNET_STAT_NO_ROUTE);

	__skb_pull(skb, skb_network_offset(skb));
	overhead = k8snet_dsr_overhead(kn, skb, family);
	mtu = dst_mtu(dst) - overhead;
	if (unlikely(forward_too_big(skb, mtu))) {
		fragment = family == NFPROTO_IPV4 && ipv4_may_fragment(skb) &&
			   !overhead;
		if (!fragment) {
			forward_tell_mtu(br, skb, family, mtu);
			dst_release(dst);
			return xmit_drop(br, skb, K8SNET_STAT_TOO_BIG);
		}
	}

	if (unlikely(overhead) && k8snet_dsr_xmit(kn, skb, r, dst, &saddr))
		return NETDEV_TX_OK;
	skb_dst_drop(skb);
	skb_dst_set(skb, dst);
	if (unlikely(fragment && skb_is_gso(skb)))
		return xmit_segments(br, skb, r, mtu);
	count_to_node(br, skb);
	if (unlikely(fragment))
		xmit_fragments(kn, skb);
	else
		k8snet_forward_to_node(r, skb);
	return NETDEV_TX_OK;
}

/* The stack has forwarded a packet from the bridge to where this @gen is. */
static void note_routed(const struct k8snet_bridge *br,
			const struct sk_buff *skb, u32 *routed, u32 gen)
{
	if (skb->skb_iif == br->dev->ifindex && !skb->sk &&
	    READ_ONCE(*routed) != gen)
		WRITE_ONCE(*routed, gen);
}

static netdev_tx_t xmit_unicast(struct k8snet_bridge *br, struct sk_buff *skb,
				u8 family)
{
	struct k8snet_net *kn = br->kn;
	u32 gen = k8snet_flow_gen(kn);
	union nf_inet_addr src, dst;
	struct k8snet_pod *pod;
	struct k8snet_route *r;

	k8snet_skb_addrs(skb, family, &src, &dst);
	pod = k8snet_pod_lookup_rcu(kn, &dst, family);
	/* A pod's link-local address is known by its neighbour entry only. */
	if (!pod && family == NFPROTO_IPV6 &&
	    ipv6_addr_type(&dst.in6) & IPV6_ADDR_LINKLOCAL)
		pod = k8snet_pod_lookup_lladdr_rcu(br, eth_hdr(skb)->h_dest);
	if (likely(pod && pod->port->br == br)) {
		note_routed(br, skb,
			    &pod->routed_gen[k8snet_family_index(family)], gen);
		k8snet_flow_learn(br, skb, family, pod, NULL, gen);
		return xmit_to_pod(br, skb, pod, family);
	}

	r = pod ? NULL : k8snet_route_lookup_rcu(kn, &dst, family);
	if (r) {
		note_routed(br, skb, &r->routed_gen, gen);
		k8snet_flow_learn(br, skb, family, NULL, r, gen);
		return xmit_to_node(br, skb, r);
	}

	return xmit_drop(br, skb, K8SNET_STAT_NO_POD);
}

/* Sets skb->protocol, which a packet socket may have left at 0, the network
 * header, and pulls the IP header.
 */
static bool xmit_parse(struct sk_buff *skb, u8 *family)
{
	skb_reset_mac_header(skb);
	if (!pskb_may_pull(skb, ETH_HLEN) || skb_vlan_tag_present(skb))
		return false;
	skb->protocol = eth_hdr(skb)->h_proto;
	skb_set_network_header(skb, ETH_HLEN);
	switch (skb->protocol) {
	case htons(ETH_P_IP):
		*family = NFPROTO_IPV4;
		return pskb_may_pull(skb, ETH_HLEN + sizeof(struct iphdr)) &&
		       ip_hdr(skb)->version == 4 && ip_hdr(skb)->ihl >= 5;
	case htons(ETH_P_IPV6):
		*family = NFPROTO_IPV6;
		return pskb_may_pull(skb, ETH_HLEN + sizeof(struct ipv6hdr)) &&
		       ipv6_hdr(skb)->version == 6;
	case htons(ETH_P_ARP):
		*family = NFPROTO_ARP;
		return true;
	}
	return false;
}

/*
 * ndo_start_xmit. Context: RCU, BH off, no transmit lock: several CPUs at a
 * time. skb->data is the Ethernet header. Never busy.
 */
netdev_tx_t k8snet_bridge_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct k8snet_bridge *br = k8snet_bridge_priv(dev);
	netdev_tx_t ret;
	u8 family;

	rcu_read_lock();
	if (unlikely(!xmit_parse(skb, &family))) {
		ret = xmit_drop(br, skb, K8SNET_STAT_BRIDGE_TX_INVALID);
		goto out;
	}
	if (unlikely(k8snet_neigh_xmit(br, skb))) {
		consume_skb(skb);
		ret = NETDEV_TX_OK;
		goto out;
	}
	if (unlikely(is_multicast_ether_addr(eth_hdr(skb)->h_dest)))
		ret = xmit_flood(br, skb);
	else if (unlikely(family == NFPROTO_ARP))
		ret = xmit_drop(br, skb, K8SNET_STAT_BRIDGE_TX_INVALID);
	else
		ret = xmit_unicast(br, skb, family);
out:
	rcu_read_unlock();
	return ret;
}

/* A pod bridge that packets to @dst leave by, or NULL. */
static bool forward_by_bridge(struct k8snet_net *kn,
			      const struct net_device *dev,
			      const union nf_inet_addr *dst, u8 family)
{
	const struct k8snet_route *r;
	const struct k8snet_pod *pod;

	pod = k8snet_pod_lookup_rcu(kn, dst, family);
	if (pod)
		return pod->port->br->dev == dev;
	r = k8snet_route_lookup_rcu(kn, dst, family);
	return r && r->bridge == dev;
}

/* Routes an IPv4 packet as if it had come in on @dev. Without success the
 * packet is left to the stack, which will find out the same and say so.
 */
static void forward_route_ipv4(struct sk_buff *skb, struct net_device *dev)
{
	const struct iphdr *iph = ip_hdr(skb);

	if (skb_valid_dst(skb) ||
	    ip_route_input_noref(skb, iph->daddr, iph->saddr, ip4h_dscp(iph),
				 dev))
		return;
	IPCB(skb)->flags &= ~IPSKB_DOREDIRECT;
}

/*
 * A packet of a remote pod that comes from its node: with strict reverse path
 * filtering the stack would miss the bridge, which its route to that pod goes
 * by, and drop it. It is asked for the bridge instead, as for the members of a
 * VRF; only on the device by which we reach that node ourselves, so that
 * nobody else gets past the filter. IPv6 has no such filter.
 */
static void forward_from_node(struct k8snet_net *kn, struct sk_buff *skb)
{
	struct in_device *in_dev = __in_dev_get_rcu(skb->dev);
	union nf_inet_addr src;
	struct k8snet_route *r;
	struct dst_entry *dst;

	if (!in_dev || IN_DEV_RPFILTER(in_dev) != 1)
		return;
	k8snet_addr_from_ip(&src, ip_hdr(skb)->saddr);
	r = k8snet_route_lookup_rcu(kn, &src, NFPROTO_IPV4);
	if (!r)
		return;
	dst = k8snet_route_dst(kn, r, NULL);
	if (!dst)
		return;
	if (dst_dev(dst) == skb->dev)
		forward_route_ipv4(skb, r->bridge);
	dst_release(dst);
}

/*
 * The last hook of PRE_ROUTING, after NAT. Packets between pods, and from a
 * pod to a pod route, come in and go out by the bridge. The stack takes that
 * for a detour and would send the pod an ICMP redirect, which is wrong here:
 * pods do not reach each other on their own.
 *
 * IPv4 notes what to do in the packet while routing it, so it is routed here
 * and the note wiped out. IPv6 compares the two devices when forwarding, the
 * ingress one as the packet's control block names it: that becomes loopback,
 * which nothing is ever forwarded to. (The port that the packet really came in
 * by is no longer known: skb_iif is overwritten for the second pass.) What
 * else reads it afterwards is statistics of the device and, from 6.17 on, the
 * per-device force_forwarding, which therefore has no effect on a pod bridge.
 *
 * Context: RCU, BH off. The stack has checked the IP header.
 */
unsigned int k8snet_forward_prerouting(void *priv, struct sk_buff *skb,
				       const struct nf_hook_state *state)
{
	struct k8snet_net *kn = k8snet_net(state->net);
	union nf_inet_addr src, dst;

	if (!k8snet_bridge_dev(skb->dev)) {
		if (state->pf == NFPROTO_IPV4 &&
		    rcu_access_pointer(kn->route_lens))
			forward_from_node(kn, skb);
		return NF_ACCEPT;
	}
	k8snet_skb_addrs(skb, state->pf, &src, &dst);
	if (!forward_by_bridge(kn, skb->dev, &dst, state->pf))
		return NF_ACCEPT;
	if (state->pf == NFPROTO_IPV4)
		forward_route_ipv4(skb, skb->dev);
	else
		IP6CB(skb)->iif = LOOPBACK_IFINDEX;
	return NF_ACCEPT;
}
