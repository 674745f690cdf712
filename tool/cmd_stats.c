// SPDX-License-Identifier: GPL-2.0
/* Counters of the node, or of a service and its endpoints; or their rates. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "nl.h"
#include "print.h"

enum {
	SECONDS_MAX = 3600,
};

/* The totals of what was read first are taken off what is read then. */
struct totals {
	struct stat_list node;
	struct service_list svc;	/* one, with its endpoints */
};

static int parse(struct request *req, struct args *args, struct why *why)
{
	const char *word = args_next(args), *seconds;

	if (word && strcmp(word, "rate")) {
		req->svc.has |= SVC_NAME;
		if (parse_service_name(word, &req->svc.name, why))
			return -1;
		word = args_next(args);
	}
	if (!word)
		return 0;
	if (strcmp(word, "rate"))
		return why_no_more(why, word);
	seconds = args_value(args, word, why);
	if (!seconds || parse_number(seconds, word, 1, SECONDS_MAX,
				     &req->seconds, why))
		return -1;
	return args_end(args, why);
}

static int totals_read(struct totals *totals, const char *name)
{
	struct service_list eps = { 0 };
	struct endpoint *ep;
	int err;

	if (!name)
		return knl_stats_list(&totals->node);
	err = knl_service_list(&totals->svc, name);
	if (!err)
		err = knl_endpoint_list(&eps, name);
	if (!err && totals->svc.n) {
		struct service *svc = &totals->svc.v[0];

		service_list_join(&totals->svc, &eps);
		/* What had no traffic yet has had none. */
		svc->has |= SVC_TRAFFIC | SVC_DROP;
		LIST_FOR_EACH(ep, &svc->ep)
			ep->has |= EP_TRAFFIC;
	}
	service_list_clear(&eps);
	return err;
}

static void totals_clear(struct totals *totals)
{
	stat_list_clear(&totals->node);
	service_list_clear(&totals->svc);
}

static void rate(uint64_t *now, uint64_t before, uint32_t seconds)
{
	*now = *now > before ? (*now - before + seconds / 2) / seconds : 0;
}

static void traffic_rate(struct traffic *now, const struct traffic *before,
			 uint32_t seconds)
{
	rate(&now->packets, before->packets, seconds);
	rate(&now->bytes, before->bytes, seconds);
	rate(&now->reply_packets, before->reply_packets, seconds);
	rate(&now->reply_bytes, before->reply_bytes, seconds);
}

/* Counters that are only in one of both begin at 0. */
static void stats_rate(struct stat_list *now, const struct stat_list *before,
		       uint32_t seconds)
{
	const struct stat_counter *old;
	struct stat_counter *stat;

	LIST_FOR_EACH(stat, now) {
		uint64_t value = 0;

		LIST_FOR_EACH(old, before)
			if (!strcmp(old->name, stat->name))
				value = old->value;
		rate(&stat->value, value, seconds);
	}
}

static void service_rate(struct service *now, const struct service *before,
			 uint32_t seconds)
{
	static const struct endpoint none;
	const struct endpoint *old, *same;
	struct endpoint *ep;

	rate(&now->flows, before->flows, seconds);
	rate(&now->rejected, before->rejected, seconds);
	rate(&now->dropped, before->dropped, seconds);
	traffic_rate(&now->traffic, &before->traffic, seconds);
	stats_rate(&now->drop, &before->drop, seconds);
	LIST_FOR_EACH(ep, &now->ep) {
		same = &none;
		LIST_FOR_EACH(old, &before->ep)
			if (!endpoint_cmp(old, ep))
				same = old;
		rate(&ep->flows, same->flows, seconds);
		traffic_rate(&ep->traffic, &same->traffic, seconds);
	}
}

static int run(struct request *req)
{
	struct totals before = { 0 }, now = { 0 };
	const char *name = req->svc.name;
	int err = 0;

	if (req->seconds) {
		err = totals_read(&before, name);
		if (!err)
			sleep(req->seconds);
	}
	if (!err)
		err = totals_read(&now, name);
	if (!err && req->seconds) {
		stats_rate(&now.node, &before.node, req->seconds);
		if (now.svc.n && before.svc.n)
			service_rate(&now.svc.v[0], &before.svc.v[0],
				     req->seconds);
	}
	if (!err && name)
		print_list(service_stats_fields, &now.svc);
	else if (!err)
		print_list(stat_fields, &now.node);
	totals_clear(&before);
	totals_clear(&now);
	return status(err);
}

static void clear(struct request *req)
{
	service_clear(&req->svc);
}

const struct object cmd_stats = {
	.name = "stats",
	.usage = "k8snetctl stats [NAME] [rate SECONDS]\n",
	.verbs = (const struct verb[]) {
		{ NULL, parse, run },
		{}
	},
	.fields = service_stats_fields,
	.clear = clear,
};
