/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The pod bridge: a netdevice of link kind "k8snet", gateway of the node's
 * pods and master of the host ends of their veths.
 */
#ifndef _K8SNET_BRIDGE_H
#define _K8SNET_BRIDGE_H

#include <linux/netdevice.h>
#include <linux/u64_stats_sync.h>

#include "addr.h"
#include "netns.h"

enum { K8SNET_LLADDR_BUCKETS = 256 };	/* a power of two */

/* What packets of known flows count as, which pass the bridge by. */
enum k8snet_flow_stats_kind {
	K8SNET_FLOW_STATS_BOTH,		/* from a pod, to one or a pod route */
	K8SNET_FLOW_STATS_RX,		/* from a pod to the outside */
	K8SNET_FLOW_STATS_TX,		/* from elsewhere */
	K8SNET_FLOW_STATS_NUM
};

/* netdev_priv() of a pod bridge. */
struct k8snet_bridge {
	struct net_device *dev;
	struct k8snet_net *kn;		/* of dev_net(dev), which is immutable */
	struct list_head node;		/* kn->bridges; RCU list */
	struct list_head ports;		/* struct k8snet_port.node; RCU list */
	unsigned int n_ports;		/* RTNL */
	bool mtu_set;			/* by the administrator; RTNL */
	bool dead;			/* being removed; RTNL */
	atomic_t addr6_untold;		/* k8snet_bridge_settle() is to tell */
	/* First address of each family, for hairpin traffic and neighbour
	 * answers on the packet path; any until there is one. Written under
	 * RTNL by the address notifiers; a reader may see an old one, never a
	 * torn one.
	 */
	struct k8snet_bridge_addr __rcu *gateway[2];
	/* struct k8snet_pod.lladdr_node, by MAC: for IPv6 link-local addresses,
	 * which name no pod. cfg_lock to change, RCU.
	 */
	struct hlist_head lladdrs[K8SNET_LLADDR_BUCKETS];
	/* From newlink until the device is freed, a grace period after no
	 * flow that names it is current any more.
	 */
	struct k8snet_flow_stats __percpu *flow_stats[K8SNET_FLOW_STATS_NUM];
};

struct k8snet_bridge_addr {
	struct rcu_head rcu;
	struct k8snet_prefix prefix;	/* host bits kept */
};

/* rx_handler_data of a port. */
struct k8snet_port {
	struct net_device *dev;
	struct k8snet_bridge *br;
	struct list_head node;		/* br->ports; RTNL, RCU */
	struct list_head pods;		/* struct k8snet_pod.node; cfg_lock, RCU */
	unsigned int n_pods;		/* cfg_lock */
	bool antispoof;			/* READ_ONCE on the packet path */
	atomic_long_t spoofed;		/* dropped frames: the slow case only */
	struct rcu_head rcu;
};

bool k8snet_bridge_dev(const struct net_device *dev);

static inline struct k8snet_bridge *k8snet_bridge_priv(const struct net_device *dev)
{
	return netdev_priv(dev);
}

/* The port of a device, or NULL. Context: RTNL. */
struct k8snet_port *k8snet_port_get_rtnl(const struct net_device *dev);

int k8snet_bridge_init(void);
void k8snet_bridge_uninit(void);
/* Packets that known flows have carried, by all bridges that there have been.
 * Context: takes cfg_lock.
 */
u64 k8snet_bridge_flow_packets(struct k8snet_net *kn);
/* Is it the gateway address of one of the namespace's bridges? Context: RCU. */
bool k8snet_bridge_is_gateway(struct k8snet_net *kn,
			      const union nf_inet_addr *addr, u8 family);
/* Removes all pod bridges of a namespace with their ports, pods and routes.
 * Context: RTNL held, takes cfg_lock.
 */
void k8snet_bridge_flush(struct k8snet_net *kn);
/* Follows the addresses of the namespace's bridges: gateways, derived MACs, and
 * tells listeners of IPv6 ones.
 * Context: RTNL held.
 */
void k8snet_bridge_settle(struct k8snet_net *kn);
/* The MTU of the ports, where the administrator has set none. Context: RTNL. */
void k8snet_bridge_mtu_update(struct k8snet_bridge *br);

/* port.c; context: RTNL held, both take cfg_lock */
int k8snet_port_add(struct k8snet_bridge *br, struct net_device *dev,
		    struct netlink_ext_ack *extack);
void k8snet_port_del(struct k8snet_port *port);
/* Does @pod live behind @port with this MAC? @pod may be NULL. */
bool k8snet_port_owns(const struct k8snet_port *port,
		      const struct k8snet_pod *pod, const u8 *lladdr);
/* Can frames be sent out of it now? Context: RCU. */
bool k8snet_port_running(const struct k8snet_port *port);

/* neigh.c: ARP and neighbour discovery on the bridge */

/* What a port does with a frame. */
enum k8snet_neigh_verdict {
	K8SNET_NEIGH_NONE,	/* not of ours: an IP packet like any other */
	K8SNET_NEIGH_STACK,	/* checked, for the node's own stack */
	K8SNET_NEIGH_DROP,	/* answered, or not to be; counted */
	K8SNET_NEIGH_SPOOFED,	/* not counted yet */
	K8SNET_NEIGH_INVALID,	/* cannot be parsed; not counted yet */
};

/* ARP, and IPv6 packets whose fixed header is pulled. Frees nothing.
 * Context: RCU, BH off.
 */
enum k8snet_neigh_verdict
k8snet_neigh_rx_arp(struct k8snet_port *port, struct sk_buff *skb);
enum k8snet_neigh_verdict
k8snet_neigh_rx_ipv6(struct k8snet_port *port, struct sk_buff *skb);
/* A frame of the stack, network header set: true if it was an ARP or ND
 * message that is dealt with. Frees nothing. Context: RCU, BH off.
 */
bool k8snet_neigh_xmit(struct k8snet_bridge *br, struct sk_buff *skb);
/* Makes the stack forget what it knows of a neighbour on the bridge.
 * Context: may sleep.
 */
void k8snet_neigh_forget(struct net_device *dev, const union nf_inet_addr *addr,
			 u8 family);

/* forward.c */
netdev_tx_t k8snet_bridge_xmit(struct sk_buff *skb, struct net_device *dev);
/* Sends a packet out to the node of a pod route; see there. */
void k8snet_forward_to_node(struct k8snet_route *r, struct sk_buff *skb);
unsigned int k8snet_forward_prerouting(void *priv, struct sk_buff *skb,
				       const struct nf_hook_state *state);

#endif /* _K8SNET_BRIDGE_H */
