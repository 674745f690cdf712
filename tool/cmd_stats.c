// SPDX-License-Identifier: GPL-2.0
/* Counters of the node, or of a service and its endpoints. */
#include "cmd.h"
#include "nl.h"
#include "print.h"

static int parse(struct request *req, struct args *args, struct why *why)
{
	const char *name = args_next(args);

	if (!name)
		return 0;
	req->svc.has |= SVC_NAME;
	return parse_service_name(name, &req->svc.name, why) ? -1 :
		args_end(args, why);
}

static int service_stats(const char *name)
{
	struct service_list list = { 0 }, eps = { 0 };
	int err;

	err = knl_service_list(&list, name);
	if (!err)
		err = knl_endpoint_list(&eps, name);
	if (!err) {
		service_list_join(&list, &eps);
		print_begin();
		if (list.n)
			print_object(service_stats_fields, &list.v[0]);
		print_end();
	}
	service_list_clear(&list);
	service_list_clear(&eps);
	return err;
}

static int run(struct request *req)
{
	struct stat_list list = { 0 };
	int err;

	if (req->svc.name)
		return status(service_stats(req->svc.name));
	err = knl_stats_list(&list);
	if (!err)
		print_list(stat_fields, &list);
	stat_list_clear(&list);
	return status(err);
}

static void clear(struct request *req)
{
	service_clear(&req->svc);
}

const struct object cmd_stats = {
	.name = "stats",
	.usage = "k8snetctl stats [NAME]\n",
	.verbs = (const struct verb[]) {
		{ NULL, parse, run },
		{}
	},
	.fields = service_stats_fields,
	.clear = clear,
};
