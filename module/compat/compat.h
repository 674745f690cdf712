/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The only place that knows kernel versions. The sources use the newest name
 * of everything; here older kernels get it. Included before everything else
 * (Kbuild: -include). To drop a kernel, delete the blocks that name it.
 */
#ifndef _K8SNET_COMPAT_H
#define _K8SNET_COMPAT_H

#include <linux/version.h>

#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <net/genetlink.h>
#include <net/inet_dscp.h>
#include <net/ip.h>
#include <net/ip6_fib.h>
#include <net/route.h>
#include <net/rtnetlink.h>

/* 6.5: GSO has a header of its own. Drop with 6.1, and include it. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#include <net/gso.h>
#endif

/* 6.13: the input routing takes a DSCP in place of a TOS and returns a drop
 * reason, 0 for none, in place of an error. Drop with 6.12.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
static inline int k8snet_compat_route_input(struct sk_buff *skb, __be32 daddr,
					    __be32 saddr, dscp_t dscp,
					    struct net_device *dev)
{
	return ip_route_input_noref(skb, daddr, saddr,
				    inet_dscp_to_dsfield(dscp), dev);
}

#define ip_route_input_noref k8snet_compat_route_input
#endif

/* 6.15: newlink() gets its arguments in a structure. Drop with 6.12. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 15, 0)
struct rtnl_newlink_params {
	struct net *src_net;
	struct nlattr **tb;
	struct nlattr **data;
};

#define K8SNET_COMPAT_NEWLINK(fn)					\
static int fn##_compat(struct net *src_net, struct net_device *dev,	\
		       struct nlattr *tb[], struct nlattr *data[],	\
		       struct netlink_ext_ack *extack)			\
{									\
	struct rtnl_newlink_params params = {				\
		.src_net = src_net,					\
		.tb = tb,						\
		.data = data,						\
	};								\
									\
	return fn(dev, &params, extack);				\
}
#define K8SNET_NEWLINK(fn)	fn##_compat
#else
#define K8SNET_COMPAT_NEWLINK(fn)
#define K8SNET_NEWLINK(fn)	fn
#endif

/* Without a transmit lock, and bound to its namespace: bits of the features
 * before 6.12, netns_immutable was netns_local before 6.15.
 */
static inline void k8snet_compat_lltx_immutable(struct net_device *dev)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
	dev->features |= NETIF_F_LLTX | NETIF_F_NETNS_LOCAL;
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 15, 0)
	dev->lltx = true;
	dev->netns_local = true;
#else
	dev->lltx = true;
	dev->netns_immutable = true;
#endif
}

/* Does a device transmit without the lock of its queue? As above. */
static inline bool k8snet_dev_lltx(const struct net_device *dev)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
	return dev->features & NETIF_F_LLTX;
#else
	return dev->lltx;
#endif
}

/* 6.10, typed conversion; 6.1 has dst_rt6_info() by a stable update, but not
 * this one. Drop with 6.1.
 */
#ifndef dst_rtable
#define dst_rtable(_ptr) container_of_const(_ptr, struct rtable, dst)
#endif

/* 6.7: a dump's genl_info, of which only the attributes are used. Drop with
 * 6.1.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
#define genl_info_dump(cb) genl_dumpit_info(cb)
#endif

/* tc egress: a mini_Qdisc before 6.6, a program entry since. Drop with 6.1. */
static inline bool k8snet_dev_has_tc_egress(const struct net_device *dev)
{
#if !defined(CONFIG_NET_EGRESS)
	return false;
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
	return rcu_access_pointer(dev->miniq_egress);
#else
	return rcu_access_pointer(dev->tcx_egress);
#endif
}

/* tc or netfilter ingress. */
static inline bool k8snet_dev_has_ingress(const struct net_device *dev)
{
#ifdef CONFIG_NETFILTER_INGRESS
	if (rcu_access_pointer(dev->nf_hooks_ingress))
		return true;
#endif
#if !defined(CONFIG_NET_INGRESS)
	return false;
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
	return rcu_access_pointer(dev->miniq_ingress);
#else
	return rcu_access_pointer(dev->tcx_ingress);
#endif
}

/* Does a device count what it sends and receives in dev->tstats? It tells since
 * 6.7, and in stable kernels since some version of each (Kbuild looks). Drop
 * with 6.6, K8SNET_HAVE_PCPU_STAT_TYPE and the line in Kbuild.
 */
static inline bool k8snet_dev_has_tstats(const struct net_device *dev)
{
#ifdef K8SNET_HAVE_PCPU_STAT_TYPE
	return dev->pcpu_stat_type == NETDEV_PCPU_STAT_TSTATS;
#else
	return false;
#endif
}

/*
 * Whom nf_nat asks, given the private pointer of one of its hooks: the first
 * member of a structure that has no header (nf_nat_core.c, struct
 * nf_nat_lookup_hook_priv; so from 4.18 to 7.2, look again for newer ones).
 */
static inline const struct nf_hook_entries *k8snet_compat_nat_entries(void *priv)
{
	return rcu_dereference(*(struct nf_hook_entries __rcu **)priv);
}

static inline bool k8snet_dev_has_nf_egress(const struct net_device *dev)
{
#ifdef CONFIG_NETFILTER_EGRESS
	return rcu_access_pointer(dev->nf_hooks_egress);
#else
	return false;
#endif
}

/* 6.10: a trace event remembers the source of a string that it declares.
 * Drop with 6.1, and use __assign_str().
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
#define k8snet_assign_str(dst, src)	__assign_str(dst, src)
#else
#define k8snet_assign_str(dst, src)	__assign_str(dst)
#endif

#endif /* _K8SNET_COMPAT_H */
