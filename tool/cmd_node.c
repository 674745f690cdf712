// SPDX-License-Identifier: GPL-2.0
/* The node's settings. */
#include <string.h>

#include <linux/k8snet.h>

#include "cmd.h"
#include "nl.h"
#include "print.h"

/* "none", which stands alone, a list of prefixes, or one more of them */
static int parse_list(struct prefix_list *list, bool seen, const char *word,
		      const char *value, struct why *why)
{
	bool none = !strcmp(value, "none");

	if (seen && (none || !list->n))
		return why_fail(why, "%s none, and not none", word);
	if (!none && parse_cidrs(value, list, why))
		return -1;
	if (list->n > K8SNET_PREFIXES_MAX)
		return why_fail(why, "more than %d of %s", K8SNET_PREFIXES_MAX,
				word);
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

static int parse_nodeports(struct node *node, const char *value,
			   struct why *why)
{
	if (parse_nodeport_addresses(value, node, why))
		return -1;
	if (node->nodeport_prefix.n > K8SNET_PREFIXES_MAX)
		return why_fail(why, "more than %d of nodeport-addresses",
				K8SNET_PREFIXES_MAX);
	return 0;
}

/* Words that take one of a few names */
static const struct {
	const char *word;
	uint32_t bit;
	const char *const *names;
	size_t off;
} enums[] = {
	{ "fastpath", NODE_FASTPATH, fastpath_names,
	  offsetof(struct node, fastpath) },
	{ "dead-ports", NODE_DEAD_PORTS, no_endpoints_names,
	  offsetof(struct node, dead_ports) },
	{ "unassigned-ips", NODE_UNASSIGNED_IPS, no_endpoints_names,
	  offsetof(struct node, unassigned_ips) },
};

/* Words that take a name */
static const struct {
	const char *word;
	uint32_t bit;
	size_t max, off;
} labels[] = {
	{ "name", NODE_NAME, K8SNET_NAME_MAX, offsetof(struct node, name) },
	{ "zone", NODE_ZONE, K8SNET_ZONE_MAX, offsetof(struct node, zone) },
};

static int parse_word(struct node *node, const char *word, struct args *args,
		      struct why *why)
{
	static const char *const words[] = {
		"ip", "cluster-cidr", "service-cidr", "nodeport-addresses",
		"nodeport-range", "flow-max",
	};
	static const uint32_t bits[] = {
		NODE_IP, NODE_CLUSTER_CIDR, NODE_SERVICE_CIDR,
		NODE_NODEPORT_ADDRESSES, NODE_NODEPORT_RANGE, NODE_FLOW_MAX,
	};
	uint32_t seen = node->has;
	const char *value;
	size_t i;

	for (i = 0; i < sizeof(enums) / sizeof(*enums); i++) {
		if (strcmp(word, enums[i].word))
			continue;
		if (once(&node->has, enums[i].bit, word, why))
			return -1;
		value = args_value(args, word, why);
		return value ? parse_enum(value, word, enums[i].names,
					  (uint8_t *)node + enums[i].off,
					  why) : -1;
	}

	if (!strcmp(word, "nodeport-localhost")) {
		if (once(&node->has, NODE_NODEPORT_LOCALHOST, word, why))
			return -1;
		value = args_value(args, word, why);
		return value ? parse_on_off(value, word,
					    &node->nodeport_localhost, why) : -1;
	}
	for (i = 0; i < sizeof(labels) / sizeof(*labels); i++) {
		if (strcmp(word, labels[i].word))
			continue;
		if (once(&node->has, labels[i].bit, word, why))
			return -1;
		value = args_value(args, word, why);
		return value ? parse_label(value, word, labels[i].max,
					   (const char **)((char *)node +
							   labels[i].off),
					   why) : -1;
	}
	for (i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!strcmp(word, words[i]))
			break;
	if (i == sizeof(words) / sizeof(*words))
		return why_no_more(why, word);
	node->has |= bits[i];
	/* Only lists may be continued. */
	if (bits[i] & (NODE_NODEPORT_ADDRESSES | NODE_NODEPORT_RANGE |
		       NODE_FLOW_MAX) & seen)
		return why_fail(why, "%s is given twice", word);
	value = args_value(args, word, why);
	if (!value)
		return -1;
	switch (bits[i]) {
	case NODE_IP:
		return parse_ip(node, seen & NODE_IP, value, why);
	case NODE_CLUSTER_CIDR:
		return parse_list(&node->cluster_cidr, seen & bits[i], word,
				  value, why);
	case NODE_SERVICE_CIDR:
		return parse_list(&node->service_cidr, seen & bits[i], word,
				  value, why);
	case NODE_NODEPORT_ADDRESSES:
		return parse_nodeports(node, value, why);
	case NODE_FLOW_MAX:
		return parse_number(value, word, 0, K8SNET_FLOWS_MAX,
				    &node->flow_max, why);
	default:
		return parse_range(value, &node->nodeport_min,
				   &node->nodeport_max, why);
	}
}

static int parse_set(struct request *req, struct args *args, struct why *why)
{
	const char *word;

	if (!args->n)
		return why_missing(why, "what to set");
	while ((word = args_next(args)))
		if (parse_word(&req->node, word, args, why))
			return -1;
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
"                   [service-cidr CIDR|none]... [dead-ports reject|drop|pass]\n"
"                   [unassigned-ips reject|drop|pass] [name NAME|none] [zone ZONE|none]\n"
"                   [nodeport-localhost on|off]\n"
"                   [fastpath auto|established|off] [flow-max N]\n"
"k8snetctl node show\n"
"k8snetctl node shadowed\n",
	.verbs = (const struct verb[]) {
		{ "set", parse_set, run_set },
		{ "show", NULL, run_show },
		{ "shadowed", NULL, run_shadowed },
		{}
	},
	.fields = node_fields,
	.clear = clear,
};
