// SPDX-License-Identifier: GPL-2.0
/* Requests about pod bridges and their ports. Made and removed they are by
 * rtnetlink.
 */

#include <linux/inetdevice.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <net/addrconf.h>

#include "bridge.h"
#include "flow.h"
#include "netlink.h"
#include "netns.h"

static int bridge_addr_put(struct sk_buff *skb, u8 family, const void *addr,
			   u8 len)
{
	struct k8snet_prefix p = { .family = family, .len = len };

	memcpy(&p.addr, addr, k8snet_addr_size(family));
	return k8snet_prefix_put(skb, K8SNET_A_BRIDGE_ADDR, &p);
}

static int bridge_addrs_put(struct sk_buff *skb, const struct net_device *dev)
{
	const struct in_ifaddr *ifa;
	struct inet6_ifaddr *ifa6;
	struct in_device *in_dev;
	struct inet6_dev *idev;
	int err = 0;

	in_dev = __in_dev_get_rtnl(dev);
	if (in_dev) {
		in_dev_for_each_ifa_rtnl(ifa, in_dev) {
			err = bridge_addr_put(skb, NFPROTO_IPV4,
					      &ifa->ifa_local,
					      ifa->ifa_prefixlen);
			if (err)
				return err;
		}
	}

	idev = __in6_dev_get(dev);
	if (!idev)
		return 0;
	read_lock_bh(&idev->lock);
	/* The list is newest first; an administrator's order is the other. */
	list_for_each_entry_reverse(ifa6, &idev->addr_list, if_list) {
		if (ipv6_addr_type(&ifa6->addr) & IPV6_ADDR_LINKLOCAL)
			continue;
		err = bridge_addr_put(skb, NFPROTO_IPV6, &ifa6->addr,
				      ifa6->prefix_len);
		if (err)
			break;
	}
	read_unlock_bh(&idev->lock);
	return err;
}

static int bridge_fill(struct sk_buff *skb, const struct k8snet_msg *m,
		       struct k8snet_net *kn, const void *obj)
{
	const struct k8snet_bridge *br = obj;
	const struct net_device *dev = br->dev;
	void *hdr;

	ASSERT_RTNL();
	hdr = k8snet_msg_put(skb, m);
	if (!hdr)
		return -EMSGSIZE;
	if (nla_put_u32(skb, K8SNET_A_BRIDGE_IFINDEX, dev->ifindex) ||
	    nla_put_string(skb, K8SNET_A_BRIDGE_IFNAME, dev->name) ||
	    nla_put_u32(skb, K8SNET_A_BRIDGE_MTU, dev->mtu) ||
	    nla_put(skb, K8SNET_A_BRIDGE_LLADDR, ETH_ALEN, dev->dev_addr) ||
	    nla_put_u8(skb, K8SNET_A_BRIDGE_UP, !!(dev->flags & IFF_UP)) ||
	    bridge_addrs_put(skb, dev) ||
	    nla_put_u32(skb, K8SNET_A_BRIDGE_PORTS, br->n_ports)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

void k8snet_bridge_notify(struct k8snet_bridge *br, u8 cmd)
{
	struct k8snet_net *kn = br->kn;

	ASSERT_RTNL();
	mutex_lock(&kn->cfg_lock);
	k8snet_net_changed(kn);
	k8snet_nl_notify(kn, cmd, bridge_fill, br);
	mutex_unlock(&kn->cfg_lock);
}

static int port_fill(struct sk_buff *skb, const struct k8snet_msg *m,
		     struct k8snet_net *kn, const void *obj)
{
	const struct k8snet_port *port = obj;
	const struct net_device *br_dev = port->br->dev;
	void *hdr;

	ASSERT_RTNL();
	hdr = k8snet_msg_put(skb, m);
	if (!hdr)
		return -EMSGSIZE;
	if (nla_put_u32(skb, K8SNET_A_PORT_IFINDEX, port->dev->ifindex) ||
	    nla_put_string(skb, K8SNET_A_PORT_IFNAME, port->dev->name) ||
	    nla_put_u32(skb, K8SNET_A_PORT_BRIDGE, br_dev->ifindex) ||
	    nla_put_string(skb, K8SNET_A_PORT_BRIDGE_NAME, br_dev->name) ||
	    nla_put_u8(skb, K8SNET_A_PORT_ANTISPOOF, port->antispoof) ||
	    nla_put_u64_64bit(skb, K8SNET_A_PORT_SPOOFED,
			      atomic_long_read(&port->spoofed),
			      K8SNET_A_PORT_UNSPEC)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

void k8snet_port_notify(struct k8snet_port *port, u8 cmd)
{
	struct k8snet_net *kn = port->br->kn;

	ASSERT_RTNL();
	mutex_lock(&kn->cfg_lock);
	k8snet_net_changed(kn);
	k8snet_nl_notify(kn, cmd, port_fill, port);
	mutex_unlock(&kn->cfg_lock);
}

/* The device that a request names by index or name, or both. Context: RTNL. */
static struct net_device *dev_find(struct genl_info *info, int ifindex_attr,
				   int ifname_attr)
{
	const struct nlattr *ifindex = info->attrs[ifindex_attr];
	const struct nlattr *ifname = info->attrs[ifname_attr];
	struct net *net = genl_info_net(info);
	struct net_device *dev;

	ASSERT_RTNL();
	if (!ifindex && !ifname) {
		NL_SET_ERR_MSG(info->extack, "request names no device");
		return ERR_PTR(-EINVAL);
	}
	if (ifindex)
		dev = __dev_get_by_index(net, nla_get_u32(ifindex));
	else
		dev = __dev_get_by_name(net, nla_data(ifname));
	if (!dev || (ifname && strcmp(dev->name, nla_data(ifname)))) {
		NL_SET_ERR_MSG_ATTR(info->extack, ifindex ?: ifname,
				    "no such device");
		return ERR_PTR(-ENODEV);
	}
	return dev;
}

static struct k8snet_bridge *bridge_find(struct genl_info *info)
{
	struct net_device *dev = dev_find(info, K8SNET_A_BRIDGE_IFINDEX,
					  K8SNET_A_BRIDGE_IFNAME);

	if (IS_ERR(dev))
		return ERR_CAST(dev);
	if (!k8snet_bridge_dev(dev)) {
		NL_SET_ERR_MSG(info->extack, "device is not a pod bridge");
		return ERR_PTR(-ENOENT);
	}
	return k8snet_bridge_priv(dev);
}

static struct k8snet_port *port_find(struct genl_info *info)
{
	struct k8snet_port *port;
	struct net_device *dev;

	dev = dev_find(info, K8SNET_A_PORT_IFINDEX, K8SNET_A_PORT_IFNAME);
	if (IS_ERR(dev))
		return ERR_CAST(dev);
	port = k8snet_port_get_rtnl(dev);
	if (!port) {
		NL_SET_ERR_MSG(info->extack, "device is not a port of a pod bridge");
		return ERR_PTR(-ENOENT);
	}
	return port;
}

int k8snet_nl_bridge_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct k8snet_net *kn = k8snet_info_net(info);
	struct k8snet_bridge *br;
	int err;

	rtnl_lock();
	mutex_lock(&kn->cfg_lock);
	br = bridge_find(info);
	err = IS_ERR(br) ? PTR_ERR(br) :
			   k8snet_nl_reply(info, K8SNET_CMD_BRIDGE_GET,
					   bridge_fill, kn, br);
	mutex_unlock(&kn->cfg_lock);
	rtnl_unlock();
	return err;
}

/* The bridge with the lowest index from @ifindex on. kn->bridges is in the
 * order of their making, which is that of the index unless one was asked for.
 */
static struct k8snet_bridge *bridge_next(struct k8snet_net *kn,
					 unsigned long ifindex)
{
	struct k8snet_bridge *br, *next = NULL;

	list_for_each_entry(br, &kn->bridges, node)
		if (br->dev->ifindex >= ifindex &&
		    (!next || br->dev->ifindex < next->dev->ifindex))
			next = br;
	return next;
}

int k8snet_nl_bridge_get_dumpit(struct sk_buff *skb,
				struct netlink_callback *cb)
{
	struct k8snet_msg m = k8snet_msg_dump(cb, skb, K8SNET_CMD_BRIDGE_GET);
	struct k8snet_dump *dump = k8snet_dump_ctx(cb);
	const struct k8snet_bridge *br;
	struct k8snet_net *kn;
	int len;

	rtnl_lock();
	kn = k8snet_dump_begin(cb);
	while ((br = bridge_next(kn, dump->next))) {
		if (k8snet_msg_fill_dump(skb, &m, cb, bridge_fill, kn, br))
			break;
		dump->next = br->dev->ifindex + 1UL;
	}
	len = k8snet_dump_end(kn, skb);
	rtnl_unlock();
	return len;
}

int k8snet_nl_port_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct k8snet_net *kn = k8snet_info_net(info);
	struct k8snet_port *port;
	int err;

	rtnl_lock();
	mutex_lock(&kn->cfg_lock);
	port = port_find(info);
	err = IS_ERR(port) ? PTR_ERR(port) :
			     k8snet_nl_reply(info, K8SNET_CMD_PORT_GET,
					     port_fill, kn, port);
	mutex_unlock(&kn->cfg_lock);
	rtnl_unlock();
	return err;
}

/* The port of @br with the lowest index from @ifindex on. */
static struct k8snet_port *port_next(struct k8snet_bridge *br,
				     unsigned long ifindex)
{
	struct k8snet_port *port, *next = NULL;

	list_for_each_entry(port, &br->ports, node)
		if (port->dev->ifindex >= ifindex &&
		    (!next || port->dev->ifindex < next->dev->ifindex))
			next = port;
	return next;
}

/* By bridge, ports of a bridge by index: quadratic in the ports of a bridge
 * only, and a node has some hundreds.
 */
int k8snet_nl_port_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct k8snet_msg m = k8snet_msg_dump(cb, skb, K8SNET_CMD_PORT_GET);
	struct k8snet_dump *dump = k8snet_dump_ctx(cb);
	const struct k8snet_port *port;
	struct k8snet_bridge *br;
	struct k8snet_net *kn;
	int len;

	rtnl_lock();
	kn = k8snet_dump_begin(cb);
	while ((br = bridge_next(kn, dump->next))) {
		if (br->dev->ifindex != dump->next) {
			dump->next = br->dev->ifindex;
			dump->sub = 0;
		}
		while ((port = port_next(br, dump->sub))) {
			if (k8snet_msg_fill_dump(skb, &m, cb, port_fill, kn,
						 port))
				goto out;
			dump->sub = port->dev->ifindex + 1UL;
		}
		dump->next = br->dev->ifindex + 1UL;
		dump->sub = 0;
	}
out:
	len = k8snet_dump_end(kn, skb);
	rtnl_unlock();
	return len;
}

int k8snet_nl_port_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *antispoof = info->attrs[K8SNET_A_PORT_ANTISPOOF];
	struct k8snet_port *port;
	int err = 0;

	rtnl_lock();
	port = port_find(info);
	if (IS_ERR(port)) {
		err = PTR_ERR(port);
		goto out;
	}
	if (!antispoof) {
		NL_SET_ERR_MSG(info->extack, "request changes nothing of the port");
		err = -EINVAL;
		goto out;
	}
	WRITE_ONCE(port->antispoof, nla_get_u8(antispoof));
	/* Flows that were learned without the check must not stay. */
	k8snet_flow_invalidate(port->br->kn);
	k8snet_port_notify(port, K8SNET_CMD_PORT_NTF);
out:
	rtnl_unlock();
	return err;
}
