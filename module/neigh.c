// SPDX-License-Identifier: GPL-2.0
/*
 * ARP and neighbour discovery. Pods and the node both see a link on which
 * everybody is reached through the bridge; the answers come from the tables of
 * pods and pod routes, and nothing is remembered about who asked.
 *
 * To a pod every address that the node can reach for it has the bridge's MAC.
 * To the node's stack a pod has its own MAC, and an address behind a pod route
 * the bridge's.
 */

#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/inetdevice.h>
#include <linux/netdevice.h>
#include <net/addrconf.h>
#include <net/arp.h>
#include <net/ip6_checksum.h>
#include <net/ipv6.h>
#include <net/ndisc.h>
#include <net/neighbour.h>

#include "bridge.h"
#include "drop.h"
#include "netns.h"
#include "node.h"
#include "pod.h"
#include "route.h"
#include "stats.h"

/* What an ARP message for IPv4 on Ethernet holds behind struct arphdr. */
struct arp_body {
	u8 sha[ETH_ALEN];
	__be32 sip;
	u8 tha[ETH_ALEN];
	__be32 tip;
} __packed;

/* The message, checked and pulled, or NULL. */
static const struct arp_body *arp_pull(struct sk_buff *skb, __be16 *op)
{
	const struct arphdr *arp;

	if (!pskb_network_may_pull(skb, sizeof(*arp) + sizeof(struct arp_body)))
		return NULL;
	arp = arp_hdr(skb);
	if (arp->ar_hrd != htons(ARPHRD_ETHER) ||
	    arp->ar_pro != htons(ETH_P_IP) ||
	    arp->ar_hln != ETH_ALEN || arp->ar_pln != 4)
		return NULL;
	*op = arp->ar_op;
	return (const struct arp_body *)(arp + 1);
}

/* Is @addr an address of the node itself, tentative ones included? */
static bool neigh_is_local(const struct k8snet_net *kn,
			   const union nf_inet_addr *addr, u8 family)
{
	if (family == NFPROTO_IPV4)
		return !ipv4_is_loopback(addr->ip) &&
		       inet_addr_type(kn->net, addr->ip) == RTN_LOCAL;
	return !ipv6_addr_loopback(&addr->in6) &&
	       k8snet_node_has_ip6(kn->net, &addr->in6, NULL);
}

/*
 * Does the bridge answer a pod that asks for @addr? For what it takes packets
 * to, the pods of the asking port left out: they hear the question, too.
 */
static bool neigh_answers_port(struct k8snet_port *port,
			       const union nf_inet_addr *addr, u8 family)
{
	struct k8snet_net *kn = port->br->kn;
	const struct k8snet_pod *pod;

	pod = k8snet_pod_lookup_rcu(kn, addr, family);
	if (pod)
		return pod->port != port;
	return neigh_is_local(kn, addr, family) ||
	       k8snet_route_lookup_rcu(kn, addr, family);
}

/* The MAC that the node's own stack gets for @addr, or NULL. */
static const u8 *neigh_lladdr_for_node(struct k8snet_bridge *br,
				       const union nf_inet_addr *addr, u8 family)
{
	const struct k8snet_pod *pod;

	pod = k8snet_pod_lookup_rcu(br->kn, addr, family);
	if (pod)
		return pod->lladdr;
	if (k8snet_route_lookup_rcu(br->kn, addr, family))
		return br->dev->dev_addr;
	return NULL;
}

/* May a pod of the port with that MAC speak for @addr? */
static bool neigh_owns(struct k8snet_port *port,
		       const union nf_inet_addr *addr, u8 family,
		       const u8 *lladdr)
{
	return k8snet_port_owns(port, k8snet_pod_lookup_rcu(port->br->kn, addr,
							    family), lladdr);
}

/* Is there any pod on the port with that MAC? See port_has_lladdr(). */
static bool neigh_port_has(struct k8snet_port *port, const u8 *lladdr)
{
	const struct k8snet_pod *pod;

	list_for_each_entry_rcu(pod, &port->pods, node)
		if (ether_addr_equal_unaligned(pod->lladdr, lladdr))
			return true;
	return false;
}

enum k8snet_neigh_verdict
k8snet_neigh_rx_arp(struct k8snet_port *port, struct sk_buff *skb)
{
	struct k8snet_bridge *br = port->br;
	const struct arp_body *body;
	union nf_inet_addr sip, tip;
	struct sk_buff *reply;
	u8 sha[ETH_ALEN];
	__be16 op;

	body = arp_pull(skb, &op);
	if (!body)
		return K8SNET_NEIGH_INVALID;
	k8snet_addr_from_ip(&sip, body->sip);
	k8snet_addr_from_ip(&tip, body->tip);
	ether_addr_copy(sha, body->sha);

	if (READ_ONCE(port->antispoof)) {
		if (!ether_addr_equal_unaligned(sha, eth_hdr(skb)->h_source))
			return K8SNET_NEIGH_SPOOFED;
		/* Without an address of its own: a probe (RFC 5227). */
		if (sip.ip ? !neigh_owns(port, &sip, NFPROTO_IPV4, sha) :
			     !neigh_port_has(port, sha))
			return K8SNET_NEIGH_SPOOFED;
	}

	/* The node needs no answers and no announcements: it has the table. */
	if (op != htons(ARPOP_REQUEST) || sip.ip == tip.ip)
		return K8SNET_NEIGH_DROP;
	if (!neigh_answers_port(port, &tip, NFPROTO_IPV4)) {
		/* Its own address, probed, is silence by right. */
		if (!neigh_owns(port, &tip, NFPROTO_IPV4, sha))
			k8snet_drop_note(br->kn, skb,
					 K8SNET_STAT_NEIGH_UNANSWERED, NULL);
		return K8SNET_NEIGH_DROP;
	}

	reply = arp_create(ARPOP_REPLY, ETH_P_ARP, sip.ip, port->dev, tip.ip,
			   sha, br->dev->dev_addr, sha);
	if (!reply) {
		k8snet_stat_inc(br->kn, NOMEM);
		return K8SNET_NEIGH_DROP;
	}
	k8snet_stat_inc(br->kn, ARP_ANSWERED);
	dev_queue_xmit(reply);
	return K8SNET_NEIGH_DROP;
}

/* The link-layer address option @type of a message, NULL if there is none.
 * False if the options cannot be parsed.
 */
static bool nd_option(const struct nd_msg *msg, unsigned int len, u8 type,
		      const u8 **lladdr)
{
	const u8 *opt = msg->opt;
	unsigned int left = len - sizeof(*msg);

	*lladdr = NULL;
	while (left) {
		unsigned int size;

		if (left < 2)
			return false;
		size = opt[1] * 8;
		if (!size || size > left)
			return false;
		if (opt[0] == type && !*lladdr) {
			if (size != 8)		/* Ethernet's */
				return false;
			*lladdr = opt + 2;
		}
		opt += size;
		left -= size;
	}
	return true;
}

/*
 * A neighbour solicitation or advertisement, as ndisc_rcv() checks it: pulled
 * as a whole, checksum verified. NULL if it is not in order.
 */
static const struct nd_msg *nd_pull(struct sk_buff *skb, unsigned int *len)
{
	const struct ipv6hdr *ip6;
	const struct nd_msg *msg;
	unsigned int off;

	if (skb_linearize(skb))
		return NULL;
	ip6 = ipv6_hdr(skb);
	off = skb_network_offset(skb) + sizeof(*ip6);
	*len = ntohs(ip6->payload_len);
	if (*len < sizeof(*msg) || skb->len < off + *len)
		return NULL;
	msg = (const struct nd_msg *)(ip6 + 1);
	if (ip6->hop_limit != 255 || msg->icmph.icmp6_code ||
	    ipv6_addr_is_multicast(&msg->target))
		return NULL;
	/* From a sender on this machine it may not be computed yet. */
	if (skb->ip_summed != CHECKSUM_PARTIAL &&
	    csum_ipv6_magic(&ip6->saddr, &ip6->daddr, *len, IPPROTO_ICMPV6,
			    csum_partial(msg, *len, 0)))
		return NULL;
	return msg;
}

/*
 * An advertisement that @target is at @lladdr, as if @target had sent it: on
 * @dev, Ethernet header included.
 */
static struct sk_buff *nd_advertise(struct net_device *dev, const u8 *eth_src,
				    const u8 *eth_dst,
				    const struct in6_addr *daddr,
				    const struct in6_addr *target,
				    const u8 *lladdr, bool solicited,
				    bool router)
{
	const unsigned int len = sizeof(struct nd_msg) + 8;
	struct ipv6hdr *ip6;
	struct sk_buff *skb;
	struct nd_msg *msg;

	skb = alloc_skb(LL_RESERVED_SPACE(dev) + sizeof(*ip6) + len +
			dev->needed_tailroom, GFP_ATOMIC);
	if (!skb)
		return NULL;
	skb->dev = dev;
	skb->protocol = htons(ETH_P_IPV6);
	skb_reserve(skb, LL_RESERVED_SPACE(dev));

	skb_reset_network_header(skb);
	ip6 = skb_put_zero(skb, sizeof(*ip6));
	ip6->version = 6;
	ip6->payload_len = htons(len);
	ip6->nexthdr = IPPROTO_ICMPV6;
	ip6->hop_limit = 255;
	ip6->saddr = *target;
	ip6->daddr = *daddr;

	skb_set_transport_header(skb, sizeof(*ip6));
	msg = skb_put_zero(skb, len);
	msg->icmph.icmp6_type = NDISC_NEIGHBOUR_ADVERTISEMENT;
	msg->icmph.icmp6_router = router;
	msg->icmph.icmp6_solicited = solicited;
	msg->icmph.icmp6_override = 1;
	msg->target = *target;
	msg->opt[0] = ND_OPT_TARGET_LL_ADDR;
	msg->opt[1] = 1;
	ether_addr_copy(&msg->opt[2], lladdr);
	msg->icmph.icmp6_cksum = csum_ipv6_magic(&ip6->saddr, &ip6->daddr, len,
						 IPPROTO_ICMPV6,
						 csum_partial(msg, len, 0));

	if (dev_hard_header(skb, dev, ETH_P_IPV6, eth_dst, eth_src,
			    skb->len) < 0) {
		kfree_skb(skb);
		return NULL;
	}
	return skb;
}

/* A pod asks. */
static enum k8snet_neigh_verdict nd_rx_solicit(struct k8snet_port *port,
					       struct sk_buff *skb,
					       const struct nd_msg *msg,
					       unsigned int len)
{
	const u8 *eth_src = eth_hdr(skb)->h_source;
	struct k8snet_bridge *br = port->br;
	union nf_inet_addr saddr, target;
	const u8 *lladdr = NULL;
	struct sk_buff *reply;
	bool dad;

	k8snet_addr_from_ip6(&saddr, &ipv6_hdr(skb)->saddr);
	k8snet_addr_from_ip6(&target, &msg->target);
	dad = ipv6_addr_any(&saddr.in6);
	if (!nd_option(msg, len, ND_OPT_SOURCE_LL_ADDR, &lladdr) ||
	    (dad && (lladdr || !ipv6_addr_is_solict_mult(&ipv6_hdr(skb)->daddr))))
		return K8SNET_NEIGH_INVALID;

	if (READ_ONCE(port->antispoof)) {
		if (lladdr && !ether_addr_equal_unaligned(lladdr, eth_src))
			return K8SNET_NEIGH_SPOOFED;
		if (dad || ipv6_addr_type(&saddr.in6) & IPV6_ADDR_LINKLOCAL ?
		    !neigh_port_has(port, eth_src) :
		    !neigh_owns(port, &saddr, NFPROTO_IPV6, eth_src))
			return K8SNET_NEIGH_SPOOFED;
	}

	/* The bridge's own link-local address is the stack's to answer for;
	 * others' are their own affair, and not to be reached from here.
	 */
	if (ipv6_addr_type(&target.in6) & IPV6_ADDR_LINKLOCAL) {
		if (k8snet_node_has_ip6(br->kn->net, &target.in6, br->dev))
			return K8SNET_NEIGH_STACK;
		/* The duplicate address detection of a pod's own one. */
		if (!dad)
			k8snet_drop_note(br->kn, skb,
					 K8SNET_STAT_NEIGH_UNANSWERED, NULL);
		return K8SNET_NEIGH_DROP;
	}

	if (!neigh_answers_port(port, &target, NFPROTO_IPV6)) {
		if (!neigh_owns(port, &target, NFPROTO_IPV6, eth_src))
			k8snet_drop_note(br->kn, skb,
					 K8SNET_STAT_NEIGH_UNANSWERED, NULL);
		return K8SNET_NEIGH_DROP;
	}

	/* As a router: whoever sees one turn into a host drops its default
	 * route, and what the bridge answers for it forwards to.
	 */
	reply = nd_advertise(port->dev, br->dev->dev_addr, eth_src,
			     dad ? &in6addr_linklocal_allnodes : &saddr.in6,
			     &target.in6, br->dev->dev_addr, !dad, true);
	if (!reply) {
		k8snet_stat_inc(br->kn, NOMEM);
		return K8SNET_NEIGH_DROP;
	}
	k8snet_stat_inc(br->kn, ND_ANSWERED);
	dev_queue_xmit(reply);
	return K8SNET_NEIGH_DROP;
}

/* A pod tells. The stack needs to hear only what the table does not have:
 * link-local addresses, but never one of its own.
 */
static enum k8snet_neigh_verdict nd_rx_advert(struct k8snet_port *port,
					      struct sk_buff *skb,
					      const struct nd_msg *msg,
					      unsigned int len)
{
	const u8 *eth_src = eth_hdr(skb)->h_source;
	struct k8snet_bridge *br = port->br;
	union nf_inet_addr saddr, target;
	const u8 *lladdr = NULL;

	k8snet_addr_from_ip6(&saddr, &ipv6_hdr(skb)->saddr);
	k8snet_addr_from_ip6(&target, &msg->target);
	if (!nd_option(msg, len, ND_OPT_TARGET_LL_ADDR, &lladdr))
		return K8SNET_NEIGH_INVALID;

	if (READ_ONCE(port->antispoof)) {
		if (lladdr && !ether_addr_equal_unaligned(lladdr, eth_src))
			return K8SNET_NEIGH_SPOOFED;
		if (ipv6_addr_type(&target.in6) & IPV6_ADDR_LINKLOCAL ?
		    !neigh_port_has(port, eth_src) :
		    !neigh_owns(port, &target, NFPROTO_IPV6, eth_src))
			return K8SNET_NEIGH_SPOOFED;
		if (!(ipv6_addr_type(&saddr.in6) & IPV6_ADDR_LINKLOCAL) &&
		    !neigh_owns(port, &saddr, NFPROTO_IPV6, eth_src))
			return K8SNET_NEIGH_SPOOFED;
		if (neigh_is_local(br->kn, &target, NFPROTO_IPV6))
			return K8SNET_NEIGH_SPOOFED;
	}
	if (!(ipv6_addr_type(&target.in6) & IPV6_ADDR_LINKLOCAL))
		return K8SNET_NEIGH_DROP;
	return K8SNET_NEIGH_STACK;
}

enum k8snet_neigh_verdict
k8snet_neigh_rx_ipv6(struct k8snet_port *port, struct sk_buff *skb)
{
	unsigned int off = skb_network_offset(skb) + sizeof(struct ipv6hdr);
	u8 nexthdr = ipv6_hdr(skb)->nexthdr;
	const struct nd_msg *msg;
	__be16 frag_off = 0;
	const u8 *type;
	unsigned int len;
	int icmp_off;
	u8 buf;

	icmp_off = ipv6_skip_exthdr(skb, off, &nexthdr, &frag_off);
	/* What cannot be walked, and what is not the first fragment, is no
	 * message of ours; the stack sees to it.
	 */
	if (icmp_off < 0 || nexthdr != NEXTHDR_ICMP ||
	    frag_off & htons(IP6_OFFSET))
		return K8SNET_NEIGH_NONE;
	type = skb_header_pointer(skb, icmp_off, sizeof(buf), &buf);
	if (!type)
		return K8SNET_NEIGH_INVALID;
	if (*type < NDISC_ROUTER_SOLICITATION || *type > NDISC_REDIRECT)
		return K8SNET_NEIGH_NONE;
	/* Never behind an extension header (RFC 6980 on fragments; no sender
	 * has a use for others).
	 */
	if (icmp_off != off)
		return K8SNET_NEIGH_INVALID;

	switch (*type) {
	case NDISC_ROUTER_SOLICITATION:
		/* As any packet of the pod: the node may run a daemon. */
		return K8SNET_NEIGH_NONE;
	case NDISC_ROUTER_ADVERTISEMENT:
	case NDISC_REDIRECT:
		/* No pod is the node's router. */
		return READ_ONCE(port->antispoof) ? K8SNET_NEIGH_SPOOFED :
						    K8SNET_NEIGH_NONE;
	}

	msg = nd_pull(skb, &len);
	if (!msg)
		return K8SNET_NEIGH_INVALID;
	if (msg->icmph.icmp6_type == NDISC_NEIGHBOUR_SOLICITATION)
		return nd_rx_solicit(port, skb, msg, len);
	return nd_rx_advert(port, skb, msg, len);
}

/* Gives the stack a frame as if it had come in on the bridge. */
static void neigh_inject(struct sk_buff *skb)
{
	skb_reset_mac_header(skb);
	__skb_pull(skb, skb_network_offset(skb));
	skb->pkt_type = PACKET_HOST;
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	netif_rx(skb);
}

static bool neigh_xmit_arp(struct k8snet_bridge *br, struct sk_buff *skb)
{
	struct net_device *dev = br->dev;
	const struct arp_body *body;
	union nf_inet_addr tip;
	struct sk_buff *reply;
	const u8 *lladdr;
	__be16 op;

	body = arp_pull(skb, &op);
	/* An announcement of the bridge's own address is for all pods. */
	if (!body || (op == htons(ARPOP_REQUEST) && body->sip == body->tip))
		return !body;
	if (op != htons(ARPOP_REQUEST))
		return true;

	k8snet_addr_from_ip(&tip, body->tip);
	lladdr = neigh_lladdr_for_node(br, &tip, NFPROTO_IPV4);
	if (!lladdr) {
		k8snet_drop_note(br->kn, skb,
				 K8SNET_STAT_NEIGH_UNANSWERED, NULL);
		return true;
	}
	reply = arp_create(ARPOP_REPLY, ETH_P_ARP, body->sip, dev, tip.ip,
			   dev->dev_addr, lladdr, dev->dev_addr);
	if (!reply) {
		k8snet_stat_inc(br->kn, NOMEM);
		return true;
	}
	k8snet_stat_inc(br->kn, ARP_ANSWERED);
	neigh_inject(reply);
	return true;
}

static bool neigh_xmit_nd(struct k8snet_bridge *br, struct sk_buff *skb)
{
	struct net_device *dev = br->dev;
	union nf_inet_addr target;
	const struct nd_msg *msg;
	struct sk_buff *reply;
	struct in6_addr saddr;
	const u8 *lladdr;

	/* The stack's own: no extension header, nothing to be checked but the
	 * length, since a packet socket can send here as well.
	 */
	if (!pskb_network_may_pull(skb, sizeof(struct ipv6hdr) +
					sizeof(struct nd_msg)))
		return false;
	msg = (const struct nd_msg *)(ipv6_hdr(skb) + 1);
	if (msg->icmph.icmp6_type != NDISC_NEIGHBOUR_SOLICITATION ||
	    ipv6_addr_type(&msg->target) & IPV6_ADDR_LINKLOCAL)
		return false;

	k8snet_addr_from_ip6(&target, &msg->target);
	saddr = ipv6_hdr(skb)->saddr;
	lladdr = neigh_lladdr_for_node(br, &target, NFPROTO_IPV6);
	if (!lladdr) {
		/* Also the bridge's duplicate address detection: no pod may
		 * have an address that the table does not have.
		 */
		if (!ipv6_addr_any(&saddr))
			k8snet_drop_note(br->kn, skb,
					 K8SNET_STAT_NEIGH_UNANSWERED, NULL);
		return true;
	}
	reply = nd_advertise(dev, lladdr, dev->dev_addr,
			     ipv6_addr_any(&saddr) ?
					&in6addr_linklocal_allnodes : &saddr,
			     &target.in6, lladdr, !ipv6_addr_any(&saddr),
			     false);
	if (!reply) {
		k8snet_stat_inc(br->kn, NOMEM);
		return true;
	}
	k8snet_stat_inc(br->kn, ND_ANSWERED);
	neigh_inject(reply);
	return true;
}

bool k8snet_neigh_xmit(struct k8snet_bridge *br, struct sk_buff *skb)
{
	switch (skb->protocol) {
	case htons(ETH_P_ARP):
		return neigh_xmit_arp(br, skb);
	case htons(ETH_P_IPV6):
		return ipv6_hdr(skb)->nexthdr == NEXTHDR_ICMP &&
		       neigh_xmit_nd(br, skb);
	}
	return false;
}

/* The entry is failed rather than removed: the next packet asks again, and
 * those that wait for an answer get an error.
 */
void k8snet_neigh_forget(struct net_device *dev, const union nf_inet_addr *addr,
			 u8 family)
{
	struct neigh_table *tbl = family == NFPROTO_IPV6 ? &nd_tbl : &arp_tbl;
	struct neighbour *n = neigh_lookup(tbl, addr, dev);

	if (!n)
		return;
	neigh_update(n, NULL, NUD_FAILED,
		     NEIGH_UPDATE_F_OVERRIDE | NEIGH_UPDATE_F_ADMIN, 0);
	neigh_release(n);
}
