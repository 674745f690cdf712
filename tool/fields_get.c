// SPDX-License-Identifier: GPL-2.0
/* Objects as JSON. */
#include <stdlib.h>
#include <string.h>

#include <linux/k8snet.h>

#include "fields.h"

json_t *json_text(const char *s)
{
	json_t *json = json_string(s);
	char *fixed, *p;
	size_t i;

	if (json)
		return json;
	/*
	 * Not UTF-8: this never came from this tool. Keep the ASCII and show
	 * one replacement character for each of the other bytes.
	 */
	fixed = xcalloc(strlen(s) * 3 + 1, 1);
	p = fixed;
	for (i = 0; s[i]; i++) {
		if ((unsigned char)s[i] < 0x80) {
			*p++ = s[i];
		} else {
			memcpy(p, "\xef\xbf\xbd", 3);
			p += 3;
		}
	}
	json = json_string(fixed);
	free(fixed);
	return json;
}

/* Takes over @s. */
static json_t *json_take(char *s)
{
	json_t *json = json_text(s);

	free(s);
	return json;
}

/* A list of names separated by commas */
static json_t *names_get(const char *names)
{
	json_t *list = json_array();
	char *copy = xstrdup(names), *rest = copy, *name;

	while ((name = strsep(&rest, ",")))
		json_array_append_new(list, json_text(name));
	free(copy);
	return list;
}

static void traffic_get(json_t *o, const struct traffic *t)
{
	json_object_set_new(o, "packets", json_integer((json_int_t)t->packets));
	json_object_set_new(o, "bytes", json_integer((json_int_t)t->bytes));
	json_object_set_new(o, "reply-packets",
			    json_integer((json_int_t)t->reply_packets));
	json_object_set_new(o, "reply-bytes",
			    json_integer((json_int_t)t->reply_bytes));
}

json_t *endpoint_get(const struct endpoint *ep, const char *service,
		     bool settings_only)
{
	json_t *o = json_object();

	if (service)
		json_object_set_new(o, "service", json_text(service));
	json_object_set_new(o, "addr",
			    json_take(text_addr_port(&ep->addr, ep->port)));
	if (!settings_only) {
		json_object_set_new(o, "address",
				    json_take(text_addr(&ep->addr)));
		json_object_set_new(o, "port", json_integer(ep->port));
	}
	if (ep->has & EP_WEIGHT)
		json_object_set_new(o, "weight", json_integer(ep->weight));
	if (ep->has & EP_CONDITIONS) {
		json_object_set_new(o, "ready",
				    json_boolean(ep->flags & K8SNET_EP_READY));
		json_object_set_new(o, "serving",
				    json_boolean(ep->flags & K8SNET_EP_SERVING));
		json_object_set_new(o, "terminating",
				    json_boolean(ep->flags &
						 K8SNET_EP_TERMINATING));
	}
	if (ep->has & EP_LOCAL)
		json_object_set_new(o, "local",
				    json_boolean(ep->flags & K8SNET_EP_LOCAL));
	if (ep->zones)
		json_object_set_new(o, "zones", names_get(ep->zones));
	if (ep->nodes)
		json_object_set_new(o, "nodes", names_get(ep->nodes));
	if (ep->has & EP_COUNTERS && !settings_only) {
		json_object_set_new(o, "flows",
				    json_integer((json_int_t)ep->flows));
		json_object_set_new(o, "active", json_integer(ep->active));
	}
	if (ep->has & EP_TRAFFIC && !settings_only)
		traffic_get(o, &ep->traffic);
	return o;
}

static json_t *frontends_get(const struct service *svc, uint8_t type)
{
	const struct frontend *fe;
	json_t *list = json_array();

	LIST_FOR_EACH(fe, &svc->frontend) {
		if (fe->type != type)
			continue;
		json_array_append_new(list, type == K8SNET_FRONTEND_NODE_PORT ?
				      json_integer(fe->port) :
				      json_take(text_frontend(fe, svc)));
	}
	/* Few services have one. */
	if (type == K8SNET_FRONTEND_HOST_PORT && !json_array_size(list)) {
		json_decref(list);
		return NULL;
	}
	/* One node port is the rule: then it is a number, not a list. */
	if (type == K8SNET_FRONTEND_NODE_PORT && json_array_size(list) <= 1) {
		json_t *port = json_array_get(list, 0);

		json_incref(port);
		json_decref(list);
		return port;
	}
	return list;
}

static json_t *lookup_frontend_get(const struct lookup *lookup)
{
	const struct frontend *fe = &lookup->frontend;
	json_t *o = json_object();

	json_object_set_new(o, "type", json_string(frontend_words[fe->type]));
	if (fe->addr.len)
		json_object_set_new(o, "address",
				    json_take(text_addr(&fe->addr)));
	json_object_set_new(o, "port", json_integer(fe->port));
	if (fe->port_end && fe->port_end != fe->port)
		json_object_set_new(o, "port-end", json_integer(fe->port_end));
	return o;
}

static json_t *list_get(const struct field *field, const void *p,
			bool settings_only)
{
	json_t *list = json_array();

	switch (field->type) {
	case FIELD_ADDRS: {
		const struct addr_list *addrs = p;
		const struct addr *addr;

		LIST_FOR_EACH(addr, addrs)
			json_array_append_new(list, json_take(text_addr(addr)));
		break;
	}
	case FIELD_PREFIXES:
	case FIELD_ADDRESSES: {
		const struct prefix_list *prefixes = p;
		const struct prefix *prefix;

		LIST_FOR_EACH(prefix, prefixes)
			json_array_append_new(list,
					      json_take(text_prefix(prefix)));
		break;
	}
	case FIELD_ENDPOINTS: {
		const struct endpoint_list *eps = p;
		const struct endpoint *ep;

		LIST_FOR_EACH(ep, eps)
			json_array_append_new(list,
					      endpoint_get(ep, NULL,
							   settings_only));
		break;
	}
	default:
		break;
	}
	return list;
}

static json_t *stats_get(const struct stat_list *stats)
{
	const struct stat_counter *stat;
	json_t *o = json_object();

	LIST_FOR_EACH(stat, stats)
		json_object_set_new(o, stat->name,
				    json_integer((json_int_t)stat->value));
	return o;
}

static json_t *enum_get(const struct field *field, uint8_t value)
{
	uint8_t i;

	/* A newer module may answer what this tool has no name for. */
	for (i = 0; i < value && field->names[i]; i++)
		;
	return field->names[i] ? json_string(field->names[i]) :
		json_take(text_printf("%u", value));
}

static json_t *value_get(const struct field *field, const void *obj,
			 bool settings_only)
{
	const void *p = (const char *)obj + field->off;
	const struct node *node = obj;

	if (!(*(const uint32_t *)obj & field->bit))
		return NULL;

	switch (field->type) {
	case FIELD_NAME:
	case FIELD_LABEL:
	case FIELD_STRING: {
		const char *const *s = p;

		return *s ? json_text(*s) : NULL;
	}
	case FIELD_ADDR:
		return json_take(text_addr(p));
	case FIELD_PREFIX:
		return json_take(text_prefix(p));
	case FIELD_ADDRS:
	case FIELD_PREFIXES:
	case FIELD_ADDRESSES:
	case FIELD_ENDPOINTS:
		return list_get(field, p, settings_only);
	case FIELD_LLADDR:
		return json_take(text_lladdr(p));
	case FIELD_ENUM:
		return enum_get(field, *(const uint8_t *)p);
	case FIELD_BOOL:
		return json_boolean(*(const uint8_t *)p);
	case FIELD_U16:
		return json_integer(*(const uint16_t *)p);
	case FIELD_U32:
		return json_integer(*(const uint32_t *)p);
	case FIELD_U64:
		return json_integer((json_int_t)*(const uint64_t *)p);
	case FIELD_PROTO:
		return json_string(text_proto(*(const uint8_t *)p));
	case FIELD_FRONTENDS:
		return frontends_get(obj, field->arg);
	case FIELD_FRONTEND:
		return lookup_frontend_get(obj);
	case FIELD_ENDPOINT:
		return endpoint_get(p, NULL, false);
	case FIELD_STATS:
		return stats_get(p);
	case FIELD_NODEPORT_ADDRESSES:
		return json_take(text_nodeport_addresses(node));
	case FIELD_RANGE:
		return json_take(text_printf("%u-%u", node->nodeport_min,
					     node->nodeport_max));
	}
	return NULL;
}

json_t *field_get(const struct field *field, const void *obj)
{
	return value_get(field, obj, false);
}

json_t *object_get(const struct field *fields, const void *obj,
		   bool settings_only)
{
	const struct field *field;
	json_t *o = json_object();

	for (field = fields; field->word; field++) {
		json_t *value;

		if (settings_only && field->flags & FIELD_ANSWER)
			continue;
		value = value_get(field, obj, settings_only);
		if (value)
			json_object_set_new(o, field->word, value);
	}
	return o;
}
