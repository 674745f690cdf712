/* SPDX-License-Identifier: GPL-2.0 */
/* Conntrack entries that a service finds in its way. */
#ifndef _K8SNET_SWEEP_H
#define _K8SNET_SWEEP_H

#include "netns.h"

/* @svc has changed: UDP entries that keep its clients from it are removed by
 * a work, soon. Context: any that may queue work.
 */
void k8snet_sweep(struct k8snet_net *kn, const struct k8snet_service *svc);

void k8snet_sweep_net_init(struct k8snet_net *kn);
void k8snet_sweep_net_exit(struct k8snet_net *kn);

#endif /* _K8SNET_SWEEP_H */
