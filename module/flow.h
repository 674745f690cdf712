/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fast path: a cache of what the stack has decided about established
 * flows, so that their packets need not ask it again.
 *
 * A flow is one direction of a connection. It is learned when a packet of it
 * leaves by a pod bridge, or to the outside, after the stack has routed it,
 * every firewall has accepted it and nf_nat has translated it, and it names all
 * that was decided: the translation, with its effect on the checksums, and the
 * way out. Whatever a flow does not answer for certain is left to the stack:
 * see k8snet_flow_rx().
 *
 * conntrack stays the owner of the connection. A flow keeps the entry's
 * timeout fresh and its counters right, and is worthless as soon as the entry
 * dies or the connection closes.
 *
 * A flow holds no reference to a device, a pod or a route. It has the number
 * of the configuration it was learned under (kn->flow_gen), and is not looked
 * at once there is a newer one.
 */
#ifndef _K8SNET_FLOW_H
#define _K8SNET_FLOW_H

#include <linux/math64.h>
#include <linux/rhashtable.h>
#include <net/netfilter/nf_conntrack.h>

#include "addr.h"
#include "bridge.h"
#include "netns.h"
#include "pod.h"
#include "route.h"

struct k8snet_flow_key4 {
	__be32 src, dst;
	__be32 ports;		/* as in the packet: source, destination */
	u32 iif_proto;		/* ifindex << 8 | protocol */
};

struct k8snet_flow_key6 {
	struct in6_addr src, dst;
	__be32 ports;
	u32 iif_proto;
};

/* A bridge's packets of known flows, which it neither received nor sent
 * itself (bridge.c).
 */
struct k8snet_flow_stats {
	u64_stats_t packets, bytes;
	struct u64_stats_sync syncp;
};

/* The sum over all CPUs. Context: any. */
void k8snet_flow_stats_read(const struct k8snet_flow_stats __percpu *stats,
			    u64 *packets, u64 *bytes);

/*
 * In the order in which a packet needs it: the first cache line finds the flow
 * and says whether it still holds, the others what to do.
 */
struct k8snet_flow {
	struct rhash_head hash;		/* kn->flows4, flows6 */
	union {				/* as received; constant */
		struct k8snet_flow_key4 key4;
		struct k8snet_flow_key6 key6;
	} __aligned(8);
	u32 gen;			/* kn->flow_gen it was learned under */
	u8 family;
	u8 proto;
	u8 dir;				/* enum ip_conntrack_dir */
	bool check_lladdr;		/* it comes from a pod: lladdr is its */
	struct nf_conn *ct;		/* a reference */

	unsigned long refresh;		/* jiffies to look closer at; written */
	u32 seq_end;			/* of TCP: after the last segment; written */
	u8 lladdr[ETH_ALEN];		/* that it must come from */
	bool offloads;			/* out does checksums and segmentation */
	bool nexthop6;			/* nexthop is of IPv6 */
	bool port_counts;		/* to a pod: what its port has sent is to
					 * be counted; its peer counts by that
					 */
	unsigned int mtu;		/* of the way out */
	u16 headroom;			/* that the uplink wants */
	bool lltx;			/* ... without a lock, by one queue */
	/* What the translation adds to a checksum (RFC 1624): of the IPv4
	 * header, TTL included; of addresses (the pseudo-header); of addresses
	 * and ports.
	 */
	__wsum hdr_diff, addr_diff, full_diff;
	struct net_device *out;		/* the pod's port, or the uplink */
	struct netdev_queue *txq;	/* of out */
	struct net_device *peer;	/* the pod's device; NULL: a next hop */
	/* As sent: Ethernet addresses (to a pod), addresses and ports. */
	u8 macs[2 * ETH_ALEN];		/* destination, source */
	__be32 ports;

	union nf_inet_addr src, dst;
	struct k8snet_flow_stats __percpu *stats;	/* bridge's, or kn's */
	struct nf_conn_counter *acct;	/* of ct and dir; NULL: not counted */

	u64 packets, bytes;		/* of one CPU at a time, mostly; two at
					 * once may lose a count
					 */
	u64 shown;			/* packets, when the stack last saw one:
					 * of this flow, to the outside; else
					 * of the other direction
					 */
	u64 seen;			/* packets, when flow_work() last looked */
	u32 ack;			/* of TCP: the last that came; 0: none */
	/* To a node: the route it goes by, and the next hop on that. To the
	 * outside: no route, and the next hop.
	 */
	struct k8snet_route *route;
	union nf_inet_addr nexthop;
	u64 hop;			/* a hash of both, as route->hop */
	int oif;			/* to tell: the port, or the bridge */
	struct rcu_head rcu;
};

enum k8snet_flow_verdict {
	K8SNET_FLOW_MISS,		/* to the stack, untouched */
	K8SNET_FLOW_POD,		/* skb->dev is the pod's device now */
	K8SNET_FLOW_CONSUMED,
};

/*
 * A packet that arrived on @skb->dev, seen before the stack. skb->data is at
 * the network header. Context: RCU, BH off; k8snet_flow_may_touch(@skb).
 */
enum k8snet_flow_verdict k8snet_flow_rx(struct k8snet_net *kn,
					struct sk_buff *skb);

/*
 * May the packet be changed in place? One that is shared may, if it came by a
 * device that does not let senders share what they will use again (veth): who
 * still has it then is a sender that only waits to free it (pktgen). It must
 * be whole, since nothing can be reallocated.
 */
static inline bool k8snet_flow_may_touch(const struct sk_buff *skb)
{
	return likely(!skb_shared(skb)) ||
	       (!skb_cloned(skb) && !skb_is_nonlinear(skb) &&
		!(skb->dev->priv_flags & IFF_TX_SKB_SHARING));
}

/* What is known of a flow besides its connection. */
struct k8snet_flow_way {
	struct k8snet_bridge *br;		/* that counts it; NULL: none */
	const struct k8snet_pod *from;		/* NULL: by an uplink */
	const struct k8snet_pod *to;		/* or else: */
	struct k8snet_route *route;		/* or else: */
	struct dst_entry *dst;			/* of the packet, to the outside */
	int iif;				/* it comes in by */
	u32 gen;				/* before all this was found */
	u8 dir;					/* enum ip_conntrack_dir */
};

/* Memory for a flow, if there may be one more; NULL is counted. It becomes one
 * of k8snet_flow_publish(), or is given back. Context: RCU, BH off.
 */
struct k8snet_flow *k8snet_flow_alloc(struct k8snet_net *kn);
void k8snet_flow_discard(struct k8snet_net *kn, struct k8snet_flow *f);
/* Makes @f a flow of @ct, for k8snet_flow_output() or k8snet_flow_publish();
 * holds no reference yet. False: there is no way that it could take.
 * Context: RCU, BH off.
 */
bool k8snet_flow_make(struct k8snet_net *kn, struct k8snet_flow *f,
		      struct nf_conn *ct, const struct k8snet_flow_way *way);
/* Is it in the table as it would be made now? One that is not up to date is
 * taken out. To be asked before there is memory for it. Context: RCU, BH off.
 */
bool k8snet_flow_is_known(struct k8snet_net *kn, const struct nf_conn *ct,
			  const struct k8snet_flow_way *way);
/* The flow of these addresses and ports, not of @ct alone: who has it is to be
 * compared. Context: RCU.
 */
struct k8snet_flow *k8snet_flow_find(struct k8snet_net *kn,
				     const struct nf_conn *ct, u8 dir, int iif);
/* The connection's other direction, if it is known and comes in where @f leaves.
 * Context: RCU; @f is of the present generation.
 */
struct k8snet_flow *k8snet_flow_back(struct k8snet_net *kn,
				     const struct k8snet_flow *f);
#define K8SNET_FLOW_SEQS	2
/*
 * What known flows tell of the sequence number that whoever gets the TCP
 * segments of @dir expects next, which conntrack has not seen: the end of the
 * last of them, and what was acknowledged last. The former is behind where the
 * order has changed, and may be anything an end chooses; the latter is behind
 * where data has just come. Host byte order. Returns how many are known.
 *
 * Context: any; the caller has a reference to @ct, so that no other connection's
 * flow can be taken for its. conn.c, who asks, ends before flows and pods do
 * (net_exit()).
 */
unsigned int k8snet_flow_seqs(struct k8snet_net *kn, const struct nf_conn *ct,
			      u8 dir, u32 seqs[K8SNET_FLOW_SEQS]);
/* Puts it into the table, which owns it then. False: somebody else just has, or
 * its connection is over. Context: RCU, BH off; f->ct is confirmed.
 */
bool k8snet_flow_publish(struct k8snet_net *kn, struct k8snet_flow *f);
/* May flows of the connection be learned from this packet, which conntrack has
 * just seen?
 */
bool k8snet_flow_may_learn(const struct sk_buff *skb, const struct nf_conn *ct,
			   enum ip_conntrack_info info);
/* Do packets that come in by that device find flows? If not, they will in a
 * moment, if they may. Context: RCU.
 */
bool k8snet_flow_uplink(struct k8snet_net *kn, int ifindex);
/* A packet of a flow that is not in the table, tracked by conntrack just now
 * and otherwise as k8snet_flow_rx() checks it. Context: the same.
 */
enum k8snet_flow_verdict k8snet_flow_output(struct k8snet_net *kn,
					    struct sk_buff *skb,
					    struct k8snet_flow *f);

/*
 * A packet leaves by bridge @br to @pod or by @route, accepted by everybody:
 * learns its flow if it may. @gen: kn->flow_gen as it was before @pod or
 * @route was looked up. skb->data is at the Ethernet header or beyond, the
 * network header is set. Context: RCU, BH off.
 */
void k8snet_flow_learn(struct k8snet_bridge *br, struct sk_buff *skb,
		       u8 family, const struct k8snet_pod *pod,
		       struct k8snet_route *route, u32 gen);

/* The last hook of POST_ROUTING: learns what leaves by no pod bridge. */
unsigned int k8snet_flow_leave(void *priv, struct sk_buff *skb,
			       const struct nf_hook_state *state);

static inline u32 k8snet_flow_gen(const struct k8snet_net *kn)
{
	return atomic_read_acquire(&kn->flow_gen);
}

/*
 * A pod, a port, a pod route or a device that a flow may name is about to go
 * or has changed. To be called after it can no longer be found and before the
 * grace period that precedes its end: a packet that still passes the check of
 * a flow's generation does so in an RCU section which that period waits for,
 * and one that learns a flow from what it found before learns it under the
 * old generation. Any context.
 */
void k8snet_flow_invalidate(struct k8snet_net *kn);

/* What flows are made of; outlives every namespace's state. */
int k8snet_flow_init(void);
void k8snet_flow_uninit(void);
/* Follows the devices; needs the namespaces' state. */
int k8snet_flow_start(void);
void k8snet_flow_stop(void);
int k8snet_flow_net_init(struct k8snet_net *kn);
/* First stage of leaving the namespace: removes the ingress hooks. */
void k8snet_flow_net_pre_exit(struct k8snet_net *kn);
void k8snet_flow_net_exit(struct k8snet_net *kn);
/* Drops all flows. Context: may sleep. */
void k8snet_flow_flush(struct k8snet_net *kn);

/* Is a TCP connection in a state in which its flows carry packets? From
 * established until both ends have closed.
 */
static inline bool k8snet_flow_tcp_carried(u8 state)
{
	return state >= TCP_CONNTRACK_ESTABLISHED &&
	       state <= TCP_CONNTRACK_LAST_ACK;
}

/* Is it one of a TCP connection that has opened and not begun to close?
 * Context: RCU.
 */
static inline bool k8snet_flow_established(const struct k8snet_flow *f)
{
	return f->proto == IPPROTO_TCP &&
	       READ_ONCE(f->ct->proto.tcp.state) == TCP_CONNTRACK_ESTABLISHED;
}

/* Gives the connection conntrack's timeout for the state that it is in.
 * Context: RCU.
 */
void k8snet_flow_prolong(const struct k8snet_flow *f);

/* fastpath.c uses these of flow.c. */
void k8snet_flow_remove(struct k8snet_net *kn, struct k8snet_flow *f);
/* Is the next hop of a flow to a node still the one it has? For what the
 * generation does not tell. Context: RCU, BH off.
 */
bool k8snet_flow_hop_current(struct k8snet_net *kn,
			     const struct k8snet_flow *f);

/* Random, of the module: what pods may choose must not say where it hashes. */
extern u64 k8snet_flow_secret[6];

/*
 * A hash of a key, which is two or five words of eight bytes. Each pair is
 * mixed with the secret and multiplied, and the halves of the product are
 * folded (as wyhash does). Every bit of the result depends on all bits of the
 * key, and on a secret of twice its length: who cannot see hash values, and no
 * pod can, has no way to look for keys that share one. A hash with a proof
 * (siphash) costs more than the rest of the lookup.
 */
static __always_inline u64 k8snet_flow_fold(u64 a, u64 b)
{
#ifdef CONFIG_ARCH_SUPPORTS_INT128
	__uint128_t product = (__uint128_t)a * b;

	return (u64)product ^ (u64)(product >> 64);
#else
	return a * b ^ mul_u64_u64_shr(a, b, 64);
#endif
}

static __always_inline u32 k8snet_flow_mix4(const u64 k0, const u64 k1,
					    u32 seed)
{
	const u64 *s = k8snet_flow_secret;

	return k8snet_flow_fold(k0 ^ s[0], k1 ^ (s[1] + seed));
}

static __always_inline u32 k8snet_flow_mix6(const u64 k0, const u64 k1,
					    const u64 k2, const u64 k3,
					    const u64 k4, u32 seed)
{
	const u64 *s = k8snet_flow_secret;
	u64 hash;

	/* One product after the other: the compiler would make all of them
	 * first, and has no registers to keep them in.
	 */
	hash = k8snet_flow_fold(k0 ^ s[0], k1 ^ (s[1] + seed));
	OPTIMIZER_HIDE_VAR(hash);
	hash ^= k8snet_flow_fold(k2 ^ s[2], k3 ^ s[3]);
	OPTIMIZER_HIDE_VAR(hash);
	return hash ^ k8snet_flow_fold(k4 ^ s[4], s[5]);
}

/* The last word of either key, as it is in memory. */
static __always_inline u64 k8snet_flow_last_word(__be32 ports, u32 iif_proto)
{
	if (IS_ENABLED(CONFIG_CPU_BIG_ENDIAN))
		return (u64)(__force u32)ports << 32 | iif_proto;
	return (u64)iif_proto << 32 | (__force u32)ports;
}

/*
 * A flow by the words of its key; valid in the caller's RCU section. What
 * rhashtable_lookup() does, which the compiler does not inline where it is
 * used twice, and then calls its hash and comparison by pointer. The words are
 * in registers or in the packet: no key is put together first. @addrs: source
 * and destination, one behind the other, as they are in a packet.
 */
static __always_inline struct k8snet_flow *
k8snet_flow_lookup(struct rhashtable *table, const void *addrs, const u64 last,
		   const bool ipv6)
{
	const u64 k0 = get_unaligned((const u64 *)addrs);
	const u64 k1 = ipv6 ? get_unaligned((const u64 *)addrs + 1) : last;
	const u64 k2 = ipv6 ? get_unaligned((const u64 *)addrs + 2) : 0;
	const u64 k3 = ipv6 ? get_unaligned((const u64 *)addrs + 3) : 0;
	struct rhash_lock_head __rcu *const *bucket;
	struct bucket_table *tbl;
	struct rhash_head *he;
	const u64 *key;
	u64 differs;
	u32 hash;

	BUILD_BUG_ON(offsetof(struct k8snet_flow, hash));
	tbl = rht_dereference_rcu(table->tbl, table);
	do {
		hash = ipv6 ? k8snet_flow_mix6(k0, k1, k2, k3, last,
					       tbl->hash_rnd) :
			      k8snet_flow_mix4(k0, k1, tbl->hash_rnd);
		hash &= tbl->size - 1;
		bucket = rht_bucket(tbl, hash);
		do {
			rht_for_each_rcu_from(he, rht_ptr_rcu(bucket), tbl,
					      hash) {
				key = (const u64 *)&((struct k8snet_flow *)he)->key6;
				differs = (key[0] ^ k0) | (key[1] ^ k1);
				if (ipv6)
					differs |= (key[2] ^ k2) |
						   (key[3] ^ k3) |
						   (key[4] ^ last);
				if (!differs)
					return (struct k8snet_flow *)he;
			}
			/* Another bucket's end: the entry was moved. */
		} while (he != RHT_NULLS_MARKER(bucket));
		/* The old table empties into the new one. */
		smp_rmb();
		tbl = rht_dereference_rcu(tbl->future_tbl, table);
	} while (unlikely(tbl));
	return NULL;
}

static __always_inline struct k8snet_flow *
k8snet_flow_lookup4(struct k8snet_net *kn, const __be32 *addrs, __be32 ports,
		    u32 iif_proto)
{
	return k8snet_flow_lookup(&kn->flows4, addrs,
				  k8snet_flow_last_word(ports, iif_proto),
				  false);
}

static __always_inline struct k8snet_flow *
k8snet_flow_lookup6(struct k8snet_net *kn, const struct in6_addr *addrs,
		    __be32 ports, u32 iif_proto)
{
	return k8snet_flow_lookup(&kn->flows6, addrs,
				  k8snet_flow_last_word(ports, iif_proto),
				  true);
}

#endif /* _K8SNET_FLOW_H */
