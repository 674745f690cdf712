// SPDX-License-Identifier: GPL-2.0
/*
 * The node's settings, and which of its addresses is "the" address.
 *
 * The settings are replaced as a whole: writers copy, change and publish,
 * readers on the packet path see the old or the new ones, never a mixture.
 *
 * Addresses, links and routes change in other people's hands. Three address
 * and link notifiers, shared by all namespaces, and a FIB notifier in each
 * only queue node_work, because some of them run in atomic context; the work
 * takes RTNL and looks again. All namespaces are followed, also those that
 * have nothing of ours yet, so that the first service finds the address
 * known.
 */

#include <linux/inetdevice.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <net/addrconf.h>
#include <net/fib_notifier.h>
#include <net/if_inet6.h>
#include <net/ip6_fib.h>
#include <net/ip6_route.h>
#include <net/ip_fib.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/route.h>

#include "bridge.h"
#include "flow.h"
#include "localhost.h"
#include "node.h"

/* Per namespace, and gone before struct k8snet_net is. */
struct node_net {
	struct notifier_block fib_nb;
	struct k8snet_net *kn;
};

static unsigned int node_net_id;

/* Where the world is, for the routing table and for address selection: an
 * address in the global unicast space that is nobody's.
 */
static const struct in6_addr world6 = { { { 0x20 } } };

/* May the node's own address be on this device? */
static bool dev_usable(const struct net_device *dev)
{
	return (dev->flags & IFF_UP) && !(dev->flags & IFF_LOOPBACK) &&
	       !k8snet_bridge_dev(dev) &&
	       !netif_is_any_bridge_port(dev) && !k8snet_port_get_rtnl(dev);
}

static bool ifa6_usable(const struct inet6_ifaddr *ifa)
{
	if (ipv6_addr_type(&ifa->addr) &
	    (IPV6_ADDR_LOOPBACK | IPV6_ADDR_LINKLOCAL | IPV6_ADDR_MULTICAST))
		return false;
	if ((ifa->flags & IFA_F_TENTATIVE) && !(ifa->flags & IFA_F_OPTIMISTIC))
		return false;
	return !(ifa->flags & (IFA_F_DADFAILED | IFA_F_DEPRECATED |
			       IFA_F_TEMPORARY));
}

/*
 * The first address of @dev that may be the node's, or whether it has that
 * very address if @want is not NULL. Context: RTNL.
 */
static bool dev_addr_find(const struct net_device *dev, u8 family,
			  const union nf_inet_addr *want,
			  union nf_inet_addr *addr)
{
	const struct in_ifaddr *ifa4;
	const struct inet6_ifaddr *ifa6;
	struct inet6_dev *idev6;
	struct in_device *idev4;
	bool found = false;

	if (family == NFPROTO_IPV4) {
		idev4 = __in_dev_get_rtnl(dev);
		if (!idev4)
			return false;
		in_dev_for_each_ifa_rtnl(ifa4, idev4) {
			if (want ? ifa4->ifa_local != want->ip :
				   ifa4->ifa_scope != RT_SCOPE_UNIVERSE ||
				   (ifa4->ifa_flags & IFA_F_DEPRECATED))
				continue;
			if (addr)
				k8snet_addr_from_ip(addr, ifa4->ifa_local);
			return true;
		}
		return false;
	}

	idev6 = __in6_dev_get(dev);
	if (!idev6)
		return false;
	/* DAD changes the flags without RTNL. */
	read_lock_bh(&idev6->lock);
	list_for_each_entry(ifa6, &idev6->addr_list, if_list) {
		if (want ? !ipv6_addr_equal(&ifa6->addr, &want->in6) :
			   !ifa6_usable(ifa6))
			continue;
		if (addr)
			k8snet_addr_from_ip6(addr, &ifa6->addr);
		found = true;
		break;
	}
	read_unlock_bh(&idev6->lock);
	return found;
}

/* The device that has an address, or 0. Context: RTNL. */
static int addr_ifindex(struct net *net, const union nf_inet_addr *addr,
			u8 family)
{
	const struct net_device *dev;

	for_each_netdev(net, dev)
		if (dev_addr_find(dev, family, addr, NULL))
			return dev->ifindex;
	return 0;
}

/* The source address of the default route. */
static bool route4_addr(struct net *net, union nf_inet_addr *addr)
{
	/* The destination 0.0.0.0 is in the default route only. */
	struct flowi4 fl4 = { .flowi4_scope = RT_SCOPE_UNIVERSE };
	const struct fib_nh_common *nhc;
	struct fib_result res = {};
	__be32 gw, ip = 0;

	rcu_read_lock();
	if (fib_lookup(net, &fl4, &res, 0) || res.type != RTN_UNICAST)
		goto out;
	nhc = FIB_RES_NHC(res);
	if (!nhc || !nhc->nhc_dev || !dev_usable(nhc->nhc_dev))
		goto out;
	gw = nhc->nhc_gw_family == AF_INET ? nhc->nhc_gw.ipv4 : 0;
	ip = res.fi->fib_prefsrc ?:
	     inet_select_addr(nhc->nhc_dev, gw, RT_SCOPE_UNIVERSE);
out:
	rcu_read_unlock();
	k8snet_addr_from_ip(addr, ip);
	return ip;
}

static bool has_ipv6(struct net *net)
{
	const struct net_device *dev;

	for_each_netdev(net, dev)
		if (__in6_dev_get(dev))
			return true;
	return false;
}

static bool route6_addr(struct net *net, union nf_inet_addr *addr)
{
	struct flowi6 fl6 = { .daddr = world6 };
	const struct fib6_info *f6i;
	struct dst_entry *dst;
	bool found = false;

	/* Without IPv6 (ipv6.disable=1) there is no table to look in. */
	if (!has_ipv6(net))
		return false;

	dst = ip6_route_lookup(net, &fl6, NULL, 0);
	if (dst->error || !dst->dev || !dev_usable(dst->dev))
		goto out;
	rcu_read_lock();
	f6i = rcu_dereference(((struct rt6_info *)dst)->from);
	if (f6i && f6i->fib6_prefsrc.plen) {
		k8snet_addr_from_ip6(addr, &f6i->fib6_prefsrc.addr);
		found = true;
	}
	rcu_read_unlock();
	if (!found)
		found = !ipv6_dev_get_saddr(net, dst->dev, &world6,
					    IPV6_PREFER_SRC_PUBLIC,
					    &addr->in6) &&
			!(ipv6_addr_type(&addr->in6) & IPV6_ADDR_LINKLOCAL);
out:
	dst_release(dst);
	return found;
}

/*
 * The address that the node would use towards the world; without a default
 * route the first global one of the device that came first. @addr becomes any
 * where there is none. Context: RTNL.
 */
static void addr_find(struct net *net, u8 family, union nf_inet_addr *addr)
{
	const struct net_device *dev, *best = NULL;
	union nf_inet_addr a;

	if (family == NFPROTO_IPV6 ? route6_addr(net, addr) :
				     route4_addr(net, addr))
		return;

	memset(addr, 0, sizeof(*addr));
	for_each_netdev(net, dev) {
		if ((best && best->ifindex < dev->ifindex) || !dev_usable(dev))
			continue;
		if (!dev_addr_find(dev, family, NULL, &a))
			continue;
		best = dev;
		*addr = a;
	}
}

static void conf_find(struct net *net, struct k8snet_node_conf *conf)
{
	union nf_inet_addr *addr;
	unsigned int i;
	u8 family;

	for (i = 0; i < 2; i++) {
		family = k8snet_family_of_index(i);
		addr = &conf->address[i];
		*addr = conf->ip[i];
		if (k8snet_addr_any(addr))
			addr_find(net, family, addr);
		conf->address_ifindex[i] = k8snet_addr_any(addr) ? 0 :
					   addr_ifindex(net, addr, family);
	}
}

struct k8snet_node_conf *k8snet_node_copy(struct k8snet_net *kn)
{
	return kmemdup(k8snet_cfg_dereference(kn, kn->node),
		       sizeof(struct k8snet_node_conf), GFP_KERNEL_ACCOUNT);
}

/* Readers may use the old settings until their RCU section ends. */
static void conf_replace(struct k8snet_net *kn, struct k8snet_node_conf *conf)
{
	struct k8snet_node_conf *old = k8snet_cfg_dereference(kn, kn->node);

	rcu_assign_pointer(kn->node, conf);
	/* Flows of a fast path that is off now are not to be used, and of one
	 * that is to be smaller it is learned anew which.
	 */
	if (old->fastpath != conf->fastpath ||
	    old->flow_max > conf->flow_max)
		k8snet_flow_invalidate(kn);
	kfree_rcu(old, rcu);
}

/* The oldest is forgotten: its flows will run into their timeouts. */
static void former_add(union nf_inet_addr former[K8SNET_NODE_FORMER_MAX],
		       const union nf_inet_addr *addr)
{
	unsigned int i;

	for (i = 0; i < K8SNET_NODE_FORMER_MAX - 1; i++)
		if (k8snet_addr_equal(&former[i], addr))
			break;
	memmove(&former[1], &former[0], i * sizeof(former[0]));
	former[0] = *addr;
}

/* Is any of what comes before byte @end different? */
static bool conf_differs(const struct k8snet_node_conf *a,
			 const struct k8snet_node_conf *b, size_t end)
{
	size_t from = offsetofend(struct k8snet_node_conf, rcu);

	return memcmp((const u8 *)a + from, (const u8 *)b + from, end - from);
}

bool k8snet_node_publish(struct k8snet_net *kn, struct k8snet_node_conf *conf)
{
	const struct k8snet_node_conf *old;
	bool visible, former = false;
	unsigned int i;

	ASSERT_RTNL();
	k8snet_assert_cfg(kn);

	old = k8snet_cfg_dereference(kn, kn->node);
	conf_find(kn->net, conf);
	/* Structures are zeroed and copied whole, so padding is equal too. */
	if (!conf_differs(old, conf, sizeof(*conf))) {
		kfree(conf);
		return false;
	}
	visible = conf_differs(old, conf, offsetof(struct k8snet_node_conf,
						   address_ifindex));

	for (i = 0; i < 2; i++) {
		/* An address that was set stays set when its device loses it. */
		if (k8snet_addr_any(&old->address[i]) ||
		    (k8snet_addr_equal(&old->address[i], &conf->address[i]) &&
		     (!old->address_ifindex[i] || conf->address_ifindex[i])))
			continue;
		former_add(conf->former[i], &old->address[i]);
		former = true;
	}

	conf_replace(kn, conf);
	if (visible)
		k8snet_net_changed(kn);
	if (former)
		k8snet_node_update(kn);
	return visible;
}

void k8snet_node_refresh(struct k8snet_net *kn)
{
	struct k8snet_node_conf *conf = k8snet_node_copy(kn);

	if (conf && k8snet_node_publish(kn, conf))
		k8snet_node_notify(kn);
}

void k8snet_node_update(struct k8snet_net *kn)
{
	schedule_work(&kn->node_work);
}

struct lost_addr {
	union nf_inet_addr addr;
	u8 family;
};

/* Flows that were given the address as their source. */
static int flow_has_lost(struct nf_conn *ct, void *data)
{
	const struct lost_addr *lost = data;

	return (ct->status & IPS_SRC_NAT) &&
	       nf_ct_l3num(ct) == lost->family &&
	       nf_inet_addr_cmp(&ct->tuplehash[IP_CT_DIR_REPLY].tuple.dst.u3,
				&lost->addr);
}

/*
 * Takes out of the settings the earlier addresses that are not local any
 * more. Nothing that anybody could see, so it is not published as a change.
 * Without memory the next run finds them.
 */
static unsigned int former_lost(struct k8snet_net *kn, struct lost_addr *lost)
{
	struct k8snet_node_conf *conf = k8snet_node_copy(kn);
	union nf_inet_addr *addr;
	unsigned int i, n = 0;
	u8 family;

	if (!conf)
		return 0;
	rcu_read_lock();
	for (i = 0; i < 2 * K8SNET_NODE_FORMER_MAX; i++) {
		family = k8snet_family_of_index(i / K8SNET_NODE_FORMER_MAX);
		addr = &conf->former[i / K8SNET_NODE_FORMER_MAX]
				    [i % K8SNET_NODE_FORMER_MAX];
		if (k8snet_addr_any(addr) ||
		    k8snet_node_is_local_addr(kn, addr, family))
			continue;
		lost[n++] = (struct lost_addr){ *addr, family };
		memset(addr, 0, sizeof(*addr));
	}
	rcu_read_unlock();
	if (n)
		conf_replace(kn, conf);
	else
		kfree(conf);
	return n;
}

static void node_work(struct work_struct *work)
{
	struct k8snet_net *kn = container_of(work, struct k8snet_net,
					     node_work);
	struct nf_ct_iter_data iter = { .net = kn->net };
	struct lost_addr lost[2 * K8SNET_NODE_FORMER_MAX];
	unsigned int n;

	rtnl_lock();
	mutex_lock(&kn->cfg_lock);
	k8snet_node_refresh(kn);
	n = former_lost(kn, lost);
	mutex_unlock(&kn->cfg_lock);
	rtnl_unlock();

	/*
	 * nf_nat's own notifiers only know flows whose address is that of the
	 * device they leave through, as masquerade gives it. A service's flow
	 * has the node's address whichever way it leaves.
	 *
	 * This may take long, hence without locks. Entries that packets still
	 * on their way make with the old settings are few and time out.
	 */
	while (n--) {
		iter.data = &lost[n];
		nf_ct_iterate_cleanup_net(flow_has_lost, &iter);
	}
}

bool k8snet_node_has_ip6(struct net *net, const struct in6_addr *addr,
			 const struct net_device *dev)
{
	/* With ipv6.disable=1 there is no table to look in. */
	return ipv6_mod_enabled() &&
	       ipv6_chk_addr_and_flags(net, addr, dev, !dev, 0, 0);
}

bool k8snet_node_is_local_addr(struct k8snet_net *kn,
			       const union nf_inet_addr *addr, u8 family)
{
	if (k8snet_addr_loopback(addr, family))
		return false;
	if (family == NFPROTO_IPV6)
		return ipv6_mod_enabled() &&
		       ipv6_chk_addr(kn->net, &addr->in6, NULL, 0);
	return inet_addr_type(kn->net, addr->ip) == RTN_LOCAL;
}

bool k8snet_node_is_nodeport_addr(struct k8snet_net *kn,
				  const union nf_inet_addr *addr, u8 family)
{
	const struct k8snet_node_conf *conf = rcu_dereference(kn->node);

	switch (conf->nodeport_mode) {
	case K8SNET_NODEPORT_PRIMARY:
		return !k8snet_addr_any(addr) &&
		       k8snet_addr_equal(addr, &conf->address
						[k8snet_family_index(family)]);
	case K8SNET_NODEPORT_PREFIXES:
		if (!k8snet_prefixes_match(conf->nodeport, conf->n_nodeport,
					   addr, family))
			return false;
		fallthrough;
	default:
		/* A link-local address says nothing without its link. */
		if (family == NFPROTO_IPV6 &&
		    (ipv6_addr_type(&addr->in6) & IPV6_ADDR_LINKLOCAL))
			return false;
		return k8snet_node_is_local_addr(kn, addr, family);
	}
}

static void conf_default(struct k8snet_node_conf *conf)
{
	conf->nodeport_mode = K8SNET_NODEPORT_PRIMARY;
	conf->fastpath = K8SNET_FASTPATH_AUTO;
	conf->nodeport_min = K8SNET_NODEPORT_DEFAULT_MIN;
	conf->nodeport_max = K8SNET_NODEPORT_DEFAULT_MAX;
	conf->flow_max = K8SNET_FLOWS_DEFAULT_MAX;
	conf->dead_ports = K8SNET_NO_ENDPOINTS_REJECT;
	conf->unassigned_ips = K8SNET_NO_ENDPOINTS_DROP;
}

struct k8snet_node_conf *k8snet_node_defaults(void)
{
	struct k8snet_node_conf *conf = kzalloc(sizeof(*conf),
						GFP_KERNEL_ACCOUNT);

	if (conf)
		conf_default(conf);
	return conf;
}

void k8snet_node_reset(struct k8snet_net *kn, struct k8snet_node_conf *conf)
{
	const struct k8snet_node_conf *old;

	k8snet_assert_cfg(kn);
	k8snet_localhost_set(kn, false);
	/* Until the work has looked, the addresses in use stay. */
	old = k8snet_cfg_dereference(kn, kn->node);
	memcpy(conf->address, old->address, sizeof(conf->address));
	memcpy(conf->address_ifindex, old->address_ifindex,
	       sizeof(conf->address_ifindex));
	memcpy(conf->former, old->former, sizeof(conf->former));
	conf_replace(kn, conf);
	k8snet_net_changed(kn);
	k8snet_node_update(kn);
}

static int netdev_event(struct notifier_block *nb, unsigned long event,
			void *ptr)
{
	const struct net_device *dev = netdev_notifier_info_to_dev(ptr);

	switch (event) {
	case NETDEV_UP:
	case NETDEV_DOWN:
	case NETDEV_CHANGE:
	case NETDEV_CHANGEUPPER:
	case NETDEV_UNREGISTER:
		k8snet_node_update(k8snet_net(dev_net(dev)));
		break;
	}
	return NOTIFY_DONE;
}

static int inetaddr_event(struct notifier_block *nb, unsigned long event,
			  void *ptr)
{
	const struct in_ifaddr *ifa = ptr;

	k8snet_node_update(k8snet_net(dev_net(ifa->ifa_dev->dev)));
	return NOTIFY_DONE;
}

/* Context: atomic. */
static int inet6addr_event(struct notifier_block *nb, unsigned long event,
			   void *ptr)
{
	const struct inet6_ifaddr *ifa = ptr;

	k8snet_node_update(k8snet_net(dev_net(ifa->idev->dev)));
	return NOTIFY_DONE;
}

static bool fib4_concerns(const struct fib_notifier_info *info)
{
	return !container_of(info, const struct fib_entry_notifier_info,
			     info)->dst_len;
}

/* Default routes, and the host route of an address that has passed DAD. */
static bool fib6_concerns(const struct fib_notifier_info *info)
{
	const struct fib6_info *rt =
		container_of(info, const struct fib6_entry_notifier_info,
			     info)->rt;

	return rt->fib6_type == RTN_LOCAL ||
	       ipv6_prefix_equal(&rt->fib6_dst.addr, &world6,
				 rt->fib6_dst.plen);
}

/* Context: atomic. */
static int fib_event(struct notifier_block *nb, unsigned long event, void *ptr)
{
	const struct node_net *nn = container_of(nb, struct node_net, fib_nb);
	const struct fib_notifier_info *info = ptr;

	/* Another route may lead a known flow elsewhere, or nowhere. */
	k8snet_flow_invalidate(nn->kn);
	switch (event) {
	case FIB_EVENT_ENTRY_REPLACE:
	case FIB_EVENT_ENTRY_APPEND:
	case FIB_EVENT_ENTRY_ADD:
	case FIB_EVENT_ENTRY_DEL:
		/* Multicast routing has families of its own. */
		if ((info->family == AF_INET && fib4_concerns(info)) ||
		    (info->family == AF_INET6 && fib6_concerns(info)))
			k8snet_node_update(nn->kn);
		break;
	case FIB_EVENT_RULE_ADD:
	case FIB_EVENT_RULE_DEL:
	case FIB_EVENT_NH_ADD:
	case FIB_EVENT_NH_DEL:
		k8snet_node_update(nn->kn);
		break;
	}
	return NOTIFY_DONE;
}

static int __net_init node_net_init(struct net *net)
{
	struct node_net *nn = net_generic(net, node_net_id);

	nn->kn = k8snet_net(net);
	nn->fib_nb.notifier_call = fib_event;
	return register_fib_notifier(net, &nn->fib_nb, NULL, NULL);
}

static void __net_exit node_net_exit(struct net *net)
{
	struct node_net *nn = net_generic(net, node_net_id);

	unregister_fib_notifier(net, &nn->fib_nb);
}

static struct pernet_operations node_net_ops = {
	.init = node_net_init,
	.exit = node_net_exit,
	.id = &node_net_id,
	.size = sizeof(struct node_net),
};

static struct notifier_block netdev_nb = {
	.notifier_call = netdev_event,
};

static struct notifier_block inetaddr_nb = {
	.notifier_call = inetaddr_event,
};

static struct notifier_block inet6addr_nb = {
	.notifier_call = inet6addr_event,
};

int k8snet_node_net_init(struct k8snet_net *kn)
{
	struct k8snet_node_conf *conf;

	conf = kzalloc(sizeof(*conf), GFP_KERNEL_ACCOUNT);
	if (!conf)
		return -ENOMEM;
	conf_default(conf);
	RCU_INIT_POINTER(kn->node, conf);
	INIT_WORK(&kn->node_work, node_work);
	return 0;
}

/*
 * The last event of the namespace has been: its devices are gone, and the FIB
 * notifier, registered after us, was removed before. No packet of it is left
 * that could read the settings.
 */
void k8snet_node_net_exit(struct k8snet_net *kn)
{
	cancel_work_sync(&kn->node_work);
	kfree(rcu_dereference_protected(kn->node, true));
}

int __init k8snet_node_init(void)
{
	int err;

	err = register_pernet_subsys(&node_net_ops);
	if (err)
		return err;
	/* Tells of all devices that are up, so that the addresses which are
	 * there already are found.
	 */
	err = register_netdevice_notifier(&netdev_nb);
	if (err)
		goto err_net;
	err = register_inetaddr_notifier(&inetaddr_nb);
	if (err)
		goto err_netdev;
	err = register_inet6addr_notifier(&inet6addr_nb);
	if (err)
		goto err_inetaddr;
	return 0;

err_inetaddr:
	unregister_inetaddr_notifier(&inetaddr_nb);
err_netdev:
	unregister_netdevice_notifier(&netdev_nb);
err_net:
	unregister_pernet_subsys(&node_net_ops);
	return err;
}

void k8snet_node_uninit(void)
{
	unregister_inet6addr_notifier(&inet6addr_nb);
	unregister_inetaddr_notifier(&inetaddr_nb);
	unregister_netdevice_notifier(&netdev_nb);
	unregister_pernet_subsys(&node_net_ops);
}
