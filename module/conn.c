// SPDX-License-Identifier: GPL-2.0
/* Records of live flows; see conn.h. */

#include <linux/list_sort.h>
#include <linux/llist.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <net/netfilter/nf_conntrack_core.h>

#include "conn.h"
#include "reset.h"
#include "service.h"

struct workqueue_struct *k8snet_wq;

/*
 * What is known of an entry that is not in conntrack's table yet: its packet is
 * still on its way through the stack, perhaps in somebody's queue. No reference
 * is held on such a one: nfnetlink_queue takes it then for one that others may
 * change at the same time, and drops the packet.
 */
struct conn_entry {
	const struct nf_conn *ct;	/* to compare, nothing else */
	struct nf_conntrack_tuple tuple;	/* original */
	struct nf_conntrack_zone zone;
	unsigned long until;		/* jiffies: not looked for any more */
};

struct k8snet_conn {
	union {
		struct llist_node new;	/* kn->conn_new */
		struct list_head node;	/* kn->conns, ->conns_awaited */
	};
	struct nf_conn *ct;		/* a reference; NULL: */
	struct conn_entry *awaited;	/* what is to be found */
	struct k8snet_endpoint *ep;	/* a reference */
	struct k8snet_traffic seen;	/* already added up; conn_lock */
	bool dsr;			/* answered elsewhere */
};

static struct kmem_cache *conn_cache;

enum {
	/* conn_flags: bits */
	CONN_ENDPOINTS_CHANGED,
	/* How long a record may outlive its conntrack entry. The entry's
	 * memory stays as long, and it counts towards nf_conntrack_max.
	 */
	CONN_SCAN_MS = 1000,
	CONN_SLICE = 1024,	/* records in one go, at least, */
	CONN_SLICES = 8,	/* ... and in how many parts all of them are */
	/* In which rounds what live flows have carried is added up. Who asks
	 * for it has it done then.
	 */
	CONN_ACCOUNT_ROUNDS = 16,
	/* How long an entry is looked for in conntrack's table. */
	CONN_AWAIT_MS = 4000,
	/* ... and how often, where it is to move as soon as it is there. */
	CONN_RETRY_MS = 20,
};

static struct conn_entry *conn_entry_make(const struct nf_conn *ct)
{
	struct conn_entry *e = kmalloc(sizeof(*e), GFP_ATOMIC | __GFP_NOWARN);

	if (!e)
		return NULL;
	e->ct = ct;
	e->tuple = ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple;
	e->zone = *nf_ct_zone(ct);
	e->until = jiffies + msecs_to_jiffies(CONN_AWAIT_MS);
	return e;
}

/*
 * Producers are packets, which push to a lockless list of their CPU; the one
 * consumer is the work, under conn_lock.
 */
bool k8snet_conn_add(struct k8snet_net *kn, struct nf_conn *ct,
		     const struct k8snet_decision *d)
{
	struct k8snet_endpoint *ep = d->ep;
	struct conn_entry *awaited = NULL;
	struct k8snet_conn *conn;
	int n;

	n = atomic_inc_return(&kn->n_conns);
	if (n > K8SNET_CONNS_MAX) {
		k8snet_stat_inc(kn, CONN_FULL);
		goto err_count;
	}
	if (!k8snet_endpoint_get(ep))
		goto err_count;		/* removed at this very moment */
	conn = kmem_cache_alloc(conn_cache, GFP_ATOMIC | __GFP_NOWARN);
	if (!conn) {
		k8snet_stat_inc(kn, NOMEM);
		goto err_ep;
	}
	if (nf_ct_is_confirmed(ct)) {
		nf_conntrack_get(&ct->ct_general);
		conn->ct = ct;
	} else {
		awaited = conn_entry_make(ct);
		if (!awaited) {
			k8snet_stat_inc(kn, NOMEM);
			goto err_conn;
		}
		conn->ct = NULL;
	}
	conn->awaited = awaited;
	conn->ep = ep;
	conn->dsr = d->dsr;
	memset(&conn->seen, 0, sizeof(conn->seen));
	atomic_inc(&ep->active);
	llist_add(&conn->new, this_cpu_ptr(kn->conn_new));
	/* The work goes on by itself while there are records. */
	if (!delayed_work_pending(&kn->conn_work))
		queue_delayed_work(k8snet_wq, &kn->conn_work,
				   msecs_to_jiffies(CONN_SCAN_MS));
	return true;

err_conn:
	kmem_cache_free(conn_cache, conn);
err_ep:
	k8snet_endpoint_put(ep);
err_count:
	atomic_dec(&kn->n_conns);
	return false;
}

/*
 * Adds up what a flow has carried since the last time. Its service may be gone,
 * and is freed a grace period after it can no longer be found.
 */
static void account(struct k8snet_net *kn, struct k8snet_conn *conn)
{
	struct k8snet_service *svc;
	struct k8snet_traffic more;

	lockdep_assert_held(&kn->conn_lock);
	if (!k8snet_traffic_read(conn->ct, &conn->seen, &more))
		return;
	k8snet_traffic_add(&conn->ep->traffic, &more);
	rcu_read_lock();
	svc = xa_load(&kn->service_ids, conn->ep->service_id);
	if (svc)
		k8snet_traffic_add(&svc->traffic, &more);
	rcu_read_unlock();
}

static void conn_free(struct k8snet_net *kn, struct k8snet_conn *conn)
{
	if (conn->ct)
		account(kn, conn);
	list_del(&conn->node);
	atomic_dec(&conn->ep->active);
	k8snet_endpoint_put(conn->ep);
	nf_ct_put(conn->ct);
	kfree(conn->awaited);
	kmem_cache_free(conn_cache, conn);
	atomic_dec(&kn->n_conns);
}

static void collect(struct k8snet_net *kn)
{
	struct k8snet_conn *conn, *tmp;
	struct llist_node *first;
	int cpu;

	lockdep_assert_held(&kn->conn_lock);
	for_each_possible_cpu(cpu) {
		first = llist_del_all(per_cpu_ptr(kn->conn_new, cpu));
		/* Behind those that wait to be looked at. */
		llist_for_each_entry_safe(conn, tmp, first, new)
			list_add_tail(&conn->node, conn->ct ? &kn->conns :
						   &kn->conns_awaited);
	}
}

/* By entry, endpoint and tuple. 0: conns_find() takes them for the same. */
static int awaited_cmp(void *priv, const struct list_head *a,
		       const struct list_head *b)
{
	const struct k8snet_conn *x = list_entry(a, struct k8snet_conn, node);
	const struct k8snet_conn *y = list_entry(b, struct k8snet_conn, node);

	cond_resched();		/* a long list is sorted in one go */
	if (x->awaited->ct != y->awaited->ct)
		return x->awaited->ct < y->awaited->ct ? -1 : 1;
	if (x->ep != y->ep)
		return x->ep < y->ep ? -1 : 1;
	return memcmp(&x->awaited->tuple, &y->awaited->tuple,
		      sizeof(x->awaited->tuple));
}

/*
 * UDP has no connection that would fail: a client that keeps sending would
 * be led to an endpoint that is gone for ever. An endpoint that still serves
 * keeps its flows, terminating or not (kubernetes issues 19029, 122740).
 */
static bool may_stay(const struct k8snet_endpoint *ep)
{
	return !READ_ONCE(ep->removed) &&
	       (ep->proto != IPPROTO_UDP ||
		READ_ONCE(ep->flags) & K8SNET_EP_SERVING);
}

/*
 * A connection of TCP or SCTP goes on if its service says so, which is how an
 * endpoint drains. One that was never answered has nothing to go on with: its
 * client asks again, and gets another endpoint (kubernetes issue 101607).
 */
static bool must_move(const struct k8snet_conn *conn)
{
	const struct k8snet_endpoint *ep = conn->ep;

	return !may_stay(ep) &&
	       (ep->proto == IPPROTO_UDP ||
		READ_ONCE(ep->on_removal) != K8SNET_ON_REMOVAL_KEEP ||
		(!conn->dsr &&
		 !test_bit(IPS_SEEN_REPLY_BIT, &conn->ct->status)));
}

/* The entry of a record, with a reference, if it is in conntrack's table by
 * now. One in the same memory may be another's, of the same client even, who has
 * asked again, but then has its own endpoint.
 */
static struct nf_conn *awaited_find(struct k8snet_net *kn,
				    const struct k8snet_conn *conn)
{
	const struct conn_entry *e = conn->awaited;
	const struct nf_conntrack_tuple_hash *h;
	const struct nf_conntrack_tuple *reply;
	struct nf_conn *ct;

	h = nf_conntrack_find_get(kn->net, &e->zone, &e->tuple);
	if (!h)
		return NULL;
	ct = nf_ct_tuplehash_to_ctrack(h);
	reply = &ct->tuplehash[IP_CT_DIR_REPLY].tuple;
	if (ct == e->ct &&
	    k8snet_addr_equal(&reply->src.u3, &conn->ep->addr) &&
	    (!conn->ep->port || reply->src.u.all == conn->ep->port))
		return ct;
	nf_ct_put(ct);
	return NULL;
}

/*
 * Looks for the entries that are awaited. A first packet that was dropped on its
 * way leaves a record that waits in vain, and its entry's memory may be that of
 * the client's next try, to the same endpoint: of records that are alike one is
 * enough. *@changed: an endpoint went before the entry was there. Returns whether
 * some are expected in a moment.
 */
static bool conns_find(struct k8snet_net *kn, bool *changed)
{
	unsigned long soon = jiffies + msecs_to_jiffies(CONN_AWAIT_MS -
							CONN_SCAN_MS);
	struct k8snet_conn *conn, *tmp;
	bool expected = false;

	lockdep_assert_held(&kn->conn_lock);
	list_sort(NULL, &kn->conns_awaited, awaited_cmp);
	list_for_each_entry_safe(conn, tmp, &kn->conns_awaited, node) {
		if (!list_is_last(&conn->node, &kn->conns_awaited) &&
		    !awaited_cmp(NULL, &conn->node, &tmp->node)) {
			conn_free(kn, conn);
			continue;
		}
		conn->ct = awaited_find(kn, conn);
		if (conn->ct) {
			kfree(conn->awaited);
			conn->awaited = NULL;
			list_move_tail(&conn->node, &kn->conns);
			*changed |= must_move(conn);
		} else if (time_after_eq(jiffies, conn->awaited->until)) {
			conn_free(kn, conn);
		} else {
			expected |= time_after(conn->awaited->until, soon) &&
				    !may_stay(conn->ep);
		}
		cond_resched();
	}
	return expected;
}

/*
 * Is the entry out of conntrack's table? Then ours is the only reference that
 * can last. A packet still on its way may hold one, too; the next scan sees. A
 * TCP connection that has been closed is no load on its endpoint any more.
 */
static bool is_dead(const struct nf_conn *ct)
{
	if (nf_ct_protonum(ct) == IPPROTO_TCP) {
		u8 state = READ_ONCE(ct->proto.tcp.state);

		if (state == TCP_CONNTRACK_TIME_WAIT ||
		    state == TCP_CONNTRACK_CLOSE)
			return true;
	}
	return refcount_read(&ct->ct_general.use) == 1 ||
	       nf_ct_is_dying(ct) || nf_ct_is_expired(ct);
}

/* Ends the connection for both of its ends. Context: process, BH on. */
static void reset(struct k8snet_net *kn, const struct k8snet_conn *conn)
{
	if (READ_ONCE(conn->ep->on_removal) != K8SNET_ON_REMOVAL_RESET ||
	    !test_bit(IPS_SEEN_REPLY_BIT, &conn->ct->status))
		return;
	k8snet_reset_send(kn, conn->ct);
	local_bh_disable();
	k8snet_stat_inc(kn, CONN_RESET);
	local_bh_enable();
}

/*
 * Looks at up to @left records, those first that nobody has looked at for the
 * longest time. @changed: flows are to move or to end. Returns how many have.
 */
static unsigned int conns_scan(struct k8snet_net *kn, unsigned int left,
			       bool changed)
{
	bool sum = !(kn->conn_round % CONN_ACCOUNT_ROUNDS);
	struct k8snet_conn *conn, *tmp;
	unsigned int killed = 0;

	lockdep_assert_held(&kn->conn_lock);
	list_for_each_entry_safe(conn, tmp, &kn->conns, node) {
		if (!left--) {
			list_rotate_to_front(&conn->node, &kn->conns);
			break;
		}
		kn->conn_seen++;
		if (is_dead(conn->ct)) {
			conn_free(kn, conn);
		} else if (!changed || !must_move(conn)) {
			if (sum)
				account(kn, conn);
		} else {
			/* False if somebody else was faster. */
			if (nf_ct_delete(conn->ct, 0, 0)) {
				killed++;
				reset(kn, conn);
			}
			conn_free(kn, conn);
		}
		cond_resched();
	}
	return killed;
}

static void conn_work(struct work_struct *work)
{
	struct k8snet_net *kn = container_of(work, struct k8snet_net,
					     conn_work.work);
	unsigned int killed, n;
	bool changed, expected;

	changed = test_and_clear_bit(CONN_ENDPOINTS_CHANGED, &kn->conn_flags);
	/* Packets that took an endpoint from an old plan have recorded their
	 * flow after this.
	 */
	if (changed)
		synchronize_rcu();

	mutex_lock(&kn->conn_lock);
	collect(kn);
	expected = conns_find(kn, &changed);
	n = atomic_read(&kn->n_conns);
	killed = conns_scan(kn, changed ? UINT_MAX :
			    max_t(unsigned int, CONN_SLICE, n / CONN_SLICES + 1),
			    changed);
	n = atomic_read(&kn->n_conns);
	if (kn->conn_seen >= n) {
		kn->conn_seen = 0;
		kn->conn_round++;
	}
	mutex_unlock(&kn->conn_lock);

	if (killed) {
		local_bh_disable();
		k8snet_stat_add(kn, CONN_KILLED, killed);
		local_bh_enable();
	}
	if (n)
		queue_delayed_work(k8snet_wq, &kn->conn_work,
				   msecs_to_jiffies(expected ? CONN_RETRY_MS :
						    n > CONN_SLICE ?
						    CONN_SCAN_MS / CONN_SLICES :
						    CONN_SCAN_MS));
}

void k8snet_conn_account(struct k8snet_net *kn)
{
	struct k8snet_conn *conn;
	bool changed = false;

	mutex_lock(&kn->conn_lock);
	collect(kn);
	conns_find(kn, &changed);
	if (changed)
		k8snet_conn_endpoints_changed(kn);
	list_for_each_entry(conn, &kn->conns, node) {
		account(kn, conn);
		cond_resched();
	}
	mutex_unlock(&kn->conn_lock);
}

void k8snet_conn_left(const struct k8snet_endpoint *ep, bool *wait, bool *kick)
{
	*kick = true;
	*wait |= atomic_read(&ep->active) > 0 &&
		 (ep->proto == IPPROTO_UDP ||
		  ep->on_removal != K8SNET_ON_REMOVAL_KEEP);
}

void k8snet_conn_endpoints_changed(struct k8snet_net *kn)
{
	set_bit(CONN_ENDPOINTS_CHANGED, &kn->conn_flags);
	mod_delayed_work(k8snet_wq, &kn->conn_work, 0);
}

void k8snet_conn_endpoints_changed_sync(struct k8snet_net *kn)
{
	k8snet_conn_endpoints_changed(kn);
	flush_delayed_work(&kn->conn_work);
}

int k8snet_conn_net_init(struct k8snet_net *kn)
{
	int cpu;

	mutex_init(&kn->conn_lock);
	INIT_LIST_HEAD(&kn->conns);
	INIT_LIST_HEAD(&kn->conns_awaited);
	INIT_DELAYED_WORK(&kn->conn_work, conn_work);
	kn->conn_new = alloc_percpu(struct llist_head);
	if (!kn->conn_new)
		return -ENOMEM;
	for_each_possible_cpu(cpu)
		init_llist_head(per_cpu_ptr(kn->conn_new, cpu));
	return 0;
}

/* No packet finds a service any more: none adds a record or starts the work. */
void k8snet_conn_net_exit(struct k8snet_net *kn)
{
	struct k8snet_conn *conn, *tmp;

	cancel_delayed_work_sync(&kn->conn_work);
	mutex_lock(&kn->conn_lock);
	collect(kn);
	list_for_each_entry_safe(conn, tmp, &kn->conns, node)
		conn_free(kn, conn);
	list_for_each_entry_safe(conn, tmp, &kn->conns_awaited, node)
		conn_free(kn, conn);
	mutex_unlock(&kn->conn_lock);
	free_percpu(kn->conn_new);
	mutex_destroy(&kn->conn_lock);
}

/* Once for each piece of memory, instead of each time (init_on_alloc):
 * k8snet_conn_add() sets all of it.
 */
static void conn_ctor(void *conn)
{
	memset(conn, 0, sizeof(struct k8snet_conn));
}

int __init k8snet_conn_init(void)
{
	k8snet_wq = alloc_workqueue("k8snet", WQ_UNBOUND, 0);
	if (!k8snet_wq)
		return -ENOMEM;
	conn_cache = kmem_cache_create("k8snet_conn",
				       sizeof(struct k8snet_conn), 0, 0,
				       conn_ctor);
	if (!conn_cache) {
		destroy_workqueue(k8snet_wq);
		return -ENOMEM;
	}
	return 0;
}

void k8snet_conn_uninit(void)
{
	kmem_cache_destroy(conn_cache);
	destroy_workqueue(k8snet_wq);
}
