/* SPDX-License-Identifier: GPL-2.0 */
/* The decision about a new flow. */
#ifndef _K8SNET_DECISION_H
#define _K8SNET_DECISION_H

#include "addr.h"
#include "endpoint.h"
#include "frontend.h"
#include "plan.h"

/* A question to k8snet_service_decide(), and its answer. */
struct k8snet_decision {
	/* Question. */
	u8 family;
	u8 proto;
	enum k8snet_origin origin;
	union nf_inet_addr saddr, daddr;
	__be16 sport, dport;
	/* Only explain: no counter, no affinity entry, no turn of a round
	 * robin is used up.
	 */
	bool dry;
	/* Another node has chosen an endpoint on this one (dsr.h). */
	bool unpacked;

	/* Answer, valid in the caller's RCU section. */
	enum k8snet_lookup_verdict verdict;
	const struct k8snet_frontend *fe;
	const struct k8snet_plan *plan;
	const struct k8snet_set *set;
	u8 policy;			/* of set */
	struct k8snet_endpoint *ep;	/* verdict ENDPOINT */
	bool snat;			/* the source must be translated, too */
	bool hairpin;			/* because the endpoint is the client */
	bool unassigned;		/* an address that no service has */
	bool dsr;			/* the endpoint's node answers */
	const char *reason;		/* a constant sentence */
};

/*
 * What happens to a new flow: pure reading of the published state, used by
 * the packet path and by "lookup" alike. Context: RCU, BH off.
 */
void k8snet_service_decide(struct k8snet_net *kn, struct k8snet_decision *d);

/* Is @addr, which no frontend has, of the service CIDRs? Context: RCU. */
bool k8snet_service_unassigned(struct k8snet_net *kn,
			       const union nf_inet_addr *addr, u8 family);

/* Where packets with this source come from, seen from this node.
 * @in_bridge: they arrived by a pod bridge. Context: RCU.
 */
enum k8snet_origin k8snet_service_origin(struct k8snet_net *kn,
					 const union nf_inet_addr *saddr,
					 u8 family, bool in_bridge);

#endif /* _K8SNET_DECISION_H */
