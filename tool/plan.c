// SPDX-License-Identifier: GPL-2.0
/*
 * What turns one node into another, as requests that words could have made.
 *
 * Order: what goes, goes first, so that addresses, ports and frontends are
 * free for whoever gets them next; services last of what goes and comes, with
 * a frontend that moves taken from its old service before its new one gets it.
 */
#include "state.h"

#include <stdlib.h>
#include <string.h>

#include <linux/k8snet.h>

enum {
	/* Endpoints in one request: a message of about 64 KiB. */
	EP_CHUNK = 1000,
};

void plan_clear(struct plan *plan)
{
	struct request *req;

	LIST_FOR_EACH(req, plan)
		request_clear(req);
	free(plan->v);
	memset(plan, 0, sizeof(*plan));
}

static struct request *step(struct plan *plan, const struct object *object,
			    const char *verb)
{
	struct request *req = LIST_ADD(plan);

	request_init(req, object, verb);
	return req;
}

#define FIND(list, item, cond) ({ \
	typeof((list)->v + 0) item, found_ = NULL; \
	LIST_FOR_EACH(item, list) \
		if (cond) { \
			found_ = item; \
			break; \
		} \
	found_; \
})

static const struct bridge *bridge_find(const struct bridge_list *list,
					const char *name)
{
	return FIND(list, br, !strcmp(br->name, name));
}

static const struct port *port_find(const struct port_list *list,
				    const char *name)
{
	return FIND(list, port, !strcmp(port->name, name));
}

/* Whether a bridge of now will not be there; NULL: no name, no bridge. */
static bool bridge_goes(const struct state *want, const char *name)
{
	return name && want->has & STATE_BRIDGES &&
	       !bridge_find(&want->bridges, name);
}

static bool port_goes(const struct state *want, const struct port *cur)
{
	const struct port *port;

	if (cur->bridge && bridge_goes(want, cur->bridge))
		return true;
	if (!(want->has & STATE_PORTS))
		return false;
	port = port_find(&want->ports, cur->name);
	return !port || !cur->bridge || strcmp(port->bridge, cur->bridge);
}

/* Pods by their first address; both lists are sorted by it. */
static const struct pod *pod_find(const struct pod_list *list,
				  const struct pod *key)
{
	unsigned int low = 0, high = list->n;

	while (key->addr.n && low < high) {
		unsigned int mid = low + (high - low) / 2;
		const struct pod *pod = &list->v[mid];
		int c = pod->addr.n ? addr_cmp(&key->addr.v[0],
					       &pod->addr.v[0]) : 1;

		if (!c)
			return pod;
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

/* A pod stays if it is wanted as it is and nothing is done to its port. */
static bool pod_stays(const struct state *cur, const struct state *want,
		      const struct pod *pod)
{
	const struct port *port = pod->port ?
		port_find(&cur->ports, pod->port) : NULL;
	const struct pod *wanted;

	if (port && port_goes(want, port))
		return false;
	if (!(want->has & STATE_PODS))
		return true;
	wanted = pod_find(&want->pods, pod);
	return wanted && object_matches(pod_fields, wanted, pod);
}

static bool route_stays(const struct state *want, const struct route *route)
{
	const struct route *wanted;

	if (bridge_goes(want, route->bridge ? route->bridge : route->dev))
		return false;
	if (!(want->has & STATE_ROUTES))
		return true;
	wanted = FIND(&want->routes, r, !prefix_cmp(&r->cidr, &route->cidr));
	return wanted && object_matches(route_fields, wanted, route);
}

static bool masq_stays(const struct state *want, const struct masq *masq)
{
	const struct masq *wanted;

	if (!(want->has & STATE_MASQ))
		return true;
	wanted = FIND(&want->masqs, m, !prefix_cmp(&m->cidr, &masq->cidr));
	return wanted && object_matches(masq_fields, wanted, masq);
}

/* A service of another protocol is another service. */
static bool service_stays(const struct state *want, const struct service *svc)
{
	const struct service *wanted;

	if (!(want->has & STATE_SERVICES))
		return true;
	wanted = service_list_find(&want->services, svc->name);
	return wanted && wanted->proto == svc->proto;
}

static void plan_removals(struct plan *plan, const struct state *cur,
			  const struct state *want)
{
	struct request *req;
	struct service *svc;
	struct bridge *br;
	struct route *route;
	struct masq *masq;
	struct port *port;
	struct pod *pod;

	LIST_FOR_EACH(svc, &cur->services) {
		if (service_stays(want, svc))
			continue;
		req = step(plan, &cmd_svc, "del");
		req->svc.has = SVC_NAME;
		req->svc.name = xstrdup(svc->name);
	}
	LIST_FOR_EACH(masq, &cur->masqs) {
		if (masq_stays(want, masq))
			continue;
		req = step(plan, &cmd_masq, "del");
		req->masq.has = MASQ_CIDR;
		req->masq.cidr = masq->cidr;
	}
	LIST_FOR_EACH(route, &cur->routes) {
		if (route_stays(want, route))
			continue;
		req = step(plan, &cmd_route, "del");
		req->route.has = ROUTE_CIDR;
		req->route.cidr = route->cidr;
	}
	LIST_FOR_EACH(pod, &cur->pods) {
		if (!pod->addr.n || pod_stays(cur, want, pod))
			continue;
		req = step(plan, &cmd_pod, "del");
		req->pod.has = POD_ADDR;
		*LIST_ADD(&req->pod.addr) = pod->addr.v[0];
	}
	LIST_FOR_EACH(port, &cur->ports) {
		if (!port_goes(want, port))
			continue;
		req = step(plan, &cmd_port, "del");
		req->port.has = PORT_NAME;
		req->port.name = xstrdup(port->name);
	}
	LIST_FOR_EACH(br, &cur->bridges) {
		if (!bridge_goes(want, br->name))
			continue;
		req = step(plan, &cmd_bridge, "del");
		req->bridge.has = BRIDGE_NAME;
		req->bridge.name = xstrdup(br->name);
	}
}

static void plan_bridges(struct plan *plan, const struct state *cur,
			 const struct state *want)
{
	const struct bridge *old;
	struct request *req;
	struct prefix *addr;
	struct bridge *br;

	LIST_FOR_EACH(br, &want->bridges) {
		old = bridge_find(&cur->bridges, br->name);
		if (!old) {
			req = step(plan, &cmd_bridge, "add");
			req->bridge = *br;
			req->borrowed = true;
			continue;
		}
		if (object_matches(bridge_fields, br, old))
			continue;
		req = step(plan, &cmd_bridge, "set");
		req->bridge.has = BRIDGE_NAME;
		req->bridge.name = xstrdup(br->name);
		if (br->has & BRIDGE_MTU && br->mtu != old->mtu) {
			req->bridge.has |= BRIDGE_MTU;
			req->bridge.mtu = br->mtu;
		}
		if (br->has & BRIDGE_LLADDR &&
		    memcmp(br->lladdr, old->lladdr, 6)) {
			req->bridge.has |= BRIDGE_LLADDR;
			memcpy(req->bridge.lladdr, br->lladdr, 6);
		}
		if (!field_equal(&bridge_fields[1], br, old)) {
			req->bridge.has |= BRIDGE_ADDR;
			LIST_FOR_EACH(addr, &br->addr) {
				*LIST_ADD(&req->bridge.addr) = *addr;
			}
		}
	}
}

static void plan_ports(struct plan *plan, const struct state *cur,
		       const struct state *want)
{
	const struct port *old;
	struct request *req;
	struct port *port;

	LIST_FOR_EACH(port, &want->ports) {
		old = port_find(&cur->ports, port->name);
		if (!old || port_goes(want, old)) {
			req = step(plan, &cmd_port, "add");
			req->port = *port;
			req->borrowed = true;
		} else if (port->antispoof != old->antispoof) {
			req = step(plan, &cmd_port, "set");
			req->port.has = PORT_NAME | PORT_ANTISPOOF;
			req->port.name = xstrdup(port->name);
			req->port.antispoof = port->antispoof;
		}
	}
}

static void plan_pods(struct plan *plan, const struct state *cur,
		      const struct state *want)
{
	const struct pod *old;
	struct request *req;
	struct pod *pod;

	LIST_FOR_EACH(pod, &want->pods) {
		old = pod_find(&cur->pods, pod);
		if (old && pod_stays(cur, want, old))
			continue;
		req = step(plan, &cmd_pod, "add");
		req->pod = *pod;
		req->borrowed = true;
	}
}

static void plan_routes(struct plan *plan, const struct state *cur,
			const struct state *want)
{
	const struct route *old;
	struct request *req;
	struct route *route;
	struct masq *masq;

	LIST_FOR_EACH(route, &want->routes) {
		old = FIND(&cur->routes, r,
			   !prefix_cmp(&r->cidr, &route->cidr));
		if (old && route_stays(want, old))
			continue;
		req = step(plan, &cmd_route, "add");
		req->route = *route;
		req->borrowed = true;
	}
	LIST_FOR_EACH(masq, &want->masqs) {
		if (FIND(&cur->masqs, m, !prefix_cmp(&m->cidr, &masq->cidr) &&
			 masq_stays(want, m)))
			continue;
		req = step(plan, &cmd_masq, "add");
		req->masq = *masq;
		req->borrowed = true;
	}
}

/* Fields of the node that differ; the lists are copied. */
static void plan_node(struct plan *plan, const struct state *cur,
		      const struct state *want)
{
	const struct field *field;
	struct request *req;
	uint32_t differ = 0;

	if (!(want->has & STATE_NODE))
		return;
	for (field = node_fields; field->word; field++)
		if (!(field->flags & FIELD_ANSWER) &&
		    !field_equal(field, &cur->node, &want->node))
			differ |= field->bit;
	if (!differ)
		return;
	req = step(plan, &cmd_node, "set");
	req->node = want->node;
	req->node.has = differ;
	if (!(differ & NODE_NODEPORT_ADDRESSES))
		memset(&req->node.nodeport_prefix, 0,
		       sizeof(req->node.nodeport_prefix));
	req->borrowed = true;
}

/* Who will have a frontend */
struct owner {
	uint8_t proto;
	struct frontend fe;
	const char *name;
};

struct owners LIST(struct owner);

static uint16_t last_port(const struct frontend *fe)
{
	return fe->port_end ? fe->port_end : fe->port;
}

/* 0: one port, 1: a range, 2: all ports */
static int span(const struct frontend *fe)
{
	uint16_t last = last_port(fe);

	if (fe->port == last)
		return 0;
	return fe->port == 1 && last == 65535 ? 2 : 1;
}

/*
 * What the kernel tells frontends apart by, but for their ports. Their types
 * are not of it: a node port and a host port of all addresses are both without
 * an address. Their spans are: a port may be in one of each.
 */
static int owner_cmp(const struct owner *a, const struct owner *b)
{
	int c;

	if (a->proto != b->proto)
		return a->proto < b->proto ? -1 : 1;
	c = addr_cmp(&a->fe.addr, &b->fe.addr);
	return c ? c : span(&a->fe) - span(&b->fe);
}

static int owner_order(const void *pa, const void *pb)
{
	const struct owner *a = pa, *b = pb;
	int c = owner_cmp(a, b);

	return c ? c : a->fe.port - b->fe.port;
}

/* Whether @a comes before @b and has no port of it */
static bool owner_before(const struct owner *a, const struct owner *b)
{
	int c = owner_cmp(a, b);

	return c ? c < 0 : last_port(&a->fe) < b->fe.port;
}

static void owners_make(struct owners *owners, const struct state *want)
{
	struct frontend *fe;
	struct service *svc;

	LIST_FOR_EACH(svc, &want->services) {
		LIST_FOR_EACH(fe, &svc->frontend) {
			*LIST_ADD(owners) = (struct owner) {
				.proto = svc->proto, .fe = *fe,
				.name = svc->name,
			};
		}
	}
	if (owners->n)
		qsort(owners->v, owners->n, sizeof(*owners->v), owner_order);
}

/*
 * Whether a service that has @fe now must give ports of it to another service,
 * or have them as a frontend of another type, which the kernel takes only when
 * the old one has gone. What is wanted does not overlap, so that all that meets
 * @fe is in one piece.
 */
static bool moves_away(const struct owners *owners, const struct service *svc,
		       const struct frontend *fe)
{
	const struct owner key = { .proto = svc->proto, .fe = *fe };
	unsigned int low = 0, high = owners->n;

	while (low < high) {
		unsigned int mid = low + (high - low) / 2;

		if (owner_before(&owners->v[mid], &key))
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < owners->n; low++) {
		const struct owner *owner = &owners->v[low];

		if (owner_before(&key, owner))
			break;
		if (strcmp(owner->name, svc->name) ||
		    owner->fe.type != fe->type)
			return true;
	}
	return false;
}

static void plan_releases(struct plan *plan, const struct state *cur,
			  const struct state *want)
{
	struct owners owners = { 0 };
	struct frontend *fe;
	struct service *svc;

	owners_make(&owners, want);
	LIST_FOR_EACH(svc, &cur->services) {
		struct request *req;
		uint32_t types = 0;

		if (!service_stays(want, svc))
			continue;
		LIST_FOR_EACH(fe, &svc->frontend)
			if (moves_away(&owners, svc, fe))
				types |= service_frontend_bit(fe->type);
		if (!types)
			continue;
		req = step(plan, &cmd_svc, "set");
		req->checked = true;
		req->svc.has = SVC_NAME | types;
		req->svc.name = xstrdup(svc->name);
		req->svc.proto = svc->proto;
		LIST_FOR_EACH(fe, &svc->frontend)
			if (types & service_frontend_bit(fe->type) &&
			    !moves_away(&owners, svc, fe))
				*LIST_ADD(&req->svc.frontend) = *fe;
	}
	free(owners.v);
}

/* The endpoint request of a service that has room for one more */
static struct endpoint *ep_step(struct plan *plan, int *at, const char *verb,
				const struct service *svc)
{
	struct request *req;

	if (*at < 0 || plan->v[*at].svc.ep.n == EP_CHUNK) {
		*at = (int)plan->n;
		req = step(plan, &cmd_ep, verb);
		req->svc.has = SVC_NAME | SVC_EP;
		req->svc.name = xstrdup(svc->name);
	}
	return LIST_ADD(&plan->v[*at].svc.ep);
}

/* Both are sorted. New ones come before old ones go. */
static void plan_endpoints(struct plan *plan, const struct service *old,
			   const struct service *new)
{
	const struct endpoint *o, *n, *oe = old->ep.v + old->ep.n;
	const struct endpoint *ne = new->ep.v + new->ep.n;
	int add = -1, set = -1, del = -1;
	int pass;

	/* One kind of request a pass: a step must not move while it grows. */
	for (pass = 0; pass < 3; pass++) {
		o = old->ep.v;
		n = new->ep.v;
		while (o < oe || n < ne) {
			int c = o == oe ? 1 : n == ne ? -1 :
				endpoint_cmp(o, n);

			if (c > 0 && pass == 0) {
				*ep_step(plan, &add, "add", new) = *n;
			} else if (!c && pass == 1 &&
				   !endpoint_same(o, n)) {
				*ep_step(plan, &set, "set", new) = *n;
			} else if (c < 0 && pass == 2) {
				struct endpoint *ep;

				ep = ep_step(plan, &del, "del", new);
				ep->addr = o->addr;
				ep->port = o->port;
			}
			if (c <= 0)
				o++;
			if (c >= 0)
				n++;
		}
	}
}

static void plan_service(struct plan *plan, const struct service *old,
			 const struct service *new)
{
	const struct field *field;
	struct request *req;
	uint32_t differ = 0;

	for (field = service_fields; field->word; field++)
		if (!(field->flags & FIELD_ANSWER) &&
		    field->type != FIELD_ENDPOINTS &&
		    !field_equal(field, old, new))
			differ |= field->bit;
	if (differ) {
		req = step(plan, &cmd_svc, "set");
		/* Shallow: what is not set is not looked at. */
		req->svc = *new;
		req->svc.has = SVC_NAME | differ;
		memset(&req->svc.ep, 0, sizeof(req->svc.ep));
		req->checked = true;
		req->borrowed = true;
	}
	plan_endpoints(plan, old, new);
}

static void plan_services(struct plan *plan, const struct state *cur,
			  const struct state *want)
{
	const struct service *old;
	struct request *req;
	struct service *svc;

	if (!(want->has & STATE_SERVICES))
		return;
	plan_releases(plan, cur, want);
	LIST_FOR_EACH(svc, &want->services) {
		old = service_list_find(&cur->services, svc->name);
		if (old && old->proto == svc->proto) {
			plan_service(plan, old, svc);
			continue;
		}
		req = step(plan, &cmd_svc, "add");
		req->svc = *svc;
		req->borrowed = true;
	}
}

void plan_make(struct plan *plan, const struct state *cur,
	       const struct state *want)
{
	plan_removals(plan, cur, want);
	plan_node(plan, cur, want);
	plan_bridges(plan, cur, want);
	plan_ports(plan, cur, want);
	plan_pods(plan, cur, want);
	plan_routes(plan, cur, want);
	plan_services(plan, cur, want);
}
