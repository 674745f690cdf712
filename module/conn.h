/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which endpoint a live flow of a service has. conntrack has no place for it;
 * a record here, made with the flow's first packet, holds the endpoint and, as
 * soon as it is in conntrack's table, the entry, and is dropped soon after that
 * has died.
 *
 * It gives the live flows of an endpoint (least connections) and finds the
 * flows of an endpoint that goes without a walk over all of conntrack.
 */
#ifndef _K8SNET_CONN_H
#define _K8SNET_CONN_H

#include <net/netfilter/nf_conntrack.h>

#include "decision.h"
#include "netns.h"

int k8snet_conn_init(void);
void k8snet_conn_uninit(void);
int k8snet_conn_net_init(struct k8snet_net *kn);
void k8snet_conn_net_exit(struct k8snet_net *kn);

/* Records a new flow to the endpoint of @d. False, counted: no memory or too
 * many. Context: packet path, BH off; @ct just confirmed, or not yet.
 */
bool k8snet_conn_add(struct k8snet_net *kn, struct nf_conn *ct,
		     const struct k8snet_decision *d);

/* Brings the traffic of services and endpoints up to date. At worst a look at
 * K8SNET_CONNS_MAX records. Context: may sleep; cfg_lock may be held.
 */
void k8snet_conn_account(struct k8snet_net *kn);

/*
 * What the removal of @ep, which is about to be told by one of the functions
 * below, asks for: *@kick where its flows may not stay as they are, *@wait
 * where some of them are known, which end or move before the request is
 * answered. Context: cfg_lock held.
 */
void k8snet_conn_left(const struct k8snet_endpoint *ep, bool *wait,
		      bool *kick);

/* Endpoints have been removed or do not serve any more, and the plans
 * without them are published: flows of theirs are to move, or to end.
 * Context: any.
 */
void k8snet_conn_endpoints_changed(struct k8snet_net *kn);
/* As above, and waits until it is so. Context: may sleep; no lock held that
 * conn_work takes (conn_lock).
 */
void k8snet_conn_endpoints_changed_sync(struct k8snet_net *kn);

#endif /* _K8SNET_CONN_H */
