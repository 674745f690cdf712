// SPDX-License-Identifier: GPL-2.0
/*
 * Host ports: ports of this node that lead to one pod. Each is a service named
 * after its port, so that everything that is there for services is for them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/k8snet.h>

#include "cmd.h"
#include "nl.h"
#include "print.h"

#define PREFIX "hostport/"

/* [HOSTIP:]PORT/PROTO: the frontend, and the name that it makes */
static int parse_key(struct request *req, struct args *args, struct why *why)
{
	struct service *svc = &req->svc;
	const char *key = args_next(args);
	char *text;

	if (!key)
		return why_missing(why, "the host port");
	if (!strcmp(key, "none"))
		return why_fail(why, "bad host-port 'none'");
	if (parse_frontend(key, K8SNET_FRONTEND_HOST_PORT, svc, why))
		return -1;
	text = text_frontend(&svc->frontend.v[0], svc);
	svc->name = text_printf(PREFIX "%s", text);
	svc->has |= SVC_NAME;
	free(text);
	return 0;
}

static int parse_add(struct request *req, struct args *args, struct why *why)
{
	struct service *svc = &req->svc;
	const struct endpoint *ep;
	const char *word;

	if (parse_key(req, args, why))
		return -1;
	if (!args->n)
		return why_missing(why, "the pod");
	while ((word = args_next(args)))
		if (parse_endpoint(word, LIST_ADD(&svc->ep), why))
			return -1;
	LIST_FOR_EACH(ep, &svc->ep) {
		if (ep > svc->ep.v && ep->addr.len == ep[-1].addr.len)
			return why_fail(why, "a host port has one pod of a family");
		if (svc->frontend.v[0].addr.len &&
		    ep->addr.len != svc->frontend.v[0].addr.len)
			return why_fail(why, "pod and host address are of different families");
	}
	if (svc->ep.n > 2)
		return why_fail(why, "a host port has one pod of a family");
	svc->has |= SVC_EP;
	return 0;
}

static int run_add(struct request *req)
{
	int err = knl_service_new(&req->svc);

	if (!err)
		shadow_warn(&req->svc);
	return status(err);
}

static int run_del(struct request *req)
{
	return status(knl_service_del(req->svc.name,
				      req->force ? NL_FORCE : 0));
}

static const struct field hostport_fields[] = {
	{ .word = "port", .type = FIELD_FRONTENDS, .flags = FIELD_POSITIONAL,
	  .bit = SVC_HOST_PORT, .off = offsetof(struct service, frontend),
	  .arg = K8SNET_FRONTEND_HOST_PORT },
	{ .word = "pod", .type = FIELD_ENDPOINTS, .flags = FIELD_REPEAT,
	  .bit = SVC_EP, .off = offsetof(struct service, ep) },
	{ .word = "flows", .type = FIELD_U64, .bit = SVC_COUNTERS,
	  .off = offsetof(struct service, flows) },
	{}
};

/* Its pods on the same line */
static void print_plain(const struct service *svc)
{
	const struct endpoint *ep;
	char *text = text_frontend(&svc->frontend.v[0], svc);

	printf("%s", text);
	free(text);
	LIST_FOR_EACH(ep, &svc->ep) {
		text = text_addr_port(&ep->addr, ep->port);
		printf(" pod %s", text);
		free(text);
	}
	printf(" flows %llu\n", (unsigned long long)svc->flows);
}

static int run_show(struct request *req)
{
	struct service_list list = { 0 }, eps = { 0 };
	struct service *svc;
	int err;

	err = knl_service_list(&list, NULL);
	if (!err)
		err = knl_endpoint_list(&eps, NULL);
	if (!err) {
		service_list_join(&list, &eps);
		print_begin();
		LIST_FOR_EACH(svc, &list) {
			if (strncmp(svc->name, PREFIX, strlen(PREFIX)) ||
			    !svc->frontend.n)
				continue;
			if (print_json)
				print_object(hostport_fields, svc);
			else
				print_plain(svc);
		}
		print_end();
	}
	service_list_clear(&list);
	service_list_clear(&eps);
	(void)req;
	return status(err);
}

static void clear(struct request *req)
{
	service_clear(&req->svc);
}

const struct object cmd_hostport = {
	.name = "hostport",
	.usage =
"k8snetctl hostport add [HOSTIP:]PORT/PROTO POD:PORT [POD6:PORT]\n"
"k8snetctl hostport del [HOSTIP:]PORT/PROTO\n"
"k8snetctl hostport list\n",
	.verbs = (const struct verb[]) {
		{ "add", parse_add, run_add },
		{ "del", parse_one, run_del },
		{ "show", NULL, run_show },
		{}
	},
	.fields = hostport_fields,
	.parse_key = parse_key,
	.clear = clear,
};
