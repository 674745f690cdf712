// SPDX-License-Identifier: GPL-2.0
/*
 * What a flow is: made from a connection that the stack, or onepass.c in its
 * place, has decided about.
 */

#include <linux/etherdevice.h>
#include <net/ip6_route.h>
#include <net/netfilter/nf_conntrack_acct.h>
#include <net/netfilter/nf_conntrack_helper.h>
#include <net/netfilter/nf_conntrack_seqadj.h>
#include <net/netfilter/nf_conntrack_timeout.h>

#include "flow.h"
#include "node.h"

/*
 * Is the connection one that a cache may carry? Not one whose payload is
 * looked at or changed (helpers), and only one that both ends and all
 * firewalls have agreed to.
 */
bool k8snet_flow_may_learn(const struct nf_conn *ct,
			   enum ip_conntrack_info info)
{
	if (info != IP_CT_ESTABLISHED && info != IP_CT_ESTABLISHED_REPLY)
		return false;
	if (!nf_ct_is_confirmed(ct) || nf_ct_is_dying(ct) || nfct_help(ct) ||
	    nfct_seqadj(ct) || test_bit(IPS_FIXED_TIMEOUT_BIT, &ct->status))
		return false;
#ifdef CONFIG_NF_CONNTRACK_TIMEOUT
	if (nf_ct_timeout_find(ct))
		return false;
#endif
	switch (nf_ct_protonum(ct)) {
	case IPPROTO_TCP:
		return READ_ONCE(ct->proto.tcp.state) ==
		       TCP_CONNTRACK_ESTABLISHED &&
		       test_bit(IPS_ASSURED_BIT, &ct->status);
	case IPPROTO_UDP:
		return test_bit(IPS_SEEN_REPLY_BIT, &ct->status);
	}
	return false;
}

/* Where the packet came in by, as its flow's later packets will; 0: it may
 * not be learned. @pod: the pod that sent it, if it is one of ours.
 */
static int ingress_ifindex(const struct k8snet_bridge *br,
			   const struct sk_buff *skb,
			   const struct k8snet_pod *pod)
{
	if (!skb->skb_iif || skb->sk)	/* made here */
		return 0;
	if (pod)
		return skb->skb_iif == pod->port->br->dev->ifindex ?
		       pod->port->dev->ifindex : 0;
	if (skb->skb_iif == br->dev->ifindex)
		return 0;
	return k8snet_flow_uplink(br->kn, skb->skb_iif) ? skb->skb_iif : 0;
}

/* The difference that replacing @n words makes to a checksum. */
static __wsum words_diff(const __be32 *from, const __be32 *to, unsigned int n)
{
	__wsum diff = 0;

	while (n--)
		diff = csum_add(diff, csum_sub((__force __wsum)*to++,
					       (__force __wsum)*from++));
	return diff;
}

/* The ports as they are in a packet. */
static __be32 tuple_ports(__be16 src, __be16 dst)
{
	const __be16 both[2] = { src, dst };
	__be32 ports;

	memcpy(&ports, both, sizeof(ports));
	return ports;
}

static u32 iif_proto(int iif, u8 proto)
{
	return (u32)iif << 8 | proto;
}

static struct k8snet_flow_key4
key4_make(const struct nf_conntrack_tuple *in, int iif)
{
	return (struct k8snet_flow_key4) {
		.src = in->src.u3.ip,
		.dst = in->dst.u3.ip,
		.ports = tuple_ports(in->src.u.all, in->dst.u.all),
		.iif_proto = iif_proto(iif, in->dst.protonum),
	};
}

static struct k8snet_flow_key6
key6_make(const struct nf_conntrack_tuple *in, int iif)
{
	return (struct k8snet_flow_key6) {
		.src = in->src.u3.in6,
		.dst = in->dst.u3.in6,
		.ports = tuple_ports(in->src.u.all, in->dst.u.all),
		.iif_proto = iif_proto(iif, in->dst.protonum),
	};
}

/* Whatever goes to the stack all the same comes by here: fragments, or all of
 * a flow whose device has a queue or a program. It is not to cost an
 * allocation each.
 */
bool k8snet_flow_is_known(struct k8snet_net *kn, const struct nf_conn *ct,
			  const struct k8snet_flow_way *way)
{
	const struct nf_conntrack_tuple *in = &ct->tuplehash[way->dir].tuple;
	struct k8snet_flow_key4 key4;
	struct k8snet_flow_key6 key6;
	struct k8snet_flow *f;

	if (nf_ct_l3num(ct) == NFPROTO_IPV4) {
		key4 = key4_make(in, way->iif);
		f = k8snet_flow_lookup4(kn, &key4.src, key4.ports,
					key4.iif_proto);
	} else {
		key6 = key6_make(in, way->iif);
		f = k8snet_flow_lookup6(kn, &key6.src, key6.ports,
					key6.iif_proto);
	}
	if (!f)
		return false;
	if (f->gen == way->gen && f->ct == ct)
		return true;
	k8snet_flow_remove(kn, f);
	return false;
}

/* The translation, from the two directions of the connection. */
static void flow_set_tuples(struct k8snet_flow *f,
			    const struct nf_conntrack_tuple *in,
			    const struct nf_conntrack_tuple *back, int iif)
{
	__be32 ports = tuple_ports(in->src.u.all, in->dst.u.all);
	unsigned int words = k8snet_addr_size(f->family) / 4;

	f->ports = tuple_ports(back->dst.u.all, back->src.u.all);
	if (f->family == NFPROTO_IPV4)
		f->key4 = key4_make(in, iif);
	else
		f->key6 = key6_make(in, iif);
	f->src = back->dst.u3;
	f->dst = back->src.u3;
	f->addr_diff = csum_add(words_diff(in->src.u3.ip6, f->src.ip6, words),
				words_diff(in->dst.u3.ip6, f->dst.ip6, words));
	/* TTL is the upper byte of its word. */
	f->hdr_diff = csum_sub(f->addr_diff, (__force __wsum)htons(0x100));
	f->full_diff = csum_add(f->addr_diff,
				words_diff(&ports, &f->ports, 1));
}

/* Is the packet translated as the flow would? Somebody else's rules may have
 * changed it otherwise.
 */
static bool skb_is_translated(const struct sk_buff *skb,
			      const struct k8snet_flow *f)
{
	union nf_inet_addr src, dst;

	k8snet_skb_addrs(skb, f->family, &src, &dst);
	return k8snet_addr_equal(&src, &f->src) &&
	       k8snet_addr_equal(&dst, &f->dst);
}

/* Does a device take packets as senders like to leave them: not segmented, not
 * summed up, in pieces? To one that does not, such packets go by
 * dev_queue_xmit(), which does what it lacks.
 */
static bool flow_offloads(const struct net_device *dev)
{
	const netdev_features_t wanted = NETIF_F_HW_CSUM | NETIF_F_SG |
					 NETIF_F_TSO | NETIF_F_TSO6;

	return (dev->features & wanted) == wanted;
}

/* The way to a pod: past the port, into the pod's end of it. */
static bool flow_to_pod(struct k8snet_flow *f, const struct k8snet_bridge *br,
			const struct k8snet_pod *pod)
{
	struct net_device *port = pod->port->dev;
	const struct net_device_ops *ops = port->netdev_ops;

	if (!ops->ndo_get_peer_dev)
		return false;
	f->peer = ops->ndo_get_peer_dev(port);
	if (!f->peer)
		return false;
	f->route = NULL;
	f->out = port;
	f->txq = netdev_get_tx_queue(port, 0);
	f->oif = port->ifindex;
	f->mtu = READ_ONCE(port->mtu);
	f->offloads = flow_offloads(port);
	ether_addr_copy(f->macs, pod->lladdr);
	ether_addr_copy(f->macs + ETH_ALEN, br->dev->dev_addr);
	return true;
}

/* The next hop towards the node of a pod route. */
struct flow_hop {
	struct net_device *dev;
	union nf_inet_addr addr;
	bool ipv6;
	unsigned int mtu;
};

static bool flow_hop_find(struct k8snet_net *kn, struct k8snet_route *r,
			  struct flow_hop *hop)
{
	const struct rtable *rt;
	struct dst_entry *dst;

	dst = k8snet_route_dst(kn, r, NULL);
	if (!dst)
		return false;
	memset(hop, 0, sizeof(*hop));
	hop->dev = dst_dev(dst);
	hop->mtu = dst_mtu(dst);
	if (r->prefix.family == NFPROTO_IPV6) {
		hop->ipv6 = true;
		hop->addr.in6 = *rt6_nexthop(dst_rt6_info(dst), &r->via.in6);
	} else {
		rt = dst_rtable(dst);
		hop->ipv6 = rt->rt_gw_family == AF_INET6;
		if (hop->ipv6)
			hop->addr.in6 = rt->rt_gw6;
		else
			hop->addr.ip = rt_nexthop(rt, r->via.ip);
	}
	dst_release(dst);
	return true;
}

/*
 * A change of routes or devices makes a flow's generation old; what is learned
 * of a path (a redirect, a smaller MTU) does not, and is asked for here.
 */
bool k8snet_flow_hop_current(struct k8snet_net *kn, const struct k8snet_flow *f)
{
	struct flow_hop hop;

	return flow_hop_find(kn, f->route, &hop) && hop.dev == f->out &&
	       hop.mtu == f->mtu && hop.ipv6 == f->nexthop6 &&
	       k8snet_addr_equal(&hop.addr, &f->nexthop);
}

static bool flow_to_node(struct k8snet_net *kn, struct k8snet_flow *f,
			 const struct k8snet_bridge *br,
			 struct k8snet_route *route)
{
	struct flow_hop hop;

	if (!flow_hop_find(kn, route, &hop))
		return false;
	f->route = route;
	f->peer = NULL;
	f->oif = br->dev->ifindex;
	f->out = hop.dev;
	f->txq = netdev_get_tx_queue(hop.dev, 0);
	f->mtu = hop.mtu;
	f->nexthop = hop.addr;
	f->nexthop6 = hop.ipv6;
	f->offloads = flow_offloads(hop.dev);
	f->headroom = LL_RESERVED_SPACE(hop.dev);
	/* If it gets more queues later, the first is as good as any. */
	f->lltx = k8snet_dev_lltx(hop.dev) && hop.dev->real_num_tx_queues == 1;
	return true;
}

/* Sets every member but the table's and those that only the other kind of way
 * has: what is zeroed here is paid for by each new connection.
 */
bool k8snet_flow_make(struct k8snet_flow *f, struct nf_conn *ct,
		      const struct k8snet_flow_way *way)
{
	const struct nf_conn_acct *acct = nf_conn_acct_find(ct);
	struct k8snet_bridge *br = way->br;

	f->gen = way->gen;
	f->family = nf_ct_l3num(ct);
	f->proto = nf_ct_protonum(ct);
	f->dir = way->dir;
	f->check_lladdr = way->from && READ_ONCE(way->from->port->antispoof);
	f->ct = ct;
	f->refresh = jiffies + HZ;
	f->stats = br->flow_stats;
	f->acct = acct ? (void *)&acct->counter[way->dir] : NULL;
	f->seq_end = 0;
	f->packets = 0;
	f->bytes = 0;
	flow_set_tuples(f, &ct->tuplehash[way->dir].tuple,
			&ct->tuplehash[!way->dir].tuple, way->iif);
	if (f->check_lladdr)
		ether_addr_copy(f->lladdr, way->from->lladdr);
	return way->to ? flow_to_pod(f, br, way->to) :
			 flow_to_node(br->kn, f, br, way->route);
}

void k8snet_flow_learn(struct k8snet_bridge *br, struct sk_buff *skb,
		       u8 family, const struct k8snet_pod *pod,
		       struct k8snet_route *route, u32 gen)
{
	struct k8snet_net *kn = br->kn;
	struct k8snet_flow_way way = {
		.br = br, .to = pod, .route = route, .gen = gen,
	};
	enum ip_conntrack_info info;
	struct k8snet_flow *f;
	struct nf_conn *ct;

	if (rcu_dereference(kn->node)->fastpath == K8SNET_FASTPATH_OFF)
		return;
	ct = nf_ct_get(skb, &info);
	if (!ct || !k8snet_flow_may_learn(ct, info) ||
	    nf_ct_l3num(ct) != family)
		return;
	way.dir = CTINFO2DIR(info);
	way.from = k8snet_pod_lookup_rcu(kn,
					 &ct->tuplehash[way.dir].tuple.src.u3,
					 family);
	way.iif = ingress_ifindex(br, skb, way.from);
	if (!way.iif || k8snet_flow_is_known(kn, ct, &way))
		return;
	f = k8snet_flow_alloc(kn);
	if (f && (!k8snet_flow_make(f, ct, &way) || !skb_is_translated(skb, f) ||
		  !k8snet_flow_publish(kn, f)))
		k8snet_flow_discard(kn, f);
}
