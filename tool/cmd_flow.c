// SPDX-License-Identifier: GPL-2.0
/* Flows in the fast path. */
#include "cmd.h"
#include "nl.h"
#include "print.h"

static int run_show(struct request *req)
{
	struct flow_list list = { 0 };
	int err;

	err = knl_flow_list(&list);
	if (!err)
		print_list(flow_fields, &list);
	flow_list_clear(&list);
	return status(err);
}

const struct object cmd_flow = {
	.name = "flow",
	.usage = "k8snetctl flow list\n",
	.verbs = (const struct verb[]) {
		{ "show", NULL, run_show },
		{}
	},
	.fields = flow_fields,
};
