// SPDX-License-Identifier: GPL-2.0
/*
 * Packets that conntrack calls invalid: segments outside of the window that it
 * has seen, mostly late ones. nf_nat does not translate what has no entry, so
 * they would leave with addresses that their receiver does not know, which then
 * resets a connection that was in order (kubernetes issue 74839).
 *
 * One that belongs to a connection that is translated gets that connection's
 * entry back and is translated like every other; whether it is in order is for
 * the receiver to say, who knows. Nothing is dropped for being invalid but what
 * a masquerade rule should have hidden and cannot: a pod's address does not
 * leave the cluster.
 */

#include <net/netfilter/nf_conntrack_core.h>
#include <net/netfilter/nf_conntrack_zones.h>

#include "drop.h"
#include "dsr.h"
#include "invalid.h"
#include "masq.h"

/* Has conntrack refused it? What is not tracked on purpose is marked so. */
static bool is_invalid(const struct sk_buff *skb)
{
	enum ip_conntrack_info ctinfo;

	return !nf_ct_get(skb, &ctinfo) && ctinfo != IP_CT_UNTRACKED;
}

/*
 * Context: PRE_ROUTING and LOCAL_OUT between conntrack and nf_nat. The IP
 * header is checked, fragments are put together.
 */
unsigned int k8snet_invalid_adopt(void *priv, struct sk_buff *skb,
				  const struct nf_hook_state *state)
{
	const struct nf_conntrack_tuple_hash *h;
	struct nf_conntrack_tuple tuple;
	enum ip_conntrack_info ctinfo;
	struct nf_conn *ct;

	if (likely(!is_invalid(skb)))
		return NF_ACCEPT;
	if (!nf_ct_get_tuplepr(skb, skb_network_offset(skb), state->pf,
			       state->net, &tuple) ||
	    tuple.dst.protonum != IPPROTO_TCP)
		return NF_ACCEPT;
	h = nf_conntrack_find_get(state->net, &nf_ct_zone_dflt, &tuple);
	if (!h)
		return NF_ACCEPT;
	ct = nf_ct_tuplehash_to_ctrack(h);
	if (!(ct->status & IPS_NAT_MASK) || nf_ct_is_dying(ct)) {
		nf_ct_put(ct);
		return NF_ACCEPT;
	}
	ctinfo = IP_CT_ESTABLISHED;
	if (NF_CT_DIRECTION(h) == IP_CT_DIR_REPLY)
		ctinfo += IP_CT_IS_REPLY;
	/* The reference goes with the packet. */
	nf_ct_set(skb, ct, ctinfo);
	/* Of a flow whose answers do not come by here, all but the first
	 * segment is invalid.
	 */
	if (!test_bit(IPS_SEEN_REPLY_BIT, &ct->status) &&
	    k8snet_dsr_has(k8snet_net(state->net), ct)) {
		k8snet_dsr_refresh(skb, state->pf, ct);
		return NF_ACCEPT;
	}
	local_bh_disable();
	k8snet_stat_inc(k8snet_net(state->net), CT_INVALID);
	local_bh_enable();
	return NF_ACCEPT;
}

/* Context: POST_ROUTING, after nf_nat. */
unsigned int k8snet_invalid_leave(void *priv, struct sk_buff *skb,
				  const struct nf_hook_state *state)
{
	struct k8snet_net *kn = k8snet_net(state->net);

	if (likely(!is_invalid(skb)) || !rcu_access_pointer(kn->masqs) ||
	    state->out->flags & IFF_LOOPBACK)
		return NF_ACCEPT;
	if (!k8snet_masq_wants(kn, skb, state->pf, state->out))
		return NF_ACCEPT;
	local_bh_disable();
	k8snet_drop_note(kn, skb, K8SNET_STAT_CT_INVALID_MASQ, NULL);
	local_bh_enable();
	return NF_DROP;
}
