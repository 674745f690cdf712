/* SPDX-License-Identifier: GPL-2.0 */
/* Frontends: which address, protocol and port is captured for which service. */
#ifndef _K8SNET_FRONTEND_H
#define _K8SNET_FRONTEND_H

#include <linux/rhashtable.h>

#include "addr.h"
#include "netns.h"

struct k8snet_plan;
struct k8snet_service_spec;

struct k8snet_frontend_key {
	union nf_inet_addr addr;	/* any for a node port, as for a host port of
					 * all addresses
					 */
	u8 family;			/* 0 then: both families */
	u8 proto;
	__be16 port;
};

/* A (address, protocol, port) that is captured, or a range of ports. */
struct k8snet_frontend {
	struct rhash_head hash;		/* kn->frontends; not of a range */
	struct k8snet_frontend_key key;	/* constant */
	__be16 port_end;		/* constant; key.port: a single port */
	u8 type;			/* enum k8snet_frontend_type; constant */
	struct k8snet_service *svc;	/* constant */
	/* What packets to it go by. NULL: it is in the tables, but not there for
	 * packets until the change that brings it is complete.
	 */
	struct k8snet_plan __rcu *plan;
	struct list_head node;		/* svc->frontends; cfg_lock */
	struct rcu_head rcu;
};

/*
 * The port ranges of an address, which are looked at for ports that have no
 * frontend of their own. Sorted by protocol and first port; ranges of different
 * services do not overlap. Replaced when one comes; one that goes leaves an
 * empty place, so that going needs no memory.
 */
struct k8snet_ranges {
	struct rcu_head rcu;
	unsigned int n;
	bool mixed;	/* a service's old and new ones may overlap now */
	struct k8snet_range {
		u8 proto;
		u16 min, max;
		struct k8snet_frontend __rcu *fe;	/* NULL: gone */
	} range[];
};

/* An address that has frontends, so that other ports of it and pings to it
 * can be answered.
 */
struct k8snet_vip {
	struct rhash_head hash;		/* kn->vips */
	union nf_inet_addr addr;
	u32 family;
	unsigned int users;		/* frontends; cfg_lock */
	unsigned int cluster_users;	/* those that are live cluster IPs */
	struct k8snet_ranges __rcu *ranges;	/* NULL: none */
	/* All ports: TCP, UDP, SCTP. */
	struct k8snet_frontend __rcu *all_ports[3];
	struct rcu_head rcu;
};

/* A frontend as a message gives it. */
struct k8snet_frontend_spec {
	struct k8snet_frontend_key key;
	__be16 port_end;
	u8 type;
};

/* The frontend that captures a destination, node ports included, or NULL.
 * Context: RCU.
 */
struct k8snet_frontend *k8snet_frontend_lookup_rcu(struct k8snet_net *kn,
						   const union nf_inet_addr *addr,
						   u8 family, u8 proto,
						   __be16 port);
/* The node port or host port that any local address may have, or NULL. Context:
 * RCU.
 */
struct k8snet_frontend *
k8snet_frontend_lookup_node_port_rcu(struct k8snet_net *kn, u8 proto,
				     __be16 port);
struct k8snet_vip *k8snet_vip_lookup_rcu(struct k8snet_net *kn,
					 const union nf_inet_addr *addr,
					 u8 family);

/* The bit of K8SNET_SERVICE_REPLACE_* for enum k8snet_frontend_type. */
static inline u32 k8snet_frontend_replace_bit(u8 type)
{
	if (type == K8SNET_FRONTEND_HOST_PORT)
		return K8SNET_SERVICE_REPLACE_HOST_PORT;
	return K8SNET_SERVICE_REPLACE_CLUSTER_IP << type;
}

int k8snet_frontend_net_init(struct k8snet_net *kn);
void k8snet_frontend_net_exit(struct k8snet_net *kn);

/* The rest under cfg_lock. */

/*
 * May the service have these frontends? Each must be free, or the service's
 * own and stay or go with this very change. @svc: NULL for a new one.
 */
int k8snet_frontends_check(struct k8snet_net *kn, struct k8snet_service *svc,
			   const struct k8snet_service_spec *spec,
			   struct netlink_ext_ack *extack);
/*
 * The service has the frontends of @spec and goes by @plan from now on: those
 * that are new are published, those that stay change their plan, the others are
 * taken back. A packet finds one with its old plan or with the new one, so that
 * all that was settled with it counts for it. On an error the service has what
 * it had, and no packet has seen anything else.
 */
int k8snet_frontends_change(struct k8snet_net *kn, struct k8snet_service *svc,
			    const struct k8snet_service_spec *spec,
			    struct k8snet_plan *plan);
/* Frontends that stay go by @plan from now on. */
void k8snet_frontends_set_plan(struct k8snet_net *kn, struct k8snet_service *svc,
			       struct k8snet_plan *plan);
/* Packets do not find it any more; it is freed after a grace period. */
void k8snet_frontend_unpublish(struct k8snet_net *kn,
			       struct k8snet_frontend *fe);

#endif /* _K8SNET_FRONTEND_H */
