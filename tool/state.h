/* SPDX-License-Identifier: GPL-2.0 */
/* A whole node, and what turns one into another. */
#ifndef _K8SNETCTL_STATE_H
#define _K8SNETCTL_STATE_H

#include "cmd.h"

enum {
	STATE_NODE	= 1 << 0,
	STATE_BRIDGES	= 1 << 1,
	STATE_PORTS	= 1 << 2,
	STATE_PODS	= 1 << 3,
	STATE_ROUTES	= 1 << 4,
	STATE_MASQ	= 1 << 5,
	STATE_SERVICES	= 1 << 6,
};

/* All lists are sorted. */
struct state {
	uint32_t has;			/* sections that a file holds */
	struct node node;
	struct bridge_list bridges;
	struct port_list ports;
	struct pod_list pods;
	struct route_list routes;
	struct masq_list masqs;
	struct service_list services;	/* with their endpoints */
};

void state_clear(struct state *state);

/* The node as it is; 0 or a negative errno, reported. */
int state_read(struct state *state);

json_t *state_to_json(const struct state *state);

/*
 * A file ("-": stdin), wholly checked; what it leaves out of an object has
 * its default. An exit status, reported.
 */
int state_load(struct state *state, const char *file);

struct plan LIST(struct request);

/*
 * The requests that turn @cur into @want, which they point into. Sections
 * that @want does not have are left alone.
 */
void plan_make(struct plan *plan, const struct state *cur,
	       const struct state *want);
void plan_clear(struct plan *plan);

#endif /* _K8SNETCTL_STATE_H */
