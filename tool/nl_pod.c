// SPDX-License-Identifier: GPL-2.0
/* Pods. */
#include <errno.h>

#include <linux/k8snet.h>

#include "nl_internal.h"

void knl_pod_decode(const struct nlmsghdr *nlh, struct pod *pod)
{
	struct nlattr *attr;
	uint32_t port = 0;
	int rem;

	knl_k8snet_for_each_attr(attr, nlh, rem) {
		switch (nla_type(attr)) {
		case K8SNET_A_POD_ADDR:
			knl_addr(attr, LIST_ADD(&pod->addr));
			pod->has |= POD_ADDR;
			break;
		case K8SNET_A_POD_PORT:
			port = knl_u32(attr);
			break;
		case K8SNET_A_POD_PORT_NAME:
			knl_string(attr, &pod->port);
			break;
		case K8SNET_A_POD_LLADDR:
			knl_lladdr(attr, pod->mac);
			pod->has |= POD_MAC;
			break;
		case K8SNET_A_POD_BRIDGE:
			knl_device(knl_u32(attr), &pod->bridge);
			pod->has |= POD_BRIDGE;
			break;
		}
	}
	if (!pod->port && port)
		knl_device(port, &pod->port);
	pod->has |= pod->port ? POD_PORT : 0;
}

KNL_LIST(pod, knl_pod_decode)

int knl_pod_list(struct pod_list *list, const struct addr *key,
		 unsigned int flags)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_POD_GET, ROOM_ADDR);
	int err;

	if (msg && key)
		knl_put_addr(msg, K8SNET_A_POD_ADDR, key);
	err = knl_list(msg, key, pod_answer, pod_restart, list, flags);
	pod_list_sort(list);
	return err;
}

static struct nl_msg *pod_del_msg(const struct addr *addr)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_POD_DEL, ROOM_ADDR);

	if (msg)
		knl_put_addr(msg, K8SNET_A_POD_ADDR, addr);
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
		knl_put_addr(msg, K8SNET_A_POD_ADDR, addr);
	knl_put_string(msg, K8SNET_A_POD_PORT_NAME, pod->port);
	if (pod->has & POD_MAC)
		knl_put(msg, K8SNET_A_POD_LLADDR, pod->mac, 6);
	return knl_change(msg, pod_del_msg(&pod->addr.v[0]), flags);
}

int knl_pod_del(const struct addr *addr, unsigned int flags)
{
	return knl_change(pod_del_msg(addr), NULL, flags);
}
