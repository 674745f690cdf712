// SPDX-License-Identifier: GPL-2.0
/*
 * Source translation: the choice of a port.
 *
 * nf_nat can choose one itself, but from one contiguous range, and node ports
 * lie in the middle of the ports there are. A masqueraded flow that got a node
 * port as its source would lose its replies to the service.
 */

#include <linux/gcd.h>
#include <linux/siphash.h>
#include <net/ip.h>
#include <net/netfilter/nf_conntrack_core.h>
#include <net/netfilter/nf_nat.h>

#include "drop.h"
#include "masq.h"
#include "node.h"

#define PORT_STRIDE	0x9e3779b9U	/* 2^32 divided by the golden ratio */

/* A linear congruential generator; its upper half is good (Knuth's MMIX). */
#define LCG_FACTOR	6364136223846793005ULL
#define LCG_STEP	1442695040888963407ULL

enum {
	PORT_MIN = 1024,
	PORT_MAX = 65535,
};

/* Ports PORT_MIN..PORT_MAX without those of a hole, numbered from 0. */
struct port_space {
	u32 below;	/* how many there are below the hole */
	u32 above;	/* the first above it */
	u32 n;
};

static void port_space_init(struct port_space *s, u16 hole_min, u16 hole_max)
{
	s->below = max_t(u32, hole_min, PORT_MIN) - PORT_MIN;
	s->above = max_t(u32, hole_max + 1U, PORT_MIN);
	s->n = s->below + PORT_MAX + 1U - s->above;
}

static u16 port_space_port(const struct port_space *s, u32 i)
{
	return i < s->below ? PORT_MIN + i : s->above + (i - s->below);
}

static u64 flow_hash(const struct k8snet_net *kn, const struct nf_conn *ct)
{
	const struct nf_conntrack_tuple *t =
		&ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple;
	struct {
		union nf_inet_addr src, dst;
		__be16 sport, dport;
		u8 proto;
	} __aligned(SIPHASH_ALIGNMENT) key;

	memset(&key, 0, sizeof(key));
	key.src = t->src.u3;
	key.dst = t->dst.u3;
	key.sport = t->src.u.all;
	key.dport = t->dst.u.all;
	key.proto = t->dst.protonum;
	return siphash(&key, sizeof(key), &kn->hash_key);
}

/*
 * A port that makes the flow's replies distinct from those of all others, or
 * 0. Where a port is taken, the flow's hash leads to another that has nothing to
 * do with it: a fixed step from one to the next would fill long runs of ports,
 * in which later flows run out of tries (as linear probing does: D. E. Knuth,
 * "The Art of Computer Programming", 6.4). Where there are no more ports than
 * tries, all are tried: steps of a stride that meets every port once.
 * The flow may still lose a race for the port, as any in nf_nat: then
 * conntrack drops this packet, and the next one finds the port taken.
 *
 * Worst case: K8SNET_SNAT_TRIES conntrack lookups for the first packet of a
 * flow. With 99 of 100 ports taken they fail for 6 flows in 1000.
 */
static __be16 port_find(struct k8snet_net *kn, const struct nf_conn *ct,
			const union nf_inet_addr *addr)
{
	const struct k8snet_node_conf *conf = rcu_dereference(kn->node);
	struct nf_conntrack_tuple reply;
	u32 i, tries, stride = 0;
	struct port_space space;
	__be16 found = 0;
	u32 clashes = 0;
	u64 hash;
	u16 port;

	port_space_init(&space, conf->nodeport_min, conf->nodeport_max);
	if (!space.n)
		return 0;

	/* nf_nat has not come to the source yet: replies still go to the
	 * flow's own source, and come from where DNAT has sent it.
	 */
	reply = ct->tuplehash[IP_CT_DIR_REPLY].tuple;
	reply.dst.u3 = *addr;

	hash = flow_hash(kn, ct);
	i = reciprocal_scale(lower_32_bits(hash), space.n);
	for (tries = min_t(u32, space.n, K8SNET_SNAT_TRIES); tries; tries--) {
		port = port_space_port(&space, i);
		if (!inet_is_local_reserved_port(kn->net, port)) {
			reply.dst.u.all = htons(port);
			if (!nf_conntrack_tuple_taken(&reply, ct)) {
				found = reply.dst.u.all;
				break;
			}
			clashes++;
		}
		if (space.n > K8SNET_SNAT_TRIES) {
			hash = hash * LCG_FACTOR + LCG_STEP;
			i = reciprocal_scale(upper_32_bits(hash), space.n);
			continue;
		}
		if (!stride) {
			/* 1 is coprime to all, so this ends. */
			stride = reciprocal_scale(PORT_STRIDE, space.n) ?: 1;
			while (gcd(stride, space.n) != 1)
				stride--;
		}
		i = (i + stride) % space.n;
	}

	if (clashes)
		k8snet_stat_add(kn, SNAT_CLASH, clashes);
	return found;
}

/* See the comment in masq.h. Without memory the flow is not ended early. */
static void device_set(struct nf_conn *ct, int ifindex)
{
#if IS_ENABLED(CONFIG_NF_NAT_MASQUERADE)
	struct nf_conn_nat *nat = nf_ct_nat_ext_add(ct);

	if (nat)
		nat->masq_index = ifindex;
#endif
}

unsigned int k8snet_snat_setup(struct k8snet_net *kn, const struct sk_buff *skb,
			       struct nf_conn *ct,
			       const union nf_inet_addr *addr, int ifindex,
			       struct k8snet_service *svc)
{
	struct nf_nat_range2 range = {
		.flags = NF_NAT_RANGE_MAP_IPS,
		.min_addr = *addr,
		.max_addr = *addr,
	};
	unsigned int verdict = NF_DROP;

	/* LOCAL_OUT and what follows it run in process context. */
	local_bh_disable();

	switch (nf_ct_protonum(ct)) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		/* nf_nat takes a range of one port as an order. */
		range.flags |= NF_NAT_RANGE_PROTO_SPECIFIED;
		range.min_proto.all = port_find(kn, ct, addr);
		range.max_proto.all = range.min_proto.all;
		if (!range.min_proto.all) {
			k8snet_drop_note(kn, skb, K8SNET_STAT_SNAT_EXHAUSTED,
					 svc);
			goto out;
		}
		break;
	}

	if (ifindex)
		device_set(ct, ifindex);
	verdict = nf_nat_setup_info(ct, &range, NF_NAT_MANIP_SRC);
	if (verdict == NF_ACCEPT)
		k8snet_stat_inc(kn, SNAT_FLOWS);
	else
		k8snet_drop_note(kn, skb, K8SNET_STAT_NAT_FAILED, svc);
out:
	local_bh_enable();
	return verdict;
}
