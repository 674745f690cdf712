// SPDX-License-Identifier: GPL-2.0
/* What would happen to a new flow, and why. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/k8snet.h>

#include "cmd.h"
#include "nl.h"
#include "print.h"

static int parse(struct request *req, struct args *args, struct why *why)
{
	struct lookup *lookup = &req->lookup;
	const char *proto = args_next(args);
	const char *src = args_next(args);
	const char *dst = args_next(args);

	if (!dst)
		return why_missing(why, proto ? src ? "DST:PORT" : "SRC" :
				   "PROTO");
	if (parse_proto(proto, &lookup->proto, why) ||
	    parse_addr_port(src, false, &lookup->src, &lookup->sport, why) ||
	    parse_addr_port(dst, true, &lookup->dst, &lookup->dport, why))
		return -1;
	if (lookup->src.len != lookup->dst.len)
		return why_fail(why, "SRC and DST are of two families");
	lookup->has = LOOKUP_PROTO | LOOKUP_SRC | LOOKUP_DST | LOOKUP_DPORT;
	if (lookup->sport)
		lookup->has |= LOOKUP_SPORT;
	return args_end(args, why);
}

/* In words. A newer module may answer what there is no word for here. */
#define WORD(words, i) \
	((i) < sizeof(words) / sizeof(*(words)) ? (words)[i] : "unknown")

/* ADDR or ADDR:PORT */
static void explain_end(const struct addr *addr, uint16_t port)
{
	char *text = port ? text_addr_port(addr, port) : text_addr(addr);

	fputs(text, stdout);
	free(text);
}

static void explain_flow(const struct lookup *lookup)
{
	static const char *const origins[] = {
		[K8SNET_ORIGIN_POD] = "a pod",
		[K8SNET_ORIGIN_NODE] = "this node",
		[K8SNET_ORIGIN_OUTSIDE] = "outside of the cluster",
	};
	static const char *const verdicts[] = {
		[K8SNET_LOOKUP_NONE] = "is not k8snet's and goes on",
		[K8SNET_LOOKUP_ENDPOINT] = "goes to an endpoint",
		[K8SNET_LOOKUP_REJECT] = "is rejected",
		[K8SNET_LOOKUP_DROP] = "is dropped",
		[K8SNET_LOOKUP_PASS] = "goes on, untranslated",
	};

	printf("%s from ", text_proto(lookup->proto));
	explain_end(&lookup->src, lookup->sport);
	if (lookup->has & LOOKUP_ORIGIN)
		printf(" (%s)", WORD(origins, lookup->origin));
	fputs(" to ", stdout);
	explain_end(&lookup->dst, lookup->dport);
	printf(" %s\n", WORD(verdicts, lookup->verdict));
}

static void explain_frontend(const struct lookup *lookup)
{
	static const char *const types[] = {
		[K8SNET_FRONTEND_CLUSTER_IP] = "cluster IP",
		[K8SNET_FRONTEND_EXTERNAL_IP] = "external IP",
		[K8SNET_FRONTEND_LB_IP] = "load-balancer IP",
		[K8SNET_FRONTEND_NODE_PORT] = "node port",
		[K8SNET_FRONTEND_HOST_PORT] = "host port",
	};
	const struct frontend *fe = &lookup->frontend;
	char *at, *name;

	if (!(lookup->has & LOOKUP_FRONTEND)) {
		puts("  frontend: none");
		return;
	}
	at = text_addr_ports(fe);
	name = text_quote(lookup->service ? lookup->service : "");
	printf("  frontend: %s %s of service %s\n", WORD(types, fe->type), at,
	       name);
	free(name);
	free(at);
}

/* Of which endpoints, and how many they are. */
static void explain_set(const struct lookup *lookup)
{
	static const char *const policies[] = {
		[K8SNET_POLICY_CLUSTER] = "cluster: endpoints on all nodes",
		[K8SNET_POLICY_LOCAL] = "local: endpoints on this node",
	};
	bool ready = lookup->ep.n && lookup->ep.v[0].flags & K8SNET_EP_READY;
	const struct endpoint *ep;

	if (lookup->has & LOOKUP_POLICY)
		printf("  policy: %s\n", WORD(policies, lookup->policy));
	if (lookup->has & LOOKUP_SET && lookup->usable)
		printf("  set: %u of %u endpoints, %s\n", lookup->usable,
		       lookup->endpoints, ready ? "the ready ones" :
		       "those that serve while they terminate: none is ready");
	else if (lookup->has & LOOKUP_SET)
		printf("  set: none of %u endpoints\n", lookup->endpoints);
	LIST_FOR_EACH(ep, &lookup->ep) {
		fputs("    ep ", stdout);
		print_endpoint_words(stdout, ep);
		putchar('\n');
	}
	if (lookup->ep.n && lookup->ep.n < lookup->usable)
		printf("    and %u more\n", lookup->usable - lookup->ep.n);
}

static void explain_choice(const struct lookup *lookup)
{
	static const char *const schedulers[] = {
		[K8SNET_SCHED_RANDOM] = "random",
		[K8SNET_SCHED_RR] = "rr",
		[K8SNET_SCHED_LC] = "lc",
		[K8SNET_SCHED_MAGLEV] = "maglev",
	};

	if (lookup->verdict != K8SNET_LOOKUP_ENDPOINT)
		return;
	fputs("  endpoint: ", stdout);
	if (lookup->has & LOOKUP_CHOICE)
		explain_end(&lookup->choice.addr, lookup->choice.port);
	else
		fputs("one of these", stdout);
	if (!(lookup->has & LOOKUP_SCHEDULER))
		puts(", which the client had before");
	else if (lookup->usable == 1)
		puts(", the only one");
	else
		printf(", by scheduler %s%s\n",
		       WORD(schedulers, lookup->scheduler),
		       lookup->has & LOOKUP_CHOICE ? "" :
		       " when the flow comes");
	fputs("  source: ", stdout);
	if (lookup->has & LOOKUP_SNAT) {
		fputs("rewritten to ", stdout);
		explain_end(&lookup->snat, 0);
	} else if (lookup->has & LOOKUP_SOURCE) {
		fputs("kept", stdout);
	} else {
		fputs("the endpoint decides", stdout);
	}
	if (lookup->source)
		printf(": %s", lookup->source);
	putchar('\n');
}

static void explain(const struct lookup *lookup)
{
	explain_flow(lookup);
	explain_frontend(lookup);
	explain_set(lookup);
	if (lookup->reason)
		printf("  reason: %s\n", lookup->reason);
	explain_choice(lookup);
}

static int run(struct request *req)
{
	int err = knl_lookup(&req->lookup);

	if (err)
		return status(err);
	if (!print_json) {
		explain(&req->lookup);
		return STATUS_OK;
	}
	print_begin();
	print_object(lookup_fields, &req->lookup);
	print_end();
	return STATUS_OK;
}

static void clear(struct request *req)
{
	lookup_clear(&req->lookup);
}

const struct object cmd_lookup = {
	.name = "lookup",
	.usage = "k8snetctl lookup PROTO SRC[:PORT] DST:PORT\n",
	.verbs = (const struct verb[]) {
		{ NULL, parse, run },
		{}
	},
	.fields = lookup_fields,
	.clear = clear,
};
