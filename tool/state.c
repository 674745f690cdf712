// SPDX-License-Identifier: GPL-2.0
/* A whole node from the kernel, to JSON and from JSON. */
#include "state.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/k8snet.h>

#include "nl.h"

enum {
	STATE_VERSION = 1,
	NODEPORT_MIN = 30000,
	FLOW_MAX = 262144,
	NODEPORT_MAX = 32767,
};

void state_clear(struct state *state)
{
	node_clear(&state->node);
	bridge_list_clear(&state->bridges);
	port_list_clear(&state->ports);
	pod_list_clear(&state->pods);
	route_list_clear(&state->routes);
	masq_list_clear(&state->masqs);
	service_list_clear(&state->services);
	state->has = 0;
}

int state_read(struct state *state)
{
	struct service_list eps = { 0 };
	int err;

	err = knl_node_get(&state->node);
	if (!err)
		err = knl_bridge_list(&state->bridges, NULL);
	if (!err)
		err = knl_port_list(&state->ports, NULL);
	if (!err)
		err = knl_pod_list(&state->pods, NULL, 0);
	if (!err)
		err = knl_route_list(&state->routes, NULL);
	if (!err)
		err = knl_masq_list(&state->masqs, NULL);
	if (!err)
		err = knl_service_list(&state->services, NULL);
	if (!err)
		err = knl_endpoint_list(&eps, NULL);
	if (!err)
		service_list_join(&state->services, &eps);
	service_list_clear(&eps);
	return err;
}

#define LIST_TO_JSON(list, fields) ({ \
	json_t *array_ = json_array(); \
	typeof((list)->v + 0) item_; \
	LIST_FOR_EACH(item_, list) \
		json_array_append_new(array_, object_get(fields, item_, true)); \
	array_; \
})

json_t *state_to_json(const struct state *state)
{
	json_t *o = json_object();

	json_object_set_new(o, "version", json_integer(STATE_VERSION));
	json_object_set_new(o, "node",
			    object_get(node_fields, &state->node, true));
	json_object_set_new(o, "bridges",
			    LIST_TO_JSON(&state->bridges, bridge_fields));
	json_object_set_new(o, "ports",
			    LIST_TO_JSON(&state->ports, port_fields));
	json_object_set_new(o, "pods", LIST_TO_JSON(&state->pods, pod_fields));
	json_object_set_new(o, "routes",
			    LIST_TO_JSON(&state->routes, route_fields));
	json_object_set_new(o, "masq",
			    LIST_TO_JSON(&state->masqs, masq_fields));
	json_object_set_new(o, "services",
			    LIST_TO_JSON(&state->services, service_fields));
	return o;
}

/* What a file leaves out, and what words on a command line are checked for */

static int finish_node(void *obj, struct why *why)
{
	struct node *node = obj;

	if (!(node->has & NODE_NODEPORT_RANGE)) {
		node->nodeport_min = NODEPORT_MIN;
		node->nodeport_max = NODEPORT_MAX;
	}
	if (node->nodeport_prefix.n > K8SNET_PREFIXES_MAX ||
	    node->cluster_cidr.n > K8SNET_PREFIXES_MAX ||
	    node->service_cidr.n > K8SNET_PREFIXES_MAX)
		return why_fail(why, "more than %d prefixes in a list",
				K8SNET_PREFIXES_MAX);
	if (!(node->has & NODE_FLOW_MAX))
		node->flow_max = FLOW_MAX;
	if (!(node->has & NODE_UNASSIGNED_IPS))
		node->unassigned_ips = K8SNET_NO_ENDPOINTS_DROP;
	/* What else was left out is zero: primary, auto, empty lists. */
	node->has = NODE_IP | NODE_NODEPORT_ADDRESSES | NODE_NODEPORT_RANGE |
		    NODE_CLUSTER_CIDR | NODE_FASTPATH | NODE_SERVICE_CIDR |
		    NODE_DEAD_PORTS | NODE_UNASSIGNED_IPS | NODE_NAME |
		    NODE_ZONE | NODE_NODEPORT_LOCALHOST |
		    NODE_FLOW_MAX;
	node_sort(node);
	return 0;
}

static int finish_bridge(void *obj, struct why *why)
{
	struct bridge *br = obj;
	struct prefix *addr;

	LIST_FOR_EACH(addr, &br->addr)
		prefix_first_address(addr);
	if (!(br->has & BRIDGE_LLADDR) && br->addr.n) {
		bridge_default_lladdr(&br->addr, br->lladdr);
		br->has |= BRIDGE_LLADDR;
	}
	if (br->has & BRIDGE_MTU && br->mtu < 68)
		return why_fail(why, "mtu %u is not in 68..%d", br->mtu,
				MTU_MAX);
	br->has |= BRIDGE_ADDR;
	return 0;
}

static int finish_port(void *obj, struct why *why)
{
	struct port *port = obj;

	if (!(port->has & PORT_ANTISPOOF))
		port->antispoof = 1;
	port->has |= PORT_ANTISPOOF;
	return 0;
}

static int finish_pod(void *obj, struct why *why)
{
	struct pod *pod = obj;

	return pod->addr.n ? 0 : why_fail(why, "no addr");
}

static int finish_route(void *obj, struct why *why)
{
	struct route *route = obj;

	if (route->via.len != route->cidr.addr.len)
		return why_fail(why, "via is of another family than cidr");
	return 0;
}

static int finish_masq(void *obj, struct why *why)
{
	struct masq *masq = obj;
	struct prefix *except;

	LIST_FOR_EACH(except, &masq->except)
		if (except->addr.len != masq->cidr.addr.len)
			return why_fail(why, "except is of another family than cidr");
	if (masq->except.n > K8SNET_PREFIXES_MAX)
		return why_fail(why, "more than %d of except",
				K8SNET_PREFIXES_MAX);
	masq->has |= MASQ_EXCEPT;
	return 0;
}

static int finish_service(void *obj, struct why *why)
{
	struct service *svc = obj;

	if (!svc->proto)
		svc->proto = IPPROTO_TCP;
	if (svc->source_range.n > K8SNET_RANGES_MAX)
		return why_fail(why, "more than %d of source-range",
				K8SNET_RANGES_MAX);
	svc->has |= SVC_PROTO | SVC_FRONTENDS | SVC_EP | SVC_SCHEDULER |
		    SVC_AFFINITY | SVC_EXTERNAL_POLICY | SVC_INTERNAL_POLICY |
		    SVC_SOURCE_RANGE | SVC_NO_ENDPOINTS | SVC_RANGE_SCOPE |
		    SVC_ON_REMOVAL | SVC_DSR;
	return service_fill_ports(svc, service_first_vip(svc), why);
}

/* An object of a list, twice */
static int found_twice(struct why *why, char *name)
{
	why_fail(why, "%.300s is there twice", name);
	free(name);
	return -1;
}

static int check_endpoints(const struct service *svc, struct why *why)
{
	unsigned int i;

	for (i = 1; i < svc->ep.n; i++)
		if (!endpoint_cmp(&svc->ep.v[i - 1], &svc->ep.v[i]))
			return found_twice(why,
				     text_printf("endpoint of %s",
						 svc->name));
	return 0;
}

/* Sorts everything; no key may be there twice. */
static int finish_lists(struct state *state, struct why *why)
{
	unsigned int i;

	bridge_list_sort(&state->bridges);
	port_list_sort(&state->ports);
	pod_list_sort(&state->pods);
	route_list_sort(&state->routes);
	masq_list_sort(&state->masqs);
	service_list_sort(&state->services);
	for (i = 1; i < state->bridges.n; i++)
		if (!strcmp(state->bridges.v[i - 1].name,
			    state->bridges.v[i].name))
			return found_twice(why, text_printf("bridge %s",
						      state->bridges.v[i].name));
	for (i = 1; i < state->ports.n; i++)
		if (!strcmp(state->ports.v[i - 1].name,
			    state->ports.v[i].name))
			return found_twice(why, text_printf("port %s",
						      state->ports.v[i].name));
	for (i = 1; i < state->pods.n; i++)
		if (!addr_cmp(&state->pods.v[i - 1].addr.v[0],
			      &state->pods.v[i].addr.v[0]))
			return found_twice(why, xstrdup("a pod's address"));
	for (i = 1; i < state->routes.n; i++)
		if (!prefix_cmp(&state->routes.v[i - 1].cidr,
				&state->routes.v[i].cidr))
			return found_twice(why, text_prefix(&state->routes.v[i].cidr));
	for (i = 1; i < state->masqs.n; i++)
		if (!prefix_cmp(&state->masqs.v[i - 1].cidr,
				&state->masqs.v[i].cidr))
			return found_twice(why, text_prefix(&state->masqs.v[i].cidr));
	for (i = 1; i < state->services.n; i++)
		if (!strcmp(state->services.v[i - 1].name,
			    state->services.v[i].name))
			return found_twice(why, text_printf("service %s",
						      state->services.v[i].name));
	for (i = 0; i < state->services.n; i++)
		if (check_endpoints(&state->services.v[i], why))
			return -1;
	return 0;
}

/* Reads a list of objects; @add makes room for one more and answers it. */
static int section_load(const json_t *json, const char *key,
			const struct field *fields,
			void *(*add)(struct state *state),
			int (*finish)(void *obj, struct why *why),
			struct state *state, char path[PATH_MAX_LEN],
			struct why *why)
{
	size_t i;

	if (!json_is_array(json)) {
		snprintf(path, PATH_MAX_LEN, "%s", key);
		return why_fail(why, "not a list");
	}
	for (i = 0; i < json_array_size(json); i++) {
		void *obj = add(state);

		snprintf(path, PATH_MAX_LEN, "%s[%zu]", key, i);
		if (object_set(fields, obj, json_array_get(json, i), path,
			       why) ||
		    finish(obj, why))
			return -1;
	}
	*path = '\0';
	return 0;
}

#define DEFINE_ADD(member) \
	static void *add_##member(struct state *state) \
	{ \
		return LIST_ADD(&state->member); \
	}

DEFINE_ADD(bridges)
DEFINE_ADD(ports)
DEFINE_ADD(pods)
DEFINE_ADD(routes)
DEFINE_ADD(masqs)
DEFINE_ADD(services)

static const struct {
	const char *key;
	uint32_t bit;
	const struct field *fields;
	void *(*add)(struct state *state);
	int (*finish)(void *obj, struct why *why);
} sections[] = {
	{ "bridges", STATE_BRIDGES, bridge_fields, add_bridges, finish_bridge },
	{ "ports", STATE_PORTS, port_fields, add_ports, finish_port },
	{ "pods", STATE_PODS, pod_fields, add_pods, finish_pod },
	{ "routes", STATE_ROUTES, route_fields, add_routes, finish_route },
	{ "masq", STATE_MASQ, masq_fields, add_masqs, finish_masq },
	{ "services", STATE_SERVICES, service_fields, add_services,
	  finish_service },
};

static int state_from_json(struct state *state, json_t *json,
			   char path[PATH_MAX_LEN], struct why *why)
{
	const char *key;
	json_t *value;
	size_t i;

	if (!json_is_object(json))
		return why_fail(why, "not an object");
	json_object_foreach(json, key, value) {
		for (i = 0; i < sizeof(sections) / sizeof(*sections); i++)
			if (!strcmp(key, sections[i].key))
				break;
		if (i < sizeof(sections) / sizeof(*sections)) {
			state->has |= sections[i].bit;
			if (section_load(value, key, sections[i].fields,
					 sections[i].add, sections[i].finish,
					 state, path, why))
				return -1;
		} else if (!strcmp(key, "node")) {
			state->has |= STATE_NODE;
			snprintf(path, PATH_MAX_LEN, "node");
			if (object_set(node_fields, &state->node, value, path,
				       why) ||
			    finish_node(&state->node, why))
				return -1;
			*path = '\0';
		} else if (!strcmp(key, "version")) {
			if (json_integer_value(value) != STATE_VERSION)
				return why_fail(why, "this tool reads version %d only",
						STATE_VERSION);
		} else {
			return why_fail(why, "unknown section '%.60s'", key);
		}
	}
	return finish_lists(state, why);
}

int state_load(struct state *state, const char *file)
{
	bool from_stdin = !strcmp(file, "-");
	const char *name = from_stdin ? "stdin" : file;
	char path[PATH_MAX_LEN] = "";
	struct why why = { "" };
	json_error_t error;
	json_t *json;
	FILE *f;
	int err;

	f = from_stdin ? stdin : fopen(file, "re");
	if (!f) {
		report("%s: %s", file, strerror(errno));
		return STATUS_USAGE;
	}
	json = json_loadf(f, JSON_REJECT_DUPLICATES, &error);
	if (!from_stdin)
		fclose(f);
	if (!json) {
		report("%s:%d:%d: %s", name, error.line, error.column,
		       error.text);
		return STATUS_USAGE;
	}
	err = state_from_json(state, json, path, &why);
	json_decref(json);
	if (!err)
		return STATUS_OK;
	report("%s: %s%s%s", name, path, *path ? ": " : "", why.text);
	return STATUS_USAGE;
}
