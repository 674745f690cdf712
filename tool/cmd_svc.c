// SPDX-License-Identifier: GPL-2.0
/* Services. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <linux/k8snet.h>

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

static int parse_frontend_word(struct service *svc, const char *word,
			       const char *value, struct why *why)
{
	static const struct {
		const char *word;
		uint8_t type;
	} types[] = {
		{ "vip", K8SNET_FRONTEND_CLUSTER_IP },
		{ "node-port", K8SNET_FRONTEND_NODE_PORT },
		{ "external-ip", K8SNET_FRONTEND_EXTERNAL_IP },
		{ "lb-ip", K8SNET_FRONTEND_LB_IP },
		{ "host-port", K8SNET_FRONTEND_HOST_PORT },
	};
	const struct frontend *fe;
	uint32_t had = svc->has;
	unsigned int i, n = 0;
	uint8_t type;

	for (i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (!strcmp(word, types[i].word))
			break;
	if (i == sizeof(types) / sizeof(*types))
		return why_no_more(why, word);
	type = types[i].type;
	if (!value)
		return why_fail(why, "%s: its value is missing", word);

	LIST_FOR_EACH(fe, &svc->frontend)
		n += fe->type == type;
	if (had & service_frontend_bit(type)) {
		if (type == K8SNET_FRONTEND_NODE_PORT)
			return why_fail(why, "%s is given twice", word);
		if (!n)
			return why_fail(why, "%s none, and not none", word);
	}
	return parse_frontend(value, type, svc, why);
}

static int parse_word(struct service *svc, const char *word, const char *value,
		      struct why *why)
{
	static const struct {
		const char *word;
		uint32_t bit;
		const char *const *names;
		size_t off;
	} enums[] = {
		{ "scheduler", SVC_SCHEDULER, scheduler_names,
		  offsetof(struct service, scheduler) },
		{ "external-policy", SVC_EXTERNAL_POLICY, policy_names,
		  offsetof(struct service, external_policy) },
		{ "internal-policy", SVC_INTERNAL_POLICY, policy_names,
		  offsetof(struct service, internal_policy) },
		{ "no-endpoints", SVC_NO_ENDPOINTS, no_endpoints_names,
		  offsetof(struct service, no_endpoints) },
		{ "source-range-scope", SVC_RANGE_SCOPE, range_scope_names,
		  offsetof(struct service, range_scope) },
		{ "on-removal", SVC_ON_REMOVAL, on_removal_names,
		  offsetof(struct service, on_removal) },
		{ "dsr", SVC_DSR, dsr_names, offsetof(struct service, dsr) },
	};
	unsigned int i;
	uint8_t proto;
	int more;

	for (i = 0; i < sizeof(enums) / sizeof(*enums); i++) {
		if (strcmp(word, enums[i].word))
			continue;
		if (once(&svc->has, enums[i].bit, word, why))
			return -1;
		if (!value)
			return why_fail(why, "%s: its value is missing", word);
		return parse_enum(value, word, enums[i].names,
				  (uint8_t *)svc + enums[i].off, why);
	}
	if (!strcmp(word, "proto")) {
		if (!value)
			return why_fail(why, "%s: its value is missing", word);
		return parse_proto(value, &proto, why) ? -1 :
			service_set_proto(svc, proto, why);
	}
	if (!strcmp(word, "affinity")) {
		if (once(&svc->has, SVC_AFFINITY, word, why))
			return -1;
		if (!value)
			return why_fail(why, "%s: its value is missing", word);
		return parse_number(value, word, 0, K8SNET_AFFINITY_MAX,
				    &svc->affinity, why);
	}
	if (!strcmp(word, "ep")) {
		if (!value)
			return why_fail(why, "%s: its value is missing", word);
		more = list_none(&svc->has, SVC_EP, svc->ep.n, word, value,
				 why);
		return more > 0 ? parse_endpoint(value, LIST_ADD(&svc->ep),
						 why) : more;
	}
	if (!strcmp(word, "source-range")) {
		if (!value)
			return why_fail(why, "%s: its value is missing", word);
		more = list_none(&svc->has, SVC_SOURCE_RANGE,
				 svc->source_range.n, word, value, why);
		if (more > 0 && parse_cidrs(value, &svc->source_range, why))
			return -1;
		if (svc->source_range.n > K8SNET_RANGES_MAX)
			return why_fail(why, "more than %d of source-range",
					K8SNET_RANGES_MAX);
		return more < 0 ? -1 : 0;
	}
	return parse_frontend_word(svc, word, value, why);
}

static int parse_words(struct request *req, struct args *args, struct why *why)
{
	const char *word;

	while ((word = args_next(args)))
		if (parse_word(&req->svc, word, args_next(args), why))
			return -1;
	return 0;
}

static int parse_add(struct request *req, struct args *args, struct why *why)
{
	struct service *svc = &req->svc;

	if (parse_name(req, args, why) || parse_words(req, args, why))
		return -1;
	if (!svc->proto)
		svc->proto = IPPROTO_TCP;
	return service_fill_ports(svc, service_first_vip(svc), why);
}

static int parse_set(struct request *req, struct args *args, struct why *why)
{
	struct service *svc = &req->svc;
	const struct frontend *vip;

	if (parse_name(req, args, why))
		return -1;
	if (!args->n)
		return why_missing(why, "what to set");
	if (parse_words(req, args, why))
		return -1;
	/* Without a vip here, the port is that of the one it has. */
	vip = service_first_vip(svc);
	return vip || svc->has & SVC_VIP ? service_fill_ports(svc, vip, why) :
		0;
}

static int run_add(struct request *req)
{
	int err = knl_service_new(&req->svc);

	if (!err)
		shadow_warn(&req->svc);
	return status(err);
}

/* What the request left to the service as it is: ports, and the protocol. */
static int complete(struct service *svc)
{
	struct service_list now = { 0 };
	const struct frontend *fe;
	bool needed = svc->proto;
	struct why why = { "" };
	int err;

	LIST_FOR_EACH(fe, &svc->frontend)
		needed |= !fe->port;
	if (!needed)
		return 0;

	err = knl_service_list(&now, svc->name);
	if (!err && now.n != 1)
		err = -EPROTO;
	if (!err && svc->proto && svc->proto != now.v[0].proto) {
		report("service %s is %s, which cannot be changed to %s",
		       svc->name, text_proto(now.v[0].proto),
		       text_proto(svc->proto));
		err = -EINVAL;
	}
	if (!err && service_fill_ports(svc, service_first_vip(&now.v[0]),
				       &why)) {
		report("%s", why.text);
		err = -EINVAL;
	}
	service_list_clear(&now);
	return err;
}

static int run_set(struct request *req)
{
	int err = req->checked ? 0 : complete(&req->svc);

	if (!err)
		err = knl_service_set(&req->svc);
	if (!err)
		shadow_warn(&req->svc);
	return status(err);
}

static int run_del(struct request *req)
{
	return status(knl_service_del(req->svc.name,
				      req->force ? NL_FORCE : 0));
}

/* Endpoints are shown of one service, and of all in JSON. */
static int run_show(struct request *req)
{
	struct service_list list = { 0 }, eps = { 0 };
	int err;

	err = knl_service_list(&list, req->svc.name);
	if (!err && (!req->all || print_json)) {
		err = knl_endpoint_list(&eps, req->svc.name);
		service_list_join(&list, &eps);
	}
	if (!err)
		print_list(service_fields, &list);
	service_list_clear(&list);
	service_list_clear(&eps);
	return status(err);
}

static void clear(struct request *req)
{
	service_clear(&req->svc);
}

const struct object cmd_svc = {
	.name = "svc",
	.usage =
"k8snetctl svc add NAME [vip ADDR:PORT|LOW-HIGH|*/PROTO]... [node-port N[/PROTO]]\n"
"                  [external-ip ADDR[:PORT[/PROTO]]]... [lb-ip ADDR[:PORT[/PROTO]]]...\n"
"                  [host-port [ADDR:]PORT/PROTO]... [proto PROTO]\n"
"                  [ep ADDR:PORT|*[,weight=N][,ready|,not-ready][,terminating][,serving][,local]\n"
"                   [,zone=Z]...[,node=N]...]...\n"
"                  [scheduler random|rr|lc|maglev] [affinity SECONDS]\n"
"                  [external-policy cluster|local] [internal-policy cluster|local]\n"
"                  [source-range CIDR]... [source-range-scope lb|external]\n"
"                  [no-endpoints reject|drop|pass]\n"
"                  [on-removal keep|reset|reschedule] [dsr none|ipip]\n"
"k8snetctl svc set NAME ...      the same words; those given replace, the rest stay;\n"
"                                \"none\" empties a list\n"
"k8snetctl svc del NAME\n"
"k8snetctl svc list\n"
"k8snetctl svc show NAME\n",
	.verbs = (const struct verb[]) {
		{ "add", parse_add, run_add },
		{ "set", parse_set, run_set },
		{ "del", parse_one, run_del },
		{ "show", parse_one_or_all, run_show },
		{}
	},
	.fields = service_fields,
	.parse_key = parse_name,
	.clear = clear,
};
