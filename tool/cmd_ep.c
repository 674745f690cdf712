// SPDX-License-Identifier: GPL-2.0
/* Endpoints of services. */
#include <string.h>

#include "cmd.h"
#include "nl.h"
#include "print.h"

static int parse_name(struct request *req, struct args *args, struct why *why)
{
	const char *name = args_next(args);

	if (!name)
		return why_missing(why, "the service's name");
	req->svc.has |= SVC_NAME;
	return parse_service_name(name, &req->svc.name, why);
}

static int parse_change(struct request *req, struct args *args, struct why *why)
{
	struct service *svc = &req->svc;
	const char *word;

	if (parse_name(req, args, why))
		return -1;
	svc->has |= SVC_EP;
	if (!args->n)
		return why_missing(why, "the endpoint");
	while ((word = args_next(args)))
		if (parse_endpoint(word, LIST_ADD(&svc->ep), why))
			return -1;
	return 0;
}

static int parse_show(struct request *req, struct args *args, struct why *why)
{
	req->all = !args->n;
	if (req->all)
		return 0;
	return parse_name(req, args, why) ? -1 : args_end(args, why);
}

static int run_add(struct request *req)
{
	return status(knl_endpoint_new(&req->svc));
}

static int run_set(struct request *req)
{
	return status(knl_endpoint_set(&req->svc));
}

static int run_del(struct request *req)
{
	return status(knl_endpoint_del(&req->svc, req->force ? NL_FORCE : 0));
}

static int run_show(struct request *req)
{
	struct service_list list = { 0 };
	struct service *svc;
	struct endpoint *ep;
	int err = 0;

	/* Whether there is such a service is not for a dump to say. */
	if (!req->all) {
		err = knl_service_list(&list, req->svc.name);
		service_list_clear(&list);
	}
	if (!err)
		err = knl_endpoint_list(&list, req->svc.name);
	if (!err) {
		print_begin();
		LIST_FOR_EACH(svc, &list)
			LIST_FOR_EACH(ep, &svc->ep)
				print_endpoint(svc->name, ep);
		print_end();
	}
	service_list_clear(&list);
	return status(err);
}

static void clear(struct request *req)
{
	service_clear(&req->svc);
}

/* "NAME ADDR:PORT,... ADDR:PORT,...": no word before an endpoint */
static const struct field ep_fields[] = {
	{ .word = "name", .type = FIELD_NAME, .flags = FIELD_POSITIONAL,
	  .bit = SVC_NAME, .off = offsetof(struct service, name) },
	{ .word = "ep", .type = FIELD_ENDPOINTS, .flags = FIELD_POSITIONAL,
	  .bit = SVC_EP, .off = offsetof(struct service, ep) },
	{}
};

const struct object cmd_ep = {
	.name = "ep",
	.usage =
"k8snetctl ep add NAME ADDR:PORT[,weight=N][,ready|,not-ready][,terminating][,serving][,local]\n"
"                 [,zone=Z]...[,node=N]...\n"
"k8snetctl ep set NAME ADDR:PORT[,weight=N][,ready|,not-ready][,terminating][,serving][,local|,remote]\n"
"                 [,zone=Z]...[,node=N]...\n"
"k8snetctl ep del NAME ADDR:PORT...\n"
"k8snetctl ep list [NAME]\n",
	.verbs = (const struct verb[]) {
		{ "add", parse_change, run_add },
		{ "set", parse_change, run_set },
		{ "del", parse_change, run_del },
		{ "show", parse_show, run_show },
		{}
	},
	.fields = ep_fields,
	.clear = clear,
};
