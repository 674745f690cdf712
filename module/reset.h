/* SPDX-License-Identifier: GPL-2.0 */
/* Ends of connections whose endpoint is gone. */
#ifndef _K8SNET_RESET_H
#define _K8SNET_RESET_H

#include <net/netfilter/nf_conntrack.h>

#include "netns.h"

/*
 * Tells both ends of a translated TCP connection or SCTP association that it is
 * over. Context:
 * process context, BH on; @ct is referenced and out of conntrack's table, or
 * going.
 */
void k8snet_reset_send(struct k8snet_net *kn, struct nf_conn *ct);

#endif /* _K8SNET_RESET_H */
