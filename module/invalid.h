/* SPDX-License-Identifier: GPL-2.0 */
/* Packets that conntrack calls invalid. */
#ifndef _K8SNET_INVALID_H
#define _K8SNET_INVALID_H

#include <linux/netfilter.h>
#include <linux/skbuff.h>

unsigned int k8snet_invalid_adopt(void *priv, struct sk_buff *skb,
				  const struct nf_hook_state *state);
unsigned int k8snet_invalid_leave(void *priv, struct sk_buff *skb,
				  const struct nf_hook_state *state);

#endif /* _K8SNET_INVALID_H */
