// SPDX-License-Identifier: GPL-2.0
/* What would happen to a new flow. */
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

static int run(struct request *req)
{
	int err = knl_lookup(&req->lookup);

	if (err)
		return status(err);
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
