// SPDX-License-Identifier: GPL-2.0
/* Which packets we see, where, and in which order to others. */

#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_nat.h>

#include "bridge.h"
#include "chain.h"
#include "dsr.h"
#include "flow.h"
#include "hooks.h"
#include "invalid.h"
#include "masq.h"
#include "nat.h"
#include "netns.h"

/*
 * Asked by nf_nat, inside its own hooks, about the first packet of a flow
 * only; every later packet, the replies and the ICMP errors of the flow are
 * then nf_nat's business.
 */
#define K8SNET_NAT_OPS(_pf) {						\
	{	/* From pods and from outside: to a service? Before the	\
		 * routing decision, so that it sees the endpoint.	\
		 */							\
		.pf = _pf,						\
		.hooknum = NF_INET_PRE_ROUTING,				\
		.priority = K8SNET_PRI_NAT_DST,				\
		.hook = k8snet_nat_hook,				\
	},								\
	{	/* From the node's own processes. nf_nat routes the	\
		 * packet anew after a change.				\
		 */							\
		.pf = _pf,						\
		.hooknum = NF_INET_LOCAL_OUT,				\
		.priority = K8SNET_PRI_NAT_DST,				\
		.hook = k8snet_nat_hook,				\
	},								\
	{	/* Masquerade, once the device it leaves through is	\
		 * known.						\
		 */							\
		.pf = _pf,						\
		.hooknum = NF_INET_POST_ROUTING,			\
		.priority = K8SNET_PRI_NAT_SRC,				\
		.hook = k8snet_masq_hook,				\
	},								\
}

static const struct nf_hook_ops nat_ops4[] = K8SNET_NAT_OPS(NFPROTO_IPV4);
static const struct nf_hook_ops nat_ops6[] = K8SNET_NAT_OPS(NFPROTO_IPV6);

/* Every packet. */
#define K8SNET_PACKET_OPS(_pf)						\
	{	/* What another node has packed up. */			\
		.pf = _pf,						\
		.hooknum = NF_INET_PRE_ROUTING,				\
		.priority = K8SNET_PRI_DSR,				\
		.hook = k8snet_dsr_receive,				\
	},								\
	{	/* What conntrack calls invalid, before nf_nat. */	\
		.pf = _pf,						\
		.hooknum = NF_INET_PRE_ROUTING,				\
		.priority = K8SNET_PRI_INVALID,				\
		.hook = k8snet_invalid_adopt,				\
	},								\
	{								\
		.pf = _pf,						\
		.hooknum = NF_INET_LOCAL_OUT,				\
		.priority = K8SNET_PRI_INVALID,				\
		.hook = k8snet_invalid_adopt,				\
	},								\
	{	/* What nf_nat has left as it was. */			\
		.pf = _pf,						\
		.hooknum = NF_INET_POST_ROUTING,			\
		.priority = K8SNET_PRI_LEAVE,				\
		.hook = k8snet_invalid_leave,				\
	},								\
	{	/* What everybody else has accepted. */			\
		.pf = _pf,						\
		.hooknum = NF_INET_POST_ROUTING,			\
		.priority = K8SNET_PRI_LEARN,				\
		.hook = k8snet_flow_leave,				\
	},								\
	{	/* After all others and after DNAT: prepares the	\
		 * routing decision for packets between pods, which	\
		 * enter and leave by the bridge.			\
		 */							\
		.pf = _pf,						\
		.hooknum = NF_INET_PRE_ROUTING,				\
		.priority = INT_MAX,					\
		.hook = k8snet_forward_prerouting,			\
	}

static const struct nf_hook_ops packet_ops[] = {
	K8SNET_PACKET_OPS(NFPROTO_IPV4),
	K8SNET_PACKET_OPS(NFPROTO_IPV6),
};

static void nat_unregister(struct net *net, unsigned int n4, unsigned int n6)
{
	while (n6--)
		nf_nat_ipv6_unregister_fn(net, &nat_ops6[n6]);
	while (n4--)
		nf_nat_ipv4_unregister_fn(net, &nat_ops4[n4]);
}

static int nat_register(struct net *net)
{
	unsigned int n4, n6 = 0;
	int err;

	for (n4 = 0; n4 < ARRAY_SIZE(nat_ops4); n4++) {
		err = nf_nat_ipv4_register_fn(net, &nat_ops4[n4]);
		if (err)
			goto err_unregister;
	}
	for (n6 = 0; n6 < ARRAY_SIZE(nat_ops6); n6++) {
		err = nf_nat_ipv6_register_fn(net, &nat_ops6[n6]);
		if (err)
			goto err_unregister;
	}
	return 0;

err_unregister:
	nat_unregister(net, n4, n6);
	return err;
}

int k8snet_hooks_get(struct k8snet_net *kn)
{
	struct net *net = kn->net;
	int err;

	k8snet_assert_cfg(kn);
	if (kn->hook_users) {
		kn->hook_users++;
		return 0;
	}

	err = nf_ct_netns_get(net, NFPROTO_INET);
	if (err)
		return err;
	err = nat_register(net);
	if (err)
		goto err_ct;
	err = nf_register_net_hooks(net, packet_ops, ARRAY_SIZE(packet_ops));
	if (err)
		goto err_nat;
	kn->hook_users = 1;
	k8snet_chain_learn(net);
	return 0;

err_nat:
	nat_unregister(net, ARRAY_SIZE(nat_ops4), ARRAY_SIZE(nat_ops6));
err_ct:
	nf_ct_netns_put(net, NFPROTO_INET);
	return err;
}

void k8snet_hooks_put(struct k8snet_net *kn)
{
	struct net *net = kn->net;

	k8snet_assert_cfg(kn);
	if (--kn->hook_users)
		return;
	nf_unregister_net_hooks(net, packet_ops, ARRAY_SIZE(packet_ops));
	nat_unregister(net, ARRAY_SIZE(nat_ops4), ARRAY_SIZE(nat_ops6));
	nf_ct_netns_put(net, NFPROTO_INET);
}
