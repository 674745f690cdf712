// SPDX-License-Identifier: GPL-2.0
/* Pod routes. */
#include <errno.h>

#include <linux/k8snet.h>

#include "nl_internal.h"

void knl_route_decode(const struct nlmsghdr *nlh, struct route *route)
{
	uint32_t bridge = 0, oif = 0;
	struct nlattr *attr;
	int rem;

	knl_k8snet_for_each_attr(attr, nlh, rem) {
		switch (nla_type(attr)) {
		case K8SNET_A_ROUTE_PREFIX:
			knl_prefix(attr, &route->cidr);
			route->has |= ROUTE_CIDR;
			break;
		case K8SNET_A_ROUTE_VIA:
			knl_addr(attr, &route->via);
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
		knl_device(oif ? oif : bridge, &route->dev);
		route->has |= ROUTE_DEV;
	}
	if (oif && bridge) {
		knl_device(bridge, &route->bridge);
		route->has |= ROUTE_BRIDGE;
	}
}

KNL_LIST(route, knl_route_decode)

int knl_route_list(struct route_list *list, const struct prefix *key)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_ROUTE_GET, ROOM_PREFIX);
	int err;

	if (msg && key)
		knl_put_prefix(msg, K8SNET_A_ROUTE_PREFIX, key);
	err = knl_list(msg, key, route_answer, route_restart, list, 0);
	route_list_sort(list);
	return err;
}

static struct nl_msg *route_del_msg(const struct prefix *cidr)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_ROUTE_DEL, ROOM_PREFIX);

	if (msg)
		knl_put_prefix(msg, K8SNET_A_ROUTE_PREFIX, cidr);
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
	knl_put_prefix(msg, K8SNET_A_ROUTE_PREFIX, &route->cidr);
	knl_put_addr(msg, K8SNET_A_ROUTE_VIA, &route->via);
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
