// SPDX-License-Identifier: GPL-2.0
/* Conntrack entries that a service finds in its way. */

#include <net/netfilter/nf_conntrack_core.h>

#include "frontend.h"
#include "service.h"
#include "sweep.h"

/*
 * A UDP entry that was made before the service existed, or while it had no
 * endpoint and let packets pass, would keep a busy client from the service
 * for as long as it goes on sending (kubernetes issues 48370, 59368). TCP
 * clients give up and connect anew. Without an endpoint such clients are to be
 * refused like all others, unless the service lets them pass.
 *
 * Context: nf_ct_iterate_cleanup_net(), BH off.
 */
static int is_stale(struct nf_conn *ct, void *data)
{
	const struct nf_conntrack_tuple *t =
		&ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple;
	struct k8snet_net *kn = data;
	const struct k8snet_frontend *fe;
	const struct k8snet_plan *plan;
	bool stale = false;

	if (t->dst.protonum != IPPROTO_UDP || ct->status & IPS_DST_NAT)
		return 0;

	rcu_read_lock();
	fe = k8snet_frontend_lookup_rcu(kn, &t->dst.u3, t->src.l3num,
					IPPROTO_UDP, t->dst.u.udp.port);
	if (fe) {
		plan = rcu_dereference(fe->plan);
		stale = plan->no_endpoints != K8SNET_NO_ENDPOINTS_PASS ||
			plan->set[k8snet_family_index(t->src.l3num)]
				 [K8SNET_POLICY_CLUSTER].n;
	}
	rcu_read_unlock();
	if (stale)
		k8snet_stat_inc(kn, CT_STALE);
	return stale;
}

/* One walk serves all changes made before it. */
static void sweep_work(struct work_struct *work)
{
	struct k8snet_net *kn = container_of(work, struct k8snet_net,
					     sweep_work);
	const struct nf_ct_iter_data iter = { .net = kn->net, .data = kn };

	nf_ct_iterate_cleanup_net(is_stale, &iter);
}

void k8snet_sweep(struct k8snet_net *kn, const struct k8snet_service *svc)
{
	if (svc->proto == IPPROTO_UDP)
		queue_work(k8snet_wq, &kn->sweep_work);
}

void k8snet_sweep_net_init(struct k8snet_net *kn)
{
	INIT_WORK(&kn->sweep_work, sweep_work);
}

void k8snet_sweep_net_exit(struct k8snet_net *kn)
{
	cancel_work_sync(&kn->sweep_work);
}
