// SPDX-License-Identifier: GPL-2.0
/* Module entry and exit. */

#include <linux/module.h>
#include <net/genetlink.h>
#include <net/netfilter/nf_nat_masquerade.h>
#include <net/rtnetlink.h>

#include "bridge.h"
#include "conn.h"
#include "flow.h"
#include "netlink.h"
#include "netns.h"
#include "node.h"

/*
 * The namespaces' state comes first, because everything else looks for it;
 * the ways in (links, netlink) last.
 */
static int __init k8snet_init(void)
{
	int err;

	err = k8snet_conn_init();
	if (err)
		return err;
	err = k8snet_flow_init();
	if (err)
		goto err_conn;
	err = k8snet_net_init();
	if (err)
		goto err_flow;
	err = nf_nat_masquerade_inet_register_notifiers();
	if (err)
		goto err_net;
	err = k8snet_node_init();
	if (err)
		goto err_masquerade;
	err = k8snet_flow_start();
	if (err)
		goto err_node;
	err = k8snet_bridge_init();
	if (err)
		goto err_flow_start;
	err = k8snet_netlink_init();
	if (err)
		goto err_bridge;
	return 0;

err_bridge:
	k8snet_bridge_uninit();
err_flow_start:
	k8snet_flow_stop();
err_node:
	k8snet_node_uninit();
err_masquerade:
	nf_nat_masquerade_inet_unregister_notifiers();
err_net:
	k8snet_net_uninit();
err_flow:
	k8snet_flow_uninit();
err_conn:
	k8snet_conn_uninit();
	return err;
}

static void __exit k8snet_exit(void)
{
	k8snet_netlink_uninit();
	k8snet_bridge_uninit();
	k8snet_flow_stop();
	k8snet_node_uninit();
	nf_nat_masquerade_inet_unregister_notifiers();
	k8snet_net_uninit();
	k8snet_flow_uninit();
	k8snet_conn_uninit();
	/* Objects freed by call_rcu() with a function of this module. */
	rcu_barrier();
}

module_init(k8snet_init);
module_exit(k8snet_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Kubernetes node networking: pod bridge and Service proxy");
MODULE_VERSION(K8SNET_VERSION);
MODULE_ALIAS_RTNL_LINK("k8snet");
MODULE_ALIAS_GENL_FAMILY(K8SNET_GENL_NAME);
