/* SPDX-License-Identifier: GPL-2.0 */
/* Node ports and host ports on 127.0.0.1 and ::1. */
#ifndef _K8SNET_LOCALHOST_H
#define _K8SNET_LOCALHOST_H

#include <linux/netfilter.h>
#include <linux/skbuff.h>

#include "addr.h"
#include "netns.h"

struct k8snet_frontend;

/*
 * The hooks are there while somebody needs them: the setting that puts all node
 * ports on loopback, and each host port that has its address. Context: cfg_lock
 * held, may sleep.
 */
int k8snet_localhost_get(struct k8snet_net *kn);
void k8snet_localhost_put(struct k8snet_net *kn);
/* Of the setting: does nothing if that is what it is. */
int k8snet_localhost_set(struct k8snet_net *kn, bool on);

/* Is @addr 127.0.0.1 or ::1? */
bool k8snet_localhost_addr(const union nf_inet_addr *addr, u8 family);

/*
 * What a process of this node gets at a port of @addr, which is 127.0.0.1 or
 * ::1, or NULL. Nobody else may be given it. Context: RCU.
 */
struct k8snet_frontend *
k8snet_localhost_frontend_rcu(struct k8snet_net *kn,
			      const union nf_inet_addr *addr, u8 family,
			      u8 proto, __be16 port);

/*
 * A packet of a process to a node port on loopback is not translated after all
 * but refused, or let through: it gets its own source back.
 */
void k8snet_localhost_restore(struct sk_buff *skb,
			      const struct nf_hook_state *state);

#endif /* _K8SNET_LOCALHOST_H */
