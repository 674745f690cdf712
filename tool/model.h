/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a node consists of, as plain data. Nothing here knows netlink, text or
 * JSON.
 *
 * Every object starts with @has, the bits of the fields that are set: in an
 * object that was read from the kernel all that it answered, in a request all
 * that the user named. Field tables (fields.c) rely on @has being first.
 */
#ifndef _K8SNETCTL_MODEL_H
#define _K8SNETCTL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Binary, network byte order; len is 0 (none), 4 or 16 and says the family. */
struct addr {
	uint8_t len;
	uint8_t bytes[16];
};

struct prefix {
	struct addr addr;
	uint8_t bits;
};

/*
 * A list grows by LIST_ADD(), which gives a zeroed item; room doubles at every
 * power of two, so that the count says how much room there is.
 */
#define LIST(type) { type *v; unsigned int n; }

struct addr_list LIST(struct addr);
struct prefix_list LIST(struct prefix);

enum {
	NODE_IP			= 1 << 0,
	NODE_NODEPORT_ADDRESSES	= 1 << 1,
	NODE_NODEPORT_RANGE	= 1 << 2,
	NODE_CLUSTER_CIDR	= 1 << 3,
	NODE_FASTPATH		= 1 << 4,
	NODE_ADDRESS		= 1 << 5,
	NODE_SERVICE_CIDR	= 1 << 6,
	NODE_DEAD_PORTS		= 1 << 7,
	NODE_UNASSIGNED_IPS	= 1 << 8,
	NODE_NAME		= 1 << 9,
	NODE_ZONE		= 1 << 10,
	NODE_NODEPORT_LOCALHOST	= 1 << 11,
	NODE_FLOW_MAX		= 1 << 12,
};

struct node {
	uint32_t has;
	struct addr_list ip;
	uint8_t nodeport_mode;			/* enum k8snet_nodeport_mode */
	struct prefix_list nodeport_prefix;
	uint16_t nodeport_min, nodeport_max;	/* host byte order */
	struct prefix_list cluster_cidr;
	uint8_t fastpath;			/* enum k8snet_fastpath */
	uint32_t flow_max;
	struct addr_list address;
	struct prefix_list service_cidr;
	uint8_t dead_ports, unassigned_ips;	/* enum k8snet_no_endpoints */
	const char *name, *zone;		/* interned; NULL: none */
	uint8_t nodeport_localhost;
};

enum {
	BRIDGE_NAME	= 1 << 0,
	BRIDGE_ADDR	= 1 << 1,
	BRIDGE_MTU	= 1 << 2,
	BRIDGE_LLADDR	= 1 << 3,
	BRIDGE_UP	= 1 << 4,
	BRIDGE_PORTS	= 1 << 5,
};

struct bridge {
	uint32_t has;
	uint32_t ifindex;
	char *name;
	struct prefix_list addr;		/* host bits kept */
	uint32_t mtu;
	uint8_t lladdr[6];
	uint8_t up;
	uint32_t ports;
};

struct bridge_list LIST(struct bridge);

enum {
	PORT_NAME	= 1 << 0,
	PORT_BRIDGE	= 1 << 1,
	PORT_ANTISPOOF	= 1 << 2,
	PORT_SPOOFED	= 1 << 3,
};

struct port {
	uint32_t has;
	uint32_t ifindex;
	char *name;
	char *bridge;
	uint8_t antispoof;
	uint64_t spoofed;
};

struct port_list LIST(struct port);

enum {
	POD_ADDR	= 1 << 0,
	POD_PORT	= 1 << 1,
	POD_MAC		= 1 << 2,
	POD_BRIDGE	= 1 << 3,
};

struct pod {
	uint32_t has;
	struct addr_list addr;
	char *port;
	uint8_t mac[6];
	char *bridge;
};

struct pod_list LIST(struct pod);

enum {
	ROUTE_CIDR	= 1 << 0,
	ROUTE_VIA	= 1 << 1,
	ROUTE_DEV	= 1 << 2,
	ROUTE_BRIDGE	= 1 << 3,
};

/*
 * @dev is the device @via is reached through or, where the routing table says
 * that, the pod bridge; @bridge is only set where @dev is not the pod bridge.
 */
struct route {
	uint32_t has;
	struct prefix cidr;
	struct addr via;
	char *dev;
	char *bridge;
};

struct route_list LIST(struct route);

enum {
	MASQ_CIDR	= 1 << 0,
	MASQ_EXCEPT	= 1 << 1,
	MASQ_FLOWS	= 1 << 2,
	MASQ_EXEMPT	= 1 << 3,
};

struct masq {
	uint32_t has;
	struct prefix cidr;
	struct prefix_list except;
	uint64_t flows, exempt;
};

struct masq_list LIST(struct masq);

struct frontend {
	uint8_t type;				/* enum k8snet_frontend_type */
	struct addr addr;
	uint16_t port;				/* host byte order; 0: not said */
	uint16_t port_end;			/* 0: as port */
};

struct frontend_list LIST(struct frontend);

enum {
	STAT_NAME	= 1 << 0,
	STAT_VALUE	= 1 << 1,
};

struct stat_counter {
	uint32_t has;
	char *name;
	uint64_t value;
};

struct stat_list LIST(struct stat_counter);

struct traffic {
	uint64_t packets, bytes, reply_packets, reply_bytes;
};

enum {
	EP_WEIGHT	= 1 << 0,
	EP_CONDITIONS	= 1 << 1,		/* READY, SERVING, TERMINATING */
	EP_LOCAL	= 1 << 2,
	EP_COUNTERS	= 1 << 3,
	EP_ANSWER	= 1 << 4,		/* as the kernel has it */
	EP_ZONES	= 1 << 5,
	EP_NODES	= 1 << 6,
	EP_TRAFFIC	= 1 << 7,
};

struct endpoint {
	uint32_t has;
	struct addr addr;
	uint16_t port;				/* host byte order; 0: the flow's */
	uint32_t weight;
	uint32_t flags;				/* K8SNET_EP_* */
	uint64_t flows;
	uint32_t active;
	/* Hints, separated by commas; interned; NULL: none. */
	const char *zones, *nodes;
	struct traffic traffic;
};

struct endpoint_list LIST(struct endpoint);

enum {
	SVC_NAME		= 1 << 0,
	SVC_PROTO		= 1 << 1,
	SVC_VIP			= 1 << 2,
	SVC_NODE_PORT		= 1 << 3,
	SVC_EXTERNAL_IP		= 1 << 4,
	SVC_LB_IP		= 1 << 5,
	SVC_EP			= 1 << 6,
	SVC_SCHEDULER		= 1 << 7,
	SVC_AFFINITY		= 1 << 8,
	SVC_EXTERNAL_POLICY	= 1 << 9,
	SVC_INTERNAL_POLICY	= 1 << 10,
	SVC_SOURCE_RANGE	= 1 << 11,
	SVC_NO_ENDPOINTS	= 1 << 12,
	SVC_ENDPOINTS		= 1 << 13,
	SVC_COUNTERS		= 1 << 14,
	SVC_RANGE_SCOPE		= 1 << 15,
	SVC_ON_REMOVAL		= 1 << 16,
	SVC_TRAFFIC		= 1 << 17,
	SVC_DROP		= 1 << 18,
	SVC_DSR			= 1 << 19,
	SVC_HOST_PORT		= 1 << 20,
};

#define SVC_FRONTENDS	(SVC_VIP | SVC_NODE_PORT | SVC_EXTERNAL_IP | \
			 SVC_LB_IP | SVC_HOST_PORT)

struct service {
	uint32_t has;
	char *name;
	uint8_t proto;				/* IPPROTO_*; 0: not said */
	struct frontend_list frontend;		/* of all types */
	struct endpoint_list ep;
	uint8_t scheduler;			/* enum k8snet_scheduler */
	uint32_t affinity;			/* seconds */
	uint8_t external_policy, internal_policy; /* enum k8snet_policy */
	struct prefix_list source_range;
	uint8_t range_scope;			/* enum k8snet_range_scope */
	uint8_t no_endpoints;			/* enum k8snet_no_endpoints */
	uint8_t on_removal;			/* enum k8snet_on_removal */
	uint8_t dsr;				/* enum k8snet_dsr */
	uint32_t endpoints;
	uint64_t flows, rejected, dropped;
	struct traffic traffic;
	struct stat_list drop;			/* by reason */
};

struct service_list LIST(struct service);

enum {
	LOOKUP_PROTO	= 1 << 0,
	LOOKUP_SRC	= 1 << 1,
	LOOKUP_SPORT	= 1 << 2,
	LOOKUP_DST	= 1 << 3,
	LOOKUP_DPORT	= 1 << 4,
	LOOKUP_VERDICT	= 1 << 5,
	LOOKUP_SERVICE	= 1 << 6,
	LOOKUP_FRONTEND	= 1 << 7,
	LOOKUP_POLICY	= 1 << 8,
	LOOKUP_REASON	= 1 << 9,
	LOOKUP_EP	= 1 << 10,
	LOOKUP_CHOICE	= 1 << 11,
	LOOKUP_SNAT	= 1 << 12,
	LOOKUP_ORIGIN	= 1 << 13,
	LOOKUP_SET	= 1 << 14,		/* endpoints, usable */
	LOOKUP_SCHEDULER = 1 << 15,
	LOOKUP_SOURCE	= 1 << 16,
};

struct lookup {
	uint32_t has;
	uint8_t proto;
	struct addr src, dst;
	uint16_t sport, dport;			/* host byte order */
	uint8_t verdict;			/* enum k8snet_lookup_verdict */
	char *service;
	struct frontend frontend;
	uint8_t policy;				/* enum k8snet_policy */
	char *reason;
	struct endpoint_list ep;
	struct endpoint choice;
	struct addr snat;
	uint8_t origin;				/* enum k8snet_origin */
	uint32_t endpoints, usable;
	uint8_t scheduler;			/* enum k8snet_scheduler */
	char *source;
};

enum {
	FLOW_PROTO	= 1 << 0,
	FLOW_SRC	= 1 << 1,
	FLOW_DST	= 1 << 2,
	FLOW_IIF	= 1 << 3,
	FLOW_OIF	= 1 << 4,
	FLOW_NEW_SRC	= 1 << 5,
	FLOW_NEW_DST	= 1 << 6,
	FLOW_COUNTERS	= 1 << 7,
	FLOW_SERVICE	= 1 << 8,
};

struct flow {
	uint32_t has;
	uint8_t proto;
	struct addr src, dst, new_src, new_dst;
	uint16_t sport, dport, new_sport, new_dport; /* host byte order */
	char *iif, *oif;
	uint64_t packets, bytes;
	char *service;
};

struct flow_list LIST(struct flow);

/* Allocation never answers NULL: without memory the tool ends with status 1. */
void *xcalloc(size_t n, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);

/*
 * The one copy of a string, never freed: for names that many objects have, so
 * that these can be copied as a whole.
 */
const char *intern(const char *s);

void *list_grow(void *v, unsigned int *n, size_t size);

#define LIST_ADD(list) ({ \
	typeof(list) list_ = (list); \
	list_->v = list_grow(list_->v, &list_->n, sizeof(*list_->v)); \
	&list_->v[list_->n - 1]; \
})

#define LIST_FOR_EACH(item, list) \
	for ((item) = (list)->v; (item) && (item) < (list)->v + (list)->n; (item)++)

/* Frees what is inside and leaves an empty object or list. */
void node_clear(struct node *node);
void bridge_clear(struct bridge *br);
void bridge_list_clear(struct bridge_list *list);
void port_clear(struct port *port);
void port_list_clear(struct port_list *list);
void pod_clear(struct pod *pod);
void pod_list_clear(struct pod_list *list);
void route_clear(struct route *route);
void route_list_clear(struct route_list *list);
void masq_clear(struct masq *masq);
void masq_list_clear(struct masq_list *list);
void service_clear(struct service *svc);
void service_list_clear(struct service_list *list);
void lookup_clear(struct lookup *lookup);
void flow_clear(struct flow *flow);
void flow_list_clear(struct flow_list *list);
void stat_list_clear(struct stat_list *list);

/* Orders for qsort(): IPv4 before IPv6, then by bytes, prefix length, port. */
int addr_cmp(const struct addr *a, const struct addr *b);
int prefix_cmp(const struct prefix *a, const struct prefix *b);
int frontend_cmp(const struct frontend *a, const struct frontend *b);
int endpoint_cmp(const struct endpoint *a, const struct endpoint *b);

/* Whether weight, flags and hints are the same. */
bool endpoint_same(const struct endpoint *a, const struct endpoint *b);

/*
 * A bridge's addresses have an order, since the first of a family is the
 * gateway. Those of a kind are in the order in which they were added, and the
 * kernel puts each kind behind the one above it.
 */
enum addr_kind {
	ADDR_PRIMARY,			/* IPv4, the first of its network */
	ADDR_SECONDARY,			/* IPv4, gone when its primary one goes */
	ADDR_SITE,			/* IPv6, fec0::/10 */
	ADDR_GLOBAL,			/* IPv6 */
	ADDR_KINDS
};

/* @addr is in @list. */
enum addr_kind bridge_addr_kind(const struct prefix_list *list,
				const struct prefix *addr);
/* Into the order in which the kernel has them once they are added. */
void bridge_addrs_sort(struct prefix_list *list);

/*
 * Sorts a list by its key, and the lists inside its objects, but for what has
 * an order: the addresses of a bridge.
 */
void node_sort(struct node *node);
void bridge_list_sort(struct bridge_list *list);
void port_list_sort(struct port_list *list);
void pod_list_sort(struct pod_list *list);
void route_list_sort(struct route_list *list);
void masq_list_sort(struct masq_list *list);
void service_sort(struct service *svc);
void service_list_sort(struct service_list *list);

/*
 * Moves the endpoints of @from, a list of names with endpoints, to the
 * services of @to that have these names. Both are sorted by name.
 */
void service_list_join(struct service_list *to, struct service_list *from);

/* The first cluster IP, whose port others take; NULL where there is none. */
const struct frontend *service_first_vip(const struct service *svc);

struct service *service_list_find(const struct service_list *list,
				  const char *name);

/* The presence bit of a frontend type: SVC_VIP ... */
uint32_t service_frontend_bit(uint8_t type);

bool prefix_contains(const struct prefix *prefix, const struct addr *addr);
/* Whether both say the same network, with whatever host bits. */
bool prefix_same_net(const struct prefix *a, const struct prefix *b);
/* The first one of @list in the network of @prefix; NULL: there is none. */
const struct prefix *prefix_first(const struct prefix_list *list,
				  const struct prefix *prefix);

#endif /* _K8SNETCTL_MODEL_H */
