/* SPDX-License-Identifier: GPL-2.0 */
/* The copies of pod routes in the FIB. */
#ifndef _K8SNET_FIB_H
#define _K8SNET_FIB_H

#include "addr.h"
#include "netns.h"

void k8snet_fib_net_init(struct k8snet_net *kn);
void k8snet_fib_net_exit(struct k8snet_net *kn);

/*
 * An rtnetlink request (@type: RTM_NEWROUTE or RTM_DELROUTE, @flags: NLM_F_*)
 * about "PREFIX dev IFINDEX" in the main table, and what rtnetlink says to it.
 * Context: fib_lock held, neither RTNL nor cfg_lock.
 */
int k8snet_fib_change(struct k8snet_net *kn, u16 type, u16 flags,
		      const struct k8snet_prefix *prefix, int ifindex);
int k8snet_fib_del(struct k8snet_net *kn, const struct k8snet_prefix *prefix,
		   int ifindex);

/* A bridge came up or got an address: puts the FIB routes of the bridges that
 * are up back, and calls k8snet_bridge_settle(). Done by a work.
 * Context: any that may queue work.
 */
void k8snet_fib_resync(struct k8snet_net *kn);

#endif /* _K8SNET_FIB_H */
