// SPDX-License-Identifier: GPL-2.0
/* JSON to objects. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <linux/k8snet.h>

#include "fields.h"

static void path_add(char path[PATH_MAX_LEN], const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void path_add(char path[PATH_MAX_LEN], const char *fmt, ...)
{
	size_t len = strlen(path);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path + len, PATH_MAX_LEN - len, fmt, ap);
	va_end(ap);
}

static const char *string_of(const json_t *json, struct why *why)
{
	const char *s = json_string_value(json);

	if (!s)
		why_fail(why, "not a string");
	return s;
}

static int uint_set(const json_t *json, uint32_t min, uint32_t max,
		    uint32_t *out, struct why *why)
{
	json_int_t n = json_integer_value(json);

	if (!json_is_integer(json))
		return why_fail(why, "not an integer");
	if (n < min || n > max)
		return why_fail(why, "%" JSON_INTEGER_FORMAT
				" is not in %u..%u", n, min, max);
	*out = (uint32_t)n;
	return 0;
}

/* Address and port of an endpoint: "addr", or "address" and "port". */
static int endpoint_addr_set(struct endpoint *ep, const json_t *json,
			     char path[PATH_MAX_LEN], struct why *why)
{
	const json_t *addr = json_object_get(json, "addr");
	const json_t *address = json_object_get(json, "address");
	const json_t *port = json_object_get(json, "port");
	uint32_t n;
	const char *s;

	if (addr) {
		struct endpoint parsed;

		s = string_of(addr, why);
		if (s && strchr(s, ',')) {
			why_fail(why, "bad endpoint '%.100s'", s);
			s = NULL;
		}
		if (!s || parse_endpoint(s, &parsed, why)) {
			path_add(path, ".addr");
			return -1;
		}
		ep->addr = parsed.addr;
		ep->port = parsed.port;
		return 0;
	}
	if (!address || !port)
		return why_fail(why, "no addr");
	s = string_of(address, why);
	if (!s || parse_addr(s, &ep->addr, why)) {
		path_add(path, ".address");
		return -1;
	}
	if (uint_set(port, 0, 65535, &n, why)) {
		path_add(path, ".port");
		return -1;
	}
	ep->port = (uint16_t)n;
	return 0;
}

static int names_set(const json_t *json, const char *what, size_t max,
		     const char **names, struct why *why)
{
	const char *s;
	size_t i;

	if (!json_is_array(json))
		return why_fail(why, "not a list");
	for (i = 0; i < json_array_size(json); i++) {
		s = string_of(json_array_get(json, i), why);
		if (!s || parse_hint(s, what, max, names, why))
			return -1;
	}
	return 0;
}

static int endpoint_set(struct endpoint *ep, json_t *json,
			char path[PATH_MAX_LEN], struct why *why)
{
	static const struct {
		const char *word;
		uint32_t flag;
	} flags[] = {
		{ "ready", K8SNET_EP_READY },
		{ "serving", K8SNET_EP_SERVING },
		{ "terminating", K8SNET_EP_TERMINATING },
		{ "local", K8SNET_EP_LOCAL },
	};
	static const char *const others[] = {
		"service", "addr", "address", "port", "flows", "active",
		"packets", "bytes", "reply-packets", "reply-bytes",
	};
	const char *key;
	json_t *value;

	if (json_is_string(json)) {
		if (parse_endpoint(json_string_value(json), ep, why))
			return -1;
		ep->has |= EP_WEIGHT | EP_CONDITIONS | EP_LOCAL | EP_ZONES |
			   EP_NODES;
		return 0;
	}
	if (!json_is_object(json))
		return why_fail(why, "neither an object nor a string");
	if (endpoint_addr_set(ep, json, path, why))
		return -1;

	/* What is left out is as where words leave it out. */
	ep->has = EP_WEIGHT | EP_CONDITIONS | EP_LOCAL | EP_ZONES | EP_NODES;
	ep->weight = 1;
	ep->flags = K8SNET_EP_READY | K8SNET_EP_SERVING;
	if (json_is_true(json_object_get(json, "terminating")) ||
	    json_is_false(json_object_get(json, "ready")))
		ep->flags = 0;

	json_object_foreach(json, key, value) {
		size_t i;

		if (!strcmp(key, "weight")) {
			if (uint_set(value, 0, K8SNET_WEIGHT_MAX, &ep->weight,
				     why)) {
				path_add(path, ".weight");
				return -1;
			}
			continue;
		}
		if (!strcmp(key, "zones") || !strcmp(key, "nodes")) {
			bool zones = *key == 'z';

			if (names_set(value, zones ? "zone" : "node",
				      zones ? K8SNET_ZONE_MAX : K8SNET_NAME_MAX,
				      zones ? &ep->zones : &ep->nodes, why)) {
				path_add(path, ".%s", key);
				return -1;
			}
			continue;
		}
		for (i = 0; i < sizeof(flags) / sizeof(*flags); i++)
			if (!strcmp(key, flags[i].word))
				break;
		if (i < sizeof(flags) / sizeof(*flags)) {
			if (!json_is_boolean(value)) {
				path_add(path, ".%s", key);
				return why_fail(why, "not true or false");
			}
			if (json_is_true(value))
				ep->flags |= flags[i].flag;
			else
				ep->flags &= ~flags[i].flag;
			continue;
		}
		for (i = 0; i < sizeof(others) / sizeof(*others); i++)
			if (!strcmp(key, others[i]))
				break;
		if (i == sizeof(others) / sizeof(*others))
			return why_fail(why, "unknown field '%.60s'", key);
	}
	return 0;
}

static int list_item_set(const struct field *field, void *p, void *obj,
			 json_t *json, char path[PATH_MAX_LEN],
			 struct why *why)
{
	const char *s;

	if (field->type == FIELD_ENDPOINTS) {
		struct endpoint_list *list = p;

		return endpoint_set(LIST_ADD(list), json, path, why);
	}
	if (field->type == FIELD_FRONTENDS && json_is_integer(json) &&
	    field->arg == K8SNET_FRONTEND_NODE_PORT) {
		struct frontend fe = { .type = field->arg };
		uint32_t port;

		if (uint_set(json, 1, 65535, &port, why))
			return -1;
		fe.port = (uint16_t)port;
		return service_add_frontend(obj, &fe, 0, why);
	}

	s = string_of(json, why);
	if (!s)
		return -1;
	switch (field->type) {
	case FIELD_ADDRS: {
		struct addr_list *list = p;

		return parse_addr(s, LIST_ADD(list), why);
	}
	case FIELD_PREFIXES: {
		struct prefix_list *list = p;

		return parse_cidr(s, LIST_ADD(list), why);
	}
	case FIELD_ADDRESSES: {
		struct prefix_list *list = p;

		return parse_address(s, LIST_ADD(list), why);
	}
	case FIELD_FRONTENDS:
		return parse_frontend(s, field->arg, obj, why);
	default:
		return why_fail(why, "not a list");
	}
}

/* A list, or one item for a list of one. */
static int list_set(const struct field *field, void *obj, json_t *json,
		    char path[PATH_MAX_LEN], struct why *why)
{
	void *p = (char *)obj + field->off;
	size_t i, len = strlen(path);

	if (!json_is_array(json))
		return list_item_set(field, p, obj, json, path, why);
	for (i = 0; i < json_array_size(json); i++) {
		path_add(path, "[%zu]", i);
		if (list_item_set(field, p, obj, json_array_get(json, i), path,
				  why))
			return -1;
		path[len] = '\0';
	}
	if (field->type == FIELD_ADDRS)
		return check_one_a_family(p, field->word, why);
	return 0;
}

static int field_set(const struct field *field, void *obj, json_t *json,
		     char path[PATH_MAX_LEN], struct why *why)
{
	void *p = (char *)obj + field->off;
	struct node *node = obj;
	const char *s;
	uint32_t n;

	switch (field->type) {
	case FIELD_ADDRS:
	case FIELD_PREFIXES:
	case FIELD_ADDRESSES:
	case FIELD_FRONTENDS:
	case FIELD_ENDPOINTS:
		return list_set(field, obj, json, path, why);
	case FIELD_BOOL:
		if (!json_is_boolean(json))
			return why_fail(why, "not true or false");
		*(uint8_t *)p = json_is_true(json);
		return 0;
	case FIELD_U32:
		if (uint_set(json, 0, field->max, &n, why))
			return -1;
		*(uint32_t *)p = n;
		return 0;
	default:
		break;
	}

	s = string_of(json, why);
	if (!s)
		return -1;
	switch (field->type) {
	case FIELD_STRING:
		return parse_device(s, p, why);
	case FIELD_NAME:
		return parse_service_name(s, p, why);
	case FIELD_LABEL:
		return parse_label(s, field->word, field->max, p, why);
	case FIELD_ADDR:
		return parse_addr(s, p, why);
	case FIELD_PREFIX:
		return parse_cidr(s, p, why);
	case FIELD_LLADDR:
		return parse_lladdr(s, p, why);
	case FIELD_ENUM:
		return parse_enum(s, field->word, field->names, p, why);
	case FIELD_PROTO: {
		struct service *svc = obj;
		uint8_t proto;

		if (parse_proto(s, &proto, why))
			return -1;
		if (svc->proto && svc->proto != proto)
			return why_fail(why, "%s, but a frontend is %s", s,
					text_proto(svc->proto));
		svc->proto = proto;
		return 0;
	}
	case FIELD_NODEPORT_ADDRESSES:
		return parse_nodeport_addresses(s, node, why);
	case FIELD_RANGE:
		return parse_range(s, &node->nodeport_min, &node->nodeport_max,
				   why);
	default:
		return why_fail(why, "cannot be set");
	}
}

int object_set(const struct field *fields, void *obj, const json_t *json,
	       char path[PATH_MAX_LEN], struct why *why)
{
	const struct field *field;
	size_t len = strlen(path);
	const char *key;
	json_t *value;

	if (!json_is_object(json))
		return why_fail(why, "not an object");
	json_object_foreach((json_t *)json, key, value) {
		for (field = fields; field->word; field++)
			if (!strcmp(field->word, key))
				break;
		if (!field->word)
			return why_fail(why, "unknown field '%.60s'", key);
		if (field->flags & FIELD_ANSWER || json_is_null(value))
			continue;
		path_add(path, ".%s", key);
		if (field_set(field, obj, value, path, why))
			return -1;
		*(uint32_t *)obj |= field->bit;
		path[len] = '\0';
	}
	for (field = fields; field->word; field++)
		if (field->flags & FIELD_KEY &&
		    !(*(uint32_t *)obj & field->bit))
			return why_fail(why, "no %s", field->word);
	return 0;
}
