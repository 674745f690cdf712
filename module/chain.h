/* SPDX-License-Identifier: GPL-2.0 */
/* Whose netfilter hooks a packet would meet in the stack. */
#ifndef _K8SNET_CHAIN_H
#define _K8SNET_CHAIN_H

#include "netns.h"

int k8snet_chain_net_init(struct k8snet_net *kn);
void k8snet_chain_net_exit(struct k8snet_net *kn);

/* Finds out what the hooks of others that one may know of look like, where
 * they are registered now. May sleep; at any time, any number of times.
 */
void k8snet_chain_learn(struct net *net);

/*
 * Would a forwarded packet meet nobody but conntrack, nf_nat and us, and
 * nf_nat ask nobody but us? False for everything that is not known for
 * certain. Context: RCU, BH off.
 */
bool k8snet_chain_is_plain(struct k8snet_net *kn, u8 family);

/* No IPsec policy for what is forwarded? Context: any. */
bool k8snet_ipsec_plain(const struct net *net);

#endif /* _K8SNET_CHAIN_H */
