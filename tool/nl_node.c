// SPDX-License-Identifier: GPL-2.0
/* The node's settings. */
#include <errno.h>

#include <linux/k8snet.h>

#include "nl_internal.h"

void knl_node_decode(const struct nlmsghdr *nlh, struct node *node)
{
	struct nlattr *attr;
	int rem;

	node->has = NODE_IP | NODE_CLUSTER_CIDR | NODE_ADDRESS |
		    NODE_SERVICE_CIDR | NODE_NAME | NODE_ZONE;
	knl_k8snet_for_each_attr(attr, nlh, rem) {
		switch (nla_type(attr)) {
		case K8SNET_A_NODE_IP:
			knl_addr(attr, LIST_ADD(&node->ip));
			break;
		case K8SNET_A_NODE_NODEPORT_MODE:
			node->nodeport_mode = knl_u8(attr);
			node->has |= NODE_NODEPORT_ADDRESSES;
			break;
		case K8SNET_A_NODE_NODEPORT_PREFIX:
			knl_prefix(attr, LIST_ADD(&node->nodeport_prefix));
			break;
		case K8SNET_A_NODE_NODEPORT_MIN:
			node->nodeport_min = knl_u16(attr);
			node->has |= NODE_NODEPORT_RANGE;
			break;
		case K8SNET_A_NODE_NODEPORT_MAX:
			node->nodeport_max = knl_u16(attr);
			node->has |= NODE_NODEPORT_RANGE;
			break;
		case K8SNET_A_NODE_CLUSTER_CIDR:
			knl_prefix(attr, LIST_ADD(&node->cluster_cidr));
			break;
		case K8SNET_A_NODE_SERVICE_CIDR:
			knl_prefix(attr, LIST_ADD(&node->service_cidr));
			break;
		case K8SNET_A_NODE_DEAD_PORTS:
			node->dead_ports = knl_u8(attr);
			node->has |= NODE_DEAD_PORTS;
			break;
		case K8SNET_A_NODE_UNASSIGNED_IPS:
			node->unassigned_ips = knl_u8(attr);
			node->has |= NODE_UNASSIGNED_IPS;
			break;
		case K8SNET_A_NODE_NODEPORT_LOCALHOST:
			node->nodeport_localhost = knl_u8(attr);
			node->has |= NODE_NODEPORT_LOCALHOST;
			break;
		case K8SNET_A_NODE_NAME:
			node->name = knl_intern(attr);
			break;
		case K8SNET_A_NODE_ZONE:
			node->zone = knl_intern(attr);
			break;
		case K8SNET_A_NODE_FASTPATH:
			node->fastpath = knl_u8(attr);
			node->has |= NODE_FASTPATH;
			break;
		case K8SNET_A_NODE_FLOW_MAX:
			node->flow_max = knl_u32(attr);
			node->has |= NODE_FLOW_MAX;
			break;
		case K8SNET_A_NODE_ADDRESS:
			knl_addr(attr, LIST_ADD(&node->address));
			break;
		}
	}
	node_sort(node);
}

static int node_answer(const struct nlmsghdr *nlh, void *arg)
{
	node_clear(arg);
	knl_node_decode(nlh, arg);
	return 0;
}

int knl_node_get(struct node *node)
{
	return knl_talk(NL_BUS_K8SNET, knl_k8snet_msg(K8SNET_CMD_NODE_GET, 0),
			node_answer, node, 0);
}

int knl_node_set(const struct node *node)
{
	struct nl_msg *msg;
	uint32_t clear = 0;
	struct addr *ip;

	msg = knl_k8snet_msg(K8SNET_CMD_NODE_SET, 128 + 2 * ROOM_NAME +
			     node->ip.n * (size_t)ROOM_ADDR +
			     (node->nodeport_prefix.n + node->cluster_cidr.n +
			      node->service_cidr.n) *
			     (size_t)ROOM_PREFIX);
	if (!msg)
		return -ENOENT;
	if (node->has & NODE_IP) {
		LIST_FOR_EACH(ip, &node->ip)
			knl_put_addr(msg, K8SNET_A_NODE_IP, ip);
		if (!node->ip.n)
			clear |= K8SNET_NODE_CLEAR_IP;
	}
	if (node->has & NODE_NODEPORT_ADDRESSES) {
		knl_put_u8(msg, K8SNET_A_NODE_NODEPORT_MODE,
			   node->nodeport_mode);
		knl_put_prefixes(msg, K8SNET_A_NODE_NODEPORT_PREFIX,
				 &node->nodeport_prefix);
	}
	if (node->has & NODE_NODEPORT_RANGE) {
		knl_put_u16(msg, K8SNET_A_NODE_NODEPORT_MIN,
			    node->nodeport_min);
		knl_put_u16(msg, K8SNET_A_NODE_NODEPORT_MAX,
			    node->nodeport_max);
	}
	if (node->has & NODE_CLUSTER_CIDR) {
		knl_put_prefixes(msg, K8SNET_A_NODE_CLUSTER_CIDR,
				 &node->cluster_cidr);
		if (!node->cluster_cidr.n)
			clear |= K8SNET_NODE_CLEAR_CLUSTER_CIDR;
	}
	if (node->has & NODE_SERVICE_CIDR) {
		knl_put_prefixes(msg, K8SNET_A_NODE_SERVICE_CIDR,
				 &node->service_cidr);
		if (!node->service_cidr.n)
			clear |= K8SNET_NODE_CLEAR_SERVICE_CIDR;
	}
	if (node->has & NODE_DEAD_PORTS)
		knl_put_u8(msg, K8SNET_A_NODE_DEAD_PORTS, node->dead_ports);
	if (node->has & NODE_UNASSIGNED_IPS)
		knl_put_u8(msg, K8SNET_A_NODE_UNASSIGNED_IPS,
			   node->unassigned_ips);
	if (node->has & NODE_NODEPORT_LOCALHOST)
		knl_put_u8(msg, K8SNET_A_NODE_NODEPORT_LOCALHOST,
			   node->nodeport_localhost);
	if (node->has & NODE_NAME)
		knl_put_string(msg, K8SNET_A_NODE_NAME,
			       node->name ? node->name : "");
	if (node->has & NODE_ZONE)
		knl_put_string(msg, K8SNET_A_NODE_ZONE,
			       node->zone ? node->zone : "");
	if (node->has & NODE_FASTPATH)
		knl_put_u8(msg, K8SNET_A_NODE_FASTPATH, node->fastpath);
	if (node->has & NODE_FLOW_MAX)
		knl_put_u32(msg, K8SNET_A_NODE_FLOW_MAX, node->flow_max);
	if (clear)
		knl_put_u32(msg, K8SNET_A_NODE_CLEAR, clear);
	return knl_change(msg, NULL, 0);
}
