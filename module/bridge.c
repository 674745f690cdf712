// SPDX-License-Identifier: GPL-2.0
/* The pod bridge as a link: made, changed and removed by rtnetlink. */

#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/if_arp.h>
#include <linux/inetdevice.h>
#include <linux/netdevice.h>
#include <net/addrconf.h>
#include <net/rtnetlink.h>

#include "bridge.h"
#include "fib.h"
#include "flow.h"
#include "netlink.h"
#include "netns.h"
#include "pod.h"
#include "route.h"

static struct rtnl_link_ops bridge_link_ops;

static int bridge_change_mtu(struct net_device *dev, int mtu)
{
	k8snet_bridge_priv(dev)->mtu_set = true;
	WRITE_ONCE(dev->mtu, mtu);
	return 0;
}

void k8snet_bridge_mtu_update(struct k8snet_bridge *br)
{
	unsigned int mtu = ETH_DATA_LEN;
	struct k8snet_port *port;
	bool first = true;

	ASSERT_RTNL();
	if (br->mtu_set || br->dead)
		return;
	list_for_each_entry(port, &br->ports, node) {
		if (first || port->dev->mtu < mtu)
			mtu = port->dev->mtu;
		first = false;
	}
	mtu = max_t(unsigned int, mtu, br->dev->min_mtu);
	if (mtu == br->dev->mtu)
		return;
	/* Somebody else may object; then it stays as it is. */
	dev_set_mtu(br->dev, mtu);
	br->mtu_set = false;
}

static int bridge_add_slave(struct net_device *dev, struct net_device *slave,
			    struct netlink_ext_ack *extack)
{
	return k8snet_port_add(k8snet_bridge_priv(dev), slave, extack);
}

static int bridge_del_slave(struct net_device *dev, struct net_device *slave)
{
	struct k8snet_port *port = k8snet_port_get_rtnl(slave);

	if (!port || port->br->dev != dev)
		return -EINVAL;
	k8snet_port_del(port);
	return 0;
}

/* The last moment: the addresses are gone with NETDEV_UNREGISTER, but the
 * IPv6 one is followed by a work, which no longer sees this bridge.
 */
static void bridge_uninit(struct net_device *dev)
{
	struct k8snet_bridge *br = k8snet_bridge_priv(dev);
	struct k8snet_bridge_addr *old;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(br->gateway); i++) {
		old = rtnl_dereference(br->gateway[i]);
		RCU_INIT_POINTER(br->gateway[i], NULL);
		if (old)
			kfree_rcu(old, rcu);
	}
}

bool k8snet_bridge_is_gateway(struct k8snet_net *kn,
			      const union nf_inet_addr *addr, u8 family)
{
	const struct k8snet_bridge_addr *gw;
	const struct k8snet_bridge *br;

	list_for_each_entry_rcu(br, &kn->bridges, node) {
		gw = rcu_dereference(br->gateway[k8snet_family_index(family)]);
		if (gw && k8snet_addr_equal(&gw->prefix.addr, addr))
			return true;
	}
	return false;
}

/* All of a bridge. */
static u64 bridge_flow_packets(const struct k8snet_bridge *br)
{
	u64 packets, bytes, sum = 0;
	unsigned int kind;

	for (kind = 0; kind < K8SNET_FLOW_STATS_NUM; kind++) {
		k8snet_flow_stats_read(br->flow_stats[kind], &packets, &bytes);
		sum += packets;
	}
	return sum;
}

u64 k8snet_bridge_flow_packets(struct k8snet_net *kn)
{
	const struct k8snet_bridge *br;
	u64 packets, bytes, sum;

	mutex_lock(&kn->cfg_lock);
	k8snet_flow_stats_read(kn->flow_stats, &packets, &bytes);
	sum = packets + k8snet_stat_read(kn, K8SNET_STAT_FLOW_PACKETS);
	list_for_each_entry(br, &kn->bridges, node)
		sum += bridge_flow_packets(br);
	mutex_unlock(&kn->cfg_lock);
	return sum;
}

/* The packets of known flows pass the bridge by; to who asks they came in and
 * went out as all others.
 */
static void bridge_get_stats64(struct net_device *dev,
			       struct rtnl_link_stats64 *stats)
{
	const struct k8snet_bridge *br = k8snet_bridge_priv(dev);
	unsigned int kind;
	u64 packets, bytes;

	dev_get_tstats64(dev, stats);
	for (kind = 0; kind < K8SNET_FLOW_STATS_NUM; kind++) {
		k8snet_flow_stats_read(br->flow_stats[kind], &packets, &bytes);
		if (kind != K8SNET_FLOW_STATS_TX) {
			stats->rx_packets += packets;
			stats->rx_bytes += bytes;
		}
		if (kind != K8SNET_FLOW_STATS_RX) {
			stats->tx_packets += packets;
			stats->tx_bytes += bytes;
		}
	}
}

static void flow_stats_free(struct k8snet_bridge *br)
{
	unsigned int kind;

	for (kind = 0; kind < K8SNET_FLOW_STATS_NUM; kind++)
		free_percpu(br->flow_stats[kind]);
}

static int bridge_init(struct net_device *dev)
{
	struct k8snet_bridge *br = k8snet_bridge_priv(dev);
	unsigned int kind;

	for (kind = 0; kind < K8SNET_FLOW_STATS_NUM; kind++) {
		br->flow_stats[kind] =
			netdev_alloc_pcpu_stats(struct k8snet_flow_stats);
		if (!br->flow_stats[kind]) {
			flow_stats_free(br);
			memset(br->flow_stats, 0, sizeof(br->flow_stats));
			return -ENOMEM;
		}
	}
	return 0;
}

/* priv_destructor */
static void bridge_free(struct net_device *dev)
{
	flow_stats_free(k8snet_bridge_priv(dev));
}

static const struct net_device_ops bridge_netdev_ops = {
	.ndo_init = bridge_init,
	.ndo_uninit = bridge_uninit,
	.ndo_start_xmit = k8snet_bridge_xmit,
	.ndo_get_stats64 = bridge_get_stats64,
	.ndo_change_mtu = bridge_change_mtu,
	.ndo_set_mac_address = eth_mac_addr,
	.ndo_validate_addr = eth_validate_addr,
	.ndo_add_slave = bridge_add_slave,
	.ndo_del_slave = bridge_del_slave,
};

bool k8snet_bridge_dev(const struct net_device *dev)
{
	return dev->netdev_ops == &bridge_netdev_ops;
}

static void bridge_get_drvinfo(struct net_device *dev,
			       struct ethtool_drvinfo *info)
{
	strscpy(info->driver, "k8snet", sizeof(info->driver));
	strscpy(info->version, K8SNET_VERSION, sizeof(info->version));
	strscpy(info->bus_info, "N/A", sizeof(info->bus_info));
}

static int bridge_get_link_ksettings(struct net_device *dev,
				     struct ethtool_link_ksettings *cmd)
{
	cmd->base.speed = SPEED_UNKNOWN;
	cmd->base.duplex = DUPLEX_UNKNOWN;
	cmd->base.port = PORT_OTHER;
	cmd->base.autoneg = AUTONEG_DISABLE;
	return 0;
}

static const struct ethtool_ops bridge_ethtool_ops = {
	.get_drvinfo = bridge_get_drvinfo,
	.get_link = ethtool_op_get_link,
	.get_link_ksettings = bridge_get_link_ksettings,
	.get_ts_info = ethtool_op_get_ts_info,
};

static const struct device_type bridge_type = {
	.name = "k8snet",
};

/*
 * Every offload is on, because what the bridge sends goes on by another
 * device, whose own dev_queue_xmit() does in software what that one lacks.
 * The carrier is always on, so that addresses and routes of the bridge can be
 * used before its first pod.
 */
static void bridge_setup(struct net_device *dev)
{
	struct k8snet_bridge *br = k8snet_bridge_priv(dev);
	unsigned int i;

	ether_setup(dev);
	eth_hw_addr_random(dev);
	dev->netdev_ops = &bridge_netdev_ops;
	dev->ethtool_ops = &bridge_ethtool_ops;
	SET_NETDEV_DEVTYPE(dev, &bridge_type);
	dev->needs_free_netdev = true;
	dev->priv_destructor = bridge_free;
	dev->pcpu_stat_type = NETDEV_PCPU_STAT_TSTATS;
	dev->min_mtu = ETH_MIN_MTU;
	dev->max_mtu = ETH_MAX_MTU;

	dev->priv_flags &= ~IFF_TX_SKB_SHARING;
	dev->priv_flags |= IFF_NO_QUEUE | IFF_LIVE_ADDR_CHANGE;
	/* ICMP errors about a packet need its route. */
	netif_keep_dst(dev);

	k8snet_compat_lltx_immutable(dev);
	dev->hw_features = NETIF_F_SG | NETIF_F_FRAGLIST | NETIF_F_HIGHDMA |
			   NETIF_F_HW_CSUM | NETIF_F_SCTP_CRC |
			   NETIF_F_GSO_SOFTWARE;
	dev->hw_enc_features = dev->hw_features;
	dev->features |= dev->hw_features | NETIF_F_VLAN_CHALLENGED;

	br->dev = dev;
	INIT_LIST_HEAD(&br->ports);
	for (i = 0; i < ARRAY_SIZE(br->lladdrs); i++)
		INIT_HLIST_HEAD(&br->lladdrs[i]);
}

static int bridge_validate(struct nlattr *tb[], struct nlattr *data[],
			   struct netlink_ext_ack *extack)
{
	if (!tb[IFLA_ADDRESS])
		return 0;
	if (nla_len(tb[IFLA_ADDRESS]) != ETH_ALEN) {
		NL_SET_ERR_MSG_ATTR(extack, tb[IFLA_ADDRESS],
				    "pod bridge needs a MAC of 6 bytes");
		return -EINVAL;
	}
	if (!is_valid_ether_addr(nla_data(tb[IFLA_ADDRESS]))) {
		NL_SET_ERR_MSG_ATTR(extack, tb[IFLA_ADDRESS],
				    "MAC of a pod bridge must be a unicast address");
		return -EADDRNOTAVAIL;
	}
	return 0;
}

static int bridge_newlink(struct net_device *dev,
			  struct rtnl_newlink_params *params,
			  struct netlink_ext_ack *extack)
{
	struct k8snet_bridge *br = k8snet_bridge_priv(dev);
	struct k8snet_net *kn = k8snet_net(dev_net(dev));
	int err;

	br->kn = kn;
	br->mtu_set = params->tb[IFLA_MTU];

	mutex_lock(&kn->cfg_lock);
	err = k8snet_hooks_get(kn);
	mutex_unlock(&kn->cfg_lock);
	if (err) {
		NL_SET_ERR_MSG(extack, "packet hooks of the pod bridge cannot be registered");
		return err;
	}

	err = register_netdevice(dev);
	if (err)
		goto err_hooks;

	mutex_lock(&kn->cfg_lock);
	list_add_tail_rcu(&br->node, &kn->bridges);
	kn->n_bridges++;
	mutex_unlock(&kn->cfg_lock);
	k8snet_bridge_notify(br, K8SNET_CMD_BRIDGE_NTF);
	return 0;

err_hooks:
	mutex_lock(&kn->cfg_lock);
	k8snet_hooks_put(kn);
	mutex_unlock(&kn->cfg_lock);
	return err;
}

K8SNET_COMPAT_NEWLINK(bridge_newlink)

/*
 * Order: the ports, so that no pod's frame comes in any more (and with each
 * port its pods); the routes, whose device this is; then the bridge leaves
 * the list that requests search.
 *
 * Who may still see the bridge afterwards, and until when:
 *  - k8snet_bridge_xmit() and everything below it, called by a sender that
 *    has the device: unregistering closes the device and waits for
 *    synchronize_net(), and the memory lives until the last reference to the
 *    device is gone, which is after that;
 *  - an rx_handler of a port: k8snet_port_del() has waited for it;
 *  - packet path readers of kn->bridges, of a route's ->bridge or of a pod's
 *    ->port->br: RCU sections begun before the entries were unlinked here,
 *    which synchronize_net() in the unregistration waits for;
 *  - the FIB work: it walks kn->bridges under RTNL.
 */
static void bridge_dellink(struct net_device *dev, struct list_head *head)
{
	struct k8snet_bridge *br = k8snet_bridge_priv(dev);
	struct k8snet_net *kn = br->kn;
	struct k8snet_port *port, *tmp;
	u64 packets;

	ASSERT_RTNL();
	br->dead = true;
	list_for_each_entry_safe(port, tmp, &br->ports, node)
		k8snet_port_del(port);

	mutex_lock(&kn->cfg_lock);
	k8snet_route_flush_bridge(kn, dev);
	list_del_rcu(&br->node);
	kn->n_bridges--;
	/* Nobody finds a flow that leads here any more, so that this is all
	 * it has carried but for packets that are on their way right now.
	 */
	packets = bridge_flow_packets(br);
	local_bh_disable();
	k8snet_stat_add(kn, FLOW_PACKETS, packets);
	local_bh_enable();
	k8snet_hooks_put(kn);
	mutex_unlock(&kn->cfg_lock);

	k8snet_bridge_notify(br, K8SNET_CMD_BRIDGE_DEL_NTF);
	unregister_netdevice_queue(dev, head);
}

void k8snet_bridge_flush(struct k8snet_net *kn)
{
	struct k8snet_bridge *br, *tmp;
	LIST_HEAD(kill);

	ASSERT_RTNL();
	list_for_each_entry_safe(br, tmp, &kn->bridges, node)
		bridge_dellink(br->dev, &kill);
	unregister_netdevice_many(&kill);
}

static struct rtnl_link_ops bridge_link_ops = {
	.kind = "k8snet",
	.priv_size = sizeof(struct k8snet_bridge),
	.setup = bridge_setup,
	.validate = bridge_validate,
	.newlink = K8SNET_NEWLINK(bridge_newlink),
	.dellink = bridge_dellink,
};

/* The first global address of a family; false if there is none. */
static bool bridge_first_addr(const struct net_device *dev, u8 family,
			      struct k8snet_prefix *p)
{
	const struct in_ifaddr *ifa;
	struct inet6_ifaddr *ifa6;
	struct in_device *in_dev;
	struct inet6_dev *idev;
	bool found = false;

	memset(p, 0, sizeof(*p));
	p->family = family;
	if (family == NFPROTO_IPV4) {
		in_dev = __in_dev_get_rtnl(dev);
		if (!in_dev)
			return false;
		in_dev_for_each_ifa_rtnl(ifa, in_dev) {
			if (ifa->ifa_scope >= RT_SCOPE_LINK)
				continue;
			p->addr.ip = ifa->ifa_local;
			p->len = ifa->ifa_prefixlen;
			return true;
		}
		return false;
	}

	idev = __in6_dev_get(dev);
	if (!idev)
		return false;
	/* Addresses of one scope are listed newest first. */
	read_lock_bh(&idev->lock);
	list_for_each_entry(ifa6, &idev->addr_list, if_list) {
		if (ifa6->scope & (IFA_LINK | IFA_HOST) ||
		    ifa6->flags & IFA_F_DADFAILED)
			continue;
		p->addr.in6 = ifa6->addr;
		p->len = ifa6->prefix_len;
		found = true;
	}
	read_unlock_bh(&idev->lock);
	return found;
}

static void bridge_gateway_update(struct k8snet_bridge *br, u8 family)
{
	unsigned int i = k8snet_family_index(family);
	struct k8snet_bridge_addr *old, *new = NULL;
	struct k8snet_prefix p;

	old = rtnl_dereference(br->gateway[i]);
	if (bridge_first_addr(br->dev, family, &p)) {
		if (old && !memcmp(&old->prefix, &p, sizeof(p)))
			return;
		/* Without memory there is no gateway rather than a wrong one. */
		new = kmalloc(sizeof(*new), GFP_KERNEL);
		if (new)
			new->prefix = p;
	}
	rcu_assign_pointer(br->gateway[i], new);
	if (old)
		kfree_rcu(old, rcu);
}

/*
 * A MAC that nobody has set follows the first address, IPv4 before IPv6, so
 * that a bridge made again has the MAC that the pods remember. A pod that
 * still has an old one is no matter: a port takes frames for any unicast MAC.
 */
static void bridge_mac_update(struct k8snet_bridge *br)
{
	struct net_device *dev = br->dev;
	const struct k8snet_bridge_addr *gw;
	u8 mac[ETH_ALEN] = { 0x0a, 0x58 };

	if (dev->addr_assign_type != NET_ADDR_RANDOM)
		return;
	gw = rtnl_dereference(br->gateway[0]);
	if (gw) {
		memcpy(mac + 2, &gw->prefix.addr.ip, 4);
	} else {
		gw = rtnl_dereference(br->gateway[1]);
		if (!gw)
			return;
		memcpy(mac + 2, &gw->prefix.addr.in6.s6_addr[12], 4);
	}
	if (ether_addr_equal(mac, dev->dev_addr))
		return;
	eth_hw_addr_set(dev, mac);
	call_netdevice_notifiers(NETDEV_CHANGEADDR, dev);
}

void k8snet_bridge_settle(struct k8snet_net *kn)
{
	struct k8snet_bridge *br;

	ASSERT_RTNL();
	list_for_each_entry(br, &kn->bridges, node) {
		bridge_gateway_update(br, NFPROTO_IPV4);
		bridge_gateway_update(br, NFPROTO_IPV6);
		bridge_mac_update(br);
		if (atomic_xchg(&br->addr6_untold, 0) && !br->dead)
			k8snet_bridge_notify(br, K8SNET_CMD_BRIDGE_NTF);
	}
}

/* Context: RTNL held, may sleep. */
static int bridge_inetaddr_event(struct notifier_block *nb, unsigned long event,
				 void *ptr)
{
	const struct in_ifaddr *ifa = ptr;
	struct k8snet_bridge *br;

	if (!k8snet_bridge_dev(ifa->ifa_dev->dev))
		return NOTIFY_DONE;
	br = k8snet_bridge_priv(ifa->ifa_dev->dev);
	bridge_gateway_update(br, NFPROTO_IPV4);
	if (br->dead)
		return NOTIFY_DONE;
	bridge_mac_update(br);
	k8snet_bridge_notify(br, K8SNET_CMD_BRIDGE_NTF);
	/* With its last IPv4 address a device loses all its IPv4 routes. */
	if (event == NETDEV_UP)
		k8snet_fib_resync(br->kn);
	return NOTIFY_DONE;
}

/* Context: atomic, with or without RTNL; hence the work. */
static int bridge_inet6addr_event(struct notifier_block *nb,
				  unsigned long event, void *ptr)
{
	const struct inet6_ifaddr *ifa = ptr;
	const struct net_device *dev = ifa->idev->dev;
	struct k8snet_bridge *br;

	if (!k8snet_bridge_dev(dev) ||
	    ipv6_addr_type(&ifa->addr) & IPV6_ADDR_LINKLOCAL)
		return NOTIFY_DONE;
	br = k8snet_bridge_priv(dev);
	/* Before the work can look. */
	atomic_set_release(&br->addr6_untold, 1);
	k8snet_fib_resync(br->kn);
	return NOTIFY_DONE;
}

static int bridge_event(struct net_device *dev, unsigned long event)
{
	struct k8snet_bridge *br = k8snet_bridge_priv(dev);

	/* Being registered: newlink() tells when it is done. */
	if (br->dead || dev->reg_state != NETREG_REGISTERED)
		return NOTIFY_DONE;
	switch (event) {
	case NETDEV_UP:
		k8snet_fib_resync(br->kn);
		fallthrough;
	case NETDEV_DOWN:
	case NETDEV_CHANGEMTU:
	case NETDEV_CHANGEADDR:
	case NETDEV_CHANGENAME:
		k8snet_bridge_notify(br, K8SNET_CMD_BRIDGE_NTF);
		break;
	}
	return NOTIFY_DONE;
}

static int port_event(struct k8snet_port *port, unsigned long event)
{
	switch (event) {
	case NETDEV_UNREGISTER:		/* or moved to another namespace */
		k8snet_port_del(port);
		break;
	case NETDEV_CHANGEMTU:
		k8snet_bridge_mtu_update(port->br);
		break;
	case NETDEV_CHANGENAME:
		k8snet_port_notify(port, K8SNET_CMD_PORT_NTF);
		break;
	case NETDEV_PRE_TYPE_CHANGE:
		return NOTIFY_BAD;
	}
	return NOTIFY_DONE;
}

/* Context: RTNL held. */
static int bridge_netdev_event(struct notifier_block *nb, unsigned long event,
			       void *ptr)
{
	struct net_device *dev = netdev_notifier_info_to_dev(ptr);
	struct k8snet_port *port;

	if (k8snet_bridge_dev(dev))
		return bridge_event(dev, event);
	port = k8snet_port_get_rtnl(dev);
	return port ? port_event(port, event) : NOTIFY_DONE;
}

static struct notifier_block bridge_netdev_nb = {
	.notifier_call = bridge_netdev_event,
};

static struct notifier_block bridge_inetaddr_nb = {
	.notifier_call = bridge_inetaddr_event,
};

static struct notifier_block bridge_inet6addr_nb = {
	.notifier_call = bridge_inet6addr_event,
};

int __init k8snet_bridge_init(void)
{
	int err;

	err = register_netdevice_notifier(&bridge_netdev_nb);
	if (err)
		return err;
	err = register_inetaddr_notifier(&bridge_inetaddr_nb);
	if (err)
		goto err_netdev;
	err = register_inet6addr_notifier(&bridge_inet6addr_nb);
	if (err)
		goto err_inetaddr;
	err = rtnl_link_register(&bridge_link_ops);
	if (err)
		goto err_inet6addr;
	return 0;

err_inet6addr:
	unregister_inet6addr_notifier(&bridge_inet6addr_nb);
err_inetaddr:
	unregister_inetaddr_notifier(&bridge_inetaddr_nb);
err_netdev:
	unregister_netdevice_notifier(&bridge_netdev_nb);
	return err;
}

/* The links go before the notifiers that follow them. */
void k8snet_bridge_uninit(void)
{
	rtnl_link_unregister(&bridge_link_ops);
	unregister_inet6addr_notifier(&bridge_inet6addr_nb);
	unregister_inetaddr_notifier(&bridge_inetaddr_nb);
	unregister_netdevice_notifier(&bridge_netdev_nb);
}
