// SPDX-License-Identifier: GPL-2.0
/*
 * The k8snet family: objects to attributes and back, in the order of
 * uapi/linux/k8snet.h. What the kernel answers is read by type and length;
 * attributes of a newer module are passed over.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <netlink/genl/genl.h>

#include <linux/k8snet.h>

#include "nl_internal.h"
#include "parse.h"
#include "report.h"

/* Room that attributes take at most, headers and padding included. */
enum {
	ROOM_U32	= 8,
	ROOM_ADDR	= 4 + 16,
	ROOM_PREFIX	= 4 + ROOM_ADDR + 8,
	ROOM_FRONTEND	= 4 + 8 + ROOM_ADDR + 8,
	ROOM_ENDPOINT	= 4 + ROOM_ADDR + 4 * 8,
	ROOM_IFNAME	= 4 + IFNAMSIZ,
	ROOM_NAME	= 4 + K8SNET_NAME_MAX + 1 + 3,
};

/* Common pieces */

static void put_addr(struct nl_msg *msg, int type, const struct addr *addr)
{
	knl_put(msg, type, addr->bytes, addr->len);
}

static void put_prefix(struct nl_msg *msg, int type,
		       const struct prefix *prefix)
{
	struct nlattr *nest = knl_nest(msg, type);

	put_addr(msg, K8SNET_A_PREFIX_ADDR, &prefix->addr);
	knl_put_u8(msg, K8SNET_A_PREFIX_LEN, prefix->bits);
	nla_nest_end(msg, nest);
}

static void put_prefixes(struct nl_msg *msg, int type,
			 const struct prefix_list *list)
{
	const struct prefix *prefix;

	LIST_FOR_EACH(prefix, list)
		put_prefix(msg, type, prefix);
}

static void get_addr(const struct nlattr *attr, struct addr *addr)
{
	memset(addr, 0, sizeof(*addr));
	if (nla_len(attr) != 4 && nla_len(attr) != 16)
		return;
	addr->len = (uint8_t)nla_len(attr);
	memcpy(addr->bytes, nla_data(attr), addr->len);
}

static void get_prefix(const struct nlattr *nest, struct prefix *prefix)
{
	struct nlattr *attr;
	int rem;

	memset(prefix, 0, sizeof(*prefix));
	nla_for_each_nested(attr, (struct nlattr *)nest, rem) {
		if (nla_type(attr) == K8SNET_A_PREFIX_ADDR)
			get_addr(attr, &prefix->addr);
		else if (nla_type(attr) == K8SNET_A_PREFIX_LEN)
			prefix->bits = knl_u8(attr);
	}
}

static void get_lladdr(const struct nlattr *attr, uint8_t lladdr[6])
{
	if (nla_len(attr) == 6)
		memcpy(lladdr, nla_data(attr), 6);
}

/*
 * Names of devices by their number. monitor tells of devices that have just
 * gone: what they were called is remembered.
 */
struct device {
	uint32_t index;
	char name[IFNAMSIZ];
};

struct devices LIST(struct device);

static struct devices devices;

static void get_device(uint32_t index, char **name)
{
	struct device *dev, *known = NULL;
	char buf[IFNAMSIZ] = "";

	LIST_FOR_EACH(dev, &devices)
		if (dev->index == index)
			known = dev;
	if (if_indextoname(index, buf)) {
		if (!known)
			known = LIST_ADD(&devices);
		known->index = index;
		memcpy(known->name, buf, sizeof(buf));
	}
	free(*name);
	*name = known ? xstrdup(known->name) : text_printf("if%u", index);
}

void knl_k8snet_forget(void)
{
	free(devices.v);
	memset(&devices, 0, sizeof(devices));
}

/* Node */

static void node_decode(const struct nlmsghdr *nlh, struct node *node)
{
	struct nlattr *attr;
	int rem;

	node->has = NODE_IP | NODE_CLUSTER_CIDR | NODE_ADDRESS;
	knl_k8snet_for_each_attr(attr, nlh, rem) {
		switch (nla_type(attr)) {
		case K8SNET_A_NODE_IP:
			get_addr(attr, LIST_ADD(&node->ip));
			break;
		case K8SNET_A_NODE_NODEPORT_MODE:
			node->nodeport_mode = knl_u8(attr);
			node->has |= NODE_NODEPORT_ADDRESSES;
			break;
		case K8SNET_A_NODE_NODEPORT_PREFIX:
			get_prefix(attr, LIST_ADD(&node->nodeport_prefix));
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
			get_prefix(attr, LIST_ADD(&node->cluster_cidr));
			break;
		case K8SNET_A_NODE_FASTPATH:
			node->fastpath = knl_u8(attr);
			node->has |= NODE_FASTPATH;
			break;
		case K8SNET_A_NODE_ADDRESS:
			get_addr(attr, LIST_ADD(&node->address));
			break;
		}
	}
	node_sort(node);
}

static int node_answer(const struct nlmsghdr *nlh, void *arg)
{
	node_clear(arg);
	node_decode(nlh, arg);
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

	msg = knl_k8snet_msg(K8SNET_CMD_NODE_SET, 64 +
			     node->ip.n * (size_t)ROOM_ADDR +
			     (node->nodeport_prefix.n + node->cluster_cidr.n) *
			     (size_t)ROOM_PREFIX);
	if (!msg)
		return -ENOENT;
	if (node->has & NODE_IP) {
		LIST_FOR_EACH(ip, &node->ip)
			put_addr(msg, K8SNET_A_NODE_IP, ip);
		if (!node->ip.n)
			clear |= K8SNET_NODE_CLEAR_IP;
	}
	if (node->has & NODE_NODEPORT_ADDRESSES) {
		knl_put_u8(msg, K8SNET_A_NODE_NODEPORT_MODE,
			   node->nodeport_mode);
		put_prefixes(msg, K8SNET_A_NODE_NODEPORT_PREFIX,
			     &node->nodeport_prefix);
	}
	if (node->has & NODE_NODEPORT_RANGE) {
		knl_put_u16(msg, K8SNET_A_NODE_NODEPORT_MIN,
			    node->nodeport_min);
		knl_put_u16(msg, K8SNET_A_NODE_NODEPORT_MAX,
			    node->nodeport_max);
	}
	if (node->has & NODE_CLUSTER_CIDR) {
		put_prefixes(msg, K8SNET_A_NODE_CLUSTER_CIDR,
			     &node->cluster_cidr);
		if (!node->cluster_cidr.n)
			clear |= K8SNET_NODE_CLEAR_CLUSTER_CIDR;
	}
	if (node->has & NODE_FASTPATH)
		knl_put_u8(msg, K8SNET_A_NODE_FASTPATH, node->fastpath);
	if (clear)
		knl_put_u32(msg, K8SNET_A_NODE_CLEAR, clear);
	return knl_change(msg, NULL, 0);
}

/* Pod bridges */

static void bridge_decode(const struct nlmsghdr *nlh, struct bridge *br)
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
			get_lladdr(attr, br->lladdr);
			br->has |= BRIDGE_LLADDR;
			break;
		case K8SNET_A_BRIDGE_UP:
			br->up = !!knl_u8(attr);
			br->has |= BRIDGE_UP;
			break;
		case K8SNET_A_BRIDGE_ADDR:
			get_prefix(attr, LIST_ADD(&br->addr));
			break;
		case K8SNET_A_BRIDGE_PORTS:
			br->ports = knl_u32(attr);
			br->has |= BRIDGE_PORTS;
			break;
		}
	}
	if (!br->name)
		get_device(br->ifindex, &br->name);
}

static int bridge_answer(const struct nlmsghdr *nlh, void *arg)
{
	struct bridge_list *list = arg;

	bridge_decode(nlh, LIST_ADD(list));
	return 0;
}

static void bridge_restart(void *arg)
{
	bridge_list_clear(arg);
}

int knl_bridge_list(struct bridge_list *list, const char *name)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_BRIDGE_GET,
					    ROOM_IFNAME);
	int err;

	if (msg && name)
		knl_put_string(msg, K8SNET_A_BRIDGE_IFNAME, name);
	if (name)
		err = knl_talk(NL_BUS_K8SNET, msg, bridge_answer, list, 0);
	else
		err = knl_dump(NL_BUS_K8SNET, msg, bridge_answer,
			       bridge_restart, list);
	bridge_list_sort(list);
	return err;
}

/* Ports */

static void port_decode(const struct nlmsghdr *nlh, struct port *port)
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
		get_device(port->ifindex, &port->name);
	if (!port->bridge && bridge)
		get_device(bridge, &port->bridge);
	port->has |= PORT_NAME | (port->bridge ? PORT_BRIDGE : 0);
}

static int port_answer(const struct nlmsghdr *nlh, void *arg)
{
	struct port_list *list = arg;

	port_decode(nlh, LIST_ADD(list));
	return 0;
}

static void port_restart(void *arg)
{
	port_list_clear(arg);
}

int knl_port_list(struct port_list *list, const char *name)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_PORT_GET, ROOM_IFNAME);
	int err;

	if (msg && name)
		knl_put_string(msg, K8SNET_A_PORT_IFNAME, name);
	if (name)
		err = knl_talk(NL_BUS_K8SNET, msg, port_answer, list, 0);
	else
		err = knl_dump(NL_BUS_K8SNET, msg, port_answer, port_restart,
			       list);
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

/* Pods */

static void pod_decode(const struct nlmsghdr *nlh, struct pod *pod)
{
	struct nlattr *attr;
	uint32_t port = 0;
	int rem;

	knl_k8snet_for_each_attr(attr, nlh, rem) {
		switch (nla_type(attr)) {
		case K8SNET_A_POD_ADDR:
			get_addr(attr, LIST_ADD(&pod->addr));
			pod->has |= POD_ADDR;
			break;
		case K8SNET_A_POD_PORT:
			port = knl_u32(attr);
			break;
		case K8SNET_A_POD_PORT_NAME:
			knl_string(attr, &pod->port);
			break;
		case K8SNET_A_POD_LLADDR:
			get_lladdr(attr, pod->mac);
			pod->has |= POD_MAC;
			break;
		case K8SNET_A_POD_BRIDGE:
			get_device(knl_u32(attr), &pod->bridge);
			pod->has |= POD_BRIDGE;
			break;
		}
	}
	if (!pod->port && port)
		get_device(port, &pod->port);
	pod->has |= pod->port ? POD_PORT : 0;
}

static int pod_answer(const struct nlmsghdr *nlh, void *arg)
{
	struct pod_list *list = arg;

	pod_decode(nlh, LIST_ADD(list));
	return 0;
}

static void pod_restart(void *arg)
{
	pod_list_clear(arg);
}

int knl_pod_list(struct pod_list *list, const struct addr *key,
		 unsigned int flags)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_POD_GET, ROOM_ADDR);
	int err;

	if (msg && key)
		put_addr(msg, K8SNET_A_POD_ADDR, key);
	if (key)
		err = knl_talk(NL_BUS_K8SNET, msg, pod_answer, list, flags);
	else
		err = knl_dump(NL_BUS_K8SNET, msg, pod_answer, pod_restart,
			       list);
	pod_list_sort(list);
	return err;
}

static struct nl_msg *pod_del_msg(const struct addr *addr)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_POD_DEL, ROOM_ADDR);

	if (msg)
		put_addr(msg, K8SNET_A_POD_ADDR, addr);
	return msg;
}

int knl_pod_new(const struct pod *pod, unsigned int flags)
{
	struct nl_msg *msg;
	struct addr *addr;

	msg = knl_k8snet_msg(K8SNET_CMD_POD_NEW,
			     pod->addr.n * (size_t)ROOM_ADDR + ROOM_IFNAME +
			     ROOM_ADDR);
	if (!msg)
		return -ENOENT;
	LIST_FOR_EACH(addr, &pod->addr)
		put_addr(msg, K8SNET_A_POD_ADDR, addr);
	knl_put_string(msg, K8SNET_A_POD_PORT_NAME, pod->port);
	if (pod->has & POD_MAC)
		knl_put(msg, K8SNET_A_POD_LLADDR, pod->mac, 6);
	return knl_change(msg, pod_del_msg(&pod->addr.v[0]), flags);
}

int knl_pod_del(const struct addr *addr, unsigned int flags)
{
	return knl_change(pod_del_msg(addr), NULL, flags);
}

/* Pod routes */

static void route_decode(const struct nlmsghdr *nlh, struct route *route)
{
	uint32_t bridge = 0, oif = 0;
	struct nlattr *attr;
	int rem;

	knl_k8snet_for_each_attr(attr, nlh, rem) {
		switch (nla_type(attr)) {
		case K8SNET_A_ROUTE_PREFIX:
			get_prefix(attr, &route->cidr);
			route->has |= ROUTE_CIDR;
			break;
		case K8SNET_A_ROUTE_VIA:
			get_addr(attr, &route->via);
			route->has |= ROUTE_VIA;
			break;
		case K8SNET_A_ROUTE_BRIDGE:
			bridge = knl_u32(attr);
			break;
		case K8SNET_A_ROUTE_OIF:
			oif = knl_u32(attr);
			break;
		}
	}
	if (oif || bridge) {
		get_device(oif ? oif : bridge, &route->dev);
		route->has |= ROUTE_DEV;
	}
	if (oif && bridge) {
		get_device(bridge, &route->bridge);
		route->has |= ROUTE_BRIDGE;
	}
}

static int route_answer(const struct nlmsghdr *nlh, void *arg)
{
	struct route_list *list = arg;

	route_decode(nlh, LIST_ADD(list));
	return 0;
}

static void route_restart(void *arg)
{
	route_list_clear(arg);
}

int knl_route_list(struct route_list *list, const struct prefix *key)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_ROUTE_GET, ROOM_PREFIX);
	int err;

	if (msg && key)
		put_prefix(msg, K8SNET_A_ROUTE_PREFIX, key);
	if (key)
		err = knl_talk(NL_BUS_K8SNET, msg, route_answer, list, 0);
	else
		err = knl_dump(NL_BUS_K8SNET, msg, route_answer, route_restart,
			       list);
	route_list_sort(list);
	return err;
}

static struct nl_msg *route_del_msg(const struct prefix *cidr)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_ROUTE_DEL, ROOM_PREFIX);

	if (msg)
		put_prefix(msg, K8SNET_A_ROUTE_PREFIX, cidr);
	return msg;
}

int knl_route_new(const struct route *route)
{
	uint32_t bridge = 0, oif = 0;
	struct nl_msg *msg;
	struct link link;
	int err;

	if (route->has & ROUTE_DEV) {
		err = knl_link_get(route->dev, &link, 0);
		if (err)
			return err;
		if (knl_link_is_bridge(&link))
			bridge = link.index;
		else
			oif = link.index;
	}
	if (route->has & ROUTE_BRIDGE) {
		err = knl_link_get(route->bridge, &link, 0);
		if (err)
			return err;
		bridge = link.index;
	}
	msg = knl_k8snet_msg(K8SNET_CMD_ROUTE_NEW, ROOM_PREFIX + ROOM_ADDR +
			     2 * ROOM_U32);
	if (!msg)
		return -ENOENT;
	put_prefix(msg, K8SNET_A_ROUTE_PREFIX, &route->cidr);
	put_addr(msg, K8SNET_A_ROUTE_VIA, &route->via);
	if (bridge)
		knl_put_u32(msg, K8SNET_A_ROUTE_BRIDGE, bridge);
	if (oif)
		knl_put_u32(msg, K8SNET_A_ROUTE_OIF, oif);
	return knl_change(msg, route_del_msg(&route->cidr), 0);
}

int knl_route_del(const struct prefix *cidr, unsigned int flags)
{
	return knl_change(route_del_msg(cidr), NULL, flags);
}

/* Masquerade */

static void masq_decode(const struct nlmsghdr *nlh, struct masq *masq)
{
	struct nlattr *attr;
	int rem;

	masq->has = MASQ_EXCEPT;
	knl_k8snet_for_each_attr(attr, nlh, rem) {
		switch (nla_type(attr)) {
		case K8SNET_A_MASQ_PREFIX:
			get_prefix(attr, &masq->cidr);
			masq->has |= MASQ_CIDR;
			break;
		case K8SNET_A_MASQ_EXCEPT:
			get_prefix(attr, LIST_ADD(&masq->except));
			break;
		case K8SNET_A_MASQ_FLOWS:
			masq->flows = knl_u64(attr);
			masq->has |= MASQ_FLOWS;
			break;
		case K8SNET_A_MASQ_EXEMPT:
			masq->exempt = knl_u64(attr);
			masq->has |= MASQ_EXEMPT;
			break;
		}
	}
}

static int masq_answer(const struct nlmsghdr *nlh, void *arg)
{
	struct masq_list *list = arg;

	masq_decode(nlh, LIST_ADD(list));
	return 0;
}

static void masq_restart(void *arg)
{
	masq_list_clear(arg);
}

int knl_masq_list(struct masq_list *list, const struct prefix *key)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_MASQ_GET, ROOM_PREFIX);
	int err;

	if (msg && key)
		put_prefix(msg, K8SNET_A_MASQ_PREFIX, key);
	if (key)
		err = knl_talk(NL_BUS_K8SNET, msg, masq_answer, list, 0);
	else
		err = knl_dump(NL_BUS_K8SNET, msg, masq_answer, masq_restart,
			       list);
	masq_list_sort(list);
	return err;
}

static struct nl_msg *masq_del_msg(const struct prefix *cidr)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_MASQ_DEL, ROOM_PREFIX);

	if (msg)
		put_prefix(msg, K8SNET_A_MASQ_PREFIX, cidr);
	return msg;
}

int knl_masq_new(const struct masq *masq)
{
	struct nl_msg *msg;

	msg = knl_k8snet_msg(K8SNET_CMD_MASQ_NEW, (masq->except.n + 1) *
			     (size_t)ROOM_PREFIX);
	if (!msg)
		return -ENOENT;
	put_prefix(msg, K8SNET_A_MASQ_PREFIX, &masq->cidr);
	put_prefixes(msg, K8SNET_A_MASQ_EXCEPT, &masq->except);
	return knl_change(msg, masq_del_msg(&masq->cidr), 0);
}

int knl_masq_del(const struct prefix *cidr, unsigned int flags)
{
	return knl_change(masq_del_msg(cidr), NULL, flags);
}

/* Services */

static bool frontend_decode(const struct nlattr *nest, struct frontend *fe)
{
	struct nlattr *attr;
	int rem;

	memset(fe, 0, sizeof(*fe));
	nla_for_each_nested(attr, (struct nlattr *)nest, rem) {
		switch (nla_type(attr)) {
		case K8SNET_A_FRONTEND_TYPE:
			fe->type = knl_u8(attr);
			break;
		case K8SNET_A_FRONTEND_ADDR:
			get_addr(attr, &fe->addr);
			break;
		case K8SNET_A_FRONTEND_PORT:
			fe->port = knl_be16(attr);
			break;
		}
	}
	return fe->type <= K8SNET_FRONTEND_MAX;
}

static void endpoint_decode(const struct nlattr *nest, struct endpoint *ep)
{
	struct nlattr *attr;
	int rem;

	memset(ep, 0, sizeof(*ep));
	ep->has = EP_ANSWER;
	nla_for_each_nested(attr, (struct nlattr *)nest, rem) {
		switch (nla_type(attr)) {
		case K8SNET_A_ENDPOINT_ADDR:
			get_addr(attr, &ep->addr);
			break;
		case K8SNET_A_ENDPOINT_PORT:
			ep->port = knl_be16(attr);
			break;
		case K8SNET_A_ENDPOINT_WEIGHT:
			ep->weight = knl_u32(attr);
			ep->has |= EP_WEIGHT;
			break;
		case K8SNET_A_ENDPOINT_FLAGS:
			ep->flags = knl_u32(attr);
			ep->has |= EP_CONDITIONS | EP_LOCAL;
			break;
		case K8SNET_A_ENDPOINT_FLOWS:
			ep->flows = knl_u64(attr);
			ep->has |= EP_COUNTERS;
			break;
		case K8SNET_A_ENDPOINT_ACTIVE:
			ep->active = knl_u32(attr);
			ep->has |= EP_COUNTERS;
			break;
		}
	}
}

/* Also of endpoint messages, which hold the name and endpoints only. */
static void service_decode(const struct nlmsghdr *nlh, struct service *svc)
{
	struct nlattr *attr;
	struct frontend fe;
	int rem;

	knl_k8snet_for_each_attr(attr, nlh, rem) {
		switch (nla_type(attr)) {
		case K8SNET_A_SERVICE_NAME:
			knl_string(attr, &svc->name);
			svc->has |= SVC_NAME;
			break;
		case K8SNET_A_SERVICE_PROTO:
			svc->proto = knl_u8(attr);
			svc->has |= SVC_PROTO | SVC_FRONTENDS | SVC_SOURCE_RANGE;
			break;
		case K8SNET_A_SERVICE_FRONTEND:
			if (frontend_decode(attr, &fe))
				*LIST_ADD(&svc->frontend) = fe;
			break;
		case K8SNET_A_SERVICE_ENDPOINT:
			endpoint_decode(attr, LIST_ADD(&svc->ep));
			break;
		case K8SNET_A_SERVICE_SCHEDULER:
			svc->scheduler = knl_u8(attr);
			svc->has |= SVC_SCHEDULER;
			break;
		case K8SNET_A_SERVICE_AFFINITY:
			svc->affinity = knl_u32(attr);
			svc->has |= SVC_AFFINITY;
			break;
		case K8SNET_A_SERVICE_EXTERNAL_POLICY:
			svc->external_policy = knl_u8(attr);
			svc->has |= SVC_EXTERNAL_POLICY;
			break;
		case K8SNET_A_SERVICE_INTERNAL_POLICY:
			svc->internal_policy = knl_u8(attr);
			svc->has |= SVC_INTERNAL_POLICY;
			break;
		case K8SNET_A_SERVICE_SOURCE_RANGE:
			get_prefix(attr, LIST_ADD(&svc->source_range));
			break;
		case K8SNET_A_SERVICE_NO_ENDPOINTS:
			svc->no_endpoints = knl_u8(attr);
			svc->has |= SVC_NO_ENDPOINTS;
			break;
		case K8SNET_A_SERVICE_ENDPOINTS:
			svc->endpoints = knl_u32(attr);
			svc->has |= SVC_ENDPOINTS;
			break;
		case K8SNET_A_SERVICE_FLOWS:
			svc->flows = knl_u64(attr);
			svc->has |= SVC_COUNTERS;
			break;
		case K8SNET_A_SERVICE_REJECTED:
			svc->rejected = knl_u64(attr);
			svc->has |= SVC_COUNTERS;
			break;
		case K8SNET_A_SERVICE_DROPPED:
			svc->dropped = knl_u64(attr);
			svc->has |= SVC_COUNTERS;
			break;
		}
	}
	if (!svc->name)
		svc->name = xstrdup("");
}

static int service_answer(const struct nlmsghdr *nlh, void *arg)
{
	struct service_list *list = arg;

	service_decode(nlh, LIST_ADD(list));
	return 0;
}

static void service_restart(void *arg)
{
	service_list_clear(arg);
}

int knl_service_list(struct service_list *list, const char *name)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_SERVICE_GET, ROOM_NAME);
	int err;

	if (msg && name)
		knl_put_string(msg, K8SNET_A_SERVICE_NAME, name);
	if (name)
		err = knl_talk(NL_BUS_K8SNET, msg, service_answer, list, 0);
	else
		err = knl_dump(NL_BUS_K8SNET, msg, service_answer,
			       service_restart, list);
	service_list_sort(list);
	return err;
}

static void put_frontend(struct nl_msg *msg, const struct frontend *fe)
{
	struct nlattr *nest = knl_nest(msg, K8SNET_A_SERVICE_FRONTEND);

	knl_put_u8(msg, K8SNET_A_FRONTEND_TYPE, fe->type);
	if (fe->addr.len)
		put_addr(msg, K8SNET_A_FRONTEND_ADDR, &fe->addr);
	knl_put_be16(msg, K8SNET_A_FRONTEND_PORT, fe->port);
	nla_nest_end(msg, nest);
}

/* @set: only what @ep has counts, and MASK says so. */
static void put_endpoint(struct nl_msg *msg, const struct endpoint *ep,
			 bool set)
{
	struct nlattr *nest = knl_nest(msg, K8SNET_A_SERVICE_ENDPOINT);
	uint32_t mask = 0;

	put_addr(msg, K8SNET_A_ENDPOINT_ADDR, &ep->addr);
	knl_put_be16(msg, K8SNET_A_ENDPOINT_PORT, ep->port);
	if (ep->has & EP_WEIGHT)
		knl_put_u32(msg, K8SNET_A_ENDPOINT_WEIGHT, ep->weight);
	if (ep->has & EP_CONDITIONS)
		mask |= K8SNET_EP_READY | K8SNET_EP_SERVING |
			K8SNET_EP_TERMINATING;
	if (ep->has & EP_LOCAL)
		mask |= K8SNET_EP_LOCAL;
	if (set) {
		knl_put_u32(msg, K8SNET_A_ENDPOINT_FLAGS, ep->flags & mask);
		knl_put_u32(msg, K8SNET_A_ENDPOINT_MASK, mask);
	} else {
		knl_put_u32(msg, K8SNET_A_ENDPOINT_FLAGS, ep->flags);
	}
	nla_nest_end(msg, nest);
}

static void put_settings(struct nl_msg *msg, const struct service *svc)
{
	const struct frontend *fe;

	LIST_FOR_EACH(fe, &svc->frontend)
		if (svc->has & service_frontend_bit(fe->type))
			put_frontend(msg, fe);
	if (svc->has & SVC_SCHEDULER)
		knl_put_u8(msg, K8SNET_A_SERVICE_SCHEDULER, svc->scheduler);
	if (svc->has & SVC_AFFINITY)
		knl_put_u32(msg, K8SNET_A_SERVICE_AFFINITY, svc->affinity);
	if (svc->has & SVC_EXTERNAL_POLICY)
		knl_put_u8(msg, K8SNET_A_SERVICE_EXTERNAL_POLICY,
			   svc->external_policy);
	if (svc->has & SVC_INTERNAL_POLICY)
		knl_put_u8(msg, K8SNET_A_SERVICE_INTERNAL_POLICY,
			   svc->internal_policy);
	if (svc->has & SVC_SOURCE_RANGE)
		put_prefixes(msg, K8SNET_A_SERVICE_SOURCE_RANGE,
			     &svc->source_range);
	if (svc->has & SVC_NO_ENDPOINTS)
		knl_put_u8(msg, K8SNET_A_SERVICE_NO_ENDPOINTS,
			   svc->no_endpoints);
}

/* Room for all of a service but its endpoints */
static size_t service_room(const struct service *svc)
{
	return ROOM_NAME + 8 * (size_t)ROOM_U32 +
	       svc->frontend.n * (size_t)ROOM_FRONTEND +
	       svc->source_range.n * (size_t)ROOM_PREFIX;
}

/* How many endpoints a message with @room for other things can take */
static unsigned int endpoints_fit(size_t room)
{
	size_t max = knl_msg_max();

	return (unsigned int)((max - room - 256) / ROOM_ENDPOINT);
}

static struct nl_msg *service_del_msg(const char *name)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_SERVICE_DEL, ROOM_NAME);

	if (msg)
		knl_put_string(msg, K8SNET_A_SERVICE_NAME, name);
	return msg;
}

/* A message about the endpoints [@from, @to) of @svc */
static struct nl_msg *endpoint_msg(uint8_t cmd, const struct service *svc,
				   unsigned int from, unsigned int to)
{
	struct nl_msg *msg;
	unsigned int i;

	msg = knl_k8snet_msg(cmd, ROOM_NAME +
			     (to - from) * (size_t)ROOM_ENDPOINT);
	if (!msg)
		return NULL;
	knl_put_string(msg, K8SNET_A_SERVICE_NAME, svc->name);
	for (i = from; i < to; i++) {
		const struct endpoint *ep = &svc->ep.v[i];

		if (cmd == K8SNET_CMD_ENDPOINT_DEL) {
			struct endpoint key = {
				.addr = ep->addr, .port = ep->port,
			};
			struct nlattr *nest;

			nest = knl_nest(msg, K8SNET_A_SERVICE_ENDPOINT);
			put_addr(msg, K8SNET_A_ENDPOINT_ADDR, &key.addr);
			knl_put_be16(msg, K8SNET_A_ENDPOINT_PORT, key.port);
			nla_nest_end(msg, nest);
		} else {
			put_endpoint(msg, ep, cmd == K8SNET_CMD_ENDPOINT_SET);
		}
	}
	return msg;
}

/*
 * A service with more endpoints than a message holds is made with the first
 * of them and given the others after that; it goes again if that fails.
 */
static int service_new_large(struct nl_msg *msg, const struct service *svc,
			     unsigned int done)
{
	int err;

	err = knl_talk(NL_BUS_K8SNET, msg, NULL, NULL, 0);
	while (!err && done < svc->ep.n) {
		unsigned int to = done + endpoints_fit(ROOM_NAME);

		if (to > svc->ep.n)
			to = svc->ep.n;
		err = knl_talk(NL_BUS_K8SNET,
			       endpoint_msg(K8SNET_CMD_ENDPOINT_NEW, svc, done,
					    to), NULL, NULL, 0);
		if (err)
			knl_talk(NL_BUS_K8SNET, service_del_msg(svc->name),
				 NULL, NULL, NL_QUIET);
		done = to;
	}
	return err;
}

int knl_service_new(const struct service *svc)
{
	size_t room = service_room(svc);
	unsigned int fit, i;
	struct nl_msg *msg;

	fit = endpoints_fit(room);
	if (fit > svc->ep.n)
		fit = svc->ep.n;
	msg = knl_k8snet_msg(K8SNET_CMD_SERVICE_NEW,
			     room + fit * (size_t)ROOM_ENDPOINT);
	if (!msg)
		return -ENOENT;
	knl_put_string(msg, K8SNET_A_SERVICE_NAME, svc->name);
	knl_put_u8(msg, K8SNET_A_SERVICE_PROTO, svc->proto);
	put_settings(msg, svc);
	for (i = 0; i < fit; i++)
		put_endpoint(msg, &svc->ep.v[i], false);
	if (fit < svc->ep.n)
		return service_new_large(msg, svc, fit);
	return knl_change(msg, service_del_msg(svc->name), 0);
}

int knl_service_set(const struct service *svc)
{
	static const struct {
		uint32_t has, replace;
	} lists[] = {
		{ SVC_VIP, K8SNET_SERVICE_REPLACE_CLUSTER_IP },
		{ SVC_EXTERNAL_IP, K8SNET_SERVICE_REPLACE_EXTERNAL_IP },
		{ SVC_LB_IP, K8SNET_SERVICE_REPLACE_LB_IP },
		{ SVC_NODE_PORT, K8SNET_SERVICE_REPLACE_NODE_PORT },
		{ SVC_EP, K8SNET_SERVICE_REPLACE_ENDPOINT },
		{ SVC_SOURCE_RANGE, K8SNET_SERVICE_REPLACE_SOURCE_RANGE },
	};
	size_t room = service_room(svc);
	uint32_t replace = 0;
	struct endpoint *ep;
	struct nl_msg *msg;
	unsigned int i;

	/* One message, so that no packet meets half of it. */
	if (svc->ep.n > endpoints_fit(room)) {
		report("%u endpoints are more than one request can replace (%u)",
		       svc->ep.n, endpoints_fit(room));
		return -EMSGSIZE;
	}
	msg = knl_k8snet_msg(K8SNET_CMD_SERVICE_SET,
			     room + svc->ep.n * (size_t)ROOM_ENDPOINT);
	if (!msg)
		return -ENOENT;
	knl_put_string(msg, K8SNET_A_SERVICE_NAME, svc->name);
	put_settings(msg, svc);
	if (svc->has & SVC_EP)
		LIST_FOR_EACH(ep, &svc->ep)
			put_endpoint(msg, ep, false);
	for (i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		if (svc->has & lists[i].has)
			replace |= lists[i].replace;
	if (replace)
		knl_put_u32(msg, K8SNET_A_SERVICE_REPLACE, replace);
	return knl_change(msg, NULL, 0);
}

int knl_service_del(const char *name, unsigned int flags)
{
	return knl_change(service_del_msg(name), NULL, flags);
}

/* Endpoints */

/* Messages of one service follow each other: they become one item. */
static int endpoint_answer(const struct nlmsghdr *nlh, void *arg)
{
	struct service_list *list = arg;
	struct service svc = { 0 }, *last;
	struct endpoint *ep;

	service_decode(nlh, &svc);
	last = list->n ? &list->v[list->n - 1] : NULL;
	if (!last || strcmp(last->name, svc.name)) {
		svc.has |= SVC_EP;
		*LIST_ADD(list) = svc;
		return 0;
	}
	LIST_FOR_EACH(ep, &svc.ep) {
		*LIST_ADD(&last->ep) = *ep;
	}
	service_clear(&svc);
	return 0;
}

int knl_endpoint_list(struct service_list *list, const char *service)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_ENDPOINT_GET, ROOM_NAME);
	int err;

	if (msg && service)
		knl_put_string(msg, K8SNET_A_SERVICE_NAME, service);
	err = knl_dump(NL_BUS_K8SNET, msg, endpoint_answer, service_restart,
		       list);
	service_list_sort(list);
	return err;
}

/* All or none, so all in one message. */
static int endpoint_change(uint8_t cmd, const struct service *svc,
			   unsigned int flags)
{
	struct nl_msg *undo = NULL;

	if (svc->ep.n > endpoints_fit(ROOM_NAME)) {
		report("%u endpoints are more than one request can hold (%u)",
		       svc->ep.n, endpoints_fit(ROOM_NAME));
		return -EMSGSIZE;
	}
	if (cmd == K8SNET_CMD_ENDPOINT_NEW)
		undo = endpoint_msg(K8SNET_CMD_ENDPOINT_DEL, svc, 0,
				    svc->ep.n);
	return knl_change(endpoint_msg(cmd, svc, 0, svc->ep.n), undo, flags);
}

int knl_endpoint_new(const struct service *svc)
{
	return endpoint_change(K8SNET_CMD_ENDPOINT_NEW, svc, 0);
}

int knl_endpoint_set(const struct service *svc)
{
	return endpoint_change(K8SNET_CMD_ENDPOINT_SET, svc, 0);
}

int knl_endpoint_del(const struct service *svc, unsigned int flags)
{
	unsigned int i;
	int err = 0;

	if (!(flags & NL_FORCE))
		return endpoint_change(K8SNET_CMD_ENDPOINT_DEL, svc, flags);
	/* One a message: an absent one must not keep the others. */
	for (i = 0; !err && i < svc->ep.n; i++)
		err = knl_change(endpoint_msg(K8SNET_CMD_ENDPOINT_DEL, svc, i,
					      i + 1), NULL, flags);
	return err;
}

/* Lookup, flows, counters */

static int lookup_answer(const struct nlmsghdr *nlh, void *arg)
{
	struct lookup *lookup = arg;
	struct nlattr *attr;
	int rem;

	knl_k8snet_for_each_attr(attr, nlh, rem) {
		switch (nla_type(attr)) {
		case K8SNET_A_LOOKUP_VERDICT:
			lookup->verdict = knl_u8(attr);
			lookup->has |= LOOKUP_VERDICT;
			break;
		case K8SNET_A_LOOKUP_SERVICE:
			knl_string(attr, &lookup->service);
			lookup->has |= LOOKUP_SERVICE;
			break;
		case K8SNET_A_LOOKUP_FRONTEND:
			if (frontend_decode(attr, &lookup->frontend))
				lookup->has |= LOOKUP_FRONTEND;
			break;
		case K8SNET_A_LOOKUP_POLICY:
			lookup->policy = knl_u8(attr);
			lookup->has |= LOOKUP_POLICY;
			break;
		case K8SNET_A_LOOKUP_REASON:
			knl_string(attr, &lookup->reason);
			lookup->has |= LOOKUP_REASON;
			break;
		case K8SNET_A_LOOKUP_ENDPOINT:
			endpoint_decode(attr, LIST_ADD(&lookup->ep));
			break;
		case K8SNET_A_LOOKUP_CHOICE:
			endpoint_decode(attr, &lookup->choice);
			lookup->has |= LOOKUP_CHOICE;
			break;
		case K8SNET_A_LOOKUP_SNAT:
			get_addr(attr, &lookup->snat);
			lookup->has |= LOOKUP_SNAT;
			break;
		}
	}
	lookup->has |= LOOKUP_EP;
	return 0;
}

int knl_lookup(struct lookup *lookup)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_LOOKUP, 3 * ROOM_U32 +
					    2 * ROOM_ADDR);

	if (!msg)
		return -ENOENT;
	knl_put_u8(msg, K8SNET_A_LOOKUP_PROTO, lookup->proto);
	put_addr(msg, K8SNET_A_LOOKUP_SRC, &lookup->src);
	if (lookup->has & LOOKUP_SPORT)
		knl_put_be16(msg, K8SNET_A_LOOKUP_SPORT, lookup->sport);
	put_addr(msg, K8SNET_A_LOOKUP_DST, &lookup->dst);
	knl_put_be16(msg, K8SNET_A_LOOKUP_DPORT, lookup->dport);
	return knl_talk(NL_BUS_K8SNET, msg, lookup_answer, lookup, 0);
}

static int flow_answer(const struct nlmsghdr *nlh, void *arg)
{
	struct flow_list *list = arg;
	struct flow *flow = LIST_ADD(list);
	struct nlattr *attr;
	int rem;

	knl_k8snet_for_each_attr(attr, nlh, rem) {
		switch (nla_type(attr)) {
		case K8SNET_A_FLOW_PROTO:
			flow->proto = knl_u8(attr);
			flow->has |= FLOW_PROTO;
			break;
		case K8SNET_A_FLOW_SRC:
			get_addr(attr, &flow->src);
			flow->has |= FLOW_SRC;
			break;
		case K8SNET_A_FLOW_SPORT:
			flow->sport = knl_be16(attr);
			break;
		case K8SNET_A_FLOW_DST:
			get_addr(attr, &flow->dst);
			flow->has |= FLOW_DST;
			break;
		case K8SNET_A_FLOW_DPORT:
			flow->dport = knl_be16(attr);
			break;
		case K8SNET_A_FLOW_IIF:
			get_device(knl_u32(attr), &flow->iif);
			flow->has |= FLOW_IIF;
			break;
		case K8SNET_A_FLOW_OIF:
			get_device(knl_u32(attr), &flow->oif);
			flow->has |= FLOW_OIF;
			break;
		case K8SNET_A_FLOW_NEW_SRC:
			get_addr(attr, &flow->new_src);
			flow->has |= FLOW_NEW_SRC;
			break;
		case K8SNET_A_FLOW_NEW_SPORT:
			flow->new_sport = knl_be16(attr);
			break;
		case K8SNET_A_FLOW_NEW_DST:
			get_addr(attr, &flow->new_dst);
			flow->has |= FLOW_NEW_DST;
			break;
		case K8SNET_A_FLOW_NEW_DPORT:
			flow->new_dport = knl_be16(attr);
			break;
		case K8SNET_A_FLOW_PACKETS:
			flow->packets = knl_u64(attr);
			flow->has |= FLOW_COUNTERS;
			break;
		case K8SNET_A_FLOW_BYTES:
			flow->bytes = knl_u64(attr);
			flow->has |= FLOW_COUNTERS;
			break;
		case K8SNET_A_FLOW_SERVICE:
			knl_string(attr, &flow->service);
			flow->has |= FLOW_SERVICE;
			break;
		}
	}
	return 0;
}

static void flow_restart(void *arg)
{
	flow_list_clear(arg);
}

int knl_flow_list(struct flow_list *list)
{
	return knl_dump(NL_BUS_K8SNET, knl_k8snet_msg(K8SNET_CMD_FLOW_GET, 0),
			flow_answer, flow_restart, list);
}

static int stats_answer(const struct nlmsghdr *nlh, void *arg)
{
	struct stat_list *list = arg;
	struct stat_counter *stat = LIST_ADD(list);
	struct nlattr *attr;
	int rem;

	knl_k8snet_for_each_attr(attr, nlh, rem) {
		switch (nla_type(attr)) {
		case K8SNET_A_STATS_NAME:
			knl_string(attr, &stat->name);
			stat->has |= STAT_NAME;
			break;
		case K8SNET_A_STATS_VALUE:
			stat->value = knl_u64(attr);
			stat->has |= STAT_VALUE;
			break;
		}
	}
	return 0;
}

static void stats_restart(void *arg)
{
	stat_list_clear(arg);
}

int knl_stats_list(struct stat_list *list)
{
	return knl_dump(NL_BUS_K8SNET, knl_k8snet_msg(K8SNET_CMD_STATS_GET, 0),
			stats_answer, stats_restart, list);
}

int knl_flush(void)
{
	int err;

	/* It takes the bridges with it. */
	err = knl_talk(NL_BUS_K8SNET, knl_k8snet_msg(K8SNET_CMD_FLUSH, 0),
		       NULL, NULL, 0);
	knl_link_forget();
	return err;
}

/* Notifications */

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
		node_decode(nlh, &node);
		ev.node = &node;
		break;
	case K8SNET_CMD_BRIDGE_NTF:
	case K8SNET_CMD_BRIDGE_DEL_NTF:
		ev.object = "bridge";
		bridge_decode(nlh, &bridge);
		bridge.has |= BRIDGE_NAME;
		ev.bridge = &bridge;
		break;
	case K8SNET_CMD_PORT_NTF:
	case K8SNET_CMD_PORT_DEL_NTF:
		ev.object = "port";
		port_decode(nlh, &port);
		ev.port = &port;
		break;
	case K8SNET_CMD_POD_NTF:
	case K8SNET_CMD_POD_DEL_NTF:
		ev.object = "pod";
		pod_decode(nlh, &pod);
		ev.pod = &pod;
		break;
	case K8SNET_CMD_ROUTE_NTF:
	case K8SNET_CMD_ROUTE_DEL_NTF:
		ev.object = "route";
		route_decode(nlh, &route);
		ev.route = &route;
		break;
	case K8SNET_CMD_MASQ_NTF:
	case K8SNET_CMD_MASQ_DEL_NTF:
		ev.object = "masq";
		masq_decode(nlh, &masq);
		ev.masq = &masq;
		break;
	case K8SNET_CMD_SERVICE_NTF:
	case K8SNET_CMD_SERVICE_DEL_NTF:
		ev.object = "svc";
		service_decode(nlh, &svc);
		ev.svc = &svc;
		break;
	case K8SNET_CMD_ENDPOINT_NTF:
	case K8SNET_CMD_ENDPOINT_DEL_NTF:
		ev.object = "ep";
		service_decode(nlh, &svc);
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
			get_device(br->ifindex, &br->name);
	}
	bridge_list_clear(&bridges);
	return knl_listen(K8SNET_MCGRP_CONFIG, monitor_message);
}
