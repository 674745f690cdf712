// SPDX-License-Identifier: GPL-2.0
/* Lookup, known flows, counters; and flush. */
#include <errno.h>

#include <linux/k8snet.h>

#include "nl_internal.h"

static int lookup_answer(const struct nlmsghdr *nlh, void *arg)
{
	struct lookup *lookup = arg;
	struct nlattr *attr;
	int rem;

	knl_k8snet_for_each_attr(attr, nlh, rem) {
		switch (nla_type(attr)) {
		case K8SNET_A_LOOKUP_VERDICT:
			lookup->verdict = knl_u8(attr);
			lookup->has |= LOOKUP_VERDICT;
			break;
		case K8SNET_A_LOOKUP_SERVICE:
			knl_string(attr, &lookup->service);
			lookup->has |= LOOKUP_SERVICE;
			break;
		case K8SNET_A_LOOKUP_FRONTEND:
			if (knl_frontend_decode(attr, &lookup->frontend))
				lookup->has |= LOOKUP_FRONTEND;
			break;
		case K8SNET_A_LOOKUP_POLICY:
			lookup->policy = knl_u8(attr);
			lookup->has |= LOOKUP_POLICY;
			break;
		case K8SNET_A_LOOKUP_REASON:
			knl_string(attr, &lookup->reason);
			lookup->has |= LOOKUP_REASON;
			break;
		case K8SNET_A_LOOKUP_ENDPOINT:
			knl_endpoint_decode(attr, LIST_ADD(&lookup->ep));
			break;
		case K8SNET_A_LOOKUP_CHOICE:
			knl_endpoint_decode(attr, &lookup->choice);
			lookup->has |= LOOKUP_CHOICE;
			break;
		case K8SNET_A_LOOKUP_SNAT:
			knl_addr(attr, &lookup->snat);
			lookup->has |= LOOKUP_SNAT;
			break;
		case K8SNET_A_LOOKUP_ORIGIN:
			lookup->origin = knl_u8(attr);
			lookup->has |= LOOKUP_ORIGIN;
			break;
		case K8SNET_A_LOOKUP_ENDPOINTS:
			lookup->endpoints = knl_u32(attr);
			lookup->has |= LOOKUP_SET;
			break;
		case K8SNET_A_LOOKUP_USABLE:
			lookup->usable = knl_u32(attr);
			lookup->has |= LOOKUP_SET;
			break;
		case K8SNET_A_LOOKUP_SCHEDULER:
			lookup->scheduler = knl_u8(attr);
			lookup->has |= LOOKUP_SCHEDULER;
			break;
		case K8SNET_A_LOOKUP_SOURCE:
			knl_string(attr, &lookup->source);
			lookup->has |= LOOKUP_SOURCE;
			break;
		}
	}
	lookup->has |= LOOKUP_EP;
	return 0;
}

int knl_lookup(struct lookup *lookup)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_LOOKUP, 3 * ROOM_U32 +
					    2 * ROOM_ADDR);

	if (!msg)
		return -ENOENT;
	knl_put_u8(msg, K8SNET_A_LOOKUP_PROTO, lookup->proto);
	knl_put_addr(msg, K8SNET_A_LOOKUP_SRC, &lookup->src);
	if (lookup->has & LOOKUP_SPORT)
		knl_put_be16(msg, K8SNET_A_LOOKUP_SPORT, lookup->sport);
	knl_put_addr(msg, K8SNET_A_LOOKUP_DST, &lookup->dst);
	knl_put_be16(msg, K8SNET_A_LOOKUP_DPORT, lookup->dport);
	return knl_talk(NL_BUS_K8SNET, msg, lookup_answer, lookup, 0);
}

static void flow_decode(const struct nlmsghdr *nlh, struct flow *flow)
{
	struct nlattr *attr;
	int rem;

	knl_k8snet_for_each_attr(attr, nlh, rem) {
		switch (nla_type(attr)) {
		case K8SNET_A_FLOW_PROTO:
			flow->proto = knl_u8(attr);
			flow->has |= FLOW_PROTO;
			break;
		case K8SNET_A_FLOW_SRC:
			knl_addr(attr, &flow->src);
			flow->has |= FLOW_SRC;
			break;
		case K8SNET_A_FLOW_SPORT:
			flow->sport = knl_be16(attr);
			break;
		case K8SNET_A_FLOW_DST:
			knl_addr(attr, &flow->dst);
			flow->has |= FLOW_DST;
			break;
		case K8SNET_A_FLOW_DPORT:
			flow->dport = knl_be16(attr);
			break;
		case K8SNET_A_FLOW_IIF:
			knl_device(knl_u32(attr), &flow->iif);
			flow->has |= FLOW_IIF;
			break;
		case K8SNET_A_FLOW_OIF:
			knl_device(knl_u32(attr), &flow->oif);
			flow->has |= FLOW_OIF;
			break;
		case K8SNET_A_FLOW_NEW_SRC:
			knl_addr(attr, &flow->new_src);
			flow->has |= FLOW_NEW_SRC;
			break;
		case K8SNET_A_FLOW_NEW_SPORT:
			flow->new_sport = knl_be16(attr);
			break;
		case K8SNET_A_FLOW_NEW_DST:
			knl_addr(attr, &flow->new_dst);
			flow->has |= FLOW_NEW_DST;
			break;
		case K8SNET_A_FLOW_NEW_DPORT:
			flow->new_dport = knl_be16(attr);
			break;
		case K8SNET_A_FLOW_PACKETS:
			flow->packets = knl_u64(attr);
			flow->has |= FLOW_COUNTERS;
			break;
		case K8SNET_A_FLOW_BYTES:
			flow->bytes = knl_u64(attr);
			flow->has |= FLOW_COUNTERS;
			break;
		case K8SNET_A_FLOW_SERVICE:
			knl_string(attr, &flow->service);
			flow->has |= FLOW_SERVICE;
			break;
		}
	}
}

KNL_LIST(flow, flow_decode)

int knl_flow_list(struct flow_list *list)
{
	return knl_dump(NL_BUS_K8SNET, knl_k8snet_msg(K8SNET_CMD_FLOW_GET, 0),
			flow_answer, flow_restart, list);
}

static void stat_decode(const struct nlmsghdr *nlh,
			struct stat_counter *stat)
{
	struct nlattr *attr;
	int rem;

	knl_k8snet_for_each_attr(attr, nlh, rem) {
		switch (nla_type(attr)) {
		case K8SNET_A_STATS_NAME:
			knl_string(attr, &stat->name);
			stat->has |= STAT_NAME;
			break;
		case K8SNET_A_STATS_VALUE:
			stat->value = knl_u64(attr);
			stat->has |= STAT_VALUE;
			break;
		}
	}
}

KNL_LIST(stat, stat_decode)

int knl_stats_list(struct stat_list *list)
{
	return knl_dump(NL_BUS_K8SNET, knl_k8snet_msg(K8SNET_CMD_STATS_GET, 0),
			stat_answer, stat_restart, list);
}

int knl_flush(void)
{
	int err;

	/* It takes the bridges with it. */
	err = knl_talk(NL_BUS_K8SNET, knl_k8snet_msg(K8SNET_CMD_FLUSH, 0),
		       NULL, NULL, 0);
	knl_link_forget();
	return err;
}
