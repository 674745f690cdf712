// SPDX-License-Identifier: GPL-2.0
/* Pod bridges and their ports. */
#include <linux/k8snet.h>

#include "nl_internal.h"

/* Pod bridges */

void knl_bridge_decode(const struct nlmsghdr *nlh, struct bridge *br)
{
	struct nlattr *attr;
	int rem;

	br->has = BRIDGE_ADDR;
	knl_k8snet_for_each_attr(attr, nlh, rem) {
		switch (nla_type(attr)) {
		case K8SNET_A_BRIDGE_IFINDEX:
			br->ifindex = knl_u32(attr);
			break;
		case K8SNET_A_BRIDGE_IFNAME:
			knl_string(attr, &br->name);
			br->has |= BRIDGE_NAME;
			break;
		case K8SNET_A_BRIDGE_MTU:
			br->mtu = knl_u32(attr);
			br->has |= BRIDGE_MTU;
			break;
		case K8SNET_A_BRIDGE_LLADDR:
			knl_lladdr(attr, br->lladdr);
			br->has |= BRIDGE_LLADDR;
			break;
		case K8SNET_A_BRIDGE_UP:
			br->up = !!knl_u8(attr);
			br->has |= BRIDGE_UP;
			break;
		case K8SNET_A_BRIDGE_ADDR:
			knl_prefix(attr, LIST_ADD(&br->addr));
			break;
		case K8SNET_A_BRIDGE_PORTS:
			br->ports = knl_u32(attr);
			br->has |= BRIDGE_PORTS;
			break;
		}
	}
	if (!br->name)
		knl_device(br->ifindex, &br->name);
}

KNL_LIST(bridge, knl_bridge_decode)

int knl_bridge_list(struct bridge_list *list, const char *name)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_BRIDGE_GET,
					    ROOM_IFNAME);
	int err;

	if (msg && name)
		knl_put_string(msg, K8SNET_A_BRIDGE_IFNAME, name);
	err = knl_list(msg, name, bridge_answer, bridge_restart, list, 0);
	bridge_list_sort(list);
	return err;
}

/* Ports */

void knl_port_decode(const struct nlmsghdr *nlh, struct port *port)
{
	struct nlattr *attr;
	uint32_t bridge = 0;
	int rem;

	knl_k8snet_for_each_attr(attr, nlh, rem) {
		switch (nla_type(attr)) {
		case K8SNET_A_PORT_IFINDEX:
			port->ifindex = knl_u32(attr);
			break;
		case K8SNET_A_PORT_IFNAME:
			knl_string(attr, &port->name);
			break;
		case K8SNET_A_PORT_BRIDGE:
			bridge = knl_u32(attr);
			break;
		case K8SNET_A_PORT_BRIDGE_NAME:
			knl_string(attr, &port->bridge);
			break;
		case K8SNET_A_PORT_ANTISPOOF:
			port->antispoof = !!knl_u8(attr);
			port->has |= PORT_ANTISPOOF;
			break;
		case K8SNET_A_PORT_SPOOFED:
			port->spoofed = knl_u64(attr);
			port->has |= PORT_SPOOFED;
			break;
		}
	}
	if (!port->name)
		knl_device(port->ifindex, &port->name);
	if (!port->bridge && bridge)
		knl_device(bridge, &port->bridge);
	port->has |= PORT_NAME | (port->bridge ? PORT_BRIDGE : 0);
}

KNL_LIST(port, knl_port_decode)

int knl_port_list(struct port_list *list, const char *name)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_PORT_GET, ROOM_IFNAME);
	int err;

	if (msg && name)
		knl_put_string(msg, K8SNET_A_PORT_IFNAME, name);
	err = knl_list(msg, name, port_answer, port_restart, list, 0);
	port_list_sort(list);
	return err;
}

int knl_port_set(const char *name, bool antispoof, unsigned int flags)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_PORT_SET,
					    ROOM_IFNAME + ROOM_U32);

	if (msg) {
		knl_put_string(msg, K8SNET_A_PORT_IFNAME, name);
		knl_put_u8(msg, K8SNET_A_PORT_ANTISPOOF, antispoof);
	}
	return knl_change(msg, NULL, flags);
}
