// SPDX-License-Identifier: GPL-2.0
/*
 * Pod routes: which remote pod CIDR is behind which node.
 *
 * A pod route is kept here, for the packet path, and as "PREFIX dev BRIDGE" in
 * the namespace's main table, where it makes the stack choose the bridge
 * (fib.c).
 */

#include <linux/in.h>
#include <linux/inetdevice.h>
#include <linux/rhashtable.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <net/addrconf.h>
#include <net/dst_cache.h>
#include <net/flow.h>
#include <net/ip6_route.h>
#include <net/route.h>

#include "bridge.h"
#include "fib.h"
#include "flow.h"
#include "netlink.h"
#include "netns.h"
#include "node.h"
#include "route.h"

enum {
	/* Bits of the longest prefix; one more is the number of lengths. */
	ROUTE_LEN_MAX = 128,
};

static const struct rhashtable_params route_params = {
	.head_offset = offsetof(struct k8snet_route, hash),
	.key_offset = offsetof(struct k8snet_route, prefix),
	.key_len = offsetofend(struct k8snet_prefix, len),
	.automatic_shrinking = true,
};

/*
 * Which prefix lengths there are, longest first, by k8snet_family_index(). A
 * lookup tries each of them once, and clusters use one a family. Published
 * anew when a length comes; may list one that has gone.
 */
struct k8snet_route_lens {
	struct rcu_head rcu;
	u32 users[2][ROUTE_LEN_MAX + 1];	/* routes of it; cfg_lock */
	unsigned int n[2];
	u8 len[2][ROUTE_LEN_MAX + 1];
};

struct k8snet_route *k8snet_route_lookup_rcu(struct k8snet_net *kn,
					     const union nf_inet_addr *addr,
					     u8 family)
{
	unsigned int f = k8snet_family_index(family), i;
	const struct k8snet_route_lens *lens;
	struct k8snet_prefix key = { };
	struct k8snet_route *r;

	lens = rcu_dereference(kn->route_lens);
	if (!lens)
		return NULL;
	key.family = family;
	for (i = 0; i < lens->n[f]; i++) {
		key.addr = *addr;
		key.len = lens->len[f][i];
		k8snet_addr_mask(&key.addr, key.len);
		r = rhashtable_lookup(&kn->routes, &key, route_params);
		if (r)
			return r;
	}
	return NULL;
}

/* Makes room for one more route of that length. */
static int route_lens_add(struct k8snet_net *kn, const struct k8snet_prefix *p)
{
	unsigned int f = k8snet_family_index(p->family), i;
	struct k8snet_route_lens *old, *new;

	old = k8snet_cfg_dereference(kn, kn->route_lens);
	for (i = 0; old && i < old->n[f]; i++) {
		if (old->len[f][i] == p->len) {
			old->users[f][p->len]++;
			return 0;
		}
	}

	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;
	if (old)
		memcpy(new->users, old->users, sizeof(new->users));
	new->users[f][p->len]++;
	for (f = 0; f < 2; f++)
		for (i = ROUTE_LEN_MAX + 1; i--;)
			if (new->users[f][i])
				new->len[f][new->n[f]++] = i;
	rcu_assign_pointer(kn->route_lens, new);
	if (old)
		kfree_rcu(old, rcu);
	return 0;
}

static void route_lens_del(struct k8snet_net *kn, const struct k8snet_prefix *p)
{
	struct k8snet_route_lens *lens;

	lens = k8snet_cfg_dereference(kn, kn->route_lens);
	lens->users[k8snet_family_index(p->family)][p->len]--;
}

/*
 * The address that this node uses towards @via, and the route. IPv4's comes
 * with the route, IPv6's has to be asked for.
 */
static struct dst_entry *route_dst_ipv4(struct k8snet_net *kn,
					struct k8snet_route *r, __be32 *saddr)
{
	struct flowi4 fl4 = {
		.daddr = r->via.ip,
		.flowi4_oif = r->oif,
	};
	struct rtable *rt;

	rt = dst_cache_get_ip4(&r->dst_cache, saddr);
	if (rt)
		return &rt->dst;
	rt = ip_route_output_key(kn->net, &fl4);
	if (IS_ERR(rt))
		return NULL;
	*saddr = fl4.saddr;
	if (rt->rt_type == RTN_UNICAST)
		return &rt->dst;
	ip_rt_put(rt);
	return NULL;
}

static struct dst_entry *route_dst_ipv6(struct k8snet_net *kn,
					struct k8snet_route *r,
					struct in6_addr *saddr)
{
	struct flowi6 fl6 = {
		.daddr = r->via.in6,
		.flowi6_oif = r->oif,
	};
	struct dst_entry *dst;

	dst = dst_cache_get_ip6(&r->dst_cache, saddr);
	if (dst)
		return dst;
	dst = ip6_route_output(kn->net, NULL, &fl6);
	if (!dst->error &&
	    !(dst_rt6_info(dst)->rt6i_flags & (RTF_LOCAL | RTF_ANYCAST)) &&
	    !ipv6_dev_get_saddr(kn->net, dst_dev(dst), &r->via.in6, 0, saddr))
		return dst;
	dst_release(dst);
	return NULL;
}

/* The bridge's senders leave room for what the device needs beyond Ethernet.
 * Only grows; a racing writer's value is as good.
 */
static void route_bridge_headroom(const struct k8snet_route *r,
				  const struct net_device *dev)
{
	unsigned int need = dev->hard_header_len + READ_ONCE(dev->needed_headroom);

	need -= min_t(unsigned int, need, ETH_HLEN);
	if (need > READ_ONCE(r->bridge->needed_headroom) && need <= U16_MAX)
		WRITE_ONCE(r->bridge->needed_headroom, need);
}

struct dst_entry *k8snet_route_dst(struct k8snet_net *kn,
				   struct k8snet_route *r,
				   union nf_inet_addr *saddr)
{
	union nf_inet_addr src = { };
	struct dst_entry *dst;
	struct net_device *dev;

	if (r->prefix.family == NFPROTO_IPV4)
		dst = route_dst_ipv4(kn, r, &src.ip);
	else
		dst = route_dst_ipv6(kn, r, &src.in6);
	if (!dst)
		return NULL;

	/* By a pod bridge it would come straight back here. What a route packs
	 * packets into (MPLS, SRv6, "encap ip") is done with the destination
	 * that it was asked for, and theirs is another.
	 */
	dev = dst_dev(dst);
	if (dev->flags & IFF_LOOPBACK || k8snet_bridge_dev(dev) ||
	    dst->lwtstate) {
		dst_release(dst);
		return NULL;
	}
	route_bridge_headroom(r, dev);
	if (r->prefix.family == NFPROTO_IPV4)
		dst_cache_set_ip4(&r->dst_cache, dst, src.ip);
	else
		dst_cache_set_ip6(&r->dst_cache, dst, &src.in6);
	if (saddr)
		*saddr = src;
	return dst;
}

int k8snet_route_net_init(struct k8snet_net *kn)
{
	k8snet_fib_net_init(kn);
	xa_init_flags(&kn->route_ids, XA_FLAGS_ALLOC1);
	return rhashtable_init(&kn->routes, &route_params);
}

/* The bridges are gone: no route is left. */
void k8snet_route_net_exit(struct k8snet_net *kn)
{
	struct k8snet_route_lens *lens;

	k8snet_fib_net_exit(kn);
	WARN_ON_ONCE(kn->n_routes);
	lens = rcu_dereference_protected(kn->route_lens, true);
	if (lens)
		kfree_rcu(lens, rcu);
	rhashtable_destroy(&kn->routes);
	xa_destroy(&kn->route_ids);
}

struct k8snet_route *k8snet_route_get(struct k8snet_net *kn,
				      const struct k8snet_prefix *prefix)
{
	struct k8snet_route *r;

	k8snet_assert_cfg(kn);
	rcu_read_lock();
	r = rhashtable_lookup(&kn->routes, prefix, route_params);
	rcu_read_unlock();
	return r;
}

/* The last packet that may have held the route is through. Context: softirq;
 * module exit waits with rcu_barrier().
 */
static void route_free_rcu(struct rcu_head *rcu)
{
	struct k8snet_route *r = container_of(rcu, struct k8snet_route, rcu);

	dst_cache_destroy(&r->dst_cache);
	kfree(r);
}

static void route_unlink(struct k8snet_net *kn, struct k8snet_route *r)
{
	k8snet_assert_cfg(kn);
	rhashtable_remove_fast(&kn->routes, &r->hash, route_params);
	route_lens_del(kn, &r->prefix);
	k8snet_flow_invalidate(kn);
	xa_erase(&kn->route_ids, r->id);
	kn->n_routes--;
	k8snet_net_changed(kn);
	call_rcu(&r->rcu, route_free_rcu);
}

static void route_remove(struct k8snet_net *kn, struct k8snet_route *r)
{
	k8snet_route_notify(kn, r, K8SNET_CMD_ROUTE_DEL_NTF);
	route_unlink(kn, r);
}

/* The bridge a request names, or the only one. Context: RTNL held. */
static struct net_device *route_bridge(struct k8snet_net *kn, int ifindex,
				       struct netlink_ext_ack *extack)
{
	struct k8snet_bridge *br;
	struct net_device *dev;

	ASSERT_RTNL();
	if (ifindex) {
		dev = __dev_get_by_index(kn->net, ifindex);
		if (!dev) {
			NL_SET_ERR_MSG(extack, "no device has the index of the route's bridge");
			return ERR_PTR(-ENODEV);
		}
		if (!k8snet_bridge_dev(dev)) {
			NL_SET_ERR_MSG(extack, "device of the route is not a pod bridge");
			return ERR_PTR(-EINVAL);
		}
		return dev;
	}
	br = list_first_entry_or_null(&kn->bridges, struct k8snet_bridge, node);
	if (!br) {
		NL_SET_ERR_MSG(extack, "no pod bridge for the route");
		return ERR_PTR(-ENODEV);
	}
	if (!list_is_singular(&kn->bridges)) {
		NL_SET_ERR_MSG(extack, "more than one pod bridge: name one for the route");
		return ERR_PTR(-EINVAL);
	}
	return br->dev;
}

static int route_check_via(struct k8snet_net *kn,
			   const struct k8snet_route_conf *conf,
			   struct netlink_ext_ack *extack)
{
	u8 family = conf->prefix.family;
	unsigned int type = RTN_UNICAST;

	if (family == NFPROTO_IPV6 && !ipv6_mod_enabled()) {
		NL_SET_ERR_MSG(extack, "IPv6 is disabled on this node (ipv6.disable)");
		return -EAFNOSUPPORT;
	}
	if (k8snet_addr_any(&conf->via) ||
	    k8snet_addr_multicast(&conf->via, family) ||
	    k8snet_addr_loopback(&conf->via, family) ||
	    (family == NFPROTO_IPV4 && ipv4_is_lbcast(conf->via.ip))) {
		NL_SET_ERR_MSG(extack, "node of the route is not a unicast address");
		return -EINVAL;
	}
	if (family == NFPROTO_IPV6 && !conf->oif &&
	    ipv6_addr_type(&conf->via.in6) & IPV6_ADDR_LINKLOCAL) {
		NL_SET_ERR_MSG(extack, "link-local node of the route needs a device");
		return -EINVAL;
	}
	if (k8snet_prefix_match(&conf->prefix, &conf->via, family)) {
		NL_SET_ERR_MSG(extack, "node of the route is inside the routed prefix");
		return -EINVAL;
	}
	if (family == NFPROTO_IPV4)
		type = inet_addr_type(kn->net, conf->via.ip);
	else if (k8snet_node_is_local_addr(kn, &conf->via, family))
		type = RTN_LOCAL;
	if (type == RTN_LOCAL) {
		NL_SET_ERR_MSG(extack, "node of the route is this node");
		return -EINVAL;
	}
	if (type != RTN_UNICAST) {
		NL_SET_ERR_MSG(extack, "node of the route is a broadcast address");
		return -EINVAL;
	}
	return 0;
}

/* May the packets of the route leave by the device it names? RTNL held. */
static int route_check_oif(struct k8snet_net *kn, int oif,
			   struct netlink_ext_ack *extack)
{
	const struct net_device *dev;

	if (!oif)
		return 0;
	dev = __dev_get_by_index(kn->net, oif);
	if (!dev) {
		NL_SET_ERR_MSG(extack, "no device has the index of the route's outgoing device");
		return -ENODEV;
	}
	if (k8snet_bridge_dev(dev) || dev->flags & IFF_LOOPBACK) {
		NL_SET_ERR_MSG(extack, "outgoing device of the route is a pod bridge or loopback");
		return -EINVAL;
	}
	return 0;
}

static int route_check_prefix(struct k8snet_net *kn,
			      const struct k8snet_prefix *prefix,
			      struct netlink_ext_ack *extack)
{
	if (k8snet_addr_multicast(&prefix->addr, prefix->family) ||
	    k8snet_addr_loopback(&prefix->addr, prefix->family)) {
		NL_SET_ERR_MSG(extack, "prefix of the route is not unicast");
		return -EINVAL;
	}
	if (prefix->family == NFPROTO_IPV6 && prefix->len &&
	    ipv6_addr_type(&prefix->addr.in6) & IPV6_ADDR_LINKLOCAL) {
		NL_SET_ERR_MSG(extack, "prefix of the route is link-local");
		return -EINVAL;
	}
	if (kn->n_routes >= K8SNET_ROUTES_MAX) {
		NL_SET_ERR_MSG(extack, "too many pod routes");
		return -ENOSPC;
	}
	if (k8snet_route_get(kn, prefix)) {
		NL_SET_ERR_MSG(extack, "pod route to this prefix exists");
		return -EEXIST;
	}
	return 0;
}

/* Into our own table. Context: RTNL and cfg_lock held. */
static struct k8snet_route *route_create(struct k8snet_net *kn,
					 const struct k8snet_route_conf *conf,
					 struct net_device *bridge)
{
	struct k8snet_route *r;
	int err;

	r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);
	if (!r)
		return ERR_PTR(-ENOMEM);
	r->prefix = conf->prefix;
	r->via = conf->via;
	r->bridge = bridge;
	r->oif = conf->oif;
	r->hop_due = jiffies;
	err = dst_cache_init(&r->dst_cache, GFP_KERNEL_ACCOUNT);
	if (err)
		goto err_free;
	err = xa_alloc(&kn->route_ids, &r->id, r, xa_limit_32b,
		       GFP_KERNEL_ACCOUNT);
	if (err)
		goto err_cache;
	err = route_lens_add(kn, &r->prefix);
	if (err)
		goto err_id;
	err = rhashtable_insert_fast(&kn->routes, &r->hash, route_params);
	if (err)
		goto err_lens;
	k8snet_flow_invalidate(kn);
	kn->n_routes++;
	k8snet_net_changed(kn);
	return r;

err_lens:
	route_lens_del(kn, &r->prefix);
err_id:
	xa_erase(&kn->route_ids, r->id);
err_cache:
	dst_cache_destroy(&r->dst_cache);
err_free:
	kfree(r);
	return ERR_PTR(err);
}

/*
 * First our own table, so that the FIB never has a route to the bridge that
 * the bridge does not know; then, without RTNL and cfg_lock, the FIB. The
 * bridge may go meanwhile and take the route along, hence the second look.
 */
int k8snet_route_add(struct k8snet_net *kn,
		     const struct k8snet_route_conf *conf,
		     struct netlink_ext_ack *extack)
{
	struct net_device *bridge;
	struct k8snet_route *r;
	int err, ifindex = 0;
	bool up;
	u32 id;

	mutex_lock(&kn->fib_lock);
	rtnl_lock();
	mutex_lock(&kn->cfg_lock);
	err = route_check_prefix(kn, &conf->prefix, extack);
	if (!err)
		err = route_check_via(kn, conf, extack);
	if (!err)
		err = route_check_oif(kn, conf->oif, extack);
	if (err)
		goto err_unlock;
	bridge = route_bridge(kn, conf->bridge, extack);
	if (IS_ERR(bridge)) {
		err = PTR_ERR(bridge);
		goto err_unlock;
	}
	r = route_create(kn, conf, bridge);
	if (IS_ERR(r)) {
		err = PTR_ERR(r);
		goto err_unlock;
	}
	id = r->id;
	ifindex = bridge->ifindex;
	up = netif_running(bridge);
	mutex_unlock(&kn->cfg_lock);
	rtnl_unlock();

	/* Of a bridge that is down the FIB takes no route: see fib_work(). */
	if (up)
		err = k8snet_fib_change(kn, RTM_NEWROUTE,
					NLM_F_CREATE | NLM_F_EXCL,
					&conf->prefix, ifindex);
	if (err == -ENETDOWN)
		err = 0;

	mutex_lock(&kn->cfg_lock);
	r = k8snet_route_get(kn, &conf->prefix);
	if (!r || r->id != id) {
		NL_SET_ERR_MSG(extack, "pod bridge of the route went away");
		err = -ENODEV;
	} else if (err) {
		if (err == -EEXIST)
			NL_SET_ERR_MSG(extack, "the FIB refused the route: it has another one");
		else
			NL_SET_ERR_MSG(extack, "the FIB refused the route");
		route_unlink(kn, r);
	} else {
		k8snet_route_notify(kn, r, K8SNET_CMD_ROUTE_NTF);
	}
	mutex_unlock(&kn->cfg_lock);
	mutex_unlock(&kn->fib_lock);
	return err;

err_unlock:
	mutex_unlock(&kn->cfg_lock);
	rtnl_unlock();
	mutex_unlock(&kn->fib_lock);
	return err;
}

/* The other way round, and for the same reason the FIB first. That it has the
 * route no more is no error.
 */
int k8snet_route_del(struct k8snet_net *kn, const struct k8snet_prefix *prefix)
{
	struct k8snet_route *r;
	int err = 0, ifindex;

	mutex_lock(&kn->fib_lock);
	mutex_lock(&kn->cfg_lock);
	r = k8snet_route_get(kn, prefix);
	if (r)
		ifindex = r->bridge->ifindex;
	mutex_unlock(&kn->cfg_lock);
	if (!r) {
		err = -ENOENT;
		goto out;
	}

	err = k8snet_fib_del(kn, prefix, ifindex);
	if (err == -ENOMEM || err == -ENOBUFS)
		goto out;
	err = 0;
	/* Only the bridge's removal could have taken it since. */
	mutex_lock(&kn->cfg_lock);
	r = k8snet_route_get(kn, prefix);
	if (r)
		route_remove(kn, r);
	mutex_unlock(&kn->cfg_lock);
out:
	mutex_unlock(&kn->fib_lock);
	return err;
}

/*
 * Who may still see a route: packets, in RCU sections that began before it was
 * unlinked; call_rcu() waits for these. They use r->bridge in that section
 * only, and the device outlives it, since unregistering it waits for one more
 * grace period. Everybody else finds routes under cfg_lock.
 */
void k8snet_route_flush_bridge(struct k8snet_net *kn,
			       const struct net_device *bridge)
{
	struct k8snet_route *r;
	unsigned long id;

	ASSERT_RTNL();
	k8snet_assert_cfg(kn);
	xa_for_each(&kn->route_ids, id, r)
		if (r->bridge == bridge)
			route_remove(kn, r);
}

void k8snet_route_flush(struct k8snet_net *kn)
{
	struct k8snet_route *r;
	unsigned long id;

	k8snet_assert_cfg(kn);
	xa_for_each(&kn->route_ids, id, r)
		route_remove(kn, r);
}
