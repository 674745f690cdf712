// SPDX-License-Identifier: GPL-2.0
/* The field tables, and JSON from and to objects through them. */
#include "fields.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/k8snet.h>

#define F(type_, word_, strct, member, bit_, ...) \
	{ .word = word_, .type = type_, .bit = bit_, \
	  .off = offsetof(struct strct, member), __VA_ARGS__ }

static const char *const up_names[] = { "down", "up", NULL };

const struct field node_fields[] = {
	F(FIELD_ADDRS, "ip", node, ip, NODE_IP, .flags = FIELD_REPEAT),
	F(FIELD_NODEPORT_ADDRESSES, "nodeport-addresses", node, nodeport_mode,
	  NODE_NODEPORT_ADDRESSES),
	F(FIELD_RANGE, "nodeport-range", node, nodeport_min,
	  NODE_NODEPORT_RANGE),
	F(FIELD_PREFIXES, "cluster-cidr", node, cluster_cidr,
	  NODE_CLUSTER_CIDR, .flags = FIELD_REPEAT),
	F(FIELD_ENUM, "fastpath", node, fastpath, NODE_FASTPATH,
	  .names = fastpath_names),
	F(FIELD_ADDRS, "address", node, address, NODE_ADDRESS,
	  .flags = FIELD_REPEAT | FIELD_ANSWER),
	{}
};

const struct field bridge_fields[] = {
	F(FIELD_STRING, "name", bridge, name, BRIDGE_NAME,
	  .flags = FIELD_POSITIONAL | FIELD_KEY),
	F(FIELD_ADDRESSES, "addr", bridge, addr, BRIDGE_ADDR,
	  .flags = FIELD_REPEAT),
	F(FIELD_U32, "mtu", bridge, mtu, BRIDGE_MTU, .max = MTU_MAX),
	F(FIELD_LLADDR, "lladdr", bridge, lladdr, BRIDGE_LLADDR),
	F(FIELD_BOOL, "up", bridge, up, BRIDGE_UP, .flags = FIELD_ANSWER,
	  .names = up_names),
	F(FIELD_U32, "ports", bridge, ports, BRIDGE_PORTS,
	  .flags = FIELD_ANSWER),
	{}
};

const struct field port_fields[] = {
	F(FIELD_STRING, "name", port, name, PORT_NAME,
	  .flags = FIELD_POSITIONAL | FIELD_KEY),
	F(FIELD_STRING, "bridge", port, bridge, PORT_BRIDGE,
	  .flags = FIELD_KEY),
	F(FIELD_BOOL, "antispoof", port, antispoof, PORT_ANTISPOOF),
	F(FIELD_U64, "spoofed", port, spoofed, PORT_SPOOFED,
	  .flags = FIELD_ANSWER),
	{}
};

const struct field pod_fields[] = {
	F(FIELD_ADDRS, "addr", pod, addr, POD_ADDR,
	  .flags = FIELD_POSITIONAL | FIELD_KEY),
	F(FIELD_STRING, "port", pod, port, POD_PORT, .flags = FIELD_KEY),
	F(FIELD_LLADDR, "mac", pod, mac, POD_MAC),
	F(FIELD_STRING, "bridge", pod, bridge, POD_BRIDGE,
	  .flags = FIELD_ANSWER),
	{}
};

const struct field route_fields[] = {
	F(FIELD_PREFIX, "cidr", route, cidr, ROUTE_CIDR,
	  .flags = FIELD_POSITIONAL | FIELD_KEY),
	F(FIELD_ADDR, "via", route, via, ROUTE_VIA, .flags = FIELD_KEY),
	F(FIELD_STRING, "dev", route, dev, ROUTE_DEV),
	F(FIELD_STRING, "bridge", route, bridge, ROUTE_BRIDGE),
	{}
};

const struct field masq_fields[] = {
	F(FIELD_PREFIX, "cidr", masq, cidr, MASQ_CIDR,
	  .flags = FIELD_POSITIONAL | FIELD_KEY),
	F(FIELD_PREFIXES, "except", masq, except, MASQ_EXCEPT,
	  .flags = FIELD_REPEAT),
	F(FIELD_U64, "flows", masq, flows, MASQ_FLOWS, .flags = FIELD_ANSWER),
	F(FIELD_U64, "exempt", masq, exempt, MASQ_EXEMPT,
	  .flags = FIELD_ANSWER),
	{}
};

const struct field service_fields[] = {
	F(FIELD_NAME, "name", service, name, SVC_NAME,
	  .flags = FIELD_POSITIONAL | FIELD_KEY),
	F(FIELD_PROTO, "proto", service, proto, SVC_PROTO,
	  .flags = FIELD_NO_PLAIN),
	F(FIELD_FRONTENDS, "vip", service, frontend, SVC_VIP,
	  .flags = FIELD_REPEAT, .arg = K8SNET_FRONTEND_CLUSTER_IP),
	F(FIELD_FRONTENDS, "node-port", service, frontend, SVC_NODE_PORT,
	  .flags = FIELD_REPEAT, .arg = K8SNET_FRONTEND_NODE_PORT),
	F(FIELD_FRONTENDS, "external-ip", service, frontend, SVC_EXTERNAL_IP,
	  .flags = FIELD_REPEAT, .arg = K8SNET_FRONTEND_EXTERNAL_IP),
	F(FIELD_FRONTENDS, "lb-ip", service, frontend, SVC_LB_IP,
	  .flags = FIELD_REPEAT, .arg = K8SNET_FRONTEND_LB_IP),
	F(FIELD_ENDPOINTS, "ep", service, ep, SVC_EP, .flags = FIELD_REPEAT),
	F(FIELD_ENUM, "scheduler", service, scheduler, SVC_SCHEDULER,
	  .names = scheduler_names),
	F(FIELD_U32, "affinity", service, affinity, SVC_AFFINITY,
	  .max = K8SNET_AFFINITY_MAX),
	F(FIELD_ENUM, "external-policy", service, external_policy,
	  SVC_EXTERNAL_POLICY, .names = policy_names),
	F(FIELD_ENUM, "internal-policy", service, internal_policy,
	  SVC_INTERNAL_POLICY, .names = policy_names),
	F(FIELD_PREFIXES, "source-range", service, source_range,
	  SVC_SOURCE_RANGE, .flags = FIELD_REPEAT),
	F(FIELD_ENUM, "no-endpoints", service, no_endpoints, SVC_NO_ENDPOINTS,
	  .names = no_endpoints_names),
	F(FIELD_U32, "endpoints", service, endpoints, SVC_ENDPOINTS,
	  .flags = FIELD_ANSWER),
	F(FIELD_U64, "flows", service, flows, SVC_COUNTERS,
	  .flags = FIELD_ANSWER),
	F(FIELD_U64, "rejected", service, rejected, SVC_COUNTERS,
	  .flags = FIELD_ANSWER),
	F(FIELD_U64, "dropped", service, dropped, SVC_COUNTERS,
	  .flags = FIELD_ANSWER),
	{}
};

const struct field service_stats_fields[] = {
	F(FIELD_NAME, "name", service, name, SVC_NAME,
	  .flags = FIELD_POSITIONAL),
	F(FIELD_U64, "flows", service, flows, SVC_COUNTERS),
	F(FIELD_U64, "rejected", service, rejected, SVC_COUNTERS),
	F(FIELD_U64, "dropped", service, dropped, SVC_COUNTERS),
	F(FIELD_ENDPOINTS, "ep", service, ep, SVC_EP, .flags = FIELD_REPEAT),
	{}
};

const struct field lookup_fields[] = {
	F(FIELD_PROTO, "proto", lookup, proto, LOOKUP_PROTO,
	  .flags = FIELD_POSITIONAL),
	F(FIELD_ADDR, "src", lookup, src, LOOKUP_SRC),
	F(FIELD_U16, "sport", lookup, sport, LOOKUP_SPORT),
	F(FIELD_ADDR, "dst", lookup, dst, LOOKUP_DST),
	F(FIELD_U16, "dport", lookup, dport, LOOKUP_DPORT),
	F(FIELD_ENUM, "verdict", lookup, verdict, LOOKUP_VERDICT,
	  .names = verdict_names),
	F(FIELD_STRING, "service", lookup, service, LOOKUP_SERVICE),
	F(FIELD_FRONTEND, "frontend", lookup, frontend, LOOKUP_FRONTEND),
	F(FIELD_ENUM, "policy", lookup, policy, LOOKUP_POLICY,
	  .names = policy_names),
	F(FIELD_ENDPOINT, "choice", lookup, choice, LOOKUP_CHOICE),
	F(FIELD_ADDR, "snat", lookup, snat, LOOKUP_SNAT),
	F(FIELD_STRING, "reason", lookup, reason, LOOKUP_REASON),
	F(FIELD_ENDPOINTS, "ep", lookup, ep, LOOKUP_EP, .flags = FIELD_REPEAT),
	{}
};

const struct field flow_fields[] = {
	F(FIELD_PROTO, "proto", flow, proto, FLOW_PROTO,
	  .flags = FIELD_POSITIONAL),
	F(FIELD_ADDR, "src", flow, src, FLOW_SRC),
	F(FIELD_U16, "sport", flow, sport, FLOW_SRC),
	F(FIELD_ADDR, "dst", flow, dst, FLOW_DST),
	F(FIELD_U16, "dport", flow, dport, FLOW_DST),
	F(FIELD_STRING, "iif", flow, iif, FLOW_IIF),
	F(FIELD_ADDR, "new-src", flow, new_src, FLOW_NEW_SRC),
	F(FIELD_U16, "new-sport", flow, new_sport, FLOW_NEW_SRC),
	F(FIELD_ADDR, "new-dst", flow, new_dst, FLOW_NEW_DST),
	F(FIELD_U16, "new-dport", flow, new_dport, FLOW_NEW_DST),
	F(FIELD_STRING, "oif", flow, oif, FLOW_OIF),
	F(FIELD_U64, "packets", flow, packets, FLOW_COUNTERS),
	F(FIELD_U64, "bytes", flow, bytes, FLOW_COUNTERS),
	F(FIELD_STRING, "service", flow, service, FLOW_SERVICE),
	{}
};

const struct field stat_fields[] = {
	F(FIELD_STRING, "name", stat_counter, name, STAT_NAME,
	  .flags = FIELD_POSITIONAL),
	F(FIELD_U64, "value", stat_counter, value, STAT_VALUE,
	  .flags = FIELD_POSITIONAL),
	{}
};

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
	if (ep->has & EP_COUNTERS && !settings_only) {
		json_object_set_new(o, "flows",
				    json_integer((json_int_t)ep->flows));
		json_object_set_new(o, "active", json_integer(ep->active));
	}
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

/* Both are sorted. */
static bool frontends_equal(const struct service *a, const struct service *b,
			    uint8_t type)
{
	const struct frontend *fa = a->frontend.v, *ea = fa + a->frontend.n;
	const struct frontend *fb = b->frontend.v, *eb = fb + b->frontend.n;

	for (;; fa++, fb++) {
		while (fa < ea && fa->type != type)
			fa++;
		while (fb < eb && fb->type != type)
			fb++;
		if (fa == ea || fb == eb)
			return fa == ea && fb == eb;
		if (frontend_cmp(fa, fb))
			return false;
	}
}

static bool addrs_equal(const struct addr_list *a, const struct addr_list *b)
{
	unsigned int i;

	for (i = 0; i < a->n && i < b->n; i++)
		if (addr_cmp(&a->v[i], &b->v[i]))
			return false;
	return a->n == b->n;
}

static bool prefixes_equal(const struct prefix_list *a,
			   const struct prefix_list *b)
{
	unsigned int i;

	for (i = 0; i < a->n && i < b->n; i++)
		if (prefix_cmp(&a->v[i], &b->v[i]))
			return false;
	return a->n == b->n;
}

static bool endpoints_equal(const struct endpoint_list *a,
			    const struct endpoint_list *b)
{
	unsigned int i;

	for (i = 0; i < a->n && i < b->n; i++)
		if (endpoint_cmp(&a->v[i], &b->v[i]) ||
		    a->v[i].weight != b->v[i].weight ||
		    a->v[i].flags != b->v[i].flags)
			return false;
	return a->n == b->n;
}

/* Values, not their text: an external address's depends on the cluster IP. */
bool field_equal(const struct field *field, const void *a, const void *b)
{
	const void *pa = (const char *)a + field->off;
	const void *pb = (const char *)b + field->off;
	bool has_a = *(const uint32_t *)a & field->bit;
	bool has_b = *(const uint32_t *)b & field->bit;
	const struct node *na = a, *nb = b;

	if (!has_a || !has_b)
		return has_a == has_b;
	switch (field->type) {
	case FIELD_STRING:
	case FIELD_NAME:
		return !strcmp(*(char *const *)pa, *(char *const *)pb);
	case FIELD_ADDR:
		return !addr_cmp(pa, pb);
	case FIELD_ADDRS:
		return addrs_equal(pa, pb);
	case FIELD_PREFIX:
		return !prefix_cmp(pa, pb);
	case FIELD_PREFIXES:
	case FIELD_ADDRESSES:
		return prefixes_equal(pa, pb);
	case FIELD_LLADDR:
		return !memcmp(pa, pb, 6);
	case FIELD_ENUM:
	case FIELD_BOOL:
	case FIELD_PROTO:
		return *(const uint8_t *)pa == *(const uint8_t *)pb;
	case FIELD_U16:
		return *(const uint16_t *)pa == *(const uint16_t *)pb;
	case FIELD_U32:
		return *(const uint32_t *)pa == *(const uint32_t *)pb;
	case FIELD_U64:
		return *(const uint64_t *)pa == *(const uint64_t *)pb;
	case FIELD_FRONTENDS:
		return frontends_equal(a, b, field->arg);
	case FIELD_ENDPOINTS:
		return endpoints_equal(pa, pb);
	case FIELD_NODEPORT_ADDRESSES:
		return na->nodeport_mode == nb->nodeport_mode &&
		       prefixes_equal(&na->nodeport_prefix,
				      &nb->nodeport_prefix);
	case FIELD_RANGE:
		return na->nodeport_min == nb->nodeport_min &&
		       na->nodeport_max == nb->nodeport_max;
	case FIELD_FRONTEND:
	case FIELD_ENDPOINT:
		/* Of answers to lookup, which nobody compares. */
		break;
	}
	return false;
}

bool object_matches(const struct field *fields, const void *want,
		    const void *cur)
{
	const struct field *field;

	for (field = fields; field->word; field++) {
		if (field->flags & FIELD_ANSWER)
			continue;
		if (!(*(const uint32_t *)want & field->bit))
			continue;
		if (!field_equal(field, want, cur))
			return false;
	}
	return true;
}

/* JSON in */

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
	if (uint_set(port, 1, 65535, &n, why)) {
		path_add(path, ".port");
		return -1;
	}
	ep->port = (uint16_t)n;
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
	};
	const char *key;
	json_t *value;

	if (json_is_string(json)) {
		if (parse_endpoint(json_string_value(json), ep, why))
			return -1;
		ep->has |= EP_WEIGHT | EP_CONDITIONS | EP_LOCAL;
		return 0;
	}
	if (!json_is_object(json))
		return why_fail(why, "neither an object nor a string");
	if (endpoint_addr_set(ep, json, path, why))
		return -1;

	/* What is left out is as where words leave it out. */
	ep->has = EP_WEIGHT | EP_CONDITIONS | EP_LOCAL;
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
