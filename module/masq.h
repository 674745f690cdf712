/* SPDX-License-Identifier: GPL-2.0 */
/* Masquerade rules, and source ports for all source translation. */
#ifndef _K8SNET_MASQ_H
#define _K8SNET_MASQ_H

#include <linux/atomic.h>
#include <net/netfilter/nf_conntrack.h>

#include "addr.h"
#include "netns.h"

/* A rule; constant but for its counters, which new flows add to under RCU. */
struct k8snet_masq {
	struct k8snet_prefix prefix;	/* the key */
	u32 id;				/* dump order */
	atomic64_t flows;		/* given an address */
	atomic64_t exempt;		/* of prefix, left alone */
	struct rcu_head rcu;
	unsigned int n_except;
	struct k8snet_prefix except[K8SNET_PREFIXES_MAX];
};

/* Immutable once published in kn->masqs. It owns the rules. */
struct k8snet_masq_table {
	struct rcu_head rcu;
	u32 next_id;
	unsigned int n;
	struct k8snet_masq *rule[];	/* longest prefix first */
};

void k8snet_masq_net_exit(struct k8snet_net *kn);
/* Removes all rules. Context: cfg_lock held. */
void k8snet_masq_flush(struct k8snet_net *kn);

/* The rule of exactly that prefix, and the one with the lowest id from @id
 * on; NULL if there is none. Context: cfg_lock held, for as long as the rule
 * is used.
 */
struct k8snet_masq *k8snet_masq_lookup(struct k8snet_net *kn,
				       const struct k8snet_prefix *prefix);
struct k8snet_masq *k8snet_masq_next(struct k8snet_net *kn, unsigned long id);
/* Puts a rule made with kzalloc() in force and owns it from then on; a refused
 * one stays the caller's. Context: cfg_lock held.
 */
int k8snet_masq_add(struct k8snet_net *kn, struct k8snet_masq *m,
		    struct netlink_ext_ack *extack);
/* Takes a rule out of force; it is the caller's to read, and then to free with
 * kfree_rcu(m, rcu). Fails for want of memory. Context: cfg_lock held.
 */
int k8snet_masq_remove(struct k8snet_net *kn, struct k8snet_masq *m);

/* The lookup hook of nf_nat for source translation: POST_ROUTING, LOCAL_IN.
 * Runs for the first packet of a flow only.
 */
unsigned int k8snet_masq_hook(void *priv, struct sk_buff *skb,
			      const struct nf_hook_state *state);

/* Would a rule give the source of this packet, which leaves by @out, another
 * address? Context: packet path, RCU.
 */
bool k8snet_masq_wants(struct k8snet_net *kn, const struct sk_buff *skb,
		       u8 family, const struct net_device *out);

/* snat.c */
/*
 * Gives a new flow the source address @addr and, for TCP, UDP and SCTP, a free
 * source port outside the node-port range and ip_local_reserved_ports. The
 * port is a keyed hash of the flow's original addresses and ports (as in
 * RFC 6056, 3.3.3, but over the source port too): nobody without the key can
 * foretell it, and packets that race to open one flow agree on it.
 * @ifindex: device that the flow leaves through and that has @addr. nf_nat
 * ends the flow when that device goes down or loses the address, and also
 * when a packet of it is about to leave through ANOTHER device; so 0, for
 * none of this, wherever the device is not known yet.
 * @svc: whose flow it is, or NULL for a masqueraded one: who a drop is told of.
 * Returns a netfilter verdict: NF_ACCEPT, or NF_DROP. Counts.
 * Context: packet path, RCU; @ct unconfirmed, its destination already
 * translated, its source not.
 */
unsigned int k8snet_snat_setup(struct k8snet_net *kn, const struct sk_buff *skb,
			       struct nf_conn *ct,
			       const union nf_inet_addr *addr, int ifindex,
			       struct k8snet_service *svc);

#endif /* _K8SNET_MASQ_H */
