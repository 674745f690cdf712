// SPDX-License-Identifier: GPL-2.0
/* The table of pods: which addresses and MAC live behind which port. */

#include <linux/etherdevice.h>
#include <linux/jhash.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>
#include <net/addrconf.h>
#include <net/route.h>

#include "bridge.h"
#include "flow.h"
#include "netlink.h"
#include "netns.h"
#include "node.h"
#include "pod.h"

/* An address has 16 bytes and a family: one multiplication, and no call. Each
 * new flow looks for two or three pods.
 */
static u32 pod_hash(const void *data, u32 len, u32 seed)
{
	const struct k8snet_pod_key *k = data;
	const u32 *w = k->addr.all;

	return k8snet_flow_fold(((u64)w[0] << 32 | w[1]) ^
				k8snet_flow_secret[0],
				((u64)w[2] << 32 | w[3]) ^
				(k8snet_flow_secret[1] + seed + k->family));
}

static int pod_cmp(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct k8snet_pod_key *a = arg->key;
	const struct k8snet_pod_addr *b = obj;

	return !(k8snet_addr_equal(&a->addr, &b->key.addr) &&
		 a->family == b->key.family);
}

static const struct rhashtable_params pod_params = {
	.head_offset = offsetof(struct k8snet_pod_addr, hash),
	.key_offset = offsetof(struct k8snet_pod_addr, key),
	.key_len = sizeof(struct k8snet_pod_key),
	.hashfn = pod_hash,
	.obj_cmpfn = pod_cmp,
	.automatic_shrinking = true,
};

int k8snet_pod_net_init(struct k8snet_net *kn)
{
	xa_init_flags(&kn->pod_ids, XA_FLAGS_ALLOC1);
	return rhashtable_init(&kn->pods, &pod_params);
}

/* The bridges are gone, and with their ports all pods. */
void k8snet_pod_net_exit(struct k8snet_net *kn)
{
	WARN_ON_ONCE(kn->n_pods);
	rhashtable_destroy(&kn->pods);
	xa_destroy(&kn->pod_ids);
}

/* The pod of an entry, which is addr[0] or addr[1] of it. */
static struct k8snet_pod *pod_of_addr(struct k8snet_pod_addr *pa)
{
	unsigned int i = k8snet_family_index(pa->key.family);

	return container_of(pa - i, struct k8snet_pod, addr[0]);
}

struct k8snet_pod *k8snet_pod_lookup_rcu(struct k8snet_net *kn,
					 const union nf_inet_addr *addr,
					 u8 family)
{
	const struct k8snet_pod_key key = { .addr = *addr, .family = family };
	struct k8snet_pod_addr *pa;

	pa = rhashtable_lookup(&kn->pods, &key, pod_params);
	return pa ? pod_of_addr(pa) : NULL;
}

/* A port has one pod, mostly. */
struct k8snet_pod *k8snet_pod_of_port_rcu(struct k8snet_port *port,
					  const union nf_inet_addr *addr,
					  u8 family)
{
	unsigned int i = k8snet_family_index(family);
	struct k8snet_pod *pod;

	pod = list_first_or_null_rcu(&port->pods, struct k8snet_pod, node);
	if (likely(pod && pod->addr[i].key.family &&
		   k8snet_addr_equal(&pod->addr[i].key.addr, addr)))
		return pod;
	return k8snet_pod_lookup_rcu(port->br->kn, addr, family);
}

struct k8snet_pod *k8snet_pod_lookup(struct k8snet_net *kn,
				     const union nf_inet_addr *addr, u8 family)
{
	struct k8snet_pod *pod;

	k8snet_assert_cfg(kn);
	rcu_read_lock();
	pod = k8snet_pod_lookup_rcu(kn, addr, family);
	rcu_read_unlock();
	return pod;
}

static struct hlist_head *pod_lladdr_bucket(struct k8snet_bridge *br,
					    const u8 *lladdr)
{
	u32 hash = jhash(lladdr, ETH_ALEN, br->kn->hash_key.key[0]);

	return &br->lladdrs[hash % K8SNET_LLADDR_BUCKETS];
}

struct k8snet_pod *k8snet_pod_lookup_lladdr_rcu(struct k8snet_bridge *br,
						const u8 *lladdr)
{
	struct k8snet_pod *pod;

	hlist_for_each_entry_rcu(pod, pod_lladdr_bucket(br, lladdr),
				 lladdr_node)
		if (ether_addr_equal_unaligned(pod->lladdr, lladdr))
			return pod;
	return NULL;
}

/* One address of a new pod: usable by a pod and not taken. */
static int pod_check_addr(const struct k8snet_port *port,
			  const union nf_inet_addr *addr, u8 family,
			  struct netlink_ext_ack *extack)
{
	struct k8snet_net *kn = port->br->kn;
	const struct k8snet_bridge_addr *gw;
	const struct k8snet_bridge *br;
	bool local = false;
	unsigned int type;

	if (k8snet_addr_any(addr) || k8snet_addr_multicast(addr, family) ||
	    k8snet_addr_loopback(addr, family) ||
	    (family == NFPROTO_IPV4 &&
	     (ipv4_is_lbcast(addr->ip) || ipv4_is_zeronet(addr->ip)))) {
		NL_SET_ERR_MSG(extack, "pod address is not a unicast address");
		return -EINVAL;
	}
	if (family == NFPROTO_IPV6 && !ipv6_mod_enabled()) {
		NL_SET_ERR_MSG(extack, "IPv6 is disabled on this node (ipv6.disable)");
		return -EAFNOSUPPORT;
	}
	if (family == NFPROTO_IPV6 &&
	    ipv6_addr_type(&addr->in6) & (IPV6_ADDR_LINKLOCAL |
					  IPV6_ADDR_MAPPED)) {
		NL_SET_ERR_MSG(extack, "pod address is link-local or IPv4-mapped");
		return -EINVAL;
	}

	/* Of the bridges even while they are down. */
	list_for_each_entry(br, &kn->bridges, node) {
		gw = rtnl_dereference(br->gateway[k8snet_family_index(family)]);
		if (gw && k8snet_addr_equal(&gw->prefix.addr, addr))
			local = true;
	}
	if (family == NFPROTO_IPV4) {
		type = inet_addr_type(kn->net, addr->ip);
		if (type == RTN_BROADCAST) {
			NL_SET_ERR_MSG(extack, "pod address is a broadcast address of the node");
			return -EINVAL;
		}
		local |= type == RTN_LOCAL;
	} else {
		local |= k8snet_node_has_ip6(kn->net, &addr->in6, NULL);
	}
	if (local) {
		NL_SET_ERR_MSG(extack, "pod address is an address of the node");
		return -EADDRINUSE;
	}
	if (k8snet_pod_lookup(kn, addr, family)) {
		NL_SET_ERR_MSG(extack, "pod address is taken by another pod");
		return -EEXIST;
	}
	return 0;
}

static int pod_check(const struct k8snet_port *port,
		     const union nf_inet_addr addr[2], unsigned int families,
		     const u8 *lladdr, struct netlink_ext_ack *extack)
{
	struct k8snet_net *kn = port->br->kn;
	unsigned int i;
	int err;

	if (!is_valid_ether_addr(lladdr)) {
		NL_SET_ERR_MSG(extack, "pod MAC is not a unicast address");
		return -EINVAL;
	}
	if (kn->n_pods >= K8SNET_PODS_MAX) {
		NL_SET_ERR_MSG(extack, "too many pods");
		return -ENOSPC;
	}
	if (port->n_pods >= K8SNET_PORT_PODS_MAX) {
		NL_SET_ERR_MSG(extack, "too many pods on the port");
		return -ENOSPC;
	}
	for (i = 0; i < 2; i++) {
		if (!(families & BIT(i)))
			continue;
		err = pod_check_addr(port, &addr[i], k8snet_family_of_index(i),
				     extack);
		if (err)
			return err;
	}
	return 0;
}

/* What the stack believed of the addresses, it shall ask again. */
static void pod_neigh_forget(const struct k8snet_pod *pod)
{
	unsigned int i;

	for (i = 0; i < 2; i++)
		if (pod->addr[i].key.family)
			k8snet_neigh_forget(pod->port->br->dev,
					    &pod->addr[i].key.addr,
					    pod->addr[i].key.family);
}

/* Takes the addresses of @pod that have an index below @n out of the table. */
static void pod_unhash(struct k8snet_net *kn, struct k8snet_pod *pod,
		       unsigned int n)
{
	while (n--)
		if (pod->addr[n].key.family)
			rhashtable_remove_fast(&kn->pods, &pod->addr[n].hash,
					       pod_params);
}

struct k8snet_pod *k8snet_pod_create(struct k8snet_port *port,
				     const union nf_inet_addr addr[2],
				     unsigned int families, const u8 *lladdr,
				     struct netlink_ext_ack *extack)
{
	struct k8snet_net *kn = port->br->kn;
	struct k8snet_pod *pod;
	unsigned int i;
	int err;

	ASSERT_RTNL();
	k8snet_assert_cfg(kn);
	err = pod_check(port, addr, families, lladdr, extack);
	if (err)
		return ERR_PTR(err);

	pod = kzalloc(sizeof(*pod), GFP_KERNEL_ACCOUNT);
	if (!pod)
		return ERR_PTR(-ENOMEM);
	pod->port = port;
	ether_addr_copy(pod->lladdr, lladdr);
	for (i = 0; i < 2; i++) {
		if (!(families & BIT(i)))
			continue;
		pod->addr[i].key.addr = addr[i];
		pod->addr[i].key.family = k8snet_family_of_index(i);
	}
	err = xa_alloc(&kn->pod_ids, &pod->id, pod, xa_limit_32b,
		       GFP_KERNEL_ACCOUNT);
	if (err)
		goto err_free;

	/* Published: the packet path finds it by its addresses. */
	hlist_add_head_rcu(&pod->lladdr_node,
			   pod_lladdr_bucket(port->br, lladdr));
	list_add_tail_rcu(&pod->node, &port->pods);
	for (i = 0; i < 2; i++) {
		if (!pod->addr[i].key.family)
			continue;
		err = rhashtable_insert_fast(&kn->pods, &pod->addr[i].hash,
					     pod_params);
		if (err)
			goto err_unhash;
	}
	/* The address may have led to a pod route until now. */
	k8snet_flow_invalidate(kn);
	port->n_pods++;
	kn->n_pods++;
	k8snet_net_changed(kn);
	pod_neigh_forget(pod);
	k8snet_pod_notify(kn, pod, K8SNET_CMD_POD_NTF);
	return pod;

err_unhash:
	NL_SET_ERR_MSG(extack, "no memory for the table of pods");
	pod_unhash(kn, pod, i);
	list_del_rcu(&pod->node);
	hlist_del_rcu(&pod->lladdr_node);
	xa_erase(&kn->pod_ids, pod->id);
	kfree_rcu(pod, rcu);
	return ERR_PTR(err);
err_free:
	kfree(pod);
	return ERR_PTR(err);
}

/*
 * Who may still see the pod: packets that looked it up by address or MAC, or
 * walk its port's pods, all within an RCU section (port.c, neigh.c,
 * forward.c, nat.c keep no pointer to it). They ended, when kfree_rcu() frees
 * it. Requests and dumps find it under cfg_lock only.
 */
void k8snet_pod_remove(struct k8snet_net *kn, struct k8snet_pod *pod)
{
	k8snet_assert_cfg(kn);
	pod_unhash(kn, pod, 2);
	list_del_rcu(&pod->node);
	hlist_del_rcu(&pod->lladdr_node);
	k8snet_flow_invalidate(kn);
	xa_erase(&kn->pod_ids, pod->id);
	pod->port->n_pods--;
	kn->n_pods--;
	k8snet_net_changed(kn);
	pod_neigh_forget(pod);
	k8snet_pod_notify(kn, pod, K8SNET_CMD_POD_DEL_NTF);
	kfree_rcu(pod, rcu);
}

void k8snet_pod_flush_port(struct k8snet_port *port)
{
	struct k8snet_pod *pod, *tmp;

	list_for_each_entry_safe(pod, tmp, &port->pods, node)
		k8snet_pod_remove(port->br->kn, pod);
}

void k8snet_pod_flush(struct k8snet_net *kn)
{
	struct k8snet_pod *pod;
	unsigned long id;

	k8snet_assert_cfg(kn);
	xa_for_each(&kn->pod_ids, id, pod)
		k8snet_pod_remove(kn, pod);
}
