// SPDX-License-Identifier: GPL-2.0
/* The flow table: learning, expiry, and the ingress hooks of uplinks. */

#include <linux/etherdevice.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <net/ip6_route.h>
#include <net/netfilter/nf_conntrack_acct.h>
#include <net/netfilter/nf_conntrack_core.h>
#include <net/netfilter/nf_conntrack_helper.h>
#include <net/netfilter/nf_conntrack_l4proto.h>
#include <net/netfilter/nf_conntrack_seqadj.h>
#include <net/netfilter/nf_conntrack_timeout.h>

#include "flow.h"
#include "node.h"

static struct kmem_cache *flow_cache;

enum { FLOW_SCAN_MS = 2000 };

u64 k8snet_flow_secret[6] __ro_after_init;

static const struct rhashtable_params flow4_params = {
	.head_offset = offsetof(struct k8snet_flow, hash),
	.key_offset = offsetof(struct k8snet_flow, key4),
	.key_len = sizeof(struct k8snet_flow_key4),
	.hashfn = k8snet_flow_hash4,
	.obj_cmpfn = k8snet_flow_cmp4,
	.automatic_shrinking = true,
};

static const struct rhashtable_params flow6_params = {
	.head_offset = offsetof(struct k8snet_flow, hash),
	.key_offset = offsetof(struct k8snet_flow, key6),
	.key_len = sizeof(struct k8snet_flow_key6),
	.hashfn = k8snet_flow_hash6,
	.obj_cmpfn = k8snet_flow_cmp6,
	.automatic_shrinking = true,
};

void k8snet_flow_invalidate(struct k8snet_net *kn)
{
	atomic_inc(&kn->flow_gen);
	/* Before whatever the caller does next to the object. */
	smp_mb__after_atomic();
}

static void flow_free_rcu(struct rcu_head *head)
{
	struct k8snet_flow *f = container_of(head, struct k8snet_flow, rcu);

	nf_ct_put(f->ct);
	kmem_cache_free(flow_cache, f);
}

/* Packets find a flow in the table only, and use it in the RCU section of
 * that lookup. Whoever takes it out of the table frees it.
 */
void k8snet_flow_remove(struct k8snet_net *kn, struct k8snet_flow *f)
{
	int err;

	if (f->family == NFPROTO_IPV4)
		err = rhashtable_remove_fast(&kn->flows4, &f->hash,
					     flow4_params);
	else
		err = rhashtable_remove_fast(&kn->flows6, &f->hash,
					     flow6_params);
	if (err)
		return;
	atomic_dec(&kn->n_flows);
	call_rcu(&f->rcu, flow_free_rcu);
}

static bool flow_is_dead(struct k8snet_net *kn, const struct k8snet_flow *f)
{
	return f->gen != k8snet_flow_gen(kn) || nf_ct_is_dying(f->ct) ||
	       nf_ct_is_expired(f->ct) ||
	       (f->proto == IPPROTO_TCP &&
		READ_ONCE(f->ct->proto.tcp.state) != TCP_CONNTRACK_ESTABLISHED);
}

static void flows_scan(struct k8snet_net *kn, struct rhashtable *table,
		       bool all)
{
	struct rhashtable_iter iter;
	struct k8snet_flow *f;

	rhashtable_walk_enter(table, &iter);
	rhashtable_walk_start(&iter);
	while ((f = rhashtable_walk_next(&iter))) {
		if (IS_ERR(f)) {
			if (PTR_ERR(f) == -EAGAIN)
				continue;
			break;
		}
		if (all || flow_is_dead(kn, f))
			k8snet_flow_remove(kn, f);
		if (need_resched()) {
			rhashtable_walk_stop(&iter);
			cond_resched();
			rhashtable_walk_start(&iter);
		}
	}
	rhashtable_walk_stop(&iter);
	rhashtable_walk_exit(&iter);
}

static void flow_work(struct work_struct *work)
{
	struct k8snet_net *kn = container_of(work, struct k8snet_net,
					     flow_work.work);

	flows_scan(kn, &kn->flows4, false);
	flows_scan(kn, &kn->flows6, false);
	if (atomic_read(&kn->n_flows))
		queue_delayed_work(k8snet_wq, &kn->flow_work,
				   msecs_to_jiffies(FLOW_SCAN_MS));
}

void k8snet_flow_flush(struct k8snet_net *kn)
{
	k8snet_flow_invalidate(kn);
	flows_scan(kn, &kn->flows4, true);
	flows_scan(kn, &kn->flows6, true);
}

/* ---- uplinks ---- */

/*
 * A device that packets from other nodes and from outside come in by, with a
 * netdev ingress hook of ours. It is found when the first flow from it is to
 * be learned; registering the hook takes a work.
 */
struct uplink {
	struct list_head node;		/* kn->uplinks; RTNL, RCU */
	struct net_device *dev;		/* goes with NETDEV_UNREGISTER */
	int ifindex;
	struct nf_hook_ops ops;
	struct rcu_head rcu;
};

/* From XDP and tc on, but before the stack and its defragmentation. */
static unsigned int uplink_ingress(void *priv, struct sk_buff *skb,
				   const struct nf_hook_state *state)
{
	struct k8snet_net *kn = priv;

	if (skb->pkt_type != PACKET_HOST || !k8snet_flow_may_touch(skb))
		return NF_ACCEPT;
	switch (k8snet_flow_rx(kn, skb)) {
	case K8SNET_FLOW_POD:
		netif_receive_skb(skb);
		return NF_STOLEN;
	case K8SNET_FLOW_CONSUMED:
		return NF_STOLEN;
	default:
		return NF_ACCEPT;
	}
}

static bool uplink_known(struct k8snet_net *kn, int ifindex)
{
	const struct uplink *u;

	list_for_each_entry_rcu(u, &kn->uplinks, node, lockdep_rtnl_is_held())
		if (u->ifindex == ifindex)
			return true;
	return false;
}

static void uplink_add(struct k8snet_net *kn, int ifindex)
{
	struct net_device *dev = __dev_get_by_index(kn->net, ifindex);
	struct uplink *u;

	ASSERT_RTNL();
	if (!dev || kn->flow_leaving || uplink_known(kn, ifindex) ||
	    dev->reg_state != NETREG_REGISTERED ||
	    dev->flags & IFF_LOOPBACK || k8snet_bridge_dev(dev) ||
	    k8snet_port_get_rtnl(dev))
		return;
	u = kzalloc(sizeof(*u), GFP_KERNEL);
	if (!u)
		return;
	u->dev = dev;
	u->ifindex = ifindex;
	u->ops.hook = uplink_ingress;
	u->ops.dev = dev;
	u->ops.priv = kn;
	u->ops.pf = NFPROTO_NETDEV;
	u->ops.hooknum = NF_NETDEV_INGRESS;
	/* After the administrator's own ingress chains, which are drops and
	 * the like; what they let through is ours.
	 */
	u->ops.priority = INT_MAX;
	if (nf_register_net_hook(kn->net, &u->ops)) {
		kfree(u);
		return;
	}
	list_add_rcu(&u->node, &kn->uplinks);
}

/* Packets are in the hook, or looking for its device, in RCU sections;
 * unregistering the hook makes new ones impossible.
 */
static void uplink_del(struct k8snet_net *kn, struct uplink *u)
{
	list_del_rcu(&u->node);
	nf_unregister_net_hook(kn->net, &u->ops);
	kfree_rcu(u, rcu);
}

static void uplink_work(struct work_struct *work)
{
	struct k8snet_net *kn = container_of(work, struct k8snet_net,
					     uplink_work);
	int ifindex = xchg(&kn->uplink_wanted, 0);

	if (!ifindex)
		return;
	rtnl_lock();
	uplink_add(kn, ifindex);
	rtnl_unlock();
}

/* One at a time: with more than one uplink the next packet asks again. */
static void uplink_want(struct k8snet_net *kn, int ifindex)
{
	if (!cmpxchg(&kn->uplink_wanted, 0, ifindex))
		queue_work(k8snet_wq, &kn->uplink_work);
}

static int netdev_event(struct notifier_block *nb, unsigned long event,
			void *ptr)
{
	struct net_device *dev = netdev_notifier_info_to_dev(ptr);
	struct k8snet_net *kn = k8snet_net(dev_net(dev));
	struct uplink *u, *tmp;

	switch (event) {
	case NETDEV_UNREGISTER:
		list_for_each_entry_safe(u, tmp, &kn->uplinks, node)
			if (u->dev == dev)
				uplink_del(kn, u);
		fallthrough;
	case NETDEV_GOING_DOWN:
	case NETDEV_DOWN:
	case NETDEV_CHANGE:
	case NETDEV_FEAT_CHANGE:
	case NETDEV_CHANGEMTU:
	case NETDEV_CHANGEADDR:
	case NETDEV_CHANGEUPPER:
		k8snet_flow_invalidate(kn);
		break;
	}
	return NOTIFY_DONE;
}

static struct notifier_block netdev_nb = {
	.notifier_call = netdev_event,
};

/* ---- learning ---- */

/*
 * Is the connection one that a cache may carry? Not one whose payload is
 * looked at or changed (helpers), and only one that both ends and all
 * firewalls have agreed to.
 */
static bool ct_may_learn(const struct nf_conn *ct, enum ip_conntrack_info info)
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
	if (!uplink_known(br->kn, skb->skb_iif)) {
		uplink_want(br->kn, skb->skb_iif);
		return 0;
	}
	return skb->skb_iif;
}

/* The difference that replacing @n words makes to a checksum. */
static __wsum words_diff(const void *from, const void *to, unsigned int n)
{
	return csum_sub(csum_partial(to, n * 4, 0), csum_partial(from, n * 4, 0));
}

static void flow_set_tuples(struct k8snet_flow *f,
			    const struct nf_conntrack_tuple *in,
			    const struct nf_conntrack_tuple *back, int iif)
{
	const __be16 in_ports[2] = { in->src.u.all, in->dst.u.all };
	const __be16 out_ports[2] = { back->dst.u.all, back->src.u.all };
	unsigned int words = k8snet_addr_size(f->family) / 4;
	u32 iif_proto = (u32)iif << 8 | f->proto;

	if (f->family == NFPROTO_IPV4) {
		f->key4.src = in->src.u3.ip;
		f->key4.dst = in->dst.u3.ip;
		memcpy(&f->key4.ports, in_ports, sizeof(in_ports));
		f->key4.iif_proto = iif_proto;
	} else {
		f->key6.src = in->src.u3.in6;
		f->key6.dst = in->dst.u3.in6;
		memcpy(&f->key6.ports, in_ports, sizeof(in_ports));
		f->key6.iif_proto = iif_proto;
	}
	f->src = back->dst.u3;
	f->dst = back->src.u3;
	memcpy(&f->ports, out_ports, sizeof(out_ports));
	f->addr_diff = csum_add(words_diff(&in->src.u3, &f->src, words),
				words_diff(&in->dst.u3, &f->dst, words));
	/* TTL is the upper byte of its word. */
	f->hdr_diff = csum_sub(f->addr_diff, (__force __wsum)htons(0x100));
	f->full_diff = csum_add(f->addr_diff,
				words_diff(in_ports, out_ports, 1));
}

/* Whether the flow is known as it is: the packet was one that goes to the
 * stack all the same, a fragment for one. An outdated one makes room.
 */
static bool flow_is_known(struct k8snet_net *kn, const struct k8snet_flow *f,
			  const struct nf_conn *ct)
{
	struct k8snet_flow *old;

	old = f->family == NFPROTO_IPV4 ? k8snet_flow_lookup4(kn, &f->key4) :
					  k8snet_flow_lookup6(kn, &f->key6);
	if (!old)
		return false;
	if (old->gen == f->gen && old->ct == ct)
		return true;
	k8snet_flow_remove(kn, old);
	return false;
}

static bool flow_insert(struct k8snet_net *kn, struct k8snet_flow *f)
{
	if (f->family == NFPROTO_IPV4)
		return !rhashtable_lookup_insert_fast(&kn->flows4, &f->hash,
						      flow4_params);
	return !rhashtable_lookup_insert_fast(&kn->flows6, &f->hash,
					      flow6_params);
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
	f->oif = br->dev->ifindex;
	f->out = hop.dev;
	f->txq = netdev_get_tx_queue(hop.dev, 0);
	f->mtu = hop.mtu;
	f->nexthop = hop.addr;
	f->nexthop6 = hop.ipv6;
	f->offloads = flow_offloads(hop.dev);
	f->headroom = LL_RESERVED_SPACE(hop.dev);
	f->lltx = k8snet_dev_lltx(hop.dev);
	return true;
}

static struct k8snet_flow *flow_alloc(struct k8snet_net *kn)
{
	const struct k8snet_node_conf *node = rcu_dereference(kn->node);
	struct k8snet_flow *f;

	if (atomic_inc_return(&kn->n_flows) > node->flow_max) {
		k8snet_stat_inc(kn, FLOW_FULL);
		goto err_count;
	}
	f = kmem_cache_zalloc(flow_cache, GFP_ATOMIC | __GFP_NOWARN);
	if (!f) {
		k8snet_stat_inc(kn, NOMEM);
		goto err_count;
	}
	return f;

err_count:
	atomic_dec(&kn->n_flows);
	return NULL;
}

void k8snet_flow_learn(struct k8snet_bridge *br, struct sk_buff *skb,
		       u8 family, const struct k8snet_pod *pod,
		       struct k8snet_route *route, u32 gen)
{
	struct k8snet_net *kn = br->kn;
	const struct nf_conntrack_tuple *in;
	const struct k8snet_pod *from;
	enum ip_conntrack_info info;
	struct nf_conn_acct *acct;
	struct k8snet_flow *f;
	struct nf_conn *ct;
	int dir, iif;

	if (rcu_dereference(kn->node)->fastpath == K8SNET_FASTPATH_OFF)
		return;
	ct = nf_ct_get(skb, &info);
	if (!ct || !ct_may_learn(ct, info) || nf_ct_l3num(ct) != family)
		return;
	dir = CTINFO2DIR(info);
	in = &ct->tuplehash[dir].tuple;
	from = k8snet_pod_lookup_rcu(kn, &in->src.u3, family);
	iif = ingress_ifindex(br, skb, from);
	if (!iif)
		return;

	f = flow_alloc(kn);
	if (!f)
		return;
	f->gen = gen;
	f->family = family;
	f->proto = nf_ct_protonum(ct);
	f->dir = dir;
	f->stats = br->flow_stats;
	flow_set_tuples(f, in, &ct->tuplehash[!dir].tuple, iif);
	if (!skb_is_translated(skb, f) || flow_is_known(kn, f, ct))
		goto err_free;
	if (from && READ_ONCE(from->port->antispoof)) {
		f->check_lladdr = true;
		ether_addr_copy(f->lladdr, from->lladdr);
	}
	if (pod ? !flow_to_pod(f, br, pod) : !flow_to_node(kn, f, br, route))
		goto err_free;
	f->refresh = jiffies + HZ;
	if (!refcount_inc_not_zero(&ct->ct_general.use))
		goto err_free;
	f->ct = ct;
	acct = nf_conn_acct_find(ct);
	f->acct = acct ? &acct->counter[dir] : NULL;
	/* conntrack will not see all segments: it is not to judge the rest by
	 * their sequence numbers.
	 */
	if (f->proto == IPPROTO_TCP) {
		spin_lock_bh(&ct->lock);
		nf_ct_set_tcp_be_liberal(ct);
		spin_unlock_bh(&ct->lock);
	}
	if (!flow_insert(kn, f)) {
		nf_ct_put(ct);
		goto err_free;
	}
	k8snet_stat_inc(kn, FLOW_LEARNED);
	if (!delayed_work_pending(&kn->flow_work))
		queue_delayed_work(k8snet_wq, &kn->flow_work,
				   msecs_to_jiffies(FLOW_SCAN_MS));
	return;

err_free:
	atomic_dec(&kn->n_flows);
	kmem_cache_free(flow_cache, f);
}

/* ---- life ---- */

int k8snet_flow_net_init(struct k8snet_net *kn)
{
	int err;

	BUILD_BUG_ON(sizeof(struct k8snet_flow_key4) != 16);
	BUILD_BUG_ON(sizeof(struct k8snet_flow_key6) != 40);
	INIT_LIST_HEAD(&kn->uplinks);
	INIT_WORK(&kn->uplink_work, uplink_work);
	INIT_DELAYED_WORK(&kn->flow_work, flow_work);
	err = rhashtable_init(&kn->flows4, &flow4_params);
	if (err)
		return err;
	err = rhashtable_init(&kn->flows6, &flow6_params);
	if (err)
		rhashtable_destroy(&kn->flows4);
	return err;
}

void k8snet_flow_net_pre_exit(struct k8snet_net *kn)
{
	struct uplink *u, *tmp;

	cancel_work_sync(&kn->uplink_work);
	rtnl_lock();
	kn->flow_leaving = true;
	list_for_each_entry_safe(u, tmp, &kn->uplinks, node)
		uplink_del(kn, u);
	rtnl_unlock();
	k8snet_flow_invalidate(kn);
}

static void flow_free(void *ptr, void *arg)
{
	flow_free_rcu(&((struct k8snet_flow *)ptr)->rcu);
}

/*
 * The namespace's devices are gone: no packet reads or writes the table. Flows
 * that were taken out just before hold their conntrack entries for another
 * grace period, which the exit of the namespace's conntrack waits for.
 */
void k8snet_flow_net_exit(struct k8snet_net *kn)
{
	cancel_work_sync(&kn->uplink_work);
	cancel_delayed_work_sync(&kn->flow_work);
	rhashtable_free_and_destroy(&kn->flows4, flow_free, NULL);
	rhashtable_free_and_destroy(&kn->flows6, flow_free, NULL);
}

int __init k8snet_flow_init(void)
{
	get_random_bytes(k8snet_flow_secret, sizeof(k8snet_flow_secret));
	flow_cache = KMEM_CACHE(k8snet_flow, SLAB_HWCACHE_ALIGN);
	return flow_cache ? 0 : -ENOMEM;
}

void k8snet_flow_uninit(void)
{
	/* Flows that their namespace's end, or a packet, has taken out. */
	rcu_barrier();
	kmem_cache_destroy(flow_cache);
}

int __init k8snet_flow_start(void)
{
	return register_netdevice_notifier(&netdev_nb);
}

void k8snet_flow_stop(void)
{
	unregister_netdevice_notifier(&netdev_nb);
}
