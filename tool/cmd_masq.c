// SPDX-License-Identifier: GPL-2.0
/* Masquerade rules. */
#include <string.h>

#include <linux/k8snet.h>

#include "cmd.h"
#include "nl.h"
#include "print.h"

static int parse_key(struct request *req, struct args *args, struct why *why)
{
	req->masq.has |= MASQ_CIDR;
	return parse_key_cidr(args, &req->masq.cidr, why);
}

static int parse_add(struct request *req, struct args *args, struct why *why)
{
	struct masq *masq = &req->masq;
	const struct prefix *except;
	const char *word, *value;

	if (parse_key(req, args, why))
		return -1;
	while ((word = args_next(args))) {
		if (strcmp(word, "except"))
			return why_no_more(why, word);
		masq->has |= MASQ_EXCEPT;
		value = args_value(args, word, why);
		if (!value || parse_cidrs(value, &masq->except, why))
			return -1;
	}
	LIST_FOR_EACH(except, &masq->except)
		if (except->addr.len != masq->cidr.addr.len)
			return why_fail(why, "except is of another family than the CIDR");
	if (masq->except.n > K8SNET_PREFIXES_MAX)
		return why_fail(why, "more than %d of except",
				K8SNET_PREFIXES_MAX);
	return 0;
}

static int run_add(struct request *req)
{
	return status(knl_masq_new(&req->masq));
}

static int run_del(struct request *req)
{
	return status(knl_masq_del(&req->masq.cidr,
				   req->force ? NL_FORCE : 0));
}

static int run_show(struct request *req)
{
	struct masq_list list = { 0 };
	int err;

	err = knl_masq_list(&list, req->all ? NULL : &req->masq.cidr);
	if (!err)
		print_list(masq_fields, &list);
	masq_list_clear(&list);
	return status(err);
}

static void clear(struct request *req)
{
	masq_clear(&req->masq);
}

const struct object cmd_masq = {
	.name = "masq",
	.usage =
"k8snetctl masq add CIDR [except CIDR]...\n"
"k8snetctl masq del CIDR\n"
"k8snetctl masq list [CIDR]\n",
	.verbs = (const struct verb[]) {
		{ "add", parse_add, run_add },
		{ "del", parse_one, run_del },
		{ "show", parse_one_or_all, run_show },
		{}
	},
	.fields = masq_fields,
	.parse_key = parse_key,
	.clear = clear,
};
