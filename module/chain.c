// SPDX-License-Identifier: GPL-2.0
/*
 * Whose netfilter hooks a packet would meet in the stack.
 *
 * A hook is known by its function. Those of conntrack and nf_nat are static
 * in there, so that they are looked for by name in the hooks that are
 * registered, once we have made sure that they are. What is found holds for as
 * long as we are loaded: we use both modules, and defragmentation is used by
 * conntrack. A name that is not found (another kernel's, or one without
 * symbols) makes no chain plain, and every packet takes the stack's way.
 */

#include <linux/kallsyms.h>
#include <linux/netfilter.h>

#include "chain.h"
#include "dsr.h"
#include "flow.h"
#include "hooks.h"
#include "invalid.h"
#include "bridge.h"
#include "masq.h"
#include "nat.h"

/* A hook that may be there, or must, in the order of the priorities. */
struct chain_step {
	const char *names[2];	/* NULL: it is ours */
	nf_hookfn *hook;	/* NULL: not learned */
	bool nat;		/* nf_nat's */
	bool must;
};

static struct chain_step pre_routing4[] = {
	/* Ours are about other packets: packed up, invalid, from a node. */
	{ .hook = k8snet_dsr_receive },
	{ .names = { "ipv4_conntrack_defrag" } },
	{ .names = { "ipv4_conntrack_in" }, .must = true },
	{ .hook = k8snet_invalid_adopt },
	{ .names = { "nf_nat_ipv4_pre_routing" }, .must = true,
	  .nat = true },
	{ .hook = k8snet_forward_prerouting },
};

static struct chain_step pre_routing6[] = {
	{ .hook = k8snet_dsr_receive },
	{ .names = { "ipv6_defrag" } },
	{ .names = { "ipv6_conntrack_in" }, .must = true },
	{ .hook = k8snet_invalid_adopt },
	{ .names = { "nf_nat_ipv6_in" }, .must = true,
	  .nat = true },
	{ .hook = k8snet_forward_prerouting },
};

static struct chain_step post_routing4[] = {
	/* It lets packets pass that have no security mark and no socket. */
	{ .names = { "apparmor_ip_postroute", "apparmor_ipv4_postroute" } },
	{ .names = { "nf_nat_ipv4_out" }, .must = true,
	  .nat = true },
	{ .hook = k8snet_invalid_leave },
	{ .hook = k8snet_flow_leave },	/* looks on */
	{ .names = { "nf_confirm", "ipv4_confirm" }, .must = true },
};

static struct chain_step post_routing6[] = {
	{ .names = { "apparmor_ip_postroute", "apparmor_ipv6_postroute" } },
	{ .names = { "nf_nat_ipv6_out" }, .must = true,
	  .nat = true },
	{ .hook = k8snet_invalid_leave },
	{ .hook = k8snet_flow_leave },
	{ .names = { "nf_confirm", "ipv6_confirm" }, .must = true },
};

/* Is that the function's name? That of its module may follow. */
static bool symbol_is(const char *symbol, const char *name)
{
	size_t len = name ? strlen(name) : 0;

	return len && !strncmp(symbol, name, len) &&
	       (!symbol[len] || symbol[len] == ' ');
}

static void steps_learn(struct chain_step *steps, unsigned int n,
			nf_hookfn *hook)
{
	char symbol[KSYM_SYMBOL_LEN];
	unsigned int i;

	sprint_symbol_no_offset(symbol, (unsigned long)hook);
	for (i = 0; i < n; i++)
		if (symbol_is(symbol, steps[i].names[0]) ||
		    symbol_is(symbol, steps[i].names[1]))
			WRITE_ONCE(steps[i].hook, hook);
}

static void entries_learn(const struct nf_hook_entries *e,
			  struct chain_step *steps, unsigned int n)
{
	unsigned int i;

	for (i = 0; e && i < e->num_hook_entries; i++)
		steps_learn(steps, n, e->hooks[i].hook);
}

/* Several at once write the same. */
void k8snet_chain_learn(struct net *net)
{
	rcu_read_lock();
	entries_learn(rcu_dereference(net->nf.hooks_ipv4[NF_INET_PRE_ROUTING]),
		      pre_routing4, ARRAY_SIZE(pre_routing4));
	entries_learn(rcu_dereference(net->nf.hooks_ipv6[NF_INET_PRE_ROUTING]),
		      pre_routing6, ARRAY_SIZE(pre_routing6));
	entries_learn(rcu_dereference(net->nf.hooks_ipv4[NF_INET_POST_ROUTING]),
		      post_routing4, ARRAY_SIZE(post_routing4));
	entries_learn(rcu_dereference(net->nf.hooks_ipv6[NF_INET_POST_ROUTING]),
		      post_routing6, ARRAY_SIZE(post_routing6));
	rcu_read_unlock();
}

bool k8snet_ipsec_plain(const struct net *net)
{
#ifdef CONFIG_XFRM
	return !READ_ONCE(net->xfrm.policy_count[XFRM_POLICY_FWD]) &&
	       !READ_ONCE(net->xfrm.policy_count[XFRM_POLICY_OUT]);
#else
	return true;
#endif
}

/* Is our hook the only one that nf_nat asks? @priv: of a hook of nf_nat. */
static bool nat_asks_only(void *priv, nf_hookfn *hook)
{
	const struct nf_hook_entries *e = k8snet_compat_nat_entries(priv);

	return e && e->num_hook_entries == 1 &&
	       READ_ONCE(e->hooks[0].hook) == hook;
}

/* @nat: gets the private data of nf_nat's hook. */
static bool entries_are(const struct nf_hook_entries *e,
			const struct chain_step *step, unsigned int n,
			void **nat)
{
	const struct chain_step *end = step + n;
	unsigned int i;

	if (!e)
		return false;
	for (i = 0; i < e->num_hook_entries; i++, step++) {
		for (;; step++) {
			if (step == end)
				return false;
			if (READ_ONCE(step->hook) ==
			    READ_ONCE(e->hooks[i].hook))
				break;
			if (step->must)
				return false;
		}
		if (step->nat)
			*nat = e->hooks[i].priv;
	}
	for (; step < end; step++)
		if (step->must)
			return false;
	return true;
}

/*
 * What a CPU has looked at and found plain, of a family. The lists are compared
 * by their addresses, which says something as long as no RCU grace period has
 * gone by: netfilter adds a hook by putting another list in the place of the
 * old one, whose memory is used again only after one. (In place, only a hook
 * that goes is made one that accepts. Conntrack's and nf_nat's do not go as
 * long as we are registered.)
 *
 * The lists are netfilter's, and nothing is read through the addresses that are
 * kept here. nf_nat's private data outlive the list that names them, by a grace
 * period: whoever has found that list in its place, in its RCU section, may
 * read them. Read and written by the CPU itself, with BH off.
 */
struct k8snet_chain {
	const struct nf_hook_entries *pre, *post;
	void *nat_pre, *nat_post;	/* private data of nf_nat's hooks there */
	unsigned long gp;		/* get_state_synchronize_rcu(), before */
};

struct k8snet_chains {
	struct k8snet_chain family[2];	/* by k8snet_family_index() */
};

static struct nf_hook_entries __rcu *const *hooks_of(const struct net *net,
						     u8 family)
{
	return family == NFPROTO_IPV4 ? net->nf.hooks_ipv4 :
					net->nf.hooks_ipv6;
}

static bool chain_look(const struct net *net, u8 family,
		       struct k8snet_chain *seen)
{
	struct nf_hook_entries __rcu *const *hooks = hooks_of(net, family);
	bool ipv4 = family == NFPROTO_IPV4;

	BUILD_BUG_ON(ARRAY_SIZE(pre_routing4) != ARRAY_SIZE(pre_routing6));
	BUILD_BUG_ON(ARRAY_SIZE(post_routing4) != ARRAY_SIZE(post_routing6));
	seen->gp = get_state_synchronize_rcu();
	seen->pre = rcu_dereference(hooks[NF_INET_PRE_ROUTING]);
	seen->post = rcu_dereference(hooks[NF_INET_POST_ROUTING]);
	if (entries_are(seen->pre, ipv4 ? pre_routing4 : pre_routing6,
			ARRAY_SIZE(pre_routing4), &seen->nat_pre) &&
	    entries_are(seen->post, ipv4 ? post_routing4 : post_routing6,
			ARRAY_SIZE(post_routing4), &seen->nat_post))
		return true;
	seen->pre = NULL;
	return false;
}

bool k8snet_chain_is_plain(struct k8snet_net *kn, u8 family)
{
	struct nf_hook_entries __rcu *const *hooks = hooks_of(kn->net, family);
	const struct nf_hook_entries *fwd, *pre, *post;
	struct k8snet_chain *seen;

	seen = &this_cpu_ptr(kn->chains)->family[k8snet_family_index(family)];
	fwd = rcu_dereference(hooks[NF_INET_FORWARD]);
	if (fwd && fwd->num_hook_entries)
		return false;
	pre = rcu_dereference(hooks[NF_INET_PRE_ROUTING]);
	post = rcu_dereference(hooks[NF_INET_POST_ROUTING]);
	/* Whoever sees another list at the same address sees the end of the
	 * grace period that came before it. Pairs with rcu_assign_pointer() of
	 * that list.
	 */
	smp_rmb();
	if (unlikely(!pre || pre != seen->pre || post != seen->post ||
		     poll_state_synchronize_rcu(seen->gp)) &&
	    !chain_look(kn->net, family, seen))
		return false;
	/* The lists are what they were, hence nf_nat's data are there. */
	return nat_asks_only(seen->nat_pre, k8snet_nat_hook) &&
	       nat_asks_only(seen->nat_post, k8snet_masq_hook);
}

int k8snet_chain_net_init(struct k8snet_net *kn)
{
	kn->chains = alloc_percpu(struct k8snet_chains);
	return kn->chains ? 0 : -ENOMEM;
}

void k8snet_chain_net_exit(struct k8snet_net *kn)
{
	free_percpu(kn->chains);
}
