// SPDX-License-Identifier: GPL-2.0
/*
 * What a flow is: made from a connection that the stack, or onepass.c in its
 * place, has decided about.
 */

#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <net/dst_metadata.h>
#include <net/ip6_route.h>
#include <net/l3mdev.h>
#include <net/rtnetlink.h>
#include <net/netfilter/nf_conntrack_acct.h>
#include <net/netfilter/nf_conntrack_helper.h>
#include <net/netfilter/nf_conntrack_l4proto.h>
#include <net/netfilter/nf_conntrack_seqadj.h>
#include <net/netfilter/nf_conntrack_timeout.h>

#include "chain.h"
#include "flow.h"
#include "frontend.h"
#include "node.h"

/* The TCP header of a packet that has extension headers is not looked for: it
 * is none of a flow's.
 */
static bool tcp_is_reset(const struct sk_buff *skb, u8 family)
{
	int off = skb_network_offset(skb);
	const struct tcphdr *th;
	struct tcphdr buf;

	if (family == NFPROTO_IPV4)
		off += ip_hdrlen(skb);
	else if (ipv6_hdr(skb)->nexthdr == IPPROTO_TCP)
		off += sizeof(struct ipv6hdr);
	else
		return true;
	th = skb_header_pointer(skb, off, sizeof(buf), &buf);
	return !th || th->rst;
}

/*
 * Is the connection one that a cache may carry? Not one whose payload is
 * looked at or changed (helpers), and only one that both ends and all
 * firewalls have agreed to.
 */
bool k8snet_flow_may_learn(const struct sk_buff *skb, const struct nf_conn *ct,
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
		/* After an RST that it cannot judge, conntrack leaves an
		 * established connection ten seconds, in which the other end
		 * may object: that is not ours to undo.
		 */
		return READ_ONCE(ct->proto.tcp.state) ==
		       TCP_CONNTRACK_ESTABLISHED &&
		       test_bit(IPS_ASSURED_BIT, &ct->status) &&
		       !tcp_is_reset(skb, nf_ct_l3num(ct));
	case IPPROTO_UDP:
		return test_bit(IPS_SEEN_REPLY_BIT, &ct->status);
	}
	return false;
}

/* Where the packet came in by, as its flow's later packets will; 0: it may
 * not be learned. @pod: the pod that sent it, if it is one of ours.
 */
static int ingress_ifindex(struct k8snet_net *kn, const struct sk_buff *skb,
			   const struct k8snet_pod *pod)
{
	const struct net_device *in;

	if (!skb->skb_iif || skb->sk)	/* made here */
		return 0;
	if (pod)
		return skb->skb_iif == pod->port->br->dev->ifindex ?
		       pod->port->dev->ifindex : 0;
	/* One without an Ethernet header has none to be written over. */
	in = dev_get_by_index_rcu(kn->net, skb->skb_iif);
	if (!in || in->type != ARPHRD_ETHER || k8snet_bridge_dev(in))
		return 0;
	return k8snet_flow_uplink(kn, skb->skb_iif) ? skb->skb_iif : 0;
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

/* Are the two ends of the device nothing but that? Those of netkit run programs
 * between them, of which only netkit knows.
 */
static bool dev_is_plain_pair(const struct net_device *dev)
{
	return dev->netdev_ops->ndo_get_peer_dev && dev->rtnl_link_ops &&
	       !strcmp(dev->rtnl_link_ops->kind, "veth");
}

/* The way to a pod: past the port, into the pod's end of it. */
static bool flow_to_pod(struct k8snet_flow *f, const struct k8snet_bridge *br,
			const struct k8snet_pod *pod)
{
	struct net_device *port = pod->port->dev;

	if (!dev_is_plain_pair(port))
		return false;
	f->peer = port->netdev_ops->ndo_get_peer_dev(port);
	if (!f->peer)
		return false;
	f->route = NULL;
	f->out = port;
	f->txq = netdev_get_tx_queue(port, 0);
	f->oif = port->ifindex;
	f->mtu = READ_ONCE(port->mtu);
	f->offloads = flow_offloads(port);
	f->port_counts = k8snet_dev_has_tstats(port);
	ether_addr_copy(f->macs, pod->lladdr);
	ether_addr_copy(f->macs + ETH_ALEN, br->dev->dev_addr);
	return true;
}

/* The next hop towards a node, or the outside. */
struct flow_hop {
	struct net_device *dev;
	union nf_inet_addr addr;
	bool ipv6;
	unsigned int mtu;
};

/* Of a route of the stack to the address @to. */
static void flow_hop_of_dst(struct dst_entry *dst, u8 family,
			    const union nf_inet_addr *to, struct flow_hop *hop)
{
	const struct rtable *rt;
	struct in6_addr in6;

	memset(hop, 0, sizeof(*hop));
	hop->dev = dst_dev(dst);
	hop->mtu = min(dst_mtu(dst), READ_ONCE(hop->dev->mtu));
	if (family == NFPROTO_IPV6) {
		hop->ipv6 = true;
		in6 = to->in6;
		hop->addr.in6 = *rt6_nexthop(dst_rt6_info(dst), &in6);
		return;
	}
	rt = dst_rtable(dst);
	hop->ipv6 = rt->rt_gw_family == AF_INET6;
	if (hop->ipv6)
		hop->addr.in6 = rt->rt_gw6;
	else
		hop->addr.ip = rt_nexthop(rt, to->ip);
}

static bool flow_hop_find(struct k8snet_net *kn, struct k8snet_route *r,
			  struct flow_hop *hop)
{
	struct dst_entry *dst = k8snet_route_dst(kn, r, NULL);

	if (!dst)
		return false;
	flow_hop_of_dst(dst, r->prefix.family, &r->via, hop);
	dst_release(dst);
	return true;
}

/* Never 0, which is no way at all. Two ways that differ share one once in 2^63,
 * and a device's end makes all flows old.
 */
static u64 flow_hop_hash(const struct flow_hop *hop)
{
	const u64 *s = k8snet_flow_secret;
	const u64 *addr = (const u64 *)&hop->addr;

	return 1 | (k8snet_flow_fold(get_unaligned(addr) ^ s[0],
				     get_unaligned(addr + 1) ^ s[1]) ^
		    k8snet_flow_fold((unsigned long)hop->dev ^ s[2],
				     ((u64)hop->mtu << 1 | hop->ipv6) ^ s[3]));
}

/*
 * A change of routes or devices makes a flow's generation old; what is learned
 * of a path (a redirect, a smaller MTU) does not, and is asked for here. All
 * flows of a route have the same way: one of them looks, four times a second.
 */
bool k8snet_flow_hop_current(struct k8snet_net *kn, const struct k8snet_flow *f)
{
	struct k8snet_route *r = f->route;
	struct flow_hop hop;

	if (time_after_eq(jiffies, READ_ONCE(r->hop_due))) {
		WRITE_ONCE(r->hop, flow_hop_find(kn, r, &hop) ?
				   flow_hop_hash(&hop) : 0);
		WRITE_ONCE(r->hop_due, jiffies + HZ / 4);
	}
	return READ_ONCE(r->hop) == f->hop;
}

/* Where conntrack gives the connection the time of data that is not
 * acknowledged: the next packet of @b, which may acknowledge it, is to give it
 * all its time again, and not only one that comes when it is due.
 */
static void answer_awaited(struct k8snet_flow *b)
{
	u32 unack;

	if (!b || !k8snet_flow_established(b))
		return;
	unack = READ_ONCE(nf_tcp_pernet(nf_ct_net(b->ct))->timeouts
			  [TCP_CONNTRACK_UNACK]);
	if ((s32)(READ_ONCE(b->ct->timeout) - nfct_time_stamp) <= (s32)unack)
		WRITE_ONCE(b->refresh, jiffies);
}

/* The stack has just sent a packet of that flow to the outside: the same way?
 * Then that is how its packets go for another second.
 */
static bool outside_is_current(struct k8snet_net *kn, struct k8snet_flow *f,
			       struct dst_entry *dst)
{
	struct flow_hop hop;
	u64 packets;

	if (f->peer || f->route)
		return false;
	flow_hop_of_dst(dst, f->family, &f->dst, &hop);
	if (flow_hop_hash(&hop) != f->hop)
		return false;
	WRITE_ONCE(f->refresh, jiffies + HZ);
	/* Where answers are nothing but acknowledgements, conntrack, which sees
	 * few of them, takes data for unacknowledged, and has just said so in
	 * its timeout. It is right if there was nothing to see but this packet:
	 * one that is sent again and again, to somebody who is gone.
	 */
	packets = READ_ONCE(f->packets);
	if (packets != f->shown)
		k8snet_flow_prolong(f);
	else
		answer_awaited(k8snet_flow_back(kn, f));
	WRITE_ONCE(f->shown, packets);
	return true;
}

/*
 * conntrack has just seen a packet of a connection whose other direction @b, if
 * not NULL, goes past it: for want of acknowledgements it gives the connection
 * little time, and after each packet anew. It is right only if nothing has
 * come the other way since.
 */
static void silence_forgive(struct k8snet_flow *b)
{
	u64 packets;

	if (!b || !k8snet_flow_established(b))
		return;
	packets = READ_ONCE(b->packets);
	if (packets == READ_ONCE(b->shown)) {
		answer_awaited(b);
		return;
	}
	WRITE_ONCE(b->shown, packets);
	k8snet_flow_prolong(b);
}

struct k8snet_flow *k8snet_flow_find(struct k8snet_net *kn,
				     const struct nf_conn *ct, u8 dir, int iif)
{
	const struct nf_conntrack_tuple *in = &ct->tuplehash[dir].tuple;
	struct k8snet_flow_key4 key4;
	struct k8snet_flow_key6 key6;

	if (nf_ct_l3num(ct) == NFPROTO_IPV4) {
		key4 = key4_make(in, iif);
		return k8snet_flow_lookup4(kn, &key4.src, key4.ports,
					   key4.iif_proto);
	}
	key6 = key6_make(in, iif);
	return k8snet_flow_lookup6(kn, &key6.src, key6.ports, key6.iif_proto);
}

/* A flow of that very connection which is up to date, or NULL. */
static struct k8snet_flow *flow_current(struct k8snet_net *kn,
					const struct nf_conn *ct, u8 dir,
					int iif, u32 gen)
{
	struct k8snet_flow *f = k8snet_flow_find(kn, ct, dir, iif);

	return f && f->ct == ct && f->gen == gen ? f : NULL;
}

struct k8snet_flow *k8snet_flow_back(struct k8snet_net *kn,
				     const struct k8snet_flow *f)
{
	return flow_current(kn, f->ct, !f->dir, f->out->ifindex, f->gen);
}

/* Whatever goes to the stack all the same comes by here: fragments, or all of
 * a flow whose device has a queue or a program. It is not to cost an
 * allocation each.
 */
bool k8snet_flow_is_known(struct k8snet_net *kn, const struct nf_conn *ct,
			  const struct k8snet_flow_way *way)
{
	struct k8snet_flow *f = k8snet_flow_find(kn, ct, way->dir, way->iif);

	if (!f)
		return false;
	if (f->gen == way->gen && f->ct == ct &&
	    (!way->dst || outside_is_current(kn, f, way->dst))) {
		if (!way->dst)
			silence_forgive(k8snet_flow_back(kn, f));
		return true;
	}
	k8snet_flow_remove(kn, f);
	return false;
}

static void flow_set_hop(struct k8snet_flow *f, const struct flow_hop *hop)
{
	f->peer = NULL;
	f->out = hop->dev;
	f->txq = netdev_get_tx_queue(hop->dev, 0);
	f->mtu = hop->mtu;
	f->nexthop = hop->addr;
	f->hop = flow_hop_hash(hop);
	f->nexthop6 = hop->ipv6;
	f->offloads = flow_offloads(hop->dev);
	f->headroom = LL_RESERVED_SPACE(hop->dev);
	/* If it gets more queues later, the first is as good as any. */
	f->lltx = k8snet_dev_lltx(hop->dev) &&
		  hop->dev->real_num_tx_queues == 1;
}

static bool flow_to_node(struct k8snet_net *kn, struct k8snet_flow *f,
			 const struct k8snet_bridge *br,
			 struct k8snet_route *route)
{
	struct flow_hop hop;

	if (!flow_hop_find(kn, route, &hop))
		return false;
	flow_set_hop(f, &hop);
	f->route = route;
	f->oif = br->dev->ifindex;
	return true;
}

/* By a device of the node to no pod: as the stack has just routed the packet. */
static bool flow_to_outside(struct k8snet_flow *f, struct dst_entry *dst)
{
	struct flow_hop hop;

	flow_hop_of_dst(dst, f->family, &f->dst, &hop);
	flow_set_hop(f, &hop);
	f->route = NULL;
	f->oif = hop.dev->ifindex;
	return true;
}

static enum k8snet_flow_stats_kind
stats_kind(const struct k8snet_flow_way *way)
{
	if (!way->from)
		return K8SNET_FLOW_STATS_TX;
	return way->dst ? K8SNET_FLOW_STATS_RX : K8SNET_FLOW_STATS_BOTH;
}

/* Sets every member but the table's and those that only the other kind of way
 * has: what is zeroed here is paid for by each new connection.
 */
bool k8snet_flow_make(struct k8snet_net *kn, struct k8snet_flow *f,
		      struct nf_conn *ct, const struct k8snet_flow_way *way)
{
	const struct nf_conn_acct *acct = nf_conn_acct_find(ct);

	f->gen = way->gen;
	f->family = nf_ct_l3num(ct);
	f->proto = nf_ct_protonum(ct);
	f->dir = way->dir;
	f->check_lladdr = way->from && READ_ONCE(way->from->port->antispoof);
	f->ct = ct;
	f->refresh = jiffies + HZ;
	f->stats = way->br ? way->br->flow_stats[stats_kind(way)] :
			     kn->flow_stats;
	f->acct = acct ? (void *)&acct->counter[way->dir] : NULL;
	f->seq_end = 0;
	f->packets = 0;
	f->bytes = 0;
	f->shown = 0;
	f->seen = 0;
	f->ack = 0;
	flow_set_tuples(f, &ct->tuplehash[way->dir].tuple,
			&ct->tuplehash[!way->dir].tuple, way->iif);
	if (f->check_lladdr)
		ether_addr_copy(f->lladdr, way->from->lladdr);
	if (way->to)
		return flow_to_pod(f, way->br, way->to);
	if (way->route)
		return flow_to_node(kn, f, way->br, way->route);
	return flow_to_outside(f, way->dst);
}

/* Of a service, and by this node both ways: its source was translated, too. Else
 * what comes back is for a pod, whose bridge is gone if it leaves otherwise.
 */
static bool is_of_service(struct k8snet_net *kn, const struct nf_conn *ct)
{
	const struct nf_conntrack_tuple *t =
		&ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple;

	return (ct->status & IPS_NAT_MASK) == IPS_NAT_MASK &&
	       k8snet_frontend_lookup_rcu(kn, &t->dst.u3, nf_ct_l3num(ct),
					  nf_ct_protonum(ct), t->dst.u.all);
}

/* The flow of a packet that the stack forwards, if it may be learned. @way: its
 * end is known, where it comes from is filled in. IPsec's policies are about
 * each packet.
 */
static void learn(struct k8snet_net *kn, struct sk_buff *skb, u8 family,
		  struct k8snet_flow_way *way)
{
	enum ip_conntrack_info info;
	/* One with a mark may be routed by that, and each may have another. */
	bool marked = way->dst && skb->mark;
	struct k8snet_flow *f;
	struct nf_conn *ct;
	int out = 0;

	ct = nf_ct_get(skb, &info);
	if (!ct || !k8snet_flow_may_learn(skb, ct, info) ||
	    nf_ct_l3num(ct) != family || !k8snet_ipsec_plain(kn->net))
		return;
	way->dir = CTINFO2DIR(info);
	way->from = k8snet_pod_lookup_rcu(kn,
					  &ct->tuplehash[way->dir].tuple.src.u3,
					  family);
	/* What is neither of a pod nor of a service is not our business. */
	if (way->dst && !way->from && !is_of_service(kn, ct))
		return;
	if (way->dst && way->from)
		way->br = way->from->port->br;
	way->iif = ingress_ifindex(kn, skb, way->from);
	if (way->iif && !marked && k8snet_flow_is_known(kn, ct, way))
		return;
	/* What comes back may be known all the same. */
	if (way->to)
		out = way->to->port->dev->ifindex;
	else if (way->dst)
		out = dst_dev(way->dst)->ifindex;
	if (out)
		silence_forgive(flow_current(kn, ct, !way->dir, out, way->gen));
	/* No way that a flow could take is to cost an allocation each time. */
	if (!way->iif || marked ||
	    (way->to && !dev_is_plain_pair(way->to->port->dev)))
		return;
	f = k8snet_flow_alloc(kn);
	if (f && (!k8snet_flow_make(kn, f, ct, way) ||
		  !skb_is_translated(skb, f) || !k8snet_flow_publish(kn, f)))
		k8snet_flow_discard(kn, f);
}

static bool fastpath_is_off(struct k8snet_net *kn)
{
	return rcu_dereference(kn->node)->fastpath == K8SNET_FASTPATH_OFF;
}

void k8snet_flow_learn(struct k8snet_bridge *br, struct sk_buff *skb,
		       u8 family, const struct k8snet_pod *pod,
		       struct k8snet_route *route, u32 gen)
{
	struct k8snet_flow_way way = {
		.br = br, .to = pod, .route = route, .gen = gen,
	};

	if (!fastpath_is_off(br->kn))
		learn(br->kn, skb, family, &way);
}

/* Is the stack's way to the outside one that a flow can describe: a plain
 * unicast route, by Ethernet?
 */
static bool outside_plain(struct dst_entry *dst, u8 family)
{
	const struct net_device *dev = dst_dev(dst);

	if (dev->type != ARPHRD_ETHER || dev->flags & IFF_LOOPBACK ||
	    k8snet_bridge_dev(dev) || netif_is_l3_master(dev) ||
	    netif_is_l3_slave(dev) || dst->lwtstate ||
	    dst->flags & DST_FAKE_RTABLE)
		return false;
#ifdef CONFIG_XFRM
	if (dst->xfrm)
		return false;
#endif
	if (family == NFPROTO_IPV4)
		return dst_rtable(dst)->rt_type == RTN_UNICAST;
	return !(dst_rt6_info(dst)->rt6i_flags &
		 (RTF_LOCAL | RTF_ANYCAST | RTF_REJECT));
}

/*
 * Packets that leave the node by another way than a pod bridge: a pod's to the
 * outside, and answers of a service to a client there. What the stack has found
 * out about the way is taken as it is, for a second: then the stack gets a
 * packet again (flow_refresh() in fastpath.c), so that redirects and MTUs are
 * followed, which do not tell us when they change, as routes, routing rules and
 * devices do.
 *
 * The route is from before the generation was read, unlike elsewhere: one that
 * changed in between is followed for that second. Its device is there that
 * long: the end of a device makes all flows old once more, after a grace period
 * that has waited for this packet.
 */
unsigned int k8snet_flow_leave(void *priv, struct sk_buff *skb,
			       const struct nf_hook_state *state)
{
	struct k8snet_net *kn = k8snet_net(state->net);
	struct k8snet_flow_way way = { .gen = k8snet_flow_gen(kn) };

	if (!skb->skb_iif || skb->sk || !skb_valid_dst(skb))
		return NF_ACCEPT;
	way.dst = skb_dst(skb);
	if (dst_dev(way.dst) != state->out || fastpath_is_off(kn) ||
	    !outside_plain(way.dst, state->pf))
		return NF_ACCEPT;
	local_bh_disable();
	learn(kn, skb, state->pf, &way);
	local_bh_enable();
	return NF_ACCEPT;
}
