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

/*
 * l4: offset of the transport header. The packet was checked up to 8 bytes of
 * it, and data is its start.
 */
static always_inline int send(struct __sk_buff *skb, void *data,
			      const struct key *key, const struct target *to,
			      __u32 l4, __u32 address_len, int server)
{
	__be16 *ports = data + l4;
	struct ethhdr *eth = data;
	__u32 check;
	__u64 udp = 0;
	__s64 diff;

	if (key->proto == IPPROTO_UDP) {
		check = l4 + offsetof(struct udphdr, check);
		udp = BPF_F_MARK_MANGLED_0;
	} else {
		check = l4 + offsetof(struct tcphdr, check);
	}
	ports[!server] = to->port;
	__builtin_memcpy(eth->h_dest, to->dst_mac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, to->src_mac, ETH_ALEN);
	/* data is not valid any more after the first of these */
	diff = csum_diff((void *)key->addr, address_len, (void *)to->addr,
			 address_len, 0);
	if (address_len == 4)
		l3_csum_replace(skb, ETH_HLEN + offsetof(struct iphdr, check),
				0, diff, 0);
	l4_csum_replace(skb, check, 0, diff, udp | BPF_F_PSEUDO_HDR);
	l4_csum_replace(skb, check, key->port, to->port, udp | 2);
	return redirect_peer(to->ifindex, 0);
}

static always_inline int translate4(struct __sk_buff *skb, void *map,
				    int server)
{
	const __u32 l4 = ETH_HLEN + sizeof(struct iphdr);
	void *data_end = (void *)(long)skb->data_end;
	void *data = (void *)(long)skb->data;
	struct iphdr *ip = data + ETH_HLEN;
	struct key key = { .family = 4 };
	struct target *to;

	if (data + l4 + 8 > data_end)
		return TC_ACT_OK;
	if (ip->ihl != 5 || ip->frag_off & __builtin_bswap16(0x3fff) ||
	    (ip->protocol != IPPROTO_UDP && ip->protocol != IPPROTO_TCP))
		return TC_ACT_OK;
	key.addr[0] = server ? ip->saddr : ip->daddr;
	key.port = ((__be16 *)(data + l4))[!server];
	key.proto = ip->protocol;
	to = map_lookup(map, &key);
	if (!to)
		return TC_ACT_OK;
	if (server)
		ip->saddr = to->addr[0];
	else
		ip->daddr = to->addr[0];
	return send(skb, data, &key, to, l4, 4, server);
}

static always_inline int translate6(struct __sk_buff *skb, void *map,
				    int server)
{
	const __u32 l4 = ETH_HLEN + sizeof(struct ipv6hdr);
	void *data_end = (void *)(long)skb->data_end;
	void *data = (void *)(long)skb->data;
	struct ipv6hdr *ip = data + ETH_HLEN;
	struct key key = { .family = 6 };
	struct target *to;

	if (data + l4 + 8 > data_end)
		return TC_ACT_OK;
	if (ip->nexthdr != IPPROTO_UDP && ip->nexthdr != IPPROTO_TCP)
		return TC_ACT_OK;
	__builtin_memcpy(key.addr, server ? &ip->saddr : &ip->daddr, 16);
	key.port = ((__be16 *)(data + l4))[!server];
	key.proto = ip->nexthdr;
	to = map_lookup(map, &key);
	if (!to)
		return TC_ACT_OK;
	__builtin_memcpy(server ? &ip->saddr : &ip->daddr, to->addr, 16);
	return send(skb, data, &key, to, l4, 16, server);
}

static always_inline int translate(struct __sk_buff *skb, void *map, int server)
{
	if (skb->protocol == __builtin_bswap16(ETH_P_IP))
		return translate4(skb, map, server);
	if (skb->protocol == __builtin_bswap16(ETH_P_IPV6))
		return translate6(skb, map, server);
	return TC_ACT_OK;
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
