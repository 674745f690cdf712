/* SPDX-License-Identifier: GPL-2.0 */
/* What kube-proxy leaves on a node. */
#ifndef _K8SNETCTL_LEFTOVER_H
#define _K8SNETCTL_LEFTOVER_H

#include "model.h"

enum {
	LEFTOVER_PLACE	= 1 << 0,
	LEFTOVER_WHAT	= 1 << 1,
	LEFTOVER_STATE	= 1 << 2,
};

/* One thing, as takeover lists it. */
struct leftover {
	uint32_t has;
	char *place;			/* "iptables-nft nat", "ipvs" ... */
	char *what;			/* "chain KUBE-SERVICES" ... */
	const char *state;		/* "found", "removed", "left" */
	char *undo;			/* a line for iptables-restore, or NULL */
};

struct leftover_list LIST(struct leftover);

void leftover_list_clear(struct leftover_list *list);

/* Adds one; @place and @what are copied, @undo is taken over. */
void leftover_add(struct leftover_list *list, const char *place,
		  const char *what, const char *state, char *undo);

/*
 * Each kind: finds what there is and adds it to @list, and removes it unless
 * @dry. Answers whether all went well; what did not has been reported.
 */
bool leftover_iptables(struct leftover_list *list, bool dry);
bool leftover_ipset(struct leftover_list *list, bool dry);
bool leftover_nft(struct leftover_list *list, bool dry);
bool leftover_ipvs(struct leftover_list *list, bool dry);

#endif /* _K8SNETCTL_LEFTOVER_H */
