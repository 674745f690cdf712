/* SPDX-License-Identifier: GPL-2.0 */
/* What the requests about services, endpoints and lookups share. */
#ifndef _K8SNET_NETLINK_SERVICE_H
#define _K8SNET_NETLINK_SERVICE_H

#include "netlink.h"
#include "service.h"

/* The name in a request, not empty; NULL, with the sentence set. */
const char *k8snet_nl_service_name(const struct genl_info *info);
/* The service a request names; NULL, with @err and the sentence set.
 * Context: cfg_lock held.
 */
struct k8snet_service *k8snet_nl_service_find(struct k8snet_net *kn,
					      const struct genl_info *info,
					      int *err);
/* All endpoints of a request, to be freed with kvfree(). @set: the message
 * changes endpoints. 0 or an error with the sentence set.
 */
int k8snet_nl_endpoints_parse(const struct genl_info *info, bool set,
			      struct k8snet_endpoint_spec **specs,
			      unsigned int *n);

int k8snet_nl_frontend_put(struct sk_buff *skb, int type,
			   const struct k8snet_frontend *fe);
/* @hints: its topology hints, too; cfg_lock held then. */
int k8snet_nl_endpoint_put(struct sk_buff *skb, int type,
			   const struct k8snet_endpoint *ep, bool hints);
/* Context: cfg_lock held. */
void k8snet_service_notify(struct k8snet_net *kn,
			   const struct k8snet_service *svc);

/* Tells what k8snet_endpoints_commit() has found to tell, and lets go of the
 * endpoints that are gone. After each change of a service. Context: cfg_lock held,
 * may sleep.
 */
void k8snet_endpoints_notify(struct k8snet_net *kn, struct k8snet_service *svc);

/* Packets and bytes, and those of replies: four attributes from @type on. */
int k8snet_nl_traffic_put(struct sk_buff *skb, int type,
			  struct k8snet_traffic *const *sum);

#endif /* _K8SNET_NETLINK_SERVICE_H */
