/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Packets that are refused. The reason is a counter of the node (stats.h): it is
 * counted, traced by its name (trace.h), and given to the kernel as the nearest
 * of its own drop reasons. (Reasons of our own need the number of a subsystem,
 * which the kernel hands out to itself alone.)
 */
#ifndef _K8SNET_DROP_H
#define _K8SNET_DROP_H

#include <linux/skbuff.h>

#include "netns.h"

/*
 * Counts and traces, and frees nothing. @svc: whose rule it is, or NULL.
 * Context: BH off, RCU; @skb still has its headers.
 */
void k8snet_drop_note(struct k8snet_net *kn, const struct sk_buff *skb,
		      enum k8snet_stat reason,
		      struct k8snet_service *svc);

/* The kernel's name for it, for kfree_skb_reason(). */
enum skb_drop_reason k8snet_drop_reason(enum k8snet_stat reason);

/* The same for a packet that belongs to us and to no service. */
static inline void k8snet_drop(struct k8snet_net *kn, struct sk_buff *skb,
			       enum k8snet_stat reason)
{
	k8snet_drop_note(kn, skb, reason, NULL);
	kfree_skb_reason(skb, k8snet_drop_reason(reason));
}

#endif /* _K8SNET_DROP_H */
