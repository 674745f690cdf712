// SPDX-License-Identifier: GPL-2.0
/*
 * The smallest eBPF Service datapath between two pods of a node: one hash
 * lookup, the rewrite, bpf_redirect_peer(). "client" sits at the node's end of
 * the calling pod's veth and turns a service address into the endpoint's,
 * "server" at the endpoint's and turns its address back.
 *
 * It keeps no connection state, balances nothing, knows no fragment, option or
 * ICMP error: a lower bound for what an eBPF datapath costs, and no more.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stddef.h>

#define SEC(name)	__attribute__((section(name), used))
#define always_inline	inline __attribute__((always_inline))
#define __uint(name, value)	int (*name)[value]
#define __type(name, value)	typeof(value) *name

/* A frontend (client side) or an endpoint (server side). IPv4 in addr[0]. */
struct key {
	__be32 addr[4];
	__be16 port;
	__u8 proto;
	__u8 family;
};

struct target {
	__be32 addr[4];
	__be16 port;
	__u16 pad;
	__u32 ifindex;		/* the node's end of the receiving pod's veth */
	__u8 dst_mac[ETH_ALEN];
	__u8 src_mac[ETH_ALEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct key);
	__type(value, struct target);
	__uint(max_entries, 65536);
	__uint(pinning, 1);	/* LIBBPF_PIN_BY_NAME */
} bench_client SEC(".maps"), bench_server SEC(".maps");

static void *(*map_lookup)(void *map, const void *key) = (void *)1;
static long (*l3_csum_replace)(struct __sk_buff *skb, __u32 offset, __u64 from,
			       __u64 to, __u64 size) = (void *)10;
static long (*l4_csum_replace)(struct __sk_buff *skb, __u32 offset, __u64 from,
			       __u64 to, __u64 flags) = (void *)11;
static __s64 (*csum_diff)(__be32 *from, __u32 from_size, __be32 *to,
			  __u32 to_size, __wsum seed) = (void *)28;
static long (*redirect_peer)(__u32 ifindex, __u64 flags) = (void *)155;

static always_inline int translate(struct __sk_buff *skb, void *map, int server)
{
	void *data_end = (void *)(long)skb->data_end;
	void *data = (void *)(long)skb->data;
	struct ethhdr *eth = data;
	struct key key = {};
	struct target *to;
	__u32 l4, check, flags = BPF_F_PSEUDO_HDR;
	__be16 *ports;
	__s64 diff;

	if (data + sizeof(*eth) + sizeof(struct iphdr) + 8 > data_end)
		return TC_ACT_OK;
	if (eth->h_proto == __builtin_bswap16(ETH_P_IP)) {
		struct iphdr *ip = data + sizeof(*eth);

		if (ip->ihl != 5 || ip->frag_off & __builtin_bswap16(0x3fff))
			return TC_ACT_OK;
		key.addr[0] = server ? ip->saddr : ip->daddr;
		key.proto = ip->protocol;
		key.family = 4;
		l4 = sizeof(*eth) + sizeof(*ip);
	} else if (eth->h_proto == __builtin_bswap16(ETH_P_IPV6)) {
		struct ipv6hdr *ip = data + sizeof(*eth);

		l4 = sizeof(*eth) + sizeof(*ip);
		if (data + l4 + 8 > data_end)
			return TC_ACT_OK;
		__builtin_memcpy(key.addr, server ? &ip->saddr : &ip->daddr,
				 16);
		key.proto = ip->nexthdr;
		key.family = 6;
	} else {
		return TC_ACT_OK;
	}
	if (key.proto == IPPROTO_UDP) {
		check = l4 + offsetof(struct udphdr, check);
		flags |= BPF_F_MARK_MANGLED_0;
	} else if (key.proto == IPPROTO_TCP) {
		check = l4 + offsetof(struct tcphdr, check);
	} else {
		return TC_ACT_OK;
	}
	ports = data + l4;
	key.port = ports[!server];

	to = map_lookup(map, &key);
	if (!to)
		return TC_ACT_OK;

	if (key.family == 4) {
		struct iphdr *ip = data + sizeof(*eth);

		if (server)
			ip->saddr = to->addr[0];
		else
			ip->daddr = to->addr[0];
		diff = csum_diff(key.addr, 4, to->addr, 4, 0);
	} else {
		struct ipv6hdr *ip = data + sizeof(*eth);

		__builtin_memcpy(server ? &ip->saddr : &ip->daddr, to->addr,
				 16);
		diff = csum_diff(key.addr, 16, to->addr, 16, 0);
	}
	ports[!server] = to->port;
	__builtin_memcpy(eth->h_dest, to->dst_mac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, to->src_mac, ETH_ALEN);
	if (key.family == 4)
		l3_csum_replace(skb, sizeof(*eth) +
				offsetof(struct iphdr, check), 0, diff, 0);
	l4_csum_replace(skb, check, 0, diff, flags);
	l4_csum_replace(skb, check, key.port, to->port,
			(flags & BPF_F_MARK_MANGLED_0) | 2);
	return redirect_peer(to->ifindex, 0);
}

SEC("tc/client")
int client(struct __sk_buff *skb)
{
	return translate(skb, &bench_client, 0);
}

SEC("tc/server")
int server(struct __sk_buff *skb)
{
	return translate(skb, &bench_server, 1);
}

char _license[] SEC("license") = "GPL";
