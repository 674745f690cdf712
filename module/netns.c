// SPDX-License-Identifier: GPL-2.0
/* Life of the module's state in a network namespace. */

#include <linux/random.h>
#include <linux/slab.h>

#include "affinity.h"
#include "chain.h"
#include "conn.h"
#include "flow.h"
#include "hooks.h"
#include "localhost.h"
#include "masq.h"
#include "netns.h"
#include "node.h"
#include "pod.h"
#include "route.h"
#include "service.h"

unsigned int k8snet_net_id;

static int __net_init net_init(struct net *net)
{
	struct k8snet_net *kn = k8snet_net(net);
	int cpu, err;

	kn->net = net;
	kn->genid = 1;
	mutex_init(&kn->cfg_lock);
	INIT_LIST_HEAD(&kn->bridges);
	get_random_bytes(&kn->hash_key, sizeof(kn->hash_key));

	kn->stats = alloc_percpu(struct k8snet_stats);
	if (!kn->stats)
		return -ENOMEM;
	for_each_possible_cpu(cpu)
		u64_stats_init(&per_cpu_ptr(kn->stats, cpu)->syncp);

	err = k8snet_node_net_init(kn);
	if (err)
		goto err_stats;
	err = k8snet_pod_net_init(kn);
	if (err)
		goto err_node;
	err = k8snet_route_net_init(kn);
	if (err)
		goto err_pod;
	err = k8snet_flow_net_init(kn);
	if (err)
		goto err_route;
	err = k8snet_chain_net_init(kn);
	if (err)
		goto err_flow;
	err = k8snet_conn_net_init(kn);
	if (err)
		goto err_chain;
	err = k8snet_affinity_net_init(kn);
	if (err)
		goto err_conn;
	err = k8snet_service_net_init(kn);
	if (err)
		goto err_affinity;
	return 0;

err_affinity:
	k8snet_affinity_net_exit(kn);
err_conn:
	k8snet_conn_net_exit(kn);
err_chain:
	k8snet_chain_net_exit(kn);
err_flow:
	k8snet_flow_net_exit(kn);
err_route:
	k8snet_route_net_exit(kn);
err_pod:
	k8snet_pod_net_exit(kn);
err_node:
	k8snet_node_net_exit(kn);
err_stats:
	free_percpu(kn->stats);
	return err;
}

/*
 * First stage: no packet finds us any more. The hooks go, and between this
 * and net_exit() the core waits for an RCU grace period, so that in net_exit()
 * no packet of the namespace can still hold an object of ours.
 *
 * The namespace has no process and no socket left, hence no netlink request
 * can run; its devices are still there and are removed (through the rtnl link
 * ops, which flush what depends on them) before net_exit().
 */
static void __net_exit net_pre_exit(struct net *net)
{
	struct k8snet_net *kn = k8snet_net(net);

	k8snet_flow_net_pre_exit(kn);
	mutex_lock(&kn->cfg_lock);
	k8snet_localhost_set(kn, false);
	k8snet_service_flush(kn);
	k8snet_masq_flush(kn);
	mutex_unlock(&kn->cfg_lock);
}

static void __net_exit net_exit(struct net *net)
{
	struct k8snet_net *kn = k8snet_net(net);

	k8snet_service_net_exit(kn);
	k8snet_affinity_net_exit(kn);
	/* Drops the references to conntrack entries, which nf_conntrack's own
	 * exit, being registered earlier and so run later, waits for.
	 */
	k8snet_conn_net_exit(kn);
	k8snet_chain_net_exit(kn);
	k8snet_flow_net_exit(kn);
	k8snet_route_net_exit(kn);
	k8snet_pod_net_exit(kn);
	k8snet_masq_net_exit(kn);
	k8snet_node_net_exit(kn);
	WARN_ON_ONCE(kn->hook_users);
	WARN_ON_ONCE(!list_empty(&kn->bridges));
	mutex_destroy(&kn->cfg_lock);
	free_percpu(kn->stats);
}

/*
 * A subsystem, not a device: a pernet device's exit runs before the devices
 * of the namespace are removed, and those need us.
 */
static struct pernet_operations net_ops = {
	.init = net_init,
	.pre_exit = net_pre_exit,
	.exit = net_exit,
	.id = &k8snet_net_id,
	.size = sizeof(struct k8snet_net),
};

int __init k8snet_net_init(void)
{
	return register_pernet_subsys(&net_ops);
}

void k8snet_net_uninit(void)
{
	unregister_pernet_subsys(&net_ops);
}
