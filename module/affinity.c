// SPDX-License-Identifier: GPL-2.0
/*
 * Session affinity by client address, per service, over all of its frontends.
 *
 * An entry is written by the packets of new flows and read by them; entries
 * that are too old, or whose endpoint is not usable any more, count as absent
 * and are collected by a work.
 */

#include <linux/jiffies.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>

#include "affinity.h"
#include "endpoint.h"

struct affinity_key {
	union nf_inet_addr client;
	u32 family;
	u32 service_id;
};

struct affinity {
	struct rhash_head hash;		/* kn->affinities */
	struct affinity_key key;	/* constant */
	struct k8snet_endpoint __rcu *ep; /* a reference; replaced by xchg() */
	unsigned long last;		/* jiffies of the last new flow */
	u32 timeout;			/* seconds, as of then */
	struct rcu_head rcu;
};

static const struct rhashtable_params affinity_params = {
	.head_offset = offsetof(struct affinity, hash),
	.key_offset = offsetof(struct affinity, key),
	.key_len = sizeof(struct affinity_key),
	.automatic_shrinking = true,
};

enum { AFFINITY_SCAN_SECONDS = 10 };

/* Of each namespace. A smaller one takes nothing away that is there. */
static unsigned int affinity_max = K8SNET_AFFINITY_ENTRIES_MAX;
module_param(affinity_max, uint, 0644);
MODULE_PARM_DESC(affinity_max, "clients remembered by session affinity, of each namespace");

static bool expired(const struct affinity *a, u32 timeout)
{
	return time_after(jiffies, READ_ONCE(a->last) +
				   (unsigned long)timeout * HZ);
}

static struct affinity *find(struct k8snet_net *kn, u32 service_id,
			     const union nf_inet_addr *client, u8 family)
{
	const struct affinity_key key = {
		.client = *client,
		.family = family,
		.service_id = service_id,
	};

	return rhashtable_lookup(&kn->affinities, &key, affinity_params);
}

struct k8snet_endpoint *k8snet_affinity_lookup_rcu(struct k8snet_net *kn,
						   u32 service_id,
						   const union nf_inet_addr *client,
						   u8 family, u8 policy,
						   u32 timeout)
{
	const struct affinity *a = find(kn, service_id, client, family);
	struct k8snet_endpoint *ep;

	if (!a || expired(a, timeout))
		return NULL;
	ep = rcu_dereference(a->ep);
	return READ_ONCE(ep->usable) & BIT(policy) ? ep : NULL;
}

static void affinity_free_rcu(struct rcu_head *head)
{
	struct affinity *a = container_of(head, struct affinity, rcu);

	k8snet_endpoint_put(rcu_dereference_raw(a->ep));
	kfree(a);
}

/* Takes over the caller's reference to @ep. */
static void affinity_insert(struct k8snet_net *kn, u32 service_id,
			    const union nf_inet_addr *client, u8 family,
			    struct k8snet_endpoint *ep, u32 timeout)
{
	struct affinity *a;
	int n;

	n = atomic_inc_return(&kn->n_affinities);
	if (n > READ_ONCE(affinity_max)) {
		k8snet_stat_inc(kn, AFFINITY_FULL);
		goto err_ep;
	}
	a = kzalloc(sizeof(*a), GFP_ATOMIC | __GFP_NOWARN);
	if (!a) {
		k8snet_stat_inc(kn, NOMEM);
		goto err_ep;
	}
	a->key.client = *client;
	a->key.family = family;
	a->key.service_id = service_id;
	a->last = jiffies;
	a->timeout = timeout;
	RCU_INIT_POINTER(a->ep, ep);
	/* Fails too when another packet of the client was faster: its choice
	 * then stands for the next flow.
	 */
	if (rhashtable_lookup_insert_fast(&kn->affinities, &a->hash,
					  affinity_params)) {
		kfree(a);
		goto err_ep;
	}
	/* The work goes on by itself while there are entries. */
	if (!delayed_work_pending(&kn->affinity_work))
		queue_delayed_work(k8snet_wq, &kn->affinity_work,
				   AFFINITY_SCAN_SECONDS * HZ);
	return;

err_ep:
	k8snet_endpoint_put(ep);
	atomic_dec(&kn->n_affinities);
}

void k8snet_affinity_update(struct k8snet_net *kn, u32 service_id,
			    const union nf_inet_addr *client, u8 family,
			    struct k8snet_endpoint *ep, u32 timeout)
{
	struct affinity *a = find(kn, service_id, client, family);
	struct k8snet_endpoint *old;

	if (a) {
		WRITE_ONCE(a->last, jiffies);
		WRITE_ONCE(a->timeout, timeout);
		if (rcu_access_pointer(a->ep) == ep)
			return;
	}
	if (!k8snet_endpoint_get(ep))
		return;
	if (!a) {
		affinity_insert(kn, service_id, client, family, ep, timeout);
		return;
	}
	/* The entry cannot be freed before this RCU section ends, so whoever
	 * drops its endpoint then drops this one.
	 */
	old = unrcu_pointer(xchg(&a->ep, RCU_INITIALIZER(ep)));
	k8snet_endpoint_put(old);
}

static void affinity_work(struct work_struct *work)
{
	struct k8snet_net *kn = container_of(work, struct k8snet_net,
					     affinity_work.work);
	struct rhashtable_iter iter;
	struct affinity *a;

	rhashtable_walk_enter(&kn->affinities, &iter);
	rhashtable_walk_start(&iter);
	while ((a = rhashtable_walk_next(&iter))) {
		if (IS_ERR(a)) {
			if (PTR_ERR(a) == -EAGAIN)
				continue;	/* resized: seen twice at worst */
			break;
		}
		/* Found in the table only: after a grace period by nobody. */
		if ((expired(a, READ_ONCE(a->timeout)) ||
		     READ_ONCE(rcu_dereference(a->ep)->removed)) &&
		    !rhashtable_remove_fast(&kn->affinities, &a->hash,
					    affinity_params)) {
			call_rcu(&a->rcu, affinity_free_rcu);
			atomic_dec(&kn->n_affinities);
		}
		if (need_resched()) {
			rhashtable_walk_stop(&iter);
			cond_resched();
			rhashtable_walk_start(&iter);
		}
	}
	rhashtable_walk_stop(&iter);
	rhashtable_walk_exit(&iter);

	if (atomic_read(&kn->n_affinities))
		queue_delayed_work(k8snet_wq, &kn->affinity_work,
				   AFFINITY_SCAN_SECONDS * HZ);
}

int k8snet_affinity_net_init(struct k8snet_net *kn)
{
	BUILD_BUG_ON(sizeof(struct affinity_key) != 24);
	INIT_DELAYED_WORK(&kn->affinity_work, affinity_work);
	return rhashtable_init(&kn->affinities, &affinity_params);
}

static void affinity_free(void *ptr, void *arg)
{
	affinity_free_rcu(&((struct affinity *)ptr)->rcu);
}

/* No packet finds a service any more: the table is ours alone. */
void k8snet_affinity_net_exit(struct k8snet_net *kn)
{
	cancel_delayed_work_sync(&kn->affinity_work);
	rhashtable_free_and_destroy(&kn->affinities, affinity_free, NULL);
}
