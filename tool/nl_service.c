// SPDX-License-Identifier: GPL-2.0
/* Services and their endpoints. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/k8snet.h>

#include "nl_internal.h"
#include "parse.h"
#include "report.h"

bool knl_frontend_decode(const struct nlattr *nest, struct frontend *fe)
{
	struct nlattr *attr;
	int rem;

	memset(fe, 0, sizeof(*fe));
	nla_for_each_nested(attr, (struct nlattr *)nest, rem) {
		switch (nla_type(attr)) {
		case K8SNET_A_FRONTEND_TYPE:
			fe->type = knl_u8(attr);
			break;
		case K8SNET_A_FRONTEND_ADDR:
			knl_addr(attr, &fe->addr);
			break;
		case K8SNET_A_FRONTEND_PORT:
			fe->port = knl_be16(attr);
			break;
		case K8SNET_A_FRONTEND_PORT_END:
			fe->port_end = knl_be16(attr);
			break;
		}
	}
	return fe->type <= K8SNET_FRONTEND_MAX;
}

/* One more name of a list */
static void decode_hint(const struct nlattr *attr, const char **names)
{
	char *all;

	if (!*names) {
		*names = knl_intern(attr);
		return;
	}
	all = text_printf("%s,%s", *names, knl_intern(attr));
	*names = intern(all);
	free(all);
}

void knl_endpoint_decode(const struct nlattr *nest, struct endpoint *ep)
{
	struct nlattr *attr;
	int rem;

	memset(ep, 0, sizeof(*ep));
	ep->has = EP_ANSWER | EP_ZONES | EP_NODES;
	nla_for_each_nested(attr, (struct nlattr *)nest, rem) {
		switch (nla_type(attr)) {
		case K8SNET_A_ENDPOINT_ADDR:
			knl_addr(attr, &ep->addr);
			break;
		case K8SNET_A_ENDPOINT_PORT:
			ep->port = knl_be16(attr);
			break;
		case K8SNET_A_ENDPOINT_WEIGHT:
			ep->weight = knl_u32(attr);
			ep->has |= EP_WEIGHT;
			break;
		case K8SNET_A_ENDPOINT_FLAGS:
			ep->flags = knl_u32(attr);
			ep->has |= EP_CONDITIONS | EP_LOCAL;
			break;
		case K8SNET_A_ENDPOINT_ZONE_HINT:
			decode_hint(attr, &ep->zones);
			break;
		case K8SNET_A_ENDPOINT_NODE_HINT:
			decode_hint(attr, &ep->nodes);
			break;
		case K8SNET_A_ENDPOINT_FLOWS:
			ep->flows = knl_u64(attr);
			ep->has |= EP_COUNTERS;
			break;
		case K8SNET_A_ENDPOINT_ACTIVE:
			ep->active = knl_u32(attr);
			ep->has |= EP_COUNTERS;
			break;
		case K8SNET_A_ENDPOINT_PACKETS:
			ep->traffic.packets = knl_u64(attr);
			ep->has |= EP_TRAFFIC;
			break;
		case K8SNET_A_ENDPOINT_BYTES:
			ep->traffic.bytes = knl_u64(attr);
			break;
		case K8SNET_A_ENDPOINT_REPLY_PACKETS:
			ep->traffic.reply_packets = knl_u64(attr);
			break;
		case K8SNET_A_ENDPOINT_REPLY_BYTES:
			ep->traffic.reply_bytes = knl_u64(attr);
			break;
		}
	}
}

static void drop_decode(const struct nlattr *nest, struct stat_counter *stat)
{
	struct nlattr *attr;
	int rem;

	nla_for_each_nested(attr, (struct nlattr *)nest, rem) {
		if (nla_type(attr) == K8SNET_A_STATS_NAME)
			knl_string(attr, &stat->name);
		else if (nla_type(attr) == K8SNET_A_STATS_VALUE)
			stat->value = knl_u64(attr);
	}
	if (!stat->name)
		stat->name = xstrdup("");
	stat->has = STAT_NAME | STAT_VALUE;
}

/* Also of endpoint messages, which hold the name and endpoints only. */
void knl_service_decode(const struct nlmsghdr *nlh, struct service *svc)
{
	struct nlattr *attr;
	struct frontend fe;
	int rem;

	knl_k8snet_for_each_attr(attr, nlh, rem) {
		switch (nla_type(attr)) {
		case K8SNET_A_SERVICE_NAME:
			knl_string(attr, &svc->name);
			svc->has |= SVC_NAME;
			break;
		case K8SNET_A_SERVICE_PROTO:
			svc->proto = knl_u8(attr);
			svc->has |= SVC_PROTO | SVC_FRONTENDS | SVC_SOURCE_RANGE;
			break;
		case K8SNET_A_SERVICE_FRONTEND:
			if (knl_frontend_decode(attr, &fe))
				*LIST_ADD(&svc->frontend) = fe;
			break;
		case K8SNET_A_SERVICE_ENDPOINT:
			knl_endpoint_decode(attr, LIST_ADD(&svc->ep));
			break;
		case K8SNET_A_SERVICE_SCHEDULER:
			svc->scheduler = knl_u8(attr);
			svc->has |= SVC_SCHEDULER;
			break;
		case K8SNET_A_SERVICE_AFFINITY:
			svc->affinity = knl_u32(attr);
			svc->has |= SVC_AFFINITY;
			break;
		case K8SNET_A_SERVICE_EXTERNAL_POLICY:
			svc->external_policy = knl_u8(attr);
			svc->has |= SVC_EXTERNAL_POLICY;
			break;
		case K8SNET_A_SERVICE_INTERNAL_POLICY:
			svc->internal_policy = knl_u8(attr);
			svc->has |= SVC_INTERNAL_POLICY;
			break;
		case K8SNET_A_SERVICE_SOURCE_RANGE:
			knl_prefix(attr, LIST_ADD(&svc->source_range));
			break;
		case K8SNET_A_SERVICE_RANGE_SCOPE:
			svc->range_scope = knl_u8(attr);
			svc->has |= SVC_RANGE_SCOPE;
			break;
		case K8SNET_A_SERVICE_NO_ENDPOINTS:
			svc->no_endpoints = knl_u8(attr);
			svc->has |= SVC_NO_ENDPOINTS;
			break;
		case K8SNET_A_SERVICE_ON_REMOVAL:
			svc->on_removal = knl_u8(attr);
			svc->has |= SVC_ON_REMOVAL;
			break;
		case K8SNET_A_SERVICE_DSR:
			svc->dsr = knl_u8(attr);
			svc->has |= SVC_DSR;
			break;
		case K8SNET_A_SERVICE_ENDPOINTS:
			svc->endpoints = knl_u32(attr);
			svc->has |= SVC_ENDPOINTS;
			break;
		case K8SNET_A_SERVICE_FLOWS:
			svc->flows = knl_u64(attr);
			svc->has |= SVC_COUNTERS;
			break;
		case K8SNET_A_SERVICE_REJECTED:
			svc->rejected = knl_u64(attr);
			svc->has |= SVC_COUNTERS;
			break;
		case K8SNET_A_SERVICE_DROPPED:
			svc->dropped = knl_u64(attr);
			svc->has |= SVC_COUNTERS;
			break;
		case K8SNET_A_SERVICE_PACKETS:
			svc->traffic.packets = knl_u64(attr);
			svc->has |= SVC_TRAFFIC;
			break;
		case K8SNET_A_SERVICE_BYTES:
			svc->traffic.bytes = knl_u64(attr);
			break;
		case K8SNET_A_SERVICE_REPLY_PACKETS:
			svc->traffic.reply_packets = knl_u64(attr);
			break;
		case K8SNET_A_SERVICE_REPLY_BYTES:
			svc->traffic.reply_bytes = knl_u64(attr);
			break;
		case K8SNET_A_SERVICE_DROP:
			drop_decode(attr, LIST_ADD(&svc->drop));
			break;
		}
	}
	if (!svc->name)
		svc->name = xstrdup("");
}

KNL_LIST(service, knl_service_decode)

int knl_service_list(struct service_list *list, const char *name)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_SERVICE_GET, ROOM_NAME);
	int err;

	if (msg && name)
		knl_put_string(msg, K8SNET_A_SERVICE_NAME, name);
	err = knl_list(msg, name, service_answer, service_restart, list, 0);
	service_list_sort(list);
	return err;
}

static void put_frontend(struct nl_msg *msg, const struct frontend *fe)
{
	struct nlattr *nest = knl_nest(msg, K8SNET_A_SERVICE_FRONTEND);

	knl_put_u8(msg, K8SNET_A_FRONTEND_TYPE, fe->type);
	if (fe->addr.len)
		knl_put_addr(msg, K8SNET_A_FRONTEND_ADDR, &fe->addr);
	knl_put_be16(msg, K8SNET_A_FRONTEND_PORT, fe->port);
	if (fe->port_end)
		knl_put_be16(msg, K8SNET_A_FRONTEND_PORT_END, fe->port_end);
	nla_nest_end(msg, nest);
}

/* @set: no name takes away those that there are. */
static void put_hints(struct nl_msg *msg, int type, const char *names, bool set)
{
	char *copy, *rest, *name;

	if (!names) {
		if (set)
			knl_put_string(msg, type, "");
		return;
	}
	copy = xstrdup(names);
	rest = copy;
	while ((name = strsep(&rest, ",")))
		knl_put_string(msg, type, name);
	free(copy);
}

/* @set: only what @ep has counts, and MASK says so. */
static void put_endpoint(struct nl_msg *msg, const struct endpoint *ep,
			 bool set)
{
	struct nlattr *nest = knl_nest(msg, K8SNET_A_SERVICE_ENDPOINT);
	uint32_t mask = 0;

	knl_put_addr(msg, K8SNET_A_ENDPOINT_ADDR, &ep->addr);
	knl_put_be16(msg, K8SNET_A_ENDPOINT_PORT, ep->port);
	if (ep->has & EP_WEIGHT)
		knl_put_u32(msg, K8SNET_A_ENDPOINT_WEIGHT, ep->weight);
	if (ep->has & EP_ZONES)
		put_hints(msg, K8SNET_A_ENDPOINT_ZONE_HINT, ep->zones, set);
	if (ep->has & EP_NODES)
		put_hints(msg, K8SNET_A_ENDPOINT_NODE_HINT, ep->nodes, set);
	if (ep->has & EP_CONDITIONS)
		mask |= K8SNET_EP_READY | K8SNET_EP_SERVING |
			K8SNET_EP_TERMINATING;
	if (ep->has & EP_LOCAL)
		mask |= K8SNET_EP_LOCAL;
	if (set) {
		knl_put_u32(msg, K8SNET_A_ENDPOINT_FLAGS, ep->flags & mask);
		knl_put_u32(msg, K8SNET_A_ENDPOINT_MASK, mask);
	} else {
		knl_put_u32(msg, K8SNET_A_ENDPOINT_FLAGS, ep->flags);
	}
	nla_nest_end(msg, nest);
}

static void put_settings(struct nl_msg *msg, const struct service *svc)
{
	const struct frontend *fe;

	LIST_FOR_EACH(fe, &svc->frontend)
		if (svc->has & service_frontend_bit(fe->type))
			put_frontend(msg, fe);
	if (svc->has & SVC_SCHEDULER)
		knl_put_u8(msg, K8SNET_A_SERVICE_SCHEDULER, svc->scheduler);
	if (svc->has & SVC_AFFINITY)
		knl_put_u32(msg, K8SNET_A_SERVICE_AFFINITY, svc->affinity);
	if (svc->has & SVC_EXTERNAL_POLICY)
		knl_put_u8(msg, K8SNET_A_SERVICE_EXTERNAL_POLICY,
			   svc->external_policy);
	if (svc->has & SVC_INTERNAL_POLICY)
		knl_put_u8(msg, K8SNET_A_SERVICE_INTERNAL_POLICY,
			   svc->internal_policy);
	if (svc->has & SVC_SOURCE_RANGE)
		knl_put_prefixes(msg, K8SNET_A_SERVICE_SOURCE_RANGE,
				 &svc->source_range);
	if (svc->has & SVC_RANGE_SCOPE)
		knl_put_u8(msg, K8SNET_A_SERVICE_RANGE_SCOPE,
			   svc->range_scope);
	if (svc->has & SVC_NO_ENDPOINTS)
		knl_put_u8(msg, K8SNET_A_SERVICE_NO_ENDPOINTS,
			   svc->no_endpoints);
	if (svc->has & SVC_ON_REMOVAL)
		knl_put_u8(msg, K8SNET_A_SERVICE_ON_REMOVAL, svc->on_removal);
	if (svc->has & SVC_DSR)
		knl_put_u8(msg, K8SNET_A_SERVICE_DSR, svc->dsr);
}

/* Room for all of a service but its endpoints */
static size_t service_room(const struct service *svc)
{
	return ROOM_NAME + 16 * (size_t)ROOM_U32 +
	       svc->frontend.n * (size_t)ROOM_FRONTEND +
	       svc->source_range.n * (size_t)ROOM_PREFIX;
}

static size_t hints_room(const char *names)
{
	/* Each name has a header, a NUL and padding instead of its comma. */
	return names ? strlen(names) + K8SNET_HINTS_MAX * 8 : 8;
}

/* Room for an endpoint */
static size_t endpoint_room(const struct endpoint *ep)
{
	return ROOM_ENDPOINT + hints_room(ep->zones) + hints_room(ep->nodes);
}

/* Room for the endpoints [@from, @to) */
static size_t endpoints_room(const struct service *svc, unsigned int from,
			     unsigned int to)
{
	size_t room = 0;

	for (; from < to; from++)
		room += endpoint_room(&svc->ep.v[from]);
	return room;
}

/* How many endpoints from @from on a message with @room for other things can
 * take
 */
static unsigned int endpoints_fit(const struct service *svc, unsigned int from,
				  size_t room)
{
	size_t max = knl_msg_max() - 256;
	unsigned int to = from;

	while (to < svc->ep.n) {
		room += endpoint_room(&svc->ep.v[to]);
		if (room > max)
			break;
		to++;
	}
	return to - from;
}

static struct nl_msg *service_del_msg(const char *name)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_SERVICE_DEL, ROOM_NAME);

	if (msg)
		knl_put_string(msg, K8SNET_A_SERVICE_NAME, name);
	return msg;
}

/* A message about the endpoints [@from, @to) of @svc */
static struct nl_msg *endpoint_msg(uint8_t cmd, const struct service *svc,
				   unsigned int from, unsigned int to)
{
	struct nl_msg *msg;
	unsigned int i;

	msg = knl_k8snet_msg(cmd, ROOM_NAME + endpoints_room(svc, from, to));
	if (!msg)
		return NULL;
	knl_put_string(msg, K8SNET_A_SERVICE_NAME, svc->name);
	for (i = from; i < to; i++) {
		const struct endpoint *ep = &svc->ep.v[i];

		if (cmd == K8SNET_CMD_ENDPOINT_DEL) {
			struct endpoint key = {
				.addr = ep->addr, .port = ep->port,
			};
			struct nlattr *nest;

			nest = knl_nest(msg, K8SNET_A_SERVICE_ENDPOINT);
			knl_put_addr(msg, K8SNET_A_ENDPOINT_ADDR, &key.addr);
			knl_put_be16(msg, K8SNET_A_ENDPOINT_PORT, key.port);
			nla_nest_end(msg, nest);
		} else {
			put_endpoint(msg, ep, cmd == K8SNET_CMD_ENDPOINT_SET);
		}
	}
	return msg;
}

/*
 * A service with more endpoints than a message holds is made with the first
 * of them and given the others after that; it goes again if that fails.
 */
static int service_new_large(struct nl_msg *msg, const struct service *svc,
			     unsigned int done)
{
	int err;

	err = knl_talk(NL_BUS_K8SNET, msg, NULL, NULL, 0);
	while (!err && done < svc->ep.n) {
		unsigned int to = done + endpoints_fit(svc, done, ROOM_NAME);

		err = knl_talk(NL_BUS_K8SNET,
			       endpoint_msg(K8SNET_CMD_ENDPOINT_NEW, svc, done,
					    to), NULL, NULL, 0);
		if (err)
			knl_talk(NL_BUS_K8SNET, service_del_msg(svc->name),
				 NULL, NULL, NL_QUIET);
		done = to;
	}
	return err;
}

int knl_service_new(const struct service *svc)
{
	size_t room = service_room(svc);
	unsigned int fit, i;
	struct nl_msg *msg;

	fit = endpoints_fit(svc, 0, room);
	msg = knl_k8snet_msg(K8SNET_CMD_SERVICE_NEW,
			     room + endpoints_room(svc, 0, fit));
	if (!msg)
		return -ENOENT;
	knl_put_string(msg, K8SNET_A_SERVICE_NAME, svc->name);
	knl_put_u8(msg, K8SNET_A_SERVICE_PROTO, svc->proto);
	put_settings(msg, svc);
	for (i = 0; i < fit; i++)
		put_endpoint(msg, &svc->ep.v[i], false);
	if (fit < svc->ep.n)
		return service_new_large(msg, svc, fit);
	return knl_change(msg, service_del_msg(svc->name), 0);
}

int knl_service_set(const struct service *svc)
{
	static const struct {
		uint32_t has, replace;
	} lists[] = {
		{ SVC_VIP, K8SNET_SERVICE_REPLACE_CLUSTER_IP },
		{ SVC_EXTERNAL_IP, K8SNET_SERVICE_REPLACE_EXTERNAL_IP },
		{ SVC_LB_IP, K8SNET_SERVICE_REPLACE_LB_IP },
		{ SVC_NODE_PORT, K8SNET_SERVICE_REPLACE_NODE_PORT },
		{ SVC_HOST_PORT, K8SNET_SERVICE_REPLACE_HOST_PORT },
		{ SVC_EP, K8SNET_SERVICE_REPLACE_ENDPOINT },
		{ SVC_SOURCE_RANGE, K8SNET_SERVICE_REPLACE_SOURCE_RANGE },
	};
	size_t room = service_room(svc);
	uint32_t replace = 0;
	struct endpoint *ep;
	struct nl_msg *msg;
	unsigned int i;

	/* One message, so that no packet meets half of it. */
	if (svc->ep.n > endpoints_fit(svc, 0, room)) {
		report("%u endpoints are more than one request can replace (%u)",
		       svc->ep.n, endpoints_fit(svc, 0, room));
		return -EMSGSIZE;
	}
	msg = knl_k8snet_msg(K8SNET_CMD_SERVICE_SET,
			     room + endpoints_room(svc, 0, svc->ep.n));
	if (!msg)
		return -ENOENT;
	knl_put_string(msg, K8SNET_A_SERVICE_NAME, svc->name);
	put_settings(msg, svc);
	if (svc->has & SVC_EP)
		LIST_FOR_EACH(ep, &svc->ep)
			put_endpoint(msg, ep, false);
	for (i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		if (svc->has & lists[i].has)
			replace |= lists[i].replace;
	if (replace)
		knl_put_u32(msg, K8SNET_A_SERVICE_REPLACE, replace);
	return knl_change(msg, NULL, 0);
}

int knl_service_del(const char *name, unsigned int flags)
{
	return knl_change(service_del_msg(name), NULL, flags);
}

/* Endpoints */

/* Messages of one service follow each other: they become one item. */
static int endpoint_answer(const struct nlmsghdr *nlh, void *arg)
{
	struct service_list *list = arg;
	struct service svc = { 0 }, *last;
	struct endpoint *ep;

	knl_service_decode(nlh, &svc);
	last = list->n ? &list->v[list->n - 1] : NULL;
	if (!last || strcmp(last->name, svc.name)) {
		svc.has |= SVC_EP;
		*LIST_ADD(list) = svc;
		return 0;
	}
	LIST_FOR_EACH(ep, &svc.ep) {
		*LIST_ADD(&last->ep) = *ep;
	}
	service_clear(&svc);
	return 0;
}

int knl_endpoint_list(struct service_list *list, const char *service)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_ENDPOINT_GET, ROOM_NAME);
	int err;

	if (msg && service)
		knl_put_string(msg, K8SNET_A_SERVICE_NAME, service);
	err = knl_dump(NL_BUS_K8SNET, msg, endpoint_answer, service_restart,
		       list);
	service_list_sort(list);
	return err;
}

/* All or none, so all in one message. */
static int endpoint_change(uint8_t cmd, const struct service *svc,
			   unsigned int flags)
{
	struct nl_msg *undo = NULL;

	if (svc->ep.n > endpoints_fit(svc, 0, ROOM_NAME)) {
		report("%u endpoints are more than one request can hold (%u)",
		       svc->ep.n, endpoints_fit(svc, 0, ROOM_NAME));
		return -EMSGSIZE;
	}
	if (cmd == K8SNET_CMD_ENDPOINT_NEW)
		undo = endpoint_msg(K8SNET_CMD_ENDPOINT_DEL, svc, 0,
				    svc->ep.n);
	return knl_change(endpoint_msg(cmd, svc, 0, svc->ep.n), undo, flags);
}

int knl_endpoint_new(const struct service *svc)
{
	return endpoint_change(K8SNET_CMD_ENDPOINT_NEW, svc, 0);
}

int knl_endpoint_set(const struct service *svc)
{
	return endpoint_change(K8SNET_CMD_ENDPOINT_SET, svc, 0);
}

int knl_endpoint_del(const struct service *svc, unsigned int flags)
{
	unsigned int i;
	int err = 0;

	if (!(flags & NL_FORCE))
		return endpoint_change(K8SNET_CMD_ENDPOINT_DEL, svc, flags);
	/* One a message: an absent one must not keep the others. */
	for (i = 0; !err && i < svc->ep.n; i++)
		err = knl_change(endpoint_msg(K8SNET_CMD_ENDPOINT_DEL, svc, i,
					      i + 1), NULL, flags);
	return err;
}
