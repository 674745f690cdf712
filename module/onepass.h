/* SPDX-License-Identifier: GPL-2.0 */
/* Packets that conntrack must see, past the stack all the same. */
#ifndef _K8SNET_ONEPASS_H
#define _K8SNET_ONEPASS_H

#include "bridge.h"
#include "flow.h"

/*
 * A packet from a pod that k8snet_flow_rx() knows no flow for. skb->data is at
 * the network header, the packet is not shared. K8SNET_FLOW_MISS: to the
 * stack; it may have been tracked by then, on skb->dev = the bridge, which the
 * stack notices. Context: RCU, BH off.
 */
enum k8snet_flow_verdict k8snet_onepass_rx(struct k8snet_port *port,
					   struct sk_buff *skb);

#endif /* _K8SNET_ONEPASS_H */
