// SPDX-License-Identifier: GPL-2.0
/* An empty node. */
#include "cmd.h"
#include "nl.h"

static int run(struct request *req)
{
	return status(knl_flush());
}

const struct object cmd_flush = {
	.name = "flush",
	.usage = "k8snetctl flush\n",
	.verbs = (const struct verb[]) {
		{ NULL, NULL, run },
		{}
	},
};
