/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR MIT) */
/*
 * k8snet: generic netlink interface, family "k8snet", version 1.
 *
 * One network namespace is one node. Every request acts on the namespace of
 * the socket. Requests that change something, and those that read, need
 * CAP_NET_ADMIN in the user namespace that owns the network namespace.
 *
 * Conventions
 *
 *  - Addresses are binary in network byte order, 4 bytes for IPv4 and 16 for
 *    IPv6; the length says the family. Ports are __be16. All other integers
 *    are in host byte order.
 *  - A list is the same attribute repeated (a "multi-attr"), never an indexed
 *    array.
 *  - *_NEW creates: an object of that name is refused with EEXIST.
 *    *_SET changes: what is not named in the message stays as it is.
 *    *_DEL removes: what is not there is refused with ENOENT.
 *    *_GET without NLM_F_DUMP answers one object, with it all of them.
 *  - A request that is refused changes nothing, and its extended ACK holds a
 *    sentence that says why.
 *  - A dump that a change has interrupted is marked NLM_F_DUMP_INTR; start it
 *    again.
 *  - After every change the object, as *_GET would answer it, is sent to the
 *    multicast group "config" as *_NTF; a removed one as *_DEL_NTF.
 *  - Pod bridges are links of kind "k8snet": they are made, changed and
 *    removed with rtnetlink (RTM_NEWLINK, RTM_DELLINK), ports are enslaved
 *    with IFLA_MASTER, and here they can only be read.
 *
 * uapi/k8snet.yaml is the same contract as a YNL specification.
 */
#ifndef _UAPI_LINUX_K8SNET_H
#define _UAPI_LINUX_K8SNET_H

#define K8SNET_GENL_NAME	"k8snet"
#define K8SNET_GENL_VERSION	1
#define K8SNET_MCGRP_CONFIG	"config"

/* Limits that the interface promises. Lengths are in bytes. */
enum {
	K8SNET_NAME_MAX = 253,		/* a service's name, without the NUL */
	K8SNET_FRONTENDS_MAX = 128,	/* frontends of one service */
	K8SNET_RANGES_MAX = 256,	/* source ranges of one service */
	K8SNET_PREFIXES_MAX = 64,	/* any other list of prefixes */
	K8SNET_WEIGHT_MAX = 65535,	/* weight of an endpoint */
	K8SNET_AFFINITY_MAX = 86400,	/* seconds of session affinity */
	K8SNET_ZONE_MAX = 63,		/* a zone's name, without the NUL */
	K8SNET_HINTS_MAX = 8,		/* hints of one kind of an endpoint */
	K8SNET_FLOWS_MAX = 4194304,	/* known flows that may be allowed */
};

enum k8snet_cmd {
	K8SNET_CMD_UNSPEC,

	/* The node's settings (K8SNET_A_NODE_*). */
	K8SNET_CMD_NODE_GET,		/* do */
	K8SNET_CMD_NODE_SET,
	K8SNET_CMD_NODE_NTF,

	/* Pod bridges (K8SNET_A_BRIDGE_*), key: IFINDEX or IFNAME. */
	K8SNET_CMD_BRIDGE_GET,		/* do, dump */
	K8SNET_CMD_BRIDGE_NTF,
	K8SNET_CMD_BRIDGE_DEL_NTF,

	/* Bridge ports (K8SNET_A_PORT_*), key: IFINDEX or IFNAME. */
	K8SNET_CMD_PORT_GET,		/* do, dump */
	K8SNET_CMD_PORT_SET,
	K8SNET_CMD_PORT_NTF,
	K8SNET_CMD_PORT_DEL_NTF,

	/* Pods (K8SNET_A_POD_*), key: either address. */
	K8SNET_CMD_POD_NEW,
	K8SNET_CMD_POD_GET,		/* do, dump */
	K8SNET_CMD_POD_DEL,
	K8SNET_CMD_POD_NTF,
	K8SNET_CMD_POD_DEL_NTF,

	/* Pod routes (K8SNET_A_ROUTE_*), key: PREFIX. */
	K8SNET_CMD_ROUTE_NEW,
	K8SNET_CMD_ROUTE_GET,		/* do, dump */
	K8SNET_CMD_ROUTE_DEL,
	K8SNET_CMD_ROUTE_NTF,
	K8SNET_CMD_ROUTE_DEL_NTF,

	/* Masquerade (K8SNET_A_MASQ_*), key: PREFIX. */
	K8SNET_CMD_MASQ_NEW,
	K8SNET_CMD_MASQ_GET,		/* do, dump */
	K8SNET_CMD_MASQ_DEL,
	K8SNET_CMD_MASQ_NTF,
	K8SNET_CMD_MASQ_DEL_NTF,

	/* Services (K8SNET_A_SERVICE_*), key: NAME. */
	K8SNET_CMD_SERVICE_NEW,
	K8SNET_CMD_SERVICE_SET,
	K8SNET_CMD_SERVICE_GET,		/* do, dump */
	K8SNET_CMD_SERVICE_DEL,
	K8SNET_CMD_SERVICE_NTF,
	K8SNET_CMD_SERVICE_DEL_NTF,

	/*
	 * Endpoints, key: SERVICE_NAME and each endpoint's address and port.
	 * NEW, SET and DEL carry K8SNET_A_SERVICE_NAME and one or more
	 * K8SNET_A_SERVICE_ENDPOINT; all of them are done or none. A dump may
	 * name one service. Each answer and notification carries one service
	 * name and one or more endpoints.
	 */
	K8SNET_CMD_ENDPOINT_NEW,
	K8SNET_CMD_ENDPOINT_SET,
	K8SNET_CMD_ENDPOINT_GET,	/* dump */
	K8SNET_CMD_ENDPOINT_DEL,
	K8SNET_CMD_ENDPOINT_NTF,
	K8SNET_CMD_ENDPOINT_DEL_NTF,

	/* What would happen to a new flow (K8SNET_A_LOOKUP_*). */
	K8SNET_CMD_LOOKUP,		/* do */

	/* Flows in the fast path (K8SNET_A_FLOW_*). */
	K8SNET_CMD_FLOW_GET,		/* dump */

	/* The node's counters (K8SNET_A_STATS_*). */
	K8SNET_CMD_STATS_GET,		/* dump: one counter an object */

	/*
	 * Removes all services, masquerade rules, pod routes, pods and pod
	 * bridges of the namespace and resets the node's settings.
	 */
	K8SNET_CMD_FLUSH,
	K8SNET_CMD_FLUSH_NTF,

	__K8SNET_CMD_LAST,
	K8SNET_CMD_MAX = __K8SNET_CMD_LAST - 1
};

/* An address with a prefix length; used nested. */
enum k8snet_attr_prefix {
	K8SNET_A_PREFIX_UNSPEC,
	K8SNET_A_PREFIX_ADDR,		/* binary, 4 or 16 bytes */
	K8SNET_A_PREFIX_LEN,		/* u8, bits; the rest of ADDR is 0 */

	__K8SNET_A_PREFIX_LAST,
	K8SNET_A_PREFIX_MAX = __K8SNET_A_PREFIX_LAST - 1
};

/* Which of the node's addresses answer on node ports. */
enum k8snet_nodeport_mode {
	K8SNET_NODEPORT_PRIMARY,	/* NODE_IP; else the address the node
					 * itself would use towards the world
					 */
	K8SNET_NODEPORT_ALL,		/* every local address but loopback */
	K8SNET_NODEPORT_PREFIXES,	/* local addresses in NODEPORT_PREFIX */

	__K8SNET_NODEPORT_LAST,
	K8SNET_NODEPORT_MAX = __K8SNET_NODEPORT_LAST - 1
};

enum k8snet_fastpath {
	K8SNET_FASTPATH_AUTO,		/* new flows too, while no other module
					 * has hooks that judge them
					 */
	K8SNET_FASTPATH_ESTABLISHED,	/* only flows the stack has accepted */
	K8SNET_FASTPATH_OFF,

	__K8SNET_FASTPATH_LAST,
	K8SNET_FASTPATH_MAX = __K8SNET_FASTPATH_LAST - 1
};

/*
 * NODE_SET: a list that is given replaces the old one. A list is emptied by
 * its bit in NODE_CLEAR.
 */
enum k8snet_attr_node {
	K8SNET_A_NODE_UNSPEC,
	K8SNET_A_NODE_IP,		/* binary; multi-attr: the node's own
					 * addresses, at most one a family;
					 * the source of masqueraded service
					 * traffic
					 */
	K8SNET_A_NODE_NODEPORT_MODE,	/* u8, enum k8snet_nodeport_mode */
	K8SNET_A_NODE_NODEPORT_PREFIX,	/* nest of PREFIX; multi-attr */
	K8SNET_A_NODE_NODEPORT_MIN,	/* u16; default 30000 */
	K8SNET_A_NODE_NODEPORT_MAX,	/* u16; default 32767; service SNAT and
					 * masquerade never use a source port
					 * in MIN..MAX
					 */
	K8SNET_A_NODE_CLUSTER_CIDR,	/* nest of PREFIX; multi-attr: sources
					 * in it are pods of the cluster
					 */
	K8SNET_A_NODE_FASTPATH,		/* u8, enum k8snet_fastpath */
	K8SNET_A_NODE_CLEAR,		/* u32, K8SNET_NODE_CLEAR_*; SET only */
	K8SNET_A_NODE_ADDRESS,		/* binary; multi-attr; answer only: the
					 * addresses now used as NODE_IP, one a
					 * family, found by the module where
					 * none was set
					 */
	K8SNET_A_NODE_SERVICE_CIDR,	/* nest of PREFIX; multi-attr: where
					 * cluster IPs come from
					 */
	K8SNET_A_NODE_DEAD_PORTS,	/* u8, enum k8snet_no_endpoints: what
					 * happens to a port of a cluster IP
					 * that no service has; default REJECT
					 */
	K8SNET_A_NODE_UNASSIGNED_IPS,	/* u8, enum k8snet_no_endpoints: what
					 * happens to an address in a
					 * SERVICE_CIDR that no service has;
					 * default DROP
					 */
	K8SNET_A_NODE_NAME,		/* string, 253 bytes at most: what node
					 * hints call this node; "": none
					 */
	K8SNET_A_NODE_ZONE,		/* string, 63 bytes at most: what zone
					 * hints call its zone; "": none
					 */
	K8SNET_A_NODE_NODEPORT_LOCALHOST, /* u8, 0 or 1; default 0: node ports
					 * and host ports answer this node's own
					 * processes on 127.0.0.1 and ::1, too
					 */
	K8SNET_A_NODE_FLOW_MAX,		/* u32; default 262144; directions of
					 * connections that may be known flows;
					 * 0 to K8SNET_FLOWS_MAX
					 */

	__K8SNET_A_NODE_LAST,
	K8SNET_A_NODE_MAX = __K8SNET_A_NODE_LAST - 1
};

#define K8SNET_NODE_CLEAR_IP			(1U << 0)
#define K8SNET_NODE_CLEAR_CLUSTER_CIDR		(1U << 1)
#define K8SNET_NODE_CLEAR_SERVICE_CIDR		(1U << 2)
#define __K8SNET_NODE_CLEAR_ALL			0x7U

enum k8snet_attr_bridge {
	K8SNET_A_BRIDGE_UNSPEC,
	K8SNET_A_BRIDGE_IFINDEX,	/* u32 */
	K8SNET_A_BRIDGE_IFNAME,		/* string */
	K8SNET_A_BRIDGE_MTU,		/* u32, bytes */
	K8SNET_A_BRIDGE_LLADDR,		/* binary, 6 bytes */
	K8SNET_A_BRIDGE_UP,		/* u8, 0 or 1: IFF_UP */
	K8SNET_A_BRIDGE_ADDR,		/* nest of PREFIX; multi-attr: its
					 * addresses, host bits kept; IPv6
					 * link-local ones are left out
					 */
	K8SNET_A_BRIDGE_PORTS,		/* u32, number of ports */

	__K8SNET_A_BRIDGE_LAST,
	K8SNET_A_BRIDGE_MAX = __K8SNET_A_BRIDGE_LAST - 1
};

enum k8snet_attr_port {
	K8SNET_A_PORT_UNSPEC,
	K8SNET_A_PORT_IFINDEX,		/* u32 */
	K8SNET_A_PORT_IFNAME,		/* string */
	K8SNET_A_PORT_BRIDGE,		/* u32, ifindex of the pod bridge */
	K8SNET_A_PORT_BRIDGE_NAME,	/* string; answer only */
	K8SNET_A_PORT_ANTISPOOF,	/* u8, 0 or 1; default 1: frames with an
					 * address or MAC that no pod of this
					 * port has are dropped and counted
					 */
	K8SNET_A_PORT_SPOOFED,		/* u64; answer only: frames dropped */

	__K8SNET_A_PORT_LAST,
	K8SNET_A_PORT_MAX = __K8SNET_A_PORT_LAST - 1
};

enum k8snet_attr_pod {
	K8SNET_A_POD_UNSPEC,
	K8SNET_A_POD_ADDR,		/* binary; multi-attr, at most one a
					 * family; GET and DEL take either
					 */
	K8SNET_A_POD_PORT,		/* u32, ifindex of a bridge port */
	K8SNET_A_POD_PORT_NAME,		/* string; may stand for POD_PORT */
	K8SNET_A_POD_LLADDR,		/* binary, 6 bytes */
	K8SNET_A_POD_BRIDGE,		/* u32, ifindex; answer only */

	__K8SNET_A_POD_LAST,
	K8SNET_A_POD_MAX = __K8SNET_A_POD_LAST - 1
};

/*
 * ROUTE_NEW adds the pod route and the route "PREFIX dev BRIDGE" to the
 * namespace's main table. BRIDGE may be left out where there is one bridge.
 */
enum k8snet_attr_route {
	K8SNET_A_ROUTE_UNSPEC,
	K8SNET_A_ROUTE_PREFIX,		/* nest of PREFIX: a remote pod CIDR */
	K8SNET_A_ROUTE_VIA,		/* binary: the node it is behind; same
					 * family as PREFIX
					 */
	K8SNET_A_ROUTE_BRIDGE,		/* u32, ifindex of the pod bridge */
	K8SNET_A_ROUTE_OIF,		/* u32, ifindex of the device VIA is
					 * reached through; without it the
					 * routing table says
					 */

	__K8SNET_A_ROUTE_LAST,
	K8SNET_A_ROUTE_MAX = __K8SNET_A_ROUTE_LAST - 1
};

/*
 * New flows from PREFIX to anything outside PREFIX and the EXCEPTs, and not
 * to multicast, get the address of the device they leave through.
 */
enum k8snet_attr_masq {
	K8SNET_A_MASQ_UNSPEC,
	K8SNET_A_MASQ_PREFIX,		/* nest of PREFIX */
	K8SNET_A_MASQ_EXCEPT,		/* nest of PREFIX; multi-attr */
	K8SNET_A_MASQ_FLOWS,		/* u64; answer only: flows given an
					 * address
					 */
	K8SNET_A_MASQ_EXEMPT,		/* u64; answer only: flows of PREFIX
					 * left alone
					 */

	__K8SNET_A_MASQ_LAST,
	K8SNET_A_MASQ_MAX = __K8SNET_A_MASQ_LAST - 1
};

enum k8snet_frontend_type {
	K8SNET_FRONTEND_CLUSTER_IP,
	K8SNET_FRONTEND_EXTERNAL_IP,
	K8SNET_FRONTEND_LB_IP,
	K8SNET_FRONTEND_NODE_PORT,	/* has no address */
	K8SNET_FRONTEND_HOST_PORT,	/* without an address: every local one
					 * but loopback; 127.0.0.1 or ::1: for
					 * processes of this node alone; the
					 * client's address is kept
					 */

	__K8SNET_FRONTEND_LAST,
	K8SNET_FRONTEND_MAX = __K8SNET_FRONTEND_LAST - 1
};

enum k8snet_attr_frontend {
	K8SNET_A_FRONTEND_UNSPEC,
	K8SNET_A_FRONTEND_TYPE,		/* u8, enum k8snet_frontend_type */
	K8SNET_A_FRONTEND_ADDR,		/* binary; not for node ports, may be
					 * left out for host ports
					 */
	K8SNET_A_FRONTEND_PORT,		/* be16, not 0 */
	K8SNET_A_FRONTEND_PORT_END,	/* be16, not 0: last port of a range;
					 * default PORT; not for node and host
					 * ports. Of
					 * frontends of one address that have a
					 * port, the one with fewest ports wins:
					 * a single one, a range, then 1..65535
					 */

	__K8SNET_A_FRONTEND_LAST,
	K8SNET_A_FRONTEND_MAX = __K8SNET_A_FRONTEND_LAST - 1
};

/* Conditions of an endpoint, as in EndpointSlice. */
#define K8SNET_EP_READY			(1U << 0)
#define K8SNET_EP_SERVING		(1U << 1)
#define K8SNET_EP_TERMINATING		(1U << 2)
#define K8SNET_EP_LOCAL			(1U << 3)	/* on this node */
#define __K8SNET_EP_ALL			0xfU

enum k8snet_attr_endpoint {
	K8SNET_A_ENDPOINT_UNSPEC,
	K8SNET_A_ENDPOINT_ADDR,		/* binary */
	K8SNET_A_ENDPOINT_PORT,		/* be16; 0: the port that the flow was
					 * sent to
					 */
	K8SNET_A_ENDPOINT_WEIGHT,	/* u32, 0..65535; default 1; 0: gets no
					 * new flow
					 */
	K8SNET_A_ENDPOINT_FLAGS,	/* u32, K8SNET_EP_*; NEW: default
					 * READY | SERVING
					 */
	K8SNET_A_ENDPOINT_MASK,		/* u32, K8SNET_EP_*; SET: which FLAGS
					 * count; default all
					 */
	K8SNET_A_ENDPOINT_FLOWS,	/* u64; answer only: flows given to it
					 * since it was added
					 */
	K8SNET_A_ENDPOINT_ACTIVE,	/* u32; answer only: live flows, where
					 * the scheduler counts them (lc)
					 */
	K8SNET_A_ENDPOINT_ZONE_HINT,	/* string, 63 bytes at most;
					 * multi-attr: zones it is meant for;
					 * SET: those given replace the old
					 * ones, "" is none
					 */
	K8SNET_A_ENDPOINT_NODE_HINT,	/* string, 253 bytes at most;
					 * multi-attr: the same for nodes
					 */
	K8SNET_A_ENDPOINT_PACKETS,	/* u64; answer only: from clients; the
					 * four are absent before there is any
					 * traffic
					 */
	K8SNET_A_ENDPOINT_BYTES,	/* u64; of IP packets */
	K8SNET_A_ENDPOINT_REPLY_PACKETS, /* u64; answer only: back to clients */
	K8SNET_A_ENDPOINT_REPLY_BYTES,	/* u64 */

	__K8SNET_A_ENDPOINT_LAST,
	K8SNET_A_ENDPOINT_MAX = __K8SNET_A_ENDPOINT_LAST - 1
};

enum k8snet_scheduler {
	K8SNET_SCHED_RANDOM,		/* weighted, by a keyed hash of the
					 * flow's addresses and ports
					 */
	K8SNET_SCHED_RR,		/* weighted round robin */
	K8SNET_SCHED_LC,		/* weighted least connections */
	K8SNET_SCHED_MAGLEV,		/* the same choice on every node */

	__K8SNET_SCHED_LAST,
	K8SNET_SCHED_MAX = __K8SNET_SCHED_LAST - 1
};

enum k8snet_policy {
	K8SNET_POLICY_CLUSTER,
	K8SNET_POLICY_LOCAL,

	__K8SNET_POLICY_LAST,
	K8SNET_POLICY_MAX = __K8SNET_POLICY_LAST - 1
};

enum k8snet_no_endpoints {
	K8SNET_NO_ENDPOINTS_REJECT,	/* ICMP, ICMPv6 port unreachable */
	K8SNET_NO_ENDPOINTS_DROP,
	K8SNET_NO_ENDPOINTS_PASS,	/* goes on as if there were no service */

	__K8SNET_NO_ENDPOINTS_LAST,
	K8SNET_NO_ENDPOINTS_MAX = __K8SNET_NO_ENDPOINTS_LAST - 1
};

/* Which frontends a service's source ranges are for. */
enum k8snet_range_scope {
	K8SNET_RANGE_SCOPE_LB,		/* load-balancer addresses */
	K8SNET_RANGE_SCOPE_EXTERNAL,	/* all but cluster IPs */

	__K8SNET_RANGE_SCOPE_LAST,
	K8SNET_RANGE_SCOPE_MAX = __K8SNET_RANGE_SCOPE_LAST - 1
};

/* What becomes of a connection whose endpoint is removed. */
enum k8snet_on_removal {
	K8SNET_ON_REMOVAL_KEEP,		/* it goes on, if the endpoint does */
	K8SNET_ON_REMOVAL_RESET,	/* both ends get a reset or an ABORT;
					 * not of UDP
					 */
	K8SNET_ON_REMOVAL_RESCHEDULE,	/* its next packet is a new flow */

	__K8SNET_ON_REMOVAL_LAST,
	K8SNET_ON_REMOVAL_MAX = __K8SNET_ON_REMOVAL_LAST - 1
};

/* Who answers outside clients of endpoints on other nodes. */
enum k8snet_dsr {
	K8SNET_DSR_NONE,		/* the node that was asked */
	K8SNET_DSR_IPIP,		/* the endpoint's; packets get there in
					 * IPIP and IP6IP6
					 */

	__K8SNET_DSR_LAST,
	K8SNET_DSR_MAX = __K8SNET_DSR_LAST - 1
};

enum k8snet_attr_service {
	K8SNET_A_SERVICE_UNSPEC,
	K8SNET_A_SERVICE_NAME,		/* string, 1..253 bytes */
	K8SNET_A_SERVICE_PROTO,		/* u8, IPPROTO_TCP, _UDP or _SCTP;
					 * NEW: required, SET: refused
					 */
	K8SNET_A_SERVICE_FRONTEND,	/* nest of FRONTEND; multi-attr */
	K8SNET_A_SERVICE_ENDPOINT,	/* nest of ENDPOINT; multi-attr; not in
					 * answers: see ENDPOINT_GET
					 */
	K8SNET_A_SERVICE_SCHEDULER,	/* u8, enum k8snet_scheduler */
	K8SNET_A_SERVICE_AFFINITY,	/* u32, seconds; 0: none */
	K8SNET_A_SERVICE_EXTERNAL_POLICY, /* u8, enum k8snet_policy */
	K8SNET_A_SERVICE_INTERNAL_POLICY, /* u8, enum k8snet_policy */
	K8SNET_A_SERVICE_SOURCE_RANGE,	/* nest of PREFIX; multi-attr: who may
					 * reach the load-balancer addresses,
					 * or what RANGE_SCOPE says; none:
					 * everybody
					 */
	K8SNET_A_SERVICE_NO_ENDPOINTS,	/* u8, enum k8snet_no_endpoints */
	K8SNET_A_SERVICE_REPLACE,	/* u32, K8SNET_SERVICE_REPLACE_*; SET
					 * only: lists to replace by what the
					 * message holds of their kind, which
					 * may be nothing. A FRONTEND, ENDPOINT
					 * or SOURCE_RANGE whose bit is not set
					 * is refused.
					 */
	K8SNET_A_SERVICE_ENDPOINTS,	/* u32; answer only: how many */
	K8SNET_A_SERVICE_FLOWS,		/* u64; answer only: flows given an
					 * endpoint
					 */
	K8SNET_A_SERVICE_REJECTED,	/* u64; answer only: packets rejected
					 * for want of an endpoint
					 */
	K8SNET_A_SERVICE_DROPPED,	/* u64; answer only: packets dropped by
					 * policy or source range
					 */
	K8SNET_A_SERVICE_RANGE_SCOPE,	/* u8, enum k8snet_range_scope */
	K8SNET_A_SERVICE_ON_REMOVAL,	/* u8, enum k8snet_on_removal; UDP flows
					 * always move: KEEP only
					 */
	K8SNET_A_SERVICE_PACKETS,	/* u64; answer only: from clients; the
					 * four are absent before there is any
					 * traffic
					 */
	K8SNET_A_SERVICE_BYTES,		/* u64; of IP packets */
	K8SNET_A_SERVICE_REPLY_PACKETS,	/* u64; answer only: back to clients */
	K8SNET_A_SERVICE_REPLY_BYTES,	/* u64 */
	K8SNET_A_SERVICE_DROP,		/* nest of STATS; multi-attr; answer
					 * only: packets refused, by reason
					 */
	K8SNET_A_SERVICE_DSR,		/* u8, enum k8snet_dsr; not for SCTP */

	__K8SNET_A_SERVICE_LAST,
	K8SNET_A_SERVICE_MAX = __K8SNET_A_SERVICE_LAST - 1
};

#define K8SNET_SERVICE_REPLACE_CLUSTER_IP	(1U << 0)
#define K8SNET_SERVICE_REPLACE_EXTERNAL_IP	(1U << 1)
#define K8SNET_SERVICE_REPLACE_LB_IP		(1U << 2)
#define K8SNET_SERVICE_REPLACE_NODE_PORT	(1U << 3)
#define K8SNET_SERVICE_REPLACE_ENDPOINT		(1U << 4)
#define K8SNET_SERVICE_REPLACE_SOURCE_RANGE	(1U << 5)
#define K8SNET_SERVICE_REPLACE_HOST_PORT	(1U << 6)
#define __K8SNET_SERVICE_REPLACE_ALL		0x7fU

enum k8snet_lookup_verdict {
	K8SNET_LOOKUP_NONE,		/* no frontend: the packet goes on */
	K8SNET_LOOKUP_ENDPOINT,		/* translated to an endpoint */
	K8SNET_LOOKUP_REJECT,
	K8SNET_LOOKUP_DROP,
	K8SNET_LOOKUP_PASS,		/* a frontend that lets it go on */

	__K8SNET_LOOKUP_LAST,
	K8SNET_LOOKUP_MAX = __K8SNET_LOOKUP_LAST - 1
};

/* Where a flow comes from, seen from this node. */
enum k8snet_origin {
	K8SNET_ORIGIN_POD,		/* a pod of this node or of another */
	K8SNET_ORIGIN_NODE,		/* a process of this node */
	K8SNET_ORIGIN_OUTSIDE,

	__K8SNET_ORIGIN_LAST,
	K8SNET_ORIGIN_MAX = __K8SNET_ORIGIN_LAST - 1
};

enum k8snet_attr_lookup {
	K8SNET_A_LOOKUP_UNSPEC,
	K8SNET_A_LOOKUP_PROTO,		/* u8; request and answer */
	K8SNET_A_LOOKUP_SRC,		/* binary; request and answer */
	K8SNET_A_LOOKUP_SPORT,		/* be16; request; default 0 */
	K8SNET_A_LOOKUP_DST,		/* binary; request and answer */
	K8SNET_A_LOOKUP_DPORT,		/* be16; request and answer */
	K8SNET_A_LOOKUP_VERDICT,	/* u8, enum k8snet_lookup_verdict */
	K8SNET_A_LOOKUP_SERVICE,	/* string */
	K8SNET_A_LOOKUP_FRONTEND,	/* nest of FRONTEND */
	K8SNET_A_LOOKUP_POLICY,		/* u8, enum k8snet_policy: the set that
					 * was chosen from
					 */
	K8SNET_A_LOOKUP_REASON,		/* string: a sentence */
	K8SNET_A_LOOKUP_ENDPOINT,	/* nest of ENDPOINT; multi-attr: those
					 * that may be chosen
					 */
	K8SNET_A_LOOKUP_CHOICE,		/* nest of ENDPOINT: the one this very
					 * source port would get, where that is
					 * known beforehand
					 */
	K8SNET_A_LOOKUP_SNAT,		/* binary: the source address it would
					 * get; absent: its own
					 */
	K8SNET_A_LOOKUP_ORIGIN,		/* u8, enum k8snet_origin */
	K8SNET_A_LOOKUP_ENDPOINTS,	/* u32: how many the service has of the
					 * flow's family
					 */
	K8SNET_A_LOOKUP_USABLE,		/* u32: how many of them may be chosen;
					 * ENDPOINT names at most 64
					 */
	K8SNET_A_LOOKUP_SCHEDULER,	/* u8, enum k8snet_scheduler; absent:
					 * not asked
					 */
	K8SNET_A_LOOKUP_SOURCE,		/* string: why the source is kept or
					 * not, a sentence
					 */

	__K8SNET_A_LOOKUP_LAST,
	K8SNET_A_LOOKUP_MAX = __K8SNET_A_LOOKUP_LAST - 1
};

/* One direction of a connection in the fast path. */
enum k8snet_attr_flow {
	K8SNET_A_FLOW_UNSPEC,
	K8SNET_A_FLOW_PROTO,		/* u8 */
	K8SNET_A_FLOW_SRC,		/* binary; as received */
	K8SNET_A_FLOW_SPORT,		/* be16 */
	K8SNET_A_FLOW_DST,		/* binary */
	K8SNET_A_FLOW_DPORT,		/* be16 */
	K8SNET_A_FLOW_IIF,		/* u32, ifindex */
	K8SNET_A_FLOW_OIF,		/* u32, ifindex */
	K8SNET_A_FLOW_NEW_SRC,		/* binary; as sent */
	K8SNET_A_FLOW_NEW_SPORT,	/* be16 */
	K8SNET_A_FLOW_NEW_DST,		/* binary */
	K8SNET_A_FLOW_NEW_DPORT,	/* be16 */
	K8SNET_A_FLOW_PACKETS,		/* u64 */
	K8SNET_A_FLOW_BYTES,		/* u64 */
	K8SNET_A_FLOW_SERVICE,		/* string, where it belongs to one */

	__K8SNET_A_FLOW_LAST,
	K8SNET_A_FLOW_MAX = __K8SNET_A_FLOW_LAST - 1
};

/* A counter of the node: what it counts is in its name. */
enum k8snet_attr_stats {
	K8SNET_A_STATS_UNSPEC,
	K8SNET_A_STATS_NAME,		/* string */
	K8SNET_A_STATS_VALUE,		/* u64 */

	__K8SNET_A_STATS_LAST,
	K8SNET_A_STATS_MAX = __K8SNET_A_STATS_LAST - 1
};

#endif /* _UAPI_LINUX_K8SNET_H */
