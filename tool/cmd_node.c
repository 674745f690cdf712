// SPDX-License-Identifier: GPL-2.0
/* The node's settings. */
#include <string.h>

#include <linux/k8snet.h>

#include "cmd.h"
#include "nl.h"
#include "print.h"

/* "none", which stands alone, a list of prefixes, or one more of them */
static int parse_cluster_cidr(struct node *node, bool seen, const char *value,
			      struct why *why)
{
	bool none = !strcmp(value, "none");

	if (seen && (none || !node->cluster_cidr.n))
		return why_fail(why, "cluster-cidr none, and not none");
	if (!none && parse_cidrs(value, &node->cluster_cidr, why))
		return -1;
	if (node->cluster_cidr.n > K8SNET_PREFIXES_MAX)
		return why_fail(why, "more than %d of cluster-cidr",
				K8SNET_PREFIXES_MAX);
	return 0;
}

static int parse_ip(struct node *node, bool seen, const char *value,
		    struct why *why)
{
	bool none = !strcmp(value, "none");

	if (seen && (none || !node->ip.n))
		return why_fail(why, "ip none, and not none");
	if (none)
		return 0;
	if (parse_addr_pair(value, &node->ip, why))
		return -1;
	return check_one_a_family(&node->ip, "ip", why);
}

static int parse_set(struct request *req, struct args *args, struct why *why)
{
	struct node *node = &req->node;
	const char *word, *value;
	int err;

	if (!args->n)
		return why_missing(why, "what to set");
	while ((word = args_next(args))) {
		uint32_t seen = node->has;

		value = args_next(args);
		if (!strcmp(word, "ip")) {
			node->has |= NODE_IP;
			err = value ? parse_ip(node, seen & NODE_IP, value,
					       why) : 1;
		} else if (!strcmp(word, "cluster-cidr")) {
			node->has |= NODE_CLUSTER_CIDR;
			err = value ? parse_cluster_cidr(node, seen &
							 NODE_CLUSTER_CIDR,
							 value, why) : 1;
		} else if (!strcmp(word, "nodeport-addresses")) {
			if (once(&node->has, NODE_NODEPORT_ADDRESSES, word,
				 why))
				return -1;
			err = value ? parse_nodeport_addresses(value, node,
							       why) : 1;
			if (!err && node->nodeport_prefix.n >
			    K8SNET_PREFIXES_MAX)
				return why_fail(why, "more than %d of nodeport-addresses",
						K8SNET_PREFIXES_MAX);
		} else if (!strcmp(word, "nodeport-range")) {
			if (once(&node->has, NODE_NODEPORT_RANGE, word, why))
				return -1;
			err = value ? parse_range(value, &node->nodeport_min,
						  &node->nodeport_max, why) :
				1;
		} else if (!strcmp(word, "fastpath")) {
			if (once(&node->has, NODE_FASTPATH, word, why))
				return -1;
			err = value ? parse_enum(value, word, fastpath_names,
						 &node->fastpath, why) : 1;
		} else {
			return why_no_more(why, word);
		}
		if (err > 0)
			return why_fail(why, "%s: its value is missing", word);
		if (err)
			return -1;
	}
	return 0;
}

static int run_set(struct request *req)
{
	return status(knl_node_set(&req->node));
}

static int run_show(struct request *req)
{
	int err = knl_node_get(&req->node);

	if (err)
		return status(err);
	print_begin();
	print_object(node_fields, &req->node);
	print_end();
	return STATUS_OK;
}

static void clear(struct request *req)
{
	node_clear(&req->node);
}

const struct object cmd_node = {
	.name = "node",
	.usage =
"k8snetctl node set [ip ADDR|none]... [nodeport-addresses primary|all|CIDR[,CIDR]...]\n"
"                   [nodeport-range LOW-HIGH] [cluster-cidr CIDR|none]...\n"
"                   [fastpath auto|established|off]\n"
"k8snetctl node show\n",
	.verbs = (const struct verb[]) {
		{ "set", parse_set, run_set },
		{ "show", NULL, run_show },
		{}
	},
	.fields = node_fields,
	.clear = clear,
};
