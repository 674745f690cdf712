// SPDX-License-Identifier: GPL-2.0
/* Notifications. */
#include <linux/genetlink.h>

#include <linux/k8snet.h>

#include "nl_internal.h"

static void (*monitor_fn)(const struct monitor_event *ev);

static void monitor_message(const struct nlmsghdr *nlh)
{
	const struct genlmsghdr *genl = nlmsg_data(nlh);
	struct monitor_event ev = { 0 };
	struct service svc = { 0 };
	struct bridge bridge = { 0 };
	struct route route = { 0 };
	struct node node = { 0 };
	struct port port = { 0 };
	struct masq masq = { 0 };
	struct pod pod = { 0 };

	switch (genl->cmd) {
	case K8SNET_CMD_BRIDGE_DEL_NTF:
	case K8SNET_CMD_PORT_DEL_NTF:
	case K8SNET_CMD_POD_DEL_NTF:
	case K8SNET_CMD_ROUTE_DEL_NTF:
	case K8SNET_CMD_MASQ_DEL_NTF:
	case K8SNET_CMD_SERVICE_DEL_NTF:
	case K8SNET_CMD_ENDPOINT_DEL_NTF:
		ev.deleted = true;
		break;
	}
	switch (genl->cmd) {
	case K8SNET_CMD_NODE_NTF:
		ev.object = "node";
		knl_node_decode(nlh, &node);
		ev.node = &node;
		break;
	case K8SNET_CMD_BRIDGE_NTF:
	case K8SNET_CMD_BRIDGE_DEL_NTF:
		ev.object = "bridge";
		knl_bridge_decode(nlh, &bridge);
		bridge.has |= BRIDGE_NAME;
		ev.bridge = &bridge;
		break;
	case K8SNET_CMD_PORT_NTF:
	case K8SNET_CMD_PORT_DEL_NTF:
		ev.object = "port";
		knl_port_decode(nlh, &port);
		ev.port = &port;
		break;
	case K8SNET_CMD_POD_NTF:
	case K8SNET_CMD_POD_DEL_NTF:
		ev.object = "pod";
		knl_pod_decode(nlh, &pod);
		ev.pod = &pod;
		break;
	case K8SNET_CMD_ROUTE_NTF:
	case K8SNET_CMD_ROUTE_DEL_NTF:
		ev.object = "route";
		knl_route_decode(nlh, &route);
		ev.route = &route;
		break;
	case K8SNET_CMD_MASQ_NTF:
	case K8SNET_CMD_MASQ_DEL_NTF:
		ev.object = "masq";
		knl_masq_decode(nlh, &masq);
		ev.masq = &masq;
		break;
	case K8SNET_CMD_SERVICE_NTF:
	case K8SNET_CMD_SERVICE_DEL_NTF:
		ev.object = "svc";
		knl_service_decode(nlh, &svc);
		ev.svc = &svc;
		break;
	case K8SNET_CMD_ENDPOINT_NTF:
	case K8SNET_CMD_ENDPOINT_DEL_NTF:
		ev.object = "ep";
		knl_service_decode(nlh, &svc);
		ev.svc = &svc;
		break;
	case K8SNET_CMD_FLUSH_NTF:
		ev.object = "flush";
		break;
	default:
		return;
	}
	service_sort(&svc);
	monitor_fn(&ev);
	service_clear(&svc);
	bridge_clear(&bridge);
	route_clear(&route);
	node_clear(&node);
	port_clear(&port);
	masq_clear(&masq);
	pod_clear(&pod);
}

int knl_monitor(void (*event)(const struct monitor_event *ev))
{
	struct bridge_list bridges = { 0 };
	struct bridge *br;

	/* Bridges that are there now may go with the first notification. */
	monitor_fn = event;
	if (!knl_bridge_list(&bridges, NULL)) {
		LIST_FOR_EACH(br, &bridges)
			knl_device(br->ifindex, &br->name);
	}
	bridge_list_clear(&bridges);
	return knl_listen(K8SNET_MCGRP_CONFIG, monitor_message);
}
