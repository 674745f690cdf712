/* SPDX-License-Identifier: GPL-2.0 */
/* The netfilter hooks; k8snet_hooks_get() and _put() are in netns.h. */
#ifndef _K8SNET_HOOKS_H
#define _K8SNET_HOOKS_H

#include <linux/limits.h>
#include <linux/netfilter.h>

/*
 * Our place among the users of nf_nat, which asks them in this order about
 * the first packet of a flow: just before nft's and iptables' nat chains.
 * These and the hook points are an API for firewalls: docs/datapath.md.
 */
enum {
	K8SNET_PRI_DSR = -401,		/* before defragmentation */
	K8SNET_PRI_INVALID = -199,	/* after conntrack, before all others */
	K8SNET_PRI_NAT_DST = -101,	/* NF_IP_PRI_NAT_DST - 1, both families */
	K8SNET_PRI_NAT_SRC = 99,	/* NF_IP_PRI_NAT_SRC - 1 */
	K8SNET_PRI_LEAVE = 101,		/* after nf_nat */
	K8SNET_PRI_LEARN = INT_MAX - 1,	/* after all but conntrack's last */
};

#endif /* _K8SNET_HOOKS_H */
