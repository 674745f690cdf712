/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What every file of the module shares: limits and forward declarations.
 *
 * Every limit of the module is a number here or in uapi/linux/k8snet.h, and
 * hitting it is counted (stats.h).
 */
#ifndef _K8SNET_H
#define _K8SNET_H

#include <linux/types.h>
#include <linux/k8snet.h>

enum {
	/* Objects of one namespace; a bound against a runaway loader. */
	K8SNET_SERVICES_MAX = 1 << 17,
	K8SNET_ENDPOINTS_MAX = 1 << 20,		/* of all services together */
	K8SNET_PODS_MAX = 1 << 14,		/* a node runs some hundreds */
	K8SNET_ROUTES_MAX = 1 << 16,		/* one a node and family */
	K8SNET_MASQS_MAX = 256,			/* searched in order per flow */
	K8SNET_PORT_PODS_MAX = 64,		/* pods on one port */
	K8SNET_VIP_RANGES_MAX = 1024,		/* port ranges of one address */

	/* Flows of services whose endpoint is remembered (conn.c). */
	K8SNET_CONNS_MAX = 1 << 20,
	/* Clients remembered by session affinity, all services (affinity.c). */
	K8SNET_AFFINITY_ENTRIES_MAX = 1 << 18,

	/* Directions of connections in the fast path; "node set flow-max". */
	K8SNET_FLOWS_DEFAULT_MAX = 1 << 18,

	/* Slots of a weighted round robin; larger sums use the alias table. */
	K8SNET_RR_SLOTS_MAX = 1 << 14,
	/* Endpoints that least connections compares for one choice. */
	K8SNET_LC_SAMPLE = 64,
	/* Source ports tried for one flow before it is dropped, and counted. */
	K8SNET_SNAT_TRIES = 512,

	K8SNET_NODEPORT_DEFAULT_MIN = 30000,	/* kube-apiserver's default */
	K8SNET_NODEPORT_DEFAULT_MAX = 32767,
};

struct k8snet_bridge;
struct k8snet_conn;
struct k8snet_endpoint;
struct k8snet_net;
struct k8snet_pod;
struct k8snet_port;
struct k8snet_route;
struct k8snet_service;

#endif /* _K8SNET_H */
