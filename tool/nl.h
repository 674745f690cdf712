/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's side, without a word of netlink: nl.c (sockets, batches),
 * nl_k8snet.c (the k8snet family) and nl_link.c (links and addresses) are all
 * that know libnl.
 *
 * Functions answer 0 or a negative errno, and have then reported why unless
 * their comment says otherwise.
 */
#ifndef _K8SNETCTL_NL_H
#define _K8SNETCTL_NL_H

#include "model.h"

void knl_close(void);

/*
 * Between begin and end changes are queued and sent in few large messages;
 * a change then answers 0 before the kernel has seen it. Whatever reads sends
 * the queue first. Without @keep_going the first refusal ends the batch:
 * everything after it answers -ECANCELED, and changes that had left in one
 * message with the refused one are taken back.
 *
 * A batch may be inside of another one, which goes on behind it as it was.
 */
struct knl_batch {
	bool active, keep_going, stopped, failed;
};

/* Answers what end is to be given: the batch that this one is inside of. */
struct knl_batch knl_batch_begin(bool keep_going);
/* Answers whether all was done. */
bool knl_batch_end(struct knl_batch outer);

enum {
	NL_FORCE	= 1 << 0,	/* what is absent already is deleted */
	NL_QUIET	= 1 << 1,	/* report nothing */
	NL_NOW		= 1 << 2,	/* not queued, whatever the batch does */
};

int knl_node_get(struct node *node);
/* Sends what @node has; an empty list that it has is emptied. */
int knl_node_set(const struct node *node);

/* Lists are sorted. With a key they hold that one object. */
int knl_bridge_list(struct bridge_list *list, const char *name);
int knl_port_list(struct port_list *list, const char *name);
int knl_port_set(const char *name, bool antispoof, unsigned int flags);

int knl_pod_list(struct pod_list *list, const struct addr *key,
		 unsigned int flags);
int knl_pod_new(const struct pod *pod, unsigned int flags);
int knl_pod_del(const struct addr *addr, unsigned int flags);

int knl_route_list(struct route_list *list, const struct prefix *key);
int knl_route_new(const struct route *route);
int knl_route_del(const struct prefix *cidr, unsigned int flags);

int knl_masq_list(struct masq_list *list, const struct prefix *key);
int knl_masq_new(const struct masq *masq);
int knl_masq_del(const struct prefix *cidr, unsigned int flags);

int knl_service_list(struct service_list *list, const char *name);
int knl_service_new(const struct service *svc);
/* Replaces what @svc has. */
int knl_service_set(const struct service *svc);
int knl_service_del(const char *name, unsigned int flags);

/* Services with nothing but a name and endpoints. */
int knl_endpoint_list(struct service_list *list, const char *service);
int knl_endpoint_new(const struct service *svc);
int knl_endpoint_set(const struct service *svc);
int knl_endpoint_del(const struct service *svc, unsigned int flags);

/* @lookup holds the question, then the answer too. */
int knl_lookup(struct lookup *lookup);
int knl_flow_list(struct flow_list *list);
int knl_stats_list(struct stat_list *list);
int knl_flush(void);
/* Removes all services of IPVS in this namespace. */
int knl_ipvs_flush(void);

struct monitor_event {
	const char *object;		/* "svc", "pod" ...; "flush" */
	bool deleted;
	/* The one that @object says. */
	struct node *node;
	struct bridge *bridge;
	struct port *port;
	struct pod *pod;
	struct route *route;
	struct masq *masq;
	struct service *svc;		/* "svc", and "ep" with its endpoints */
};

/* Until an error. Lost notifications are reported and do not end it. */
int knl_monitor(void (*event)(const struct monitor_event *ev));

/* Links and addresses */
struct link {
	uint32_t index;
	char name[16];
	char kind[16];			/* "" where it has none */
	uint32_t master;		/* ifindex; 0: none */
	uint32_t mtu;
	uint8_t lladdr[6];
	bool up;
	uint32_t peer;			/* ifindex of a veth's peer; 0: none */
	int32_t peer_nsid;		/* -1: in this namespace */
};

int knl_link_get(const char *name, struct link *link, unsigned int flags);
int knl_link_get_index(uint32_t index, struct link *link, unsigned int flags);
/* -ENOENT, quietly: it has none, or it is out of sight. */
int knl_link_peer_lladdr(const struct link *link, uint8_t lladdr[6]);

/* A pod bridge's kind */
bool knl_link_is_bridge(const struct link *link);

/* @mtu 0 and @lladdr NULL: the kernel's choice */
int knl_bridge_new(const char *name, uint32_t mtu, const uint8_t *lladdr);
/* @mtu 0 and @lladdr NULL: as it is */
int knl_link_change(uint32_t index, uint32_t mtu, const uint8_t *lladdr,
		    unsigned int flags);
int knl_link_up(uint32_t index, bool up, unsigned int flags);
int knl_link_master(uint32_t index, uint32_t master, unsigned int flags);
int knl_link_del(uint32_t index, unsigned int flags);
int knl_addr_add(uint32_t index, const struct prefix *addr, unsigned int flags);
int knl_addr_del(uint32_t index, const struct prefix *addr, unsigned int flags);

#endif /* _K8SNETCTL_NL_H */
