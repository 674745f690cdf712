// SPDX-License-Identifier: GPL-2.0
/* Records of live flows; see conn.h. */

#include <linux/llist.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <net/netfilter/nf_conntrack_core.h>

#include "conn.h"
#include "reset.h"
#include "service.h"

struct workqueue_struct *k8snet_wq;

struct k8snet_conn {
	union {
		struct llist_node new;	/* kn->conn_new */
		struct list_head node;	/* kn->conns */
	};
	struct nf_conn *ct;		/* a reference */
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
	/* When flows that are to move were not in conntrack's table yet. */
	CONN_RETRY_MS = 20,
};

/*
 * Producers are packets, which push to a lockless list of their CPU; the one
 * consumer is the work, under conn_lock.
 */
bool k8snet_conn_add(struct k8snet_net *kn, struct nf_conn *ct,
		     const struct k8snet_decision *d, unsigned int len)
{
	struct k8snet_endpoint *ep = d->ep;
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
	nf_conntrack_get(&ct->ct_general);
	conn->ct = ct;
	conn->ep = ep;
	conn->dsr = d->dsr;
	memset(&conn->seen, 0, sizeof(conn->seen));
	k8snet_traffic_begin(ct, len);
	atomic_inc(&ep->active);
	llist_add(&conn->new, this_cpu_ptr(kn->conn_new));
	/* The work goes on by itself while there are records. */
	if (!delayed_work_pending(&kn->conn_work))
		queue_delayed_work(k8snet_wq, &kn->conn_work,
				   msecs_to_jiffies(CONN_SCAN_MS));
	return true;

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
	account(kn, conn);
	list_del(&conn->node);
	atomic_dec(&conn->ep->active);
	k8snet_endpoint_put(conn->ep);
	nf_ct_put(conn->ct);
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
			list_add_tail(&conn->node, &kn->conns);
	}
}

/*
 * Is the entry out of conntrack's table, or was it never in? Then ours is the
 * only reference that can last. A packet still on its way may hold one, too;
 * the next scan sees. A TCP connection that has been closed is no load on its
 * endpoint any more.
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

/*
 * UDP has no connection that would fail: a client that keeps sending would
 * be led to an endpoint that is gone for ever. An endpoint that still serves
 * keeps its flows, terminating or not (kubernetes issues 19029, 122740).
 *
 * A connection of TCP or SCTP goes on if its service says so, which is how an
 * endpoint drains. One that was never answered has nothing to go on with: its
 * client asks again, and gets another endpoint (kubernetes issue 101607).
 */
static bool must_move(const struct k8snet_conn *conn)
{
	const struct k8snet_endpoint *ep = conn->ep;

	if (ep->proto == IPPROTO_UDP)
		return READ_ONCE(ep->removed) ||
		       !(READ_ONCE(ep->flags) & K8SNET_EP_SERVING);
	return READ_ONCE(ep->removed) &&
	       (READ_ONCE(ep->on_removal) != K8SNET_ON_REMOVAL_KEEP ||
		(!conn->dsr &&
		 !test_bit(IPS_SEEN_REPLY_BIT, &conn->ct->status)));
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
 * longest time. @changed: flows are to move or to end. Returns how many have,
 * *@again: some could not.
 */
static unsigned int conns_scan(struct k8snet_net *kn, unsigned int left,
			       bool changed, bool *again)
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
		} else if (nf_ct_is_confirmed(conn->ct)) {
			/* False if somebody else was faster. */
			if (nf_ct_delete(conn->ct, 0, 0)) {
				killed++;
				reset(kn, conn);
			}
			conn_free(kn, conn);
		} else {
			/* Only what is in conntrack's table can be taken out
			 * of it. An entry whose first packet is still on its
			 * way will be in a moment, or is dead by then.
			 */
			*again = true;
		}
		cond_resched();
	}
	return killed;
}

static void conn_work(struct work_struct *work)
{
	struct k8snet_net *kn = container_of(work, struct k8snet_net,
					     conn_work.work);
	bool changed, again = false;
	unsigned int killed, n;

	changed = test_and_clear_bit(CONN_ENDPOINTS_CHANGED, &kn->conn_flags);
	/* Packets that took an endpoint from an old plan have recorded their
	 * flow after this.
	 */
	if (changed)
		synchronize_rcu();

	mutex_lock(&kn->conn_lock);
	collect(kn);
	n = atomic_read(&kn->n_conns);
	killed = conns_scan(kn, changed ? UINT_MAX :
			    max_t(unsigned int, CONN_SLICE, n / CONN_SLICES + 1),
			    changed, &again);
	n = atomic_read(&kn->n_conns);
	if (kn->conn_seen >= n) {
		kn->conn_seen = 0;
		kn->conn_round++;
	}
	mutex_unlock(&kn->conn_lock);
	if (again)
		set_bit(CONN_ENDPOINTS_CHANGED, &kn->conn_flags);

	if (killed) {
		local_bh_disable();
		k8snet_stat_add(kn, CONN_KILLED, killed);
		local_bh_enable();
	}
	if (n)
		queue_delayed_work(k8snet_wq, &kn->conn_work,
				   msecs_to_jiffies(again ? CONN_RETRY_MS :
						    n > CONN_SLICE ?
						    CONN_SCAN_MS / CONN_SLICES :
						    CONN_SCAN_MS));
}

void k8snet_conn_account(struct k8snet_net *kn)
{
	struct k8snet_conn *conn;

	mutex_lock(&kn->conn_lock);
	collect(kn);
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
