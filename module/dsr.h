/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Direct server return: a client outside of the cluster asks one node and is
 * answered by the endpoint's own, from the address that it asked.
 *
 * The node that is asked chooses an endpoint and translates the destination, as
 * always, so that conntrack remembers the choice and firewalls see the endpoint;
 * but not the source. When the packet is about to leave for the endpoint's node
 * it gets the address back that the client asked for, and goes inside of an IP
 * packet to that node (IPIP, RFC 2003; IP6IP6, RFC 2473). That node unpacks it,
 * and knows the service, too: the flow goes to an endpoint of its own, with the
 * client's address, and the replies leave there.
 */
#ifndef _K8SNET_DSR_H
#define _K8SNET_DSR_H

#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <net/netfilter/nf_conntrack.h>

#include "netns.h"

struct k8snet_bridge;
struct k8snet_decision;
struct k8snet_route;

enum {
	/* Marks an unpacked packet until it is translated: a bit of the
	 * control block's flags that the stack has no use for.
	 */
	K8SNET_DSR_UNPACKED = 1 << 15,
	/* How long a TCP connection that is silent is remembered by the node
	 * that was asked, which never sees the other direction. As IPVS.
	 */
	K8SNET_DSR_TIMEOUT_SECONDS = 900,
	K8SNET_DSR_CLOSE_SECONDS = 60,
};

/* May the flow of this decision, whose endpoint is chosen, be answered by the
 * endpoint's node? Context: RCU.
 */
bool k8snet_dsr_applies(struct k8snet_net *kn, const struct k8snet_decision *d);

/* Was it unpacked here just now? */
bool k8snet_dsr_is_unpacked(const struct sk_buff *skb, u8 family);

/* Is this the entry of such a flow on the node that was asked? Context: RCU. */
bool k8snet_dsr_has(struct k8snet_net *kn, const struct nf_conn *ct);

/* Keeps the entry of such a TCP flow, of which conntrack sees half and counts
 * nothing. Context: PRE_ROUTING.
 */
void k8snet_dsr_refresh(const struct sk_buff *skb, u8 family,
			struct nf_conn *ct);

/*
 * A packet leaves by pod route @r; @dst is the route to its node. True: it is a
 * packet of such a flow and was sent, or dropped; @dst is used up. skb->data is
 * the network header. Context: RCU, BH off.
 */
bool k8snet_dsr_xmit(struct k8snet_net *kn, struct sk_buff *skb,
		     struct k8snet_route *r, struct dst_entry *dst,
		     const union nf_inet_addr *saddr);
/* What it takes of the way's MTU; 0: the packet is of no such flow. */
unsigned int k8snet_dsr_overhead(struct k8snet_net *kn,
				 const struct sk_buff *skb, u8 family);

/* PRE_ROUTING, before all others. */
unsigned int k8snet_dsr_receive(void *priv, struct sk_buff *skb,
				const struct nf_hook_state *state);

#endif /* _K8SNET_DSR_H */
