/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Addresses and prefixes of both families under one type, so that nothing
 * else in the module needs to exist twice.
 *
 * An address is a union nf_inet_addr in network byte order with a family
 * beside it (NFPROTO_IPV4 or NFPROTO_IPV6, which equal AF_INET and AF_INET6).
 * Bytes that an IPv4 address does not use are always 0, so that addresses
 * compare and hash as a whole.
 */
#ifndef _K8SNET_ADDR_H
#define _K8SNET_ADDR_H

#include <linux/bitops.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/jhash.h>
#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <linux/string.h>
#include <net/ipv6.h>
#include <net/netlink.h>

/* An address and a prefix length. Bits of @addr beyond @len are 0, except in
 * an interface address.
 */
struct k8snet_prefix {
	union nf_inet_addr addr;
	u8 family;		/* NFPROTO_IPV4, NFPROTO_IPV6 */
	u8 len;			/* bits */
};

/* Index of a family in a two-entry array. */
static inline unsigned int k8snet_family_index(u8 family)
{
	return family == NFPROTO_IPV6;
}

static inline u8 k8snet_family_of_index(unsigned int i)
{
	return i ? NFPROTO_IPV6 : NFPROTO_IPV4;
}

/* Bytes of an address of @family. */
static inline unsigned int k8snet_addr_size(u8 family)
{
	return family == NFPROTO_IPV6 ? 16 : 4;
}

static inline bool k8snet_addr_equal(const union nf_inet_addr *a,
				     const union nf_inet_addr *b)
{
	return nf_inet_addr_cmp(a, b);
}

static inline bool k8snet_addr_any(const union nf_inet_addr *a)
{
	return !(a->all[0] | a->all[1] | a->all[2] | a->all[3]);
}

static inline bool k8snet_addr_multicast(const union nf_inet_addr *a, u8 family)
{
	return family == NFPROTO_IPV6 ? ipv6_addr_is_multicast(&a->in6) :
					ipv4_is_multicast(a->ip);
}

static inline bool k8snet_addr_loopback(const union nf_inet_addr *a, u8 family)
{
	return family == NFPROTO_IPV6 ? ipv6_addr_loopback(&a->in6) :
					ipv4_is_loopback(a->ip);
}

/* Clears the bits of @a beyond the first @len. */
static inline void k8snet_addr_mask(union nf_inet_addr *a, u8 len)
{
	unsigned int i;

	for (i = 0; i < 4; i++) {
		unsigned int bits = len > i * 32 ? len - i * 32 : 0;

		if (bits < 32)
			a->all[i] &= (__force __u32)htonl(bits ?
						~0U << (32 - bits) : 0);
	}
}

static inline bool k8snet_prefix_match(const struct k8snet_prefix *p,
				       const union nf_inet_addr *a, u8 family)
{
	union nf_inet_addr m = *a;

	if (p->family != family)
		return false;
	k8snet_addr_mask(&m, p->len);
	return k8snet_addr_equal(&m, &p->addr);
}

static inline bool k8snet_prefixes_match(const struct k8snet_prefix *p,
					 unsigned int n,
					 const union nf_inet_addr *a, u8 family)
{
	while (n--)
		if (k8snet_prefix_match(p++, a, family))
			return true;
	return false;
}

static inline void k8snet_addr_from_ip(union nf_inet_addr *a, __be32 ip)
{
	*a = (union nf_inet_addr){ .ip = ip };
}

static inline void k8snet_addr_from_ip6(union nf_inet_addr *a,
					const struct in6_addr *ip6)
{
	a->in6 = *ip6;
}

/* Source and destination of a packet whose network header has been checked
 * and pulled (in and above the IP stack's hooks, and after
 * k8snet_skb_pull_network()).
 */
static inline void k8snet_skb_addrs(const struct sk_buff *skb, u8 family,
				    union nf_inet_addr *src,
				    union nf_inet_addr *dst)
{
	if (family == NFPROTO_IPV6) {
		src->in6 = ipv6_hdr(skb)->saddr;
		dst->in6 = ipv6_hdr(skb)->daddr;
	} else {
		k8snet_addr_from_ip(src, ip_hdr(skb)->saddr);
		k8snet_addr_from_ip(dst, ip_hdr(skb)->daddr);
	}
}

/* Netlink: an address is its bytes. The policy has checked that there are 4
 * to 16 of them; false for other lengths than 4 and 16.
 */
static inline bool k8snet_addr_parse(const struct nlattr *nla,
				     union nf_inet_addr *a, u8 *family)
{
	if (nla_len(nla) != 4 && nla_len(nla) != 16)
		return false;
	memset(a, 0, sizeof(*a));
	memcpy(a, nla_data(nla), nla_len(nla));
	*family = nla_len(nla) == 16 ? NFPROTO_IPV6 : NFPROTO_IPV4;
	return true;
}

static inline int k8snet_addr_put(struct sk_buff *msg, int type,
				  const union nf_inet_addr *a, u8 family)
{
	return nla_put(msg, type, k8snet_addr_size(family), a);
}

/* netlink.c */
int k8snet_prefix_parse(const struct nlattr *nla, struct k8snet_prefix *p,
			struct netlink_ext_ack *extack);
int k8snet_prefix_put(struct sk_buff *msg, int type,
		      const struct k8snet_prefix *p);
int k8snet_prefixes_parse(const struct nlmsghdr *nlh, int type,
			  struct k8snet_prefix *p, unsigned int max,
			  unsigned int *n, struct netlink_ext_ack *extack);

#endif /* _K8SNET_ADDR_H */
