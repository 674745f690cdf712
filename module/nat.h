/* SPDX-License-Identifier: GPL-2.0 */
/* Destination translation of new flows to services. */
#ifndef _K8SNET_NAT_H
#define _K8SNET_NAT_H

#include <linux/netfilter.h>
#include <linux/skbuff.h>

#include "decision.h"

/* The source address that a decision with @snat gives a flow, which may be
 * none. Context: RCU.
 */
bool k8snet_nat_source(struct k8snet_net *kn, const struct k8snet_decision *d,
		       union nf_inet_addr *addr);

/* What k8snet_nat_hook() does for a new flow of TCP or UDP that nobody else is
 * to be asked about, as far as it leads to an endpoint or to no service at
 * all. NF_ACCEPT: the destination is settled. NF_REPEAT: not this one, and
 * nothing was done. NF_DROP as usual. @d: gets the decision. Context: RCU, BH
 * off.
 */
unsigned int k8snet_nat_onepass(struct k8snet_net *kn,
				const struct sk_buff *skb, struct nf_conn *ct,
				const struct nf_hook_state *state,
				struct k8snet_decision *d);
/* The flow that this has been decided for does not come to be: takes it out of
 * the counters. Its record goes with conntrack's entry. Context: RCU, BH off.
 */
void k8snet_nat_forget(struct k8snet_net *kn, const struct k8snet_decision *d);
unsigned int k8snet_nat_hook(void *priv, struct sk_buff *skb,
			     const struct nf_hook_state *state);

#endif /* _K8SNET_NAT_H */
