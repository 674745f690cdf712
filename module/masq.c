// SPDX-License-Identifier: GPL-2.0
/*
 * Masquerade: flows of a prefix that leave the cluster get the address of the
 * device they leave through.
 *
 * A table of rules is immutable behind one RCU pointer; a change publishes
 * another that shares the rules, so that their counters live on.
 */

#include <linux/inetdevice.h>
#include <linux/slab.h>
#include <net/addrconf.h>
#include <net/netfilter/nf_nat.h>
#include <net/route.h>

#include "bridge.h"
#include "drop.h"
#include "masq.h"
#include "node.h"

static struct k8snet_masq_table *table_get(struct k8snet_net *kn)
{
	k8snet_assert_cfg(kn);
	return k8snet_cfg_dereference(kn, kn->masqs);
}

static void table_replace(struct k8snet_net *kn, struct k8snet_masq_table *t)
{
	struct k8snet_masq_table *old = table_get(kn);

	rcu_assign_pointer(kn->masqs, t);
	if (old)
		kfree_rcu(old, rcu);
}

struct k8snet_masq *k8snet_masq_lookup(struct k8snet_net *kn,
				       const struct k8snet_prefix *prefix)
{
	const struct k8snet_masq_table *t = table_get(kn);
	unsigned int i;

	for (i = 0; t && i < t->n; i++) {
		const struct k8snet_prefix *p = &t->rule[i]->prefix;

		if (p->family == prefix->family && p->len == prefix->len &&
		    k8snet_addr_equal(&p->addr, &prefix->addr))
			return t->rule[i];
	}
	return NULL;
}

struct k8snet_masq *k8snet_masq_next(struct k8snet_net *kn, unsigned long id)
{
	const struct k8snet_masq_table *t = table_get(kn);
	struct k8snet_masq *next = NULL;
	unsigned int i;

	for (i = 0; t && i < t->n; i++)
		if (t->rule[i]->id >= id &&
		    (!next || t->rule[i]->id < next->id))
			next = t->rule[i];
	return next;
}

int k8snet_masq_add(struct k8snet_net *kn, struct k8snet_masq *m,
		    struct netlink_ext_ack *extack)
{
	const struct k8snet_masq_table *old = table_get(kn);
	unsigned int n = old ? old->n : 0, i, at = 0;
	struct k8snet_masq_table *t;
	int err;

	if (n == K8SNET_MASQS_MAX) {
		NL_SET_ERR_MSG(extack, "too many masquerade rules");
		return -ENOSPC;
	}
	t = kzalloc(struct_size(t, rule, n + 1), GFP_KERNEL_ACCOUNT);
	if (!t)
		return -ENOMEM;
	err = k8snet_hooks_get(kn);
	if (err) {
		NL_SET_ERR_MSG(extack, "packet hooks cannot be registered");
		kfree(t);
		return err;
	}

	while (at < n && old->rule[at]->prefix.len >= m->prefix.len)
		at++;
	for (i = 0; i < at; i++)
		t->rule[i] = old->rule[i];
	t->rule[at] = m;
	for (; i < n; i++)
		t->rule[i + 1] = old->rule[i];
	t->n = n + 1;
	m->id = old ? old->next_id : 1;
	t->next_id = m->id + 1;

	table_replace(kn, t);
	k8snet_net_changed(kn);
	return 0;
}

int k8snet_masq_remove(struct k8snet_net *kn, struct k8snet_masq *m)
{
	const struct k8snet_masq_table *old = table_get(kn);
	struct k8snet_masq_table *t;
	unsigned int i;

	t = kzalloc(struct_size(t, rule, old->n - 1), GFP_KERNEL_ACCOUNT);
	if (!t)
		return -ENOMEM;
	for (i = 0; i < old->n; i++)
		if (old->rule[i] != m)
			t->rule[t->n++] = old->rule[i];
	t->next_id = old->next_id;

	table_replace(kn, t);
	k8snet_hooks_put(kn);
	k8snet_net_changed(kn);
	return 0;
}

void k8snet_masq_flush(struct k8snet_net *kn)
{
	struct k8snet_masq_table *t = table_get(kn);
	unsigned int i;

	if (!t)
		return;
	rcu_assign_pointer(kn->masqs, NULL);
	for (i = 0; i < t->n; i++) {
		/* A packet may still be counting in the rule. */
		kfree_rcu(t->rule[i], rcu);
		k8snet_hooks_put(kn);
	}
	kfree_rcu(t, rcu);
	k8snet_net_changed(kn);
}

/* Nothing is left after the first stage's flush, unless that never ran. */
void k8snet_masq_net_exit(struct k8snet_net *kn)
{
	mutex_lock(&kn->cfg_lock);
	k8snet_masq_flush(kn);
	mutex_unlock(&kn->cfg_lock);
}

/* The rule that decides about a source: the longest prefix. */
static struct k8snet_masq *rule_find(const struct k8snet_masq_table *t,
				     const union nf_inet_addr *src, u8 family)
{
	unsigned int i;

	for (i = 0; i < t->n; i++)
		if (k8snet_prefix_match(&t->rule[i]->prefix, src, family))
			return t->rule[i];
	return NULL;
}

/* Is the packet's destination one that gets to see the true source? */
static bool dst_exempt(const struct k8snet_net *kn,
		       const struct k8snet_masq *m, const struct sk_buff *skb,
		       const struct net_device *out,
		       const union nf_inet_addr *dst, u8 family)
{
	const struct k8snet_node_conf *conf = rcu_dereference(kn->node);

	if (k8snet_addr_multicast(dst, family))
		return true;
	if (family == NFPROTO_IPV4 &&
	    (ipv4_is_lbcast(dst->ip) ||
	     (skb_dst(skb) && (skb_rtable(skb)->rt_flags & RTCF_BROADCAST))))
		return true;
	/* To a pod, here or on another node. */
	if (k8snet_bridge_dev(out))
		return true;
	return k8snet_prefix_match(&m->prefix, dst, family) ||
	       k8snet_prefixes_match(m->except, m->n_except, dst, family) ||
	       k8snet_prefixes_match(conf->cluster, conf->n_cluster, dst,
				     family);
}

/* The address that @out would use itself towards the next hop. */
static bool addr_select(struct net *net, const struct sk_buff *skb,
			const struct net_device *out, u8 family,
			const union nf_inet_addr *dst,
			union nf_inet_addr *addr)
{
	__be32 nexthop = dst->ip;

	if (family == NFPROTO_IPV6)
		return !ipv6_dev_get_saddr(net, out, &dst->in6, 0,
					   &addr->in6) &&
		       !(ipv6_addr_type(&addr->in6) & IPV6_ADDR_LINKLOCAL);

	if (skb_dst(skb))
		nexthop = rt_nexthop(skb_rtable(skb), dst->ip);
	k8snet_addr_from_ip(addr, inet_select_addr(out, nexthop,
						   RT_SCOPE_UNIVERSE));
	return addr->ip;
}

static unsigned int masquerade(struct k8snet_net *kn, struct nf_conn *ct,
			       const struct sk_buff *skb, u8 family,
			       const struct net_device *out)
{
	const struct k8snet_masq_table *t = rcu_dereference(kn->masqs);
	union nf_inet_addr src, dst, addr;
	struct k8snet_masq *m;
	unsigned int verdict;

	if (!t)
		return NF_ACCEPT;
	k8snet_skb_addrs(skb, family, &src, &dst);
	/* A sender that has no address yet (DHCP) does not want another's. */
	if (k8snet_addr_any(&src))
		return NF_ACCEPT;
	m = rule_find(t, &src, family);
	if (!m)
		return NF_ACCEPT;

	if (dst_exempt(kn, m, skb, out, &dst, family)) {
		atomic64_inc(&m->exempt);
		return NF_ACCEPT;
	}
	if (!addr_select(kn->net, skb, out, family, &dst, &addr)) {
		k8snet_drop_note(kn, skb, K8SNET_STAT_SNAT_NO_ADDRESS, NULL);
		return NF_DROP;
	}
	/* The node itself, with the address it would get. */
	if (k8snet_addr_equal(&addr, &src)) {
		atomic64_inc(&m->exempt);
		return NF_ACCEPT;
	}

	verdict = k8snet_snat_setup(kn, skb, ct, &addr, out->ifindex, NULL);
	if (verdict == NF_ACCEPT) {
		atomic64_inc(&m->flows);
		k8snet_stat_inc(kn, MASQ_FLOWS);
	}
	return verdict;
}

bool k8snet_masq_wants(struct k8snet_net *kn, const struct sk_buff *skb,
		       u8 family, const struct net_device *out)
{
	const struct k8snet_masq_table *t = rcu_dereference(kn->masqs);
	const struct k8snet_masq *m;
	union nf_inet_addr src, dst;

	if (!t)
		return false;
	k8snet_skb_addrs(skb, family, &src, &dst);
	m = rule_find(t, &src, family);
	return m && !dst_exempt(kn, m, skb, out, &dst, family);
}

unsigned int k8snet_masq_hook(void *priv, struct sk_buff *skb,
			      const struct nf_hook_state *state)
{
	struct k8snet_net *kn = k8snet_net(state->net);
	enum ip_conntrack_info ctinfo;
	unsigned int verdict;
	struct nf_conn *ct;

	if (state->hook != NF_INET_POST_ROUTING ||
	    (state->out->flags & IFF_LOOPBACK))
		return NF_ACCEPT;

	/* Related: the first packet of a flow that a helper expected. ICMP
	 * errors have their own flow's entry, which is confirmed.
	 */
	ct = nf_ct_get(skb, &ctinfo);
	if (!ct || (ctinfo != IP_CT_NEW && ctinfo != IP_CT_RELATED) ||
	    nf_ct_is_confirmed(ct) ||
	    nf_nat_initialized(ct, NF_NAT_MANIP_SRC))
		return NF_ACCEPT;

	/* What the node's own processes send is in process context. */
	local_bh_disable();
	verdict = masquerade(kn, ct, skb, state->pf, state->out);
	local_bh_enable();
	return verdict;
}
