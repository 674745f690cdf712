// SPDX-License-Identifier: GPL-2.0
/* Memory and order of the objects in model.h. */
#include "model.h"

#include <stdio.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include <linux/k8snet.h>

static void *have_memory(void *p)
{
	if (!p) {
		fputs("k8snetctl: out of memory\n", stderr);
		exit(1);
	}
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	return have_memory(calloc(n ? n : 1, size));
}

char *xstrdup(const char *s)
{
	return s ? have_memory(strdup(s)) : NULL;
}

char *xstrndup(const char *s, size_t n)
{
	return have_memory(strndup(s, n));
}

static int string_order(const void *a, const void *b)
{
	return strcmp(a, b);
}

const char *intern(const char *s)
{
	static void *root;
	char **node = tfind(s, &root, string_order);

	if (!node)
		node = tsearch(xstrdup(s), &root, string_order);
	if (!node)
		abort();
	return *node;
}

/* Adds one zeroed item and answers where the list is now. */
void *list_grow(void *v, unsigned int *n, size_t size)
{
	/* 0 or a power of two: the list is full. */
	if (!(*n & (*n - 1)))
		v = have_memory(reallocarray(v, *n ? *n * 2UL : 1, size));
	memset((char *)v + *n * size, 0, size);
	(*n)++;
	return v;
}

#define LIST_FREE(list) \
	do { \
		free((list)->v); \
		(list)->v = NULL; \
		(list)->n = 0; \
	} while (0)

#define DEFINE_LIST_CLEAR(noun) \
	void noun##_list_clear(struct noun##_list *list) \
	{ \
		struct noun *item; \
		LIST_FOR_EACH(item, list) \
			noun##_clear(item); \
		LIST_FREE(list); \
	}

void node_clear(struct node *node)
{
	LIST_FREE(&node->ip);
	LIST_FREE(&node->nodeport_prefix);
	LIST_FREE(&node->cluster_cidr);
	LIST_FREE(&node->service_cidr);
	LIST_FREE(&node->address);
	memset(node, 0, sizeof(*node));
}

void bridge_clear(struct bridge *br)
{
	free(br->name);
	LIST_FREE(&br->addr);
	memset(br, 0, sizeof(*br));
}

DEFINE_LIST_CLEAR(bridge)

void port_clear(struct port *port)
{
	free(port->name);
	free(port->bridge);
	memset(port, 0, sizeof(*port));
}

DEFINE_LIST_CLEAR(port)

void pod_clear(struct pod *pod)
{
	LIST_FREE(&pod->addr);
	free(pod->port);
	free(pod->bridge);
	memset(pod, 0, sizeof(*pod));
}

DEFINE_LIST_CLEAR(pod)

void route_clear(struct route *route)
{
	free(route->dev);
	free(route->bridge);
	memset(route, 0, sizeof(*route));
}

DEFINE_LIST_CLEAR(route)

void masq_clear(struct masq *masq)
{
	LIST_FREE(&masq->except);
	memset(masq, 0, sizeof(*masq));
}

DEFINE_LIST_CLEAR(masq)

void stat_list_clear(struct stat_list *list)
{
	struct stat_counter *item;

	LIST_FOR_EACH(item, list)
		free(item->name);
	LIST_FREE(list);
}

void service_clear(struct service *svc)
{
	free(svc->name);
	LIST_FREE(&svc->frontend);
	LIST_FREE(&svc->ep);
	LIST_FREE(&svc->source_range);
	stat_list_clear(&svc->drop);
	memset(svc, 0, sizeof(*svc));
}

DEFINE_LIST_CLEAR(service)

void lookup_clear(struct lookup *lookup)
{
	free(lookup->service);
	free(lookup->reason);
	free(lookup->source);
	LIST_FREE(&lookup->ep);
	memset(lookup, 0, sizeof(*lookup));
}

void flow_clear(struct flow *flow)
{
	free(flow->iif);
	free(flow->oif);
	free(flow->service);
	memset(flow, 0, sizeof(*flow));
}

DEFINE_LIST_CLEAR(flow)

int addr_cmp(const struct addr *a, const struct addr *b)
{
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	return memcmp(a->bytes, b->bytes, a->len);
}

int prefix_cmp(const struct prefix *a, const struct prefix *b)
{
	int c = addr_cmp(&a->addr, &b->addr);

	return c ? c : (a->bits > b->bits) - (a->bits < b->bits);
}

int frontend_cmp(const struct frontend *a, const struct frontend *b)
{
	int c = (a->type > b->type) - (a->type < b->type);

	if (!c)
		c = addr_cmp(&a->addr, &b->addr);
	if (!c)
		c = (a->port > b->port) - (a->port < b->port);
	return c ? c : (a->port_end > b->port_end) - (a->port_end < b->port_end);
}

bool endpoint_same(const struct endpoint *a, const struct endpoint *b)
{
	return a->weight == b->weight && a->flags == b->flags &&
	       a->zones == b->zones && a->nodes == b->nodes;
}

int endpoint_cmp(const struct endpoint *a, const struct endpoint *b)
{
	int c = addr_cmp(&a->addr, &b->addr);

	return c ? c : (a->port > b->port) - (a->port < b->port);
}

/* qsort() on an empty list would be handed NULL. */
static void sort(void *v, unsigned int n, size_t size,
		 int (*cmp)(const void *, const void *))
{
	if (n > 1)
		qsort(v, n, size, cmp);
}

/* Objects from the kernel always have a name; a damaged answer may not. */
static int name_cmp(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int pod_cmp(const struct pod *a, const struct pod *b)
{
	static const struct addr none;

	return addr_cmp(a->addr.n ? &a->addr.v[0] : &none,
			b->addr.n ? &b->addr.v[0] : &none);
}

/* For qsort(), which knows no types. */
#define DEFINE_ORDER(noun) \
	static int order_##noun(const void *a, const void *b) \
	{ \
		return noun##_cmp(a, b); \
	}

#define DEFINE_ORDER_BY(noun, cmp, key) \
	static int order_##noun(const void *pa, const void *pb) \
	{ \
		const struct noun *a = pa, *b = pb; \
		return cmp(key(a), key(b)); \
	}

#define NAME(obj) ((obj)->name)
#define CIDR(obj) (&(obj)->cidr)

DEFINE_ORDER(addr)
DEFINE_ORDER(prefix)
DEFINE_ORDER(frontend)
DEFINE_ORDER(endpoint)
DEFINE_ORDER(pod)
DEFINE_ORDER_BY(bridge, name_cmp, NAME)
DEFINE_ORDER_BY(port, name_cmp, NAME)
DEFINE_ORDER_BY(service, name_cmp, NAME)
DEFINE_ORDER_BY(route, prefix_cmp, CIDR)
DEFINE_ORDER_BY(masq, prefix_cmp, CIDR)

#define SORT(list, order) sort((list)->v, (list)->n, sizeof(*(list)->v), order)

void node_sort(struct node *node)
{
	SORT(&node->ip, order_addr);
	SORT(&node->nodeport_prefix, order_prefix);
	SORT(&node->cluster_cidr, order_prefix);
	SORT(&node->service_cidr, order_prefix);
	SORT(&node->address, order_addr);
}

enum addr_kind bridge_addr_kind(const struct prefix_list *list,
				const struct prefix *addr)
{
	const uint8_t *bytes = addr->addr.bytes;

	if (addr->addr.len == 4)
		return prefix_first(list, addr) == addr ? ADDR_PRIMARY :
			ADDR_SECONDARY;
	return bytes[0] == 0xfe && bytes[1] >> 6 == 3 ? ADDR_SITE : ADDR_GLOBAL;
}

void bridge_addrs_sort(struct prefix_list *list)
{
	struct prefix_list sorted = { 0 };
	const struct prefix *addr;
	unsigned int kind;

	for (kind = 0; kind < ADDR_KINDS; kind++)
		LIST_FOR_EACH(addr, list)
			if (bridge_addr_kind(list, addr) == kind)
				*LIST_ADD(&sorted) = *addr;
	LIST_FREE(list);
	*list = sorted;
}

void bridge_list_sort(struct bridge_list *list)
{
	struct bridge *br;

	LIST_FOR_EACH(br, list)
		bridge_addrs_sort(&br->addr);
	SORT(list, order_bridge);
}

void port_list_sort(struct port_list *list)
{
	SORT(list, order_port);
}

void pod_list_sort(struct pod_list *list)
{
	struct pod *pod;

	LIST_FOR_EACH(pod, list)
		SORT(&pod->addr, order_addr);
	SORT(list, order_pod);
}

void route_list_sort(struct route_list *list)
{
	SORT(list, order_route);
}

void masq_list_sort(struct masq_list *list)
{
	struct masq *masq;

	LIST_FOR_EACH(masq, list)
		SORT(&masq->except, order_prefix);
	SORT(list, order_masq);
}

void service_sort(struct service *svc)
{
	SORT(&svc->frontend, order_frontend);
	SORT(&svc->ep, order_endpoint);
	SORT(&svc->source_range, order_prefix);
}

void service_list_sort(struct service_list *list)
{
	struct service *svc;

	LIST_FOR_EACH(svc, list)
		service_sort(svc);
	SORT(list, order_service);
}

void service_list_join(struct service_list *to, struct service_list *from)
{
	struct service *src = from->v, *end = from->v + from->n, *dst;

	LIST_FOR_EACH(dst, to) {
		dst->has |= SVC_EP;
		while (src < end && name_cmp(src->name, dst->name) < 0)
			src++;
		for (; src < end && !name_cmp(src->name, dst->name); src++) {
			struct endpoint *ep;

			if (!dst->ep.n) {
				dst->ep = src->ep;
				memset(&src->ep, 0, sizeof(src->ep));
				continue;
			}
			LIST_FOR_EACH(ep, &src->ep) {
				*LIST_ADD(&dst->ep) = *ep;
			}
		}
		SORT(&dst->ep, order_endpoint);
	}
}

const struct frontend *service_first_vip(const struct service *svc)
{
	const struct frontend *fe;

	LIST_FOR_EACH(fe, &svc->frontend)
		if (fe->type == K8SNET_FRONTEND_CLUSTER_IP)
			return fe;
	return NULL;
}

struct service *service_list_find(const struct service_list *list,
				  const char *name)
{
	struct service key = { .name = (char *)name };

	if (!list->n)
		return NULL;
	return bsearch(&key, list->v, list->n, sizeof(key), order_service);
}

uint32_t service_frontend_bit(uint8_t type)
{
	switch (type) {
	case K8SNET_FRONTEND_CLUSTER_IP:
		return SVC_VIP;
	case K8SNET_FRONTEND_EXTERNAL_IP:
		return SVC_EXTERNAL_IP;
	case K8SNET_FRONTEND_LB_IP:
		return SVC_LB_IP;
	case K8SNET_FRONTEND_NODE_PORT:
		return SVC_NODE_PORT;
	case K8SNET_FRONTEND_HOST_PORT:
		return SVC_HOST_PORT;
	}
	return 0;
}

bool prefix_contains(const struct prefix *prefix, const struct addr *addr)
{
	unsigned int bytes = prefix->bits / 8, rest = prefix->bits % 8;

	if (prefix->addr.len != addr->len)
		return false;
	if (memcmp(prefix->addr.bytes, addr->bytes, bytes))
		return false;
	return !rest || !((prefix->addr.bytes[bytes] ^ addr->bytes[bytes]) >>
			  (8 - rest));
}

bool prefix_same_net(const struct prefix *a, const struct prefix *b)
{
	return a->bits == b->bits && prefix_contains(a, &b->addr);
}

const struct prefix *prefix_first(const struct prefix_list *list,
				  const struct prefix *prefix)
{
	const struct prefix *p;

	LIST_FOR_EACH(p, list)
		if (prefix_same_net(p, prefix))
			return p;
	return NULL;
}
