// SPDX-License-Identifier: GPL-2.0
/* Ports of a pod bridge: what pods send enters the node here. */

#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/slab.h>
#include <linux/udp.h>
#include <net/ipv6.h>

#include "bridge.h"
#include "drop.h"
#include "flow.h"
#include "netlink.h"
#include "netns.h"
#include "onepass.h"
#include "pod.h"
#include "stats.h"

enum { BOOTP_SERVER_PORT = 67 };

bool k8snet_port_owns(const struct k8snet_port *port,
		      const struct k8snet_pod *pod, const u8 *lladdr)
{
	return pod && pod->port == port &&
	       ether_addr_equal_unaligned(pod->lladdr, lladdr);
}

bool k8snet_port_running(const struct k8snet_port *port)
{
	return netif_running(port->dev) && netif_carrier_ok(port->dev);
}

/* Has a pod of this port that MAC? For packets that come from no address of a
 * pod, which are rare. At worst as long as the hash chain: pods of the bridge
 * by 256, K8SNET_PODS_MAX by 256 if somebody made the MACs collide.
 */
static bool port_has_lladdr(const struct k8snet_port *port, const u8 *lladdr)
{
	const struct k8snet_pod *pod;

	pod = k8snet_pod_lookup_lladdr_rcu(port->br, lladdr);
	if (!pod)
		return false;
	if (pod->port == port)
		return true;
	/* Another port's pod has the same MAC: look at our own. */
	list_for_each_entry_rcu(pod, &port->pods, node)
		if (ether_addr_equal(pod->lladdr, lladdr))
			return true;
	return false;
}

/* DHCP: 0.0.0.0 to the server's port at the broadcast address. */
static bool ipv4_is_dhcp(struct sk_buff *skb)
{
	unsigned int ihl = ip_hdr(skb)->ihl * 4;
	const struct udphdr *uh;
	struct udphdr buf;

	if (ip_hdr(skb)->daddr != htonl(INADDR_BROADCAST) ||
	    ip_hdr(skb)->protocol != IPPROTO_UDP || ip_is_fragment(ip_hdr(skb)))
		return false;
	uh = skb_header_pointer(skb, ihl, sizeof(buf), &buf);
	return uh && uh->dest == htons(BOOTP_SERVER_PORT);
}

/* A packet from a pod of the port? Headers are pulled. */
static bool port_source_ok(struct k8snet_port *port, struct sk_buff *skb,
			   u8 family)
{
	const u8 *lladdr = eth_hdr(skb)->h_source;
	union nf_inet_addr src, dst;
	struct k8snet_pod *pod;
	int type;

	k8snet_skb_addrs(skb, family, &src, &dst);
	pod = k8snet_pod_of_port_rcu(port, &src, family);
	if (likely(k8snet_port_owns(port, pod, lladdr)))
		return true;
	if (pod)
		return false;

	if (family == NFPROTO_IPV4)
		return !src.ip && ipv4_is_dhcp(skb) &&
		       port_has_lladdr(port, lladdr);

	/* Link-local ones are the pod's own affair; the unspecified one is for
	 * multicast listener reports before there is an address (duplicate
	 * address detection is neigh.c's).
	 */
	type = ipv6_addr_type(&src.in6);
	if (type == IPV6_ADDR_ANY) {
		if (!ipv6_addr_is_multicast(&dst.in6) ||
		    (ipv6_hdr(skb)->nexthdr != NEXTHDR_HOP &&
		     ipv6_hdr(skb)->nexthdr != NEXTHDR_ICMP))
			return false;
	} else if (!(type & IPV6_ADDR_LINKLOCAL)) {
		return false;
	}
	return port_has_lladdr(port, lladdr);
}

enum port_verdict {
	PORT_PASS,		/* up to the stack */
	PORT_DROP,		/* counted */
	PORT_SPOOFED,
	PORT_INVALID,
	PORT_PROTO,
};

static enum port_verdict port_neigh_verdict(enum k8snet_neigh_verdict v)
{
	switch (v) {
	case K8SNET_NEIGH_NONE:
	case K8SNET_NEIGH_STACK:
		return PORT_PASS;
	case K8SNET_NEIGH_SPOOFED:
		return PORT_SPOOFED;
	case K8SNET_NEIGH_INVALID:
		return PORT_INVALID;
	case K8SNET_NEIGH_DROP:
		break;
	}
	return PORT_DROP;
}

static enum port_verdict port_rx_ipv4(struct k8snet_port *port,
				      struct sk_buff *skb)
{
	if (!pskb_may_pull(skb, sizeof(struct iphdr)) ||
	    ip_hdr(skb)->version != 4 || ip_hdr(skb)->ihl < 5)
		return PORT_INVALID;
	if (READ_ONCE(port->antispoof) &&
	    !port_source_ok(port, skb, NFPROTO_IPV4))
		return PORT_SPOOFED;
	return PORT_PASS;
}

static enum port_verdict port_rx_ipv6(struct k8snet_port *port,
				      struct sk_buff *skb)
{
	enum k8snet_neigh_verdict v;

	if (!pskb_may_pull(skb, sizeof(struct ipv6hdr)) ||
	    ipv6_hdr(skb)->version != 6)
		return PORT_INVALID;
	/* Most packets are not worth a look for neighbour discovery. */
	if (ipv6_hdr(skb)->nexthdr != NEXTHDR_TCP &&
	    ipv6_hdr(skb)->nexthdr != NEXTHDR_UDP) {
		v = k8snet_neigh_rx_ipv6(port, skb);
		if (v != K8SNET_NEIGH_NONE)
			return port_neigh_verdict(v);
	}
	if (READ_ONCE(port->antispoof) &&
	    !port_source_ok(port, skb, NFPROTO_IPV6))
		return PORT_SPOOFED;
	return PORT_PASS;
}

static enum port_verdict port_rx_frame(struct k8snet_port *port,
				       struct sk_buff *skb)
{
	if (!is_valid_ether_addr(eth_hdr(skb)->h_source))
		return PORT_INVALID;
	if (skb_vlan_tag_present(skb))
		return PORT_PROTO;

	switch (skb->protocol) {
	case htons(ETH_P_IP):
		return port_rx_ipv4(port, skb);
	case htons(ETH_P_IPV6):
		/* With ipv6.disable=1 the node has no stack for it. */
		return ipv6_mod_enabled() ? port_rx_ipv6(port, skb) :
					    PORT_PROTO;
	case htons(ETH_P_ARP):
		return port_neigh_verdict(k8snet_neigh_rx_arp(port, skb));
	}
	return PORT_PROTO;
}

/*
 * A frame from a pod. What is in order arrives once more, on the bridge: the
 * IP stack then sees it as the node's traffic from the bridge, whatever MAC
 * it was sent to, because the bridge is every pod's router and pods never see
 * each other's frames. Broadcast and multicast end there, too.
 *
 * Context: RCU, BH off. skb->data is at the network header, the Ethernet
 * header before it has been checked by eth_type_trans().
 */
static rx_handler_result_t port_rx(struct sk_buff **pskb)
{
	struct sk_buff *skb = *pskb;
	enum k8snet_stat reason;
	struct k8snet_bridge *br;
	struct k8snet_port *port;

	if (unlikely(skb->pkt_type == PACKET_LOOPBACK))
		return RX_HANDLER_PASS;
	port = rcu_dereference(skb->dev->rx_handler_data);
	br = port->br;

	if (k8snet_flow_may_touch(skb)) {
		switch (k8snet_flow_rx(br->kn, skb)) {
		case K8SNET_FLOW_POD:
			return RX_HANDLER_ANOTHER;
		case K8SNET_FLOW_CONSUMED:
			return RX_HANDLER_CONSUMED;
		case K8SNET_FLOW_MISS:
			break;
		}
	}

	skb = skb_share_check(skb, GFP_ATOMIC);
	if (!skb) {
		*pskb = NULL;
		return RX_HANDLER_CONSUMED;
	}
	*pskb = skb;

	k8snet_stat_inc(br->kn, PORT_RX);
	if (unlikely(!netif_running(br->dev))) {
		reason = K8SNET_STAT_BRIDGE_DOWN;
		goto drop;
	}

	switch (k8snet_onepass_rx(port, skb)) {
	case K8SNET_FLOW_POD:
		return RX_HANDLER_ANOTHER;
	case K8SNET_FLOW_CONSUMED:
		return RX_HANDLER_CONSUMED;
	case K8SNET_FLOW_MISS:
		break;
	}

	switch (port_rx_frame(port, skb)) {
	case PORT_PASS:
		break;
	case PORT_SPOOFED:
		atomic_long_inc(&port->spoofed);
		reason = K8SNET_STAT_SPOOFED;
		goto drop;
	case PORT_INVALID:
		reason = K8SNET_STAT_PORT_RX_INVALID;
		goto drop;
	case PORT_PROTO:
		reason = K8SNET_STAT_PORT_RX_PROTO;
		goto drop;
	case PORT_DROP:
		consume_skb(skb);
		return RX_HANDLER_CONSUMED;
	}

	/* pkt_type says to whom with respect to the port's own MAC. */
	if (!is_multicast_ether_addr(eth_hdr(skb)->h_dest))
		skb->pkt_type = PACKET_HOST;
	skb->dev = br->dev;
	dev_sw_netstats_rx_add(br->dev, skb->len);
	return RX_HANDLER_ANOTHER;

drop:
	DEV_STATS_INC(br->dev, rx_dropped);
	k8snet_drop(br->kn, skb, reason);
	return RX_HANDLER_CONSUMED;
}

struct k8snet_port *k8snet_port_get_rtnl(const struct net_device *dev)
{
	if (rcu_access_pointer(dev->rx_handler) != port_rx)
		return NULL;
	return rtnl_dereference(dev->rx_handler_data);
}

static int port_check(const struct k8snet_bridge *br, struct net_device *dev,
		      struct netlink_ext_ack *extack)
{
	if (br->dead) {
		NL_SET_ERR_MSG(extack, "pod bridge is being removed");
		return -ENODEV;
	}
	if (k8snet_bridge_dev(dev)) {
		NL_SET_ERR_MSG(extack, "a pod bridge cannot be the port of another");
		return -ELOOP;
	}
	if (dev->flags & IFF_LOOPBACK) {
		NL_SET_ERR_MSG(extack, "loopback device cannot be a port of a pod bridge");
		return -EINVAL;
	}
	if (dev->type != ARPHRD_ETHER || dev->addr_len != ETH_ALEN ||
	    !is_valid_ether_addr(dev->dev_addr)) {
		NL_SET_ERR_MSG(extack, "port of a pod bridge must be an Ethernet device");
		return -EINVAL;
	}
	if (dev->priv_flags & IFF_DONT_BRIDGE) {
		NL_SET_ERR_MSG(extack, "device does not support bridging");
		return -EOPNOTSUPP;
	}
	if (netif_is_bridge_master(dev)) {
		NL_SET_ERR_MSG(extack, "a bridge cannot be a port of a pod bridge");
		return -ELOOP;
	}
	if (!net_eq(dev_net(dev), dev_net(br->dev))) {
		NL_SET_ERR_MSG(extack, "device and pod bridge are in different namespaces");
		return -EINVAL;
	}
	if (netdev_is_rx_handler_busy(dev)) {
		NL_SET_ERR_MSG(extack, "device is already a port or has a macvlan or ipvlan");
		return -EBUSY;
	}
	return 0;
}

int k8snet_port_add(struct k8snet_bridge *br, struct net_device *dev,
		    struct netlink_ext_ack *extack)
{
	struct k8snet_port *port;
	int err;

	ASSERT_RTNL();
	err = port_check(br, dev, extack);
	if (err)
		return err;

	port = kzalloc(sizeof(*port), GFP_KERNEL);
	if (!port)
		return -ENOMEM;
	port->dev = dev;
	port->br = br;
	port->antispoof = true;
	INIT_LIST_HEAD(&port->pods);

	/* A device with a MAC filter would drop frames for the bridge's MAC. */
	err = dev_set_promiscuity(dev, 1);
	if (err) {
		NL_SET_ERR_MSG(extack, "device cannot be made promiscuous");
		goto err_free;
	}
	err = netdev_master_upper_dev_link(dev, br->dev, NULL, NULL, extack);
	if (err)
		goto err_promisc;
	dev_disable_lro(dev);
	err = netdev_rx_handler_register(dev, port_rx, port);
	if (err) {
		NL_SET_ERR_MSG(extack, "device already has a receive handler");
		goto err_unlink;
	}

	list_add_tail_rcu(&port->node, &br->ports);
	br->n_ports++;
	k8snet_bridge_mtu_update(br);
	k8snet_port_notify(port, K8SNET_CMD_PORT_NTF);
	return 0;

err_unlink:
	netdev_upper_dev_unlink(dev, br->dev);
err_promisc:
	dev_set_promiscuity(dev, -1);
err_free:
	kfree(port);
	return err;
}

/*
 * Who may still see the port, and until when:
 *  - port_rx(): netdev_rx_handler_unregister() waits for it;
 *  - the bridge's transmit, by a pod that it has looked up or by walking
 *    br->ports: in RCU sections that began before the pod or the port was
 *    unlinked, and kfree_rcu() comes after both;
 *  - port->dev is used in those sections only, and a device is not freed
 *    before an RCU grace period after NETDEV_UNREGISTER.
 */
void k8snet_port_del(struct k8snet_port *port)
{
	struct k8snet_bridge *br = port->br;
	struct net_device *dev = port->dev;

	ASSERT_RTNL();
	netdev_rx_handler_unregister(dev);

	mutex_lock(&br->kn->cfg_lock);
	k8snet_pod_flush_port(port);
	mutex_unlock(&br->kn->cfg_lock);

	list_del_rcu(&port->node);
	k8snet_flow_invalidate(br->kn);
	br->n_ports--;
	k8snet_port_notify(port, K8SNET_CMD_PORT_DEL_NTF);

	netdev_upper_dev_unlink(dev, br->dev);
	dev_set_promiscuity(dev, -1);
	k8snet_bridge_mtu_update(br);
	kfree_rcu(port, rcu);
}
