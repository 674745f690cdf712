/* SPDX-License-Identifier: GPL-2.0 */
/* Node ports on 127.0.0.1 and ::1. */
#ifndef _K8SNET_LOCALHOST_H
#define _K8SNET_LOCALHOST_H

#include <linux/netfilter.h>
#include <linux/skbuff.h>

#include "addr.h"
#include "netns.h"

/* Registers or removes the hooks. Context: cfg_lock held, may sleep. */
int k8snet_localhost_set(struct k8snet_net *kn, bool on);

/* Is @addr 127.0.0.1 or ::1? */
bool k8snet_localhost_addr(const union nf_inet_addr *addr, u8 family);

/*
 * A packet of a process to a node port on loopback is not translated after all
 * but refused, or let through: it gets its own source back.
 */
void k8snet_localhost_restore(struct sk_buff *skb,
			      const struct nf_hook_state *state);

#endif /* _K8SNET_LOCALHOST_H */
