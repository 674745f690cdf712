/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The node's counters: one list gives the enum, the names that
 * "k8snetctl stats" prints and the per-CPU storage. Each counts packets
 * unless its comment says otherwise.
 */
#ifndef _K8SNET_STATS_H
#define _K8SNET_STATS_H

#include <linux/percpu.h>
#include <linux/u64_stats_sync.h>

/* X(identifier, name) */
#define K8SNET_STATS(X)							\
	/* port.c: from a pod */					\
	X(PORT_RX,		"port_rx")				\
	X(SPOOFED,		"spoofed")				\
	X(PORT_RX_INVALID,	"port_rx_invalid") /* cannot be parsed */ \
	X(PORT_RX_PROTO,	"port_rx_protocol") /* not ARP, IPv4, IPv6 */ \
	X(BRIDGE_DOWN,		"bridge_down")				\
	/* neigh.c */							\
	X(ARP_ANSWERED,		"arp_answered")				\
	X(ND_ANSWERED,		"nd_answered")				\
	X(NEIGH_UNANSWERED,	"neigh_unanswered") /* not an address of ours */ \
	/* forward.c: out of the bridge */				\
	X(TO_POD,		"to_pod")				\
	X(TO_NODE,		"to_node") /* by a pod route */		\
	X(NO_POD,		"no_pod") /* address of no pod, no route */ \
	X(PORT_DOWN,		"port_down")				\
	X(NO_ROUTE,		"no_route") /* to the node in VIA */	\
	X(NO_NEIGHBOUR,		"no_neighbour")				\
	X(BRIDGE_TX_INVALID,	"bridge_tx_invalid") /* cannot be parsed, or ARP */ \
	X(TOO_BIG,		"too_big")				\
	/* service.c, nat.c: flows, not packets, but for the verdicts */ \
	X(SVC_FLOWS,		"service_flows")			\
	X(SVC_REJECTED,		"service_rejected")			\
	X(SVC_DROPPED_POLICY,	"service_dropped_policy")		\
	X(SVC_DROPPED_NONE,	"service_dropped_no_endpoint")		\
	X(SVC_DROPPED_RANGE,	"service_dropped_source_range")		\
	X(SVC_PASSED,		"service_passed")			\
	X(SVC_DEAD_PORT,	"service_dead_port")			\
	X(SVC_UNASSIGNED,	"service_unassigned_ip")		\
	X(VIP_PING,		"vip_ping")				\
	X(SNAT_FLOWS,		"snat_flows")				\
	X(DSR_SENT,		"dsr_sent") /* to the endpoint's node */ \
	X(DSR_RECEIVED,		"dsr_received")				\
	X(SNAT_CLASH,		"snat_port_clash") /* ports tried in vain */ \
	X(SNAT_EXHAUSTED,	"snat_port_exhausted")			\
	X(SNAT_NO_ADDRESS,	"snat_no_address")			\
	X(MASQ_FLOWS,		"masq_flows")				\
	X(CT_INVALID,		"conntrack_invalid") /* translated all the same */ \
	X(CT_INVALID_MASQ,	"conntrack_invalid_masq") /* dropped: cannot be masqueraded */ \
	X(NAT_FAILED,		"nat_failed")				\
	/* affinity.c, conn.c */					\
	X(AFFINITY_FULL,	"affinity_full")			\
	X(CONN_FULL,		"conn_full")				\
	X(CONN_KILLED,		"conn_killed") /* flows moved to another endpoint */ \
	X(CONN_RESET,		"conn_reset") /* connections ended */	\
	X(CT_STALE,		"conntrack_stale") /* entries older than the service */ \
	/* flow.c, fastpath.c */					\
	X(FLOW_PACKETS,		"flow_packets") /* past the stack; of former bridges */ \
	X(FLOW_ONEPASS,		"flow_onepass") /* flows set up past it */ \
	X(FLOW_LEARNED,		"flow_learned") /* flows */		\
	X(FLOW_FULL,		"flow_full") /* not learned: too many */ \
	X(NOMEM,		"no_memory")

enum k8snet_stat {
#define X(id, name) K8SNET_STAT_##id,
	K8SNET_STATS(X)
#undef X
	K8SNET_STAT_NUM
};

struct k8snet_stats {
	u64_stats_t v[K8SNET_STAT_NUM];
	struct u64_stats_sync syncp;
};

extern const char *const k8snet_stat_names[K8SNET_STAT_NUM];

/* Adds to a counter of this CPU. Context: BH off (the packet path). */
#define k8snet_stat_add_id(kn, id, n) do {				\
	struct k8snet_stats *__s = this_cpu_ptr((kn)->stats);		\
									\
	u64_stats_update_begin(&__s->syncp);				\
	u64_stats_add(&__s->v[id], n);					\
	u64_stats_update_end(&__s->syncp);				\
} while (0)
#define k8snet_stat_add(kn, id, n)					\
	k8snet_stat_add_id(kn, K8SNET_STAT_##id, n)
#define k8snet_stat_inc(kn, id)	k8snet_stat_add(kn, id, 1)

/* The sum over all CPUs. Any context. */
u64 k8snet_stat_read(const struct k8snet_net *kn, enum k8snet_stat id);

#endif /* _K8SNET_STATS_H */
