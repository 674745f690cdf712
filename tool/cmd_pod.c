// SPDX-License-Identifier: GPL-2.0
/* Pods. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "nl.h"
#include "print.h"

static int parse_add(struct request *req, struct args *args, struct why *why)
{
	struct pod *pod = &req->pod;
	const char *word, *value;

	value = args_next(args);
	if (!value)
		return why_missing(why, "the pod's address");
	if (parse_addr_pair(value, &pod->addr, why))
		return -1;
	pod->has |= POD_ADDR;
	while ((word = args_next(args))) {
		if (!strcmp(word, "port")) {
			if (once(&pod->has, POD_PORT, word, why))
				return -1;
			value = args_value(args, word, why);
			if (!value || parse_device(value, &pod->port, why))
				return -1;
		} else if (!strcmp(word, "mac")) {
			if (once(&pod->has, POD_MAC, word, why))
				return -1;
			value = args_value(args, word, why);
			if (!value || parse_lladdr(value, pod->mac, why))
				return -1;
		} else if (!strcmp(word, "bridge")) {
			if (once(&pod->has, POD_BRIDGE, word, why))
				return -1;
			value = args_value(args, word, why);
			if (!value || parse_device(value, &pod->bridge, why))
				return -1;
		} else {
			return why_no_more(why, word);
		}
	}
	return pod->port ? 0 : why_missing(why, "port");
}

static int parse_key(struct request *req, struct args *args, struct why *why)
{
	const char *value = args_next(args);

	if (!value)
		return why_missing(why, "the pod's address");
	return parse_addr(value, LIST_ADD(&req->pod.addr), why);
}

/*
 * The bridge for a port that has none: the one named, the one whose subnet
 * holds the pod, or the only one.
 */
static int choose_bridge(const struct pod *pod, struct link *link)
{
	struct bridge_list list = { 0 };
	const struct bridge *best = NULL;
	struct bridge *br;
	struct prefix *p;
	struct addr *addr;
	int err;

	if (pod->bridge) {
		err = knl_link_get(pod->bridge, link, 0);
		if (!err && !knl_link_is_bridge(link)) {
			report("device %s is not a pod bridge", pod->bridge);
			err = -EINVAL;
		}
		return err;
	}
	err = knl_bridge_list(&list, NULL);
	if (err)
		goto out;
	LIST_FOR_EACH(br, &list)
		LIST_FOR_EACH(p, &br->addr)
			LIST_FOR_EACH(addr, &pod->addr)
				if (!best && prefix_contains(p, addr))
					best = br;
	if (!best && list.n == 1)
		best = &list.v[0];
	if (!best) {
		report(list.n ? "no bridge's addresses hold the pod's: name its bridge" :
		       "there is no pod bridge");
		err = -ENODEV;
		goto out;
	}
	err = knl_link_get(best->name, link, 0);
out:
	bridge_list_clear(&list);
	return err;
}

/* Whether one of its addresses is a pod's already; reported */
static bool exists(const struct pod *pod)
{
	struct pod_list list = { 0 };
	struct addr *addr;
	bool found = false;

	LIST_FOR_EACH(addr, &pod->addr) {
		if (found || knl_pod_list(&list, addr, NL_QUIET))
			continue;
		found = list.n;
		if (found) {
			char *text = text_addr(addr);

			report("a pod has the address %s already", text);
			free(text);
		}
	}
	pod_list_clear(&list);
	return found;
}

/* Makes the device a port of @bridge and brings it up, then adds the pod. */
static int add_with_port(const struct pod *pod, const struct link *link)
{
	struct link bridge;
	int err;

	err = choose_bridge(pod, &bridge);
	if (err)
		return err;
	err = knl_link_master(link->index, bridge.index, 0);
	if (err)
		return err;
	if (!link->up)
		err = knl_link_up(link->index, true, 0);
	if (!err)
		err = knl_pod_new(pod, NL_NOW);
	if (err) {
		knl_link_master(link->index, 0, NL_QUIET);
		if (!link->up)
			knl_link_up(link->index, false, NL_QUIET);
	}
	return err;
}

static int add_to_port(const struct pod *pod, const struct link *link)
{
	struct link bridge;
	int err;

	err = knl_link_get_index(link->master, &bridge, 0);
	if (err)
		return err;
	if (!knl_link_is_bridge(&bridge)) {
		report("device %s is a port of %s, which is not a pod bridge",
		       pod->port, bridge.name);
		return -EBUSY;
	}
	if (pod->bridge && strcmp(pod->bridge, bridge.name)) {
		report("device %s is a port of %s", pod->port, bridge.name);
		return -EBUSY;
	}
	if (!link->up) {
		err = knl_link_up(link->index, true, 0);
		if (err)
			return err;
	}
	err = knl_pod_new(pod, link->up ? 0 : NL_NOW);
	if (err && !link->up)
		knl_link_up(link->index, false, NL_QUIET);
	return err;
}

static int run_add(struct request *req)
{
	struct pod *pod = &req->pod;
	struct link link;
	int err;

	err = knl_link_get(pod->port, &link, 0);
	if (err)
		return status(err);
	if (!(pod->has & POD_MAC)) {
		if (knl_link_peer_lladdr(&link, pod->mac)) {
			report("device %s has no peer in sight: the pod's mac must be given",
			       pod->port);
			return STATUS_REFUSED;
		}
		pod->has |= POD_MAC;
	}
	if (link.master)
		return status(add_to_port(pod, &link));
	/* The new port of a pod that is there is not to be touched. */
	if (exists(pod))
		return STATUS_REFUSED;
	return status(add_with_port(pod, &link));
}

static int run_del(struct request *req)
{
	return status(knl_pod_del(&req->pod.addr.v[0],
				  req->force ? NL_FORCE : 0));
}

static int run_show(struct request *req)
{
	struct pod_list list = { 0 };
	int err;

	err = knl_pod_list(&list, req->pod.addr.v, 0);
	if (!err)
		print_list(pod_fields, &list);
	pod_list_clear(&list);
	return status(err);
}

static void clear(struct request *req)
{
	pod_clear(&req->pod);
}

const struct object cmd_pod = {
	.name = "pod",
	.usage =
"k8snetctl pod add ADDR[,ADDR6] port DEV [mac LLADDR] [bridge NAME]\n"
"k8snetctl pod del ADDR\n"
"k8snetctl pod list [ADDR]\n",
	.verbs = (const struct verb[]) {
		{ "add", parse_add, run_add },
		{ "del", parse_one, run_del },
		{ "show", parse_one_or_all, run_show },
		{}
	},
	.fields = pod_fields,
	.parse_key = parse_key,
	.clear = clear,
};
