// SPDX-License-Identifier: GPL-2.0
/* Pod routes: remote pod CIDRs and the nodes they are behind. */
#include <string.h>

#include "cmd.h"
#include "nl.h"
#include "print.h"

static int parse_key(struct request *req, struct args *args, struct why *why)
{
	req->route.has |= ROUTE_CIDR;
	return parse_key_cidr(args, &req->route.cidr, why);
}

static int parse_add(struct request *req, struct args *args, struct why *why)
{
	struct route *route = &req->route;
	const char *word, *value;

	if (parse_key(req, args, why))
		return -1;
	while ((word = args_next(args))) {
		if (!strcmp(word, "via")) {
			if (once(&route->has, ROUTE_VIA, word, why))
				return -1;
			value = args_value(args, word, why);
			if (!value || parse_addr(value, &route->via, why))
				return -1;
		} else if (!strcmp(word, "dev")) {
			if (once(&route->has, ROUTE_DEV, word, why))
				return -1;
			value = args_value(args, word, why);
			if (!value || parse_device(value, &route->dev, why))
				return -1;
		} else if (!strcmp(word, "bridge")) {
			if (once(&route->has, ROUTE_BRIDGE, word, why))
				return -1;
			value = args_value(args, word, why);
			if (!value || parse_device(value, &route->bridge, why))
				return -1;
		} else {
			return why_no_more(why, word);
		}
	}
	if (!(route->has & ROUTE_VIA))
		return why_missing(why, "via");
	if (route->via.len != route->cidr.addr.len)
		return why_fail(why, "via is of another family than the CIDR");
	return 0;
}

static int run_add(struct request *req)
{
	return status(knl_route_new(&req->route));
}

static int run_del(struct request *req)
{
	return status(knl_route_del(&req->route.cidr,
				    req->force ? NL_FORCE : 0));
}

static int run_show(struct request *req)
{
	struct route_list list = { 0 };
	int err;

	err = knl_route_list(&list, req->all ? NULL : &req->route.cidr);
	if (!err)
		print_list(route_fields, &list);
	route_list_clear(&list);
	return status(err);
}

static void clear(struct request *req)
{
	route_clear(&req->route);
}

const struct object cmd_route = {
	.name = "route",
	.usage =
"k8snetctl route add CIDR via NODEIP [dev DEV] [bridge NAME]\n"
"k8snetctl route del CIDR\n"
"k8snetctl route list [CIDR]\n",
	.verbs = (const struct verb[]) {
		{ "add", parse_add, run_add },
		{ "del", parse_one, run_del },
		{ "show", parse_one_or_all, run_show },
		{}
	},
	.fields = route_fields,
	.parse_key = parse_key,
	.clear = clear,
};
