// SPDX-License-Identifier: GPL-2.0
/* The flow table: its entries' life, and the ingress hooks of uplinks. */

#include <linux/random.h>
#include <linux/slab.h>
#include <net/tcp.h>
#include <net/netfilter/nf_conntrack_core.h>
#include <net/netfilter/nf_conntrack_l4proto.h>

#include "flow.h"
#include "node.h"
#include "pod.h"

static struct kmem_cache *flow_cache;

enum {
	FLOW_SCAN_MS = 2000,	/* how long one that is over may stay, */
	FLOW_SCAN_QUIET_MS = 8000,	/* of many of which few are, */
	FLOW_SCAN_FULL_MS = 50,	/* when others want its place */
	FLOW_SLICE = 1024,	/* flows in one go, at least, */
	FLOW_SLICES = 8,	/* ... and in how many parts all of them are */
	UPLINK_DEPTH_MAX = 4,
	/* kn->flow_hurry: 0, somebody wants a place, or wanted it in vain. */
	FLOW_HURRY = 1,
	FLOW_HURRY_IN_VAIN,
};

u64 k8snet_flow_secret[6] __ro_after_init;

/* What k8snet_flow_lookup() does itself, for the table's own use. */
static u32 flow_hash4(const void *key, u32 len, u32 seed)
{
	const u64 *k = key;

	return k8snet_flow_mix4(k[0], k[1], seed);
}

static u32 flow_hash6(const void *key, u32 len, u32 seed)
{
	const u64 *k = key;

	return k8snet_flow_mix6(k[0], k[1], k[2], k[3], k[4], seed);
}

static int flow_cmp4(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct k8snet_flow *f = obj;

	return memcmp(arg->key, &f->key4, sizeof(f->key4));
}

static int flow_cmp6(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct k8snet_flow *f = obj;

	return memcmp(arg->key, &f->key6, sizeof(f->key6));
}

static const struct rhashtable_params flow4_params = {
	.head_offset = offsetof(struct k8snet_flow, hash),
	.key_offset = offsetof(struct k8snet_flow, key4),
	.key_len = sizeof(struct k8snet_flow_key4),
	.hashfn = flow_hash4,
	.obj_cmpfn = flow_cmp4,
	.automatic_shrinking = true,
};

static const struct rhashtable_params flow6_params = {
	.head_offset = offsetof(struct k8snet_flow, hash),
	.key_offset = offsetof(struct k8snet_flow, key6),
	.key_len = sizeof(struct k8snet_flow_key6),
	.hashfn = flow_hash6,
	.obj_cmpfn = flow_cmp6,
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
		!k8snet_flow_tcp_carried(READ_ONCE(f->ct->proto.tcp.state)));
}

/*
 * A sender that gets no answer sends again, and each time its flow looks alive.
 * conntrack, which has not seen these segments, would give a connection with
 * data that nobody acknowledges little time, not the days of one that is idle:
 * the other end may be gone. So it gets that here, if the way back has been
 * silent for so long that its next packet, which may be the answer, finds it due
 * for a refresh and gives the connection its time again. If it does so now, it
 * is not to be undone.
 */
static void flow_mind_silence(struct k8snet_net *kn, struct k8snet_flow *f)
{
	/* Before back->refresh. Pairs with k8snet_flow_prolong(). */
	u32 timeout = smp_load_acquire(&f->ct->timeout), less, ack;
	const struct k8snet_flow *back;
	u64 packets;

	if (!k8snet_flow_established(f))
		return;
	packets = READ_ONCE(f->packets);
	if (packets == f->seen)
		return;
	f->seen = packets;
	back = k8snet_flow_back(kn, f);
	if (!back || time_before(jiffies, READ_ONCE(back->refresh)))
		return;
	ack = READ_ONCE(back->ack);
	if (!ack || !after(READ_ONCE(f->seq_end), ack))
		return;
	less = nfct_time_stamp +
	       READ_ONCE(nf_tcp_pernet(kn->net)->timeouts[TCP_CONNTRACK_UNACK]);
	if ((s32)(timeout - less) <= 0 ||
	    cmpxchg(&f->ct->timeout, timeout, less) != timeout)
		return;
	/* It may have been given anew in the same jiffy, and look as before. */
	if (time_before(jiffies, READ_ONCE(back->refresh)))
		k8snet_flow_prolong(f);
}

/* Goes on with a walk through a table, by up to *@left flows, and takes out
 * those that are over; @all: all. Returns how many. The walk is at its end
 * where something is left of @left.
 */
static unsigned int flows_scan(struct k8snet_net *kn,
			       struct rhashtable_iter *iter,
			       unsigned int *left, bool all)
{
	unsigned int dead = 0;
	struct k8snet_flow *f;

	rhashtable_walk_start(iter);
	while (*left) {
		f = rhashtable_walk_next(iter);
		if (!f)
			break;
		if (IS_ERR(f)) {
			if (PTR_ERR(f) == -EAGAIN)
				continue;	/* the table grows or shrinks */
			break;
		}
		(*left)--;
		if (all || flow_is_dead(kn, f)) {
			k8snet_flow_remove(kn, f);
			dead++;
		} else {
			flow_mind_silence(kn, f);
		}
		if (need_resched()) {
			rhashtable_walk_stop(iter);
			cond_resched();
			rhashtable_walk_start(iter);
		}
	}
	rhashtable_walk_stop(iter);
	return dead;
}

static unsigned int flows_scan_table(struct k8snet_net *kn,
				     struct rhashtable *table, bool all)
{
	unsigned int left = UINT_MAX, dead;
	struct rhashtable_iter iter;

	rhashtable_walk_enter(table, &iter);
	dead = flows_scan(kn, &iter, &left, all);
	rhashtable_walk_exit(&iter);
	return dead;
}

static void flow_table_enter(struct k8snet_net *kn, struct rhashtable *table)
{
	kn->flow_table = table;
	rhashtable_walk_enter(table, &kn->flow_iter);
}

/* A part of a round through both tables. */
static void flows_scan_slice(struct k8snet_net *kn, unsigned int left)
{
	unsigned int before, dead;

	for (;;) {
		before = left;
		dead = flows_scan(kn, &kn->flow_iter, &left, false);
		kn->flow_dead += dead;
		kn->flow_seen += before - left;
		if (dead > (before - left) / 8)
			kn->flow_round_ms = FLOW_SCAN_MS;
		if (!left)
			return;
		rhashtable_walk_exit(&kn->flow_iter);
		if (kn->flow_table == &kn->flows6)
			break;
		flow_table_enter(kn, &kn->flows6);
	}
	flow_table_enter(kn, &kn->flows4);
	kn->flow_round_ms = kn->flow_seen > FLOW_SLICE &&
			    kn->flow_dead < kn->flow_seen / 8 ?
			    FLOW_SCAN_QUIET_MS : FLOW_SCAN_MS;
	kn->flow_seen = 0;
	kn->flow_dead = 0;
}

/*
 * Looks at all flows in a round, a part at a time where they are many: long
 * connections do not end so often that each were worth a look every other
 * second, and what the look costs does not come all at once.
 */
static void flow_work(struct work_struct *work)
{
	struct k8snet_net *kn = container_of(work, struct k8snet_net,
					     flow_work.work);
	unsigned int n = atomic_read(&kn->n_flows), dead;
	bool in_vain = false;

	if (xchg(&kn->flow_hurry, 0) == FLOW_HURRY) {	/* before it looks */
		dead = flows_scan_table(kn, &kn->flows4, false) +
		       flows_scan_table(kn, &kn->flows6, false);
		/* One in vain is not to be followed by the next at once. */
		in_vain = dead < n / 8;
		if (in_vain)
			cmpxchg(&kn->flow_hurry, 0, FLOW_HURRY_IN_VAIN);
	} else {
		flows_scan_slice(kn, max_t(unsigned int, FLOW_SLICE,
					   n / FLOW_SLICES + 1));
	}
	n = atomic_read(&kn->n_flows);
	if (n)
		queue_delayed_work(k8snet_wq, &kn->flow_work,
				   msecs_to_jiffies(n <= FLOW_SLICE || in_vain ?
						    FLOW_SCAN_MS :
						    kn->flow_round_ms /
						    FLOW_SLICES));
}

void k8snet_flow_flush(struct k8snet_net *kn)
{
	k8snet_flow_invalidate(kn);
	flows_scan_table(kn, &kn->flows4, true);
	flows_scan_table(kn, &kn->flows6, true);
}

void k8snet_flow_stats_read(const struct k8snet_flow_stats __percpu *stats,
			    u64 *packets, u64 *bytes)
{
	const struct k8snet_flow_stats *s;
	unsigned int start;
	u64 p, b;
	int cpu;

	*packets = 0;
	*bytes = 0;
	for_each_possible_cpu(cpu) {
		s = per_cpu_ptr(stats, cpu);
		do {
			start = u64_stats_fetch_begin(&s->syncp);
			p = u64_stats_read(&s->packets);
			b = u64_stats_read(&s->bytes);
		} while (u64_stats_fetch_retry(&s->syncp, start));
		*packets += p;
		*bytes += b;
	}
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

/* How often packets are received within receiving one, on this CPU: a pod's
 * device may be the uplink of a node that is inside of it, and so on.
 */
static DEFINE_PER_CPU(unsigned int, uplink_depth);

/* Into a pod. Each step is one of the stack's, which is not endless. */
static void uplink_to_pod(struct sk_buff *skb)
{
	if (likely(__this_cpu_inc_return(uplink_depth) <= UPLINK_DEPTH_MAX))
		netif_receive_skb(skb);
	else
		netif_rx(skb);
	__this_cpu_dec(uplink_depth);
}

/* From XDP and tc on, but before the stack and its defragmentation. */
static unsigned int uplink_ingress(void *priv, struct sk_buff *skb,
				   const struct nf_hook_state *state)
{
	struct k8snet_net *kn = priv;

	if (skb->pkt_type != PACKET_HOST || !k8snet_flow_may_touch(skb))
		return NF_ACCEPT;
	switch (k8snet_flow_rx(kn, skb)) {
	case K8SNET_FLOW_POD:
		uplink_to_pod(skb);
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

/* The flow of a connection's direction: its packets come from a pod, or in by an
 * uplink. Context: RCU.
 */
static struct k8snet_flow *flow_of(struct k8snet_net *kn,
				   const struct nf_conn *ct, u8 dir)
{
	const union nf_inet_addr *src = &ct->tuplehash[dir].tuple.src.u3;
	const struct k8snet_pod *pod;
	const struct uplink *u;
	struct k8snet_flow *f;

	pod = k8snet_pod_lookup_rcu(kn, src, nf_ct_l3num(ct));
	if (pod) {
		f = k8snet_flow_find(kn, ct, dir, pod->port->dev->ifindex);
		return f && f->ct == ct ? f : NULL;
	}
	list_for_each_entry_rcu(u, &kn->uplinks, node) {
		f = k8snet_flow_find(kn, ct, dir, u->ifindex);
		if (f && f->ct == ct)
			return f;
	}
	return NULL;
}

unsigned int k8snet_flow_seqs(struct k8snet_net *kn, const struct nf_conn *ct,
			      u8 dir, u32 seqs[K8SNET_FLOW_SEQS])
{
	const struct k8snet_flow *f;
	unsigned int n = 0;

	rcu_read_lock();
	f = flow_of(kn, ct, dir);
	if (f && READ_ONCE(f->packets))
		seqs[n++] = READ_ONCE(f->seq_end);
	f = flow_of(kn, ct, !dir);
	if (f && READ_ONCE(f->ack))
		seqs[n++] = READ_ONCE(f->ack);
	rcu_read_unlock();
	return n;
}

/* The module goes: nobody follows the devices any more. RTNL. */
static bool stopping;

static void uplink_add(struct k8snet_net *kn, int ifindex)
{
	struct net_device *dev = __dev_get_by_index(kn->net, ifindex);
	struct uplink *u;

	ASSERT_RTNL();
	if (!dev || stopping || kn->flow_leaving || uplink_known(kn, ifindex) ||
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
bool k8snet_flow_uplink(struct k8snet_net *kn, int ifindex)
{
	if (uplink_known(kn, ifindex))
		return true;
	if (!cmpxchg(&kn->uplink_wanted, 0, ifindex))
		queue_work(k8snet_wq, &kn->uplink_work);
	return false;
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

/* ---- new flows ---- */

static bool flow_insert(struct k8snet_net *kn, struct k8snet_flow *f)
{
	if (f->family == NFPROTO_IPV4)
		return !rhashtable_lookup_insert_fast(&kn->flows4, &f->hash,
						      flow4_params);
	return !rhashtable_lookup_insert_fast(&kn->flows6, &f->hash,
					      flow6_params);
}

struct k8snet_flow *k8snet_flow_alloc(struct k8snet_net *kn)
{
	const struct k8snet_node_conf *node = rcu_dereference(kn->node);
	struct k8snet_flow *f;

	if (atomic_inc_return(&kn->n_flows) > node->flow_max) {
		k8snet_stat_inc(kn, FLOW_FULL);
		/* Those that are over make room, soon. Asked for once: each
		 * time anew would put it off for as long as packets come.
		 */
		if (!READ_ONCE(kn->flow_hurry) &&
		    !cmpxchg(&kn->flow_hurry, 0, FLOW_HURRY))
			mod_delayed_work(k8snet_wq, &kn->flow_work,
					 msecs_to_jiffies(FLOW_SCAN_FULL_MS));
		goto err_count;
	}
	f = kmem_cache_alloc(flow_cache, GFP_ATOMIC | __GFP_NOWARN);
	if (!f) {
		k8snet_stat_inc(kn, NOMEM);
		goto err_count;
	}
	return f;

err_count:
	atomic_dec(&kn->n_flows);
	return NULL;
}

void k8snet_flow_discard(struct k8snet_net *kn, struct k8snet_flow *f)
{
	atomic_dec(&kn->n_flows);
	kmem_cache_free(flow_cache, f);
}

/*
 * conntrack will not see all segments: it is not to judge the rest by their
 * sequence numbers. Nor is it to wait for data to be acknowledged, which it will
 * not see, or to take what is sent again for more of the same: a connection of
 * which it does has minutes, not days (flow_mind_silence() sees to that).
 */
static void tcp_settle(struct nf_conn *ct)
{
	unsigned int dir;

	spin_lock_bh(&ct->lock);
	nf_ct_set_tcp_be_liberal(ct);
	for (dir = 0; dir < IP_CT_DIR_MAX; dir++)
		ct->proto.tcp.seen[dir].flags &=
			~IP_CT_TCP_FLAG_DATA_UNACKNOWLEDGED;
	ct->proto.tcp.retrans = 0;
	spin_unlock_bh(&ct->lock);
}

bool k8snet_flow_publish(struct k8snet_net *kn, struct k8snet_flow *f)
{
	struct nf_conn *ct = f->ct;

	if (!refcount_inc_not_zero(&ct->ct_general.use))
		return false;
	if (f->proto == IPPROTO_TCP)
		tcp_settle(ct);
	if (!flow_insert(kn, f)) {
		nf_ct_put(ct);
		return false;
	}
	/* See tcp_settle(): the time was that of unacknowledged data, perhaps. */
	if (k8snet_flow_established(f))
		k8snet_flow_prolong(f);
	k8snet_stat_inc(kn, FLOW_LEARNED);
	if (!delayed_work_pending(&kn->flow_work))
		queue_delayed_work(k8snet_wq, &kn->flow_work,
				   msecs_to_jiffies(FLOW_SCAN_MS));
	return true;
}

/* ---- life ---- */

int k8snet_flow_net_init(struct k8snet_net *kn)
{
	int err;

	BUILD_BUG_ON(sizeof(struct k8snet_flow_key4) != 16);
	BUILD_BUG_ON(sizeof(struct k8snet_flow_key6) != 40);
	/* 0 is what nothing was ever learned under. */
	atomic_set(&kn->flow_gen, 1);
	INIT_LIST_HEAD(&kn->uplinks);
	INIT_WORK(&kn->uplink_work, uplink_work);
	INIT_DELAYED_WORK(&kn->flow_work, flow_work);
	kn->flow_stats = netdev_alloc_pcpu_stats(struct k8snet_flow_stats);
	if (!kn->flow_stats)
		return -ENOMEM;
	err = rhashtable_init(&kn->flows4, &flow4_params);
	if (err)
		goto err_stats;
	err = rhashtable_init(&kn->flows6, &flow6_params);
	if (err)
		goto err_flows4;
	kn->flow_round_ms = FLOW_SCAN_MS;
	flow_table_enter(kn, &kn->flows4);
	return 0;

err_flows4:
	rhashtable_destroy(&kn->flows4);
err_stats:
	free_percpu(kn->flow_stats);
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
	rhashtable_walk_exit(&kn->flow_iter);
	rhashtable_free_and_destroy(&kn->flows4, flow_free, NULL);
	rhashtable_free_and_destroy(&kn->flows6, flow_free, NULL);
	free_percpu(kn->flow_stats);
}

/* Once for each piece of memory, and what init_on_alloc does each time:
 * k8snet_flow_make() leaves nothing unset that is looked at.
 */
static void flow_ctor(void *flow)
{
	memset(flow, 0, sizeof(struct k8snet_flow));
}

int __init k8snet_flow_init(void)
{
	get_random_bytes(k8snet_flow_secret, sizeof(k8snet_flow_secret));
	flow_cache = kmem_cache_create("k8snet_flow",
				       sizeof(struct k8snet_flow),
				       __alignof__(struct k8snet_flow),
				       SLAB_HWCACHE_ALIGN, flow_ctor);
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
	rtnl_lock();
	stopping = true;
	rtnl_unlock();
	/* Takes all uplinks out, as if their devices went. */
	unregister_netdevice_notifier(&netdev_nb);
}
