// SPDX-License-Identifier: GPL-2.0
/* The field tables, and comparing objects by them. */
#include "fields.h"

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
	F(FIELD_PREFIXES, "service-cidr", node, service_cidr,
	  NODE_SERVICE_CIDR, .flags = FIELD_REPEAT),
	F(FIELD_ENUM, "dead-ports", node, dead_ports, NODE_DEAD_PORTS,
	  .names = no_endpoints_names),
	F(FIELD_ENUM, "unassigned-ips", node, unassigned_ips,
	  NODE_UNASSIGNED_IPS, .names = no_endpoints_names),
	F(FIELD_BOOL, "nodeport-localhost", node, nodeport_localhost,
	  NODE_NODEPORT_LOCALHOST),
	F(FIELD_LABEL, "name", node, name, NODE_NAME, .max = K8SNET_NAME_MAX),
	F(FIELD_LABEL, "zone", node, zone, NODE_ZONE, .max = K8SNET_ZONE_MAX),
	F(FIELD_ENUM, "fastpath", node, fastpath, NODE_FASTPATH,
	  .names = fastpath_names),
	F(FIELD_U32, "flow-max", node, flow_max, NODE_FLOW_MAX,
	  .max = K8SNET_FLOWS_MAX),
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
	  .flags = FIELD_IMPLIED),
	F(FIELD_FRONTENDS, "vip", service, frontend, SVC_VIP,
	  .flags = FIELD_REPEAT, .arg = K8SNET_FRONTEND_CLUSTER_IP),
	F(FIELD_FRONTENDS, "node-port", service, frontend, SVC_NODE_PORT,
	  .flags = FIELD_REPEAT, .arg = K8SNET_FRONTEND_NODE_PORT),
	F(FIELD_FRONTENDS, "external-ip", service, frontend, SVC_EXTERNAL_IP,
	  .flags = FIELD_REPEAT, .arg = K8SNET_FRONTEND_EXTERNAL_IP),
	F(FIELD_FRONTENDS, "lb-ip", service, frontend, SVC_LB_IP,
	  .flags = FIELD_REPEAT, .arg = K8SNET_FRONTEND_LB_IP),
	F(FIELD_FRONTENDS, "host-port", service, frontend, SVC_HOST_PORT,
	  .flags = FIELD_REPEAT, .arg = K8SNET_FRONTEND_HOST_PORT),
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
	F(FIELD_ENUM, "source-range-scope", service, range_scope,
	  SVC_RANGE_SCOPE, .names = range_scope_names),
	F(FIELD_ENUM, "no-endpoints", service, no_endpoints, SVC_NO_ENDPOINTS,
	  .names = no_endpoints_names),
	F(FIELD_ENUM, "on-removal", service, on_removal, SVC_ON_REMOVAL,
	  .names = on_removal_names),
	F(FIELD_ENUM, "dsr", service, dsr, SVC_DSR, .names = dsr_names),
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
	F(FIELD_U64, "packets", service, traffic.packets, SVC_TRAFFIC),
	F(FIELD_U64, "bytes", service, traffic.bytes, SVC_TRAFFIC),
	F(FIELD_U64, "reply-packets", service, traffic.reply_packets,
	  SVC_TRAFFIC),
	F(FIELD_U64, "reply-bytes", service, traffic.reply_bytes,
	  SVC_TRAFFIC),
	F(FIELD_STATS, "drop", service, drop, SVC_DROP),
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
	F(FIELD_ENUM, "origin", lookup, origin, LOOKUP_ORIGIN,
	  .names = origin_names),
	F(FIELD_U32, "endpoints", lookup, endpoints, LOOKUP_SET),
	F(FIELD_U32, "usable", lookup, usable, LOOKUP_SET),
	F(FIELD_ENUM, "scheduler", lookup, scheduler, LOOKUP_SCHEDULER,
	  .names = scheduler_names),
	F(FIELD_STRING, "source", lookup, source, LOOKUP_SOURCE),
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
		    !endpoint_same(&a->v[i], &b->v[i]))
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
	case FIELD_LABEL:
		return *(const char *const *)pa == *(const char *const *)pb;
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
	case FIELD_STATS:
		/* Of answers to lookup and stats, which nobody compares. */
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
