// SPDX-License-Identifier: GPL-2.0
/* What would happen to a new flow, explained by the code that decides it. */

#include "decision.h"
#include "nat.h"
#include "netlink.h"
#include "netlink_service.h"
#include "node.h"
#include "pod.h"
#include "service.h"

/* Endpoints that an answer names; more are only counted by the service. */
enum { LOOKUP_ENDPOINTS_MAX = 64 };

static bool by_affinity(const struct k8snet_decision *d)
{
	return !strcmp(d->reason, "session affinity");
}

/* A round robin or a least-connections choice is known only when it is made. */
static bool choice_is_known(const struct k8snet_decision *d)
{
	return d->set->n == 1 || d->plan->scheduler == K8SNET_SCHED_RANDOM ||
	       d->plan->scheduler == K8SNET_SCHED_MAGLEV ||
	       by_affinity(d);
}

/* Why k8snet_service_decide() has the source translated, or not. */
static const char *source_reason(const struct k8snet_decision *d)
{
	bool external = d->fe->type != K8SNET_FRONTEND_CLUSTER_IP;

	if (d->dsr)
		return "the endpoint's node answers the client itself";
	if (d->hairpin)
		return "the endpoint is the client itself, and would answer to itself";
	if (d->snat && !external)
		return "the client is outside, and replies must return through this node";
	if (d->snat && d->plan->external_policy == K8SNET_POLICY_LOCAL &&
	    d->origin == K8SNET_ORIGIN_POD)
		return "neither client nor endpoint are here, and replies must return here";
	if (d->snat)
		return "traffic policy cluster, and replies must return through this node";
	if (d->origin == K8SNET_ORIGIN_NODE)
		return "it is this node's";
	if (d->origin == K8SNET_ORIGIN_OUTSIDE)
		return "external traffic policy local";
	return "replies return through this node anyway";
}

static unsigned int count_endpoints(const struct k8snet_decision *d)
{
	const struct k8snet_endpoint *ep;
	unsigned int n = 0;

	list_for_each_entry(ep, &d->fe->svc->endpoints, node)
		n += ep->family == d->family;
	return n;
}

/* What a decision of a service rests on. Context: cfg_lock held. */
static int fill_service(struct sk_buff *skb, const struct k8snet_decision *d)
{
	if (nla_put_string(skb, K8SNET_A_LOOKUP_SERVICE, d->fe->svc->name) ||
	    k8snet_nl_frontend_put(skb, K8SNET_A_LOOKUP_FRONTEND, d->fe))
		return -EMSGSIZE;
	if (!d->set)
		return 0;
	return nla_put_u8(skb, K8SNET_A_LOOKUP_POLICY, d->policy) ||
	       nla_put_u32(skb, K8SNET_A_LOOKUP_ENDPOINTS,
			   count_endpoints(d)) ||
	       nla_put_u32(skb, K8SNET_A_LOOKUP_USABLE, d->set->n) ?
	       -EMSGSIZE : 0;
}

static int fill_endpoints(struct sk_buff *skb, const struct k8snet_decision *d)
{
	unsigned int i;

	for (i = 0; i < d->set->n && i < LOOKUP_ENDPOINTS_MAX; i++)
		if (k8snet_nl_endpoint_put(skb, K8SNET_A_LOOKUP_ENDPOINT,
					   d->set->ep[i], false))
			return -EMSGSIZE;
	if (!by_affinity(d) &&
	    nla_put_u8(skb, K8SNET_A_LOOKUP_SCHEDULER, d->plan->scheduler))
		return -EMSGSIZE;
	if (choice_is_known(d))
		return k8snet_nl_endpoint_put(skb, K8SNET_A_LOOKUP_CHOICE,
					      d->ep, false);
	return 0;
}

static int fill_source(struct sk_buff *skb, struct k8snet_net *kn,
		       const struct k8snet_decision *d)
{
	union nf_inet_addr snat;

	/* Whether the flow is a hairpin, only its endpoint says. */
	if (!choice_is_known(d) && d->hairpin)
		return 0;
	if (nla_put_string(skb, K8SNET_A_LOOKUP_SOURCE, source_reason(d)))
		return -EMSGSIZE;
	if (d->snat && k8snet_nat_source(kn, d, &snat))
		return k8snet_addr_put(skb, K8SNET_A_LOOKUP_SNAT, &snat,
				       d->family);
	return 0;
}

static int lookup_fill(struct sk_buff *skb, const struct k8snet_msg *m,
		       struct k8snet_net *kn, const void *obj)
{
	const struct k8snet_decision *d = obj;
	void *hdr = k8snet_msg_put(skb, m);

	if (!hdr)
		return -EMSGSIZE;
	if (nla_put_u8(skb, K8SNET_A_LOOKUP_PROTO, d->proto) ||
	    k8snet_addr_put(skb, K8SNET_A_LOOKUP_SRC, &d->saddr, d->family) ||
	    k8snet_addr_put(skb, K8SNET_A_LOOKUP_DST, &d->daddr, d->family) ||
	    nla_put_be16(skb, K8SNET_A_LOOKUP_DPORT, d->dport) ||
	    nla_put_u8(skb, K8SNET_A_LOOKUP_VERDICT, d->verdict) ||
	    nla_put_u8(skb, K8SNET_A_LOOKUP_ORIGIN, d->origin) ||
	    nla_put_string(skb, K8SNET_A_LOOKUP_REASON, d->reason))
		goto err_cancel;
	if (d->fe && fill_service(skb, d))
		goto err_cancel;
	if (d->verdict == K8SNET_LOOKUP_ENDPOINT &&
	    (fill_endpoints(skb, d) || fill_source(skb, kn, d)))
		goto err_cancel;
	genlmsg_end(skb, hdr);
	return 0;

err_cancel:
	genlmsg_cancel(skb, hdr);
	return -EMSGSIZE;
}

static int question_parse(const struct genl_info *info,
			  struct k8snet_decision *d)
{
	struct nlattr **tb = info->attrs;
	u8 src_family;

	if (!tb[K8SNET_A_LOOKUP_PROTO] || !tb[K8SNET_A_LOOKUP_SRC] ||
	    !tb[K8SNET_A_LOOKUP_DST] || !tb[K8SNET_A_LOOKUP_DPORT]) {
		NL_SET_ERR_MSG(info->extack,
			       "lookup needs a protocol, a source, a destination and its port");
		return -EINVAL;
	}
	d->proto = nla_get_u8(tb[K8SNET_A_LOOKUP_PROTO]);
	if (d->proto != IPPROTO_TCP && d->proto != IPPROTO_UDP &&
	    d->proto != IPPROTO_SCTP) {
		NL_SET_ERR_MSG_ATTR(info->extack, tb[K8SNET_A_LOOKUP_PROTO],
				    "protocol is not TCP, UDP or SCTP");
		return -EPROTONOSUPPORT;
	}
	if (!k8snet_addr_parse(tb[K8SNET_A_LOOKUP_SRC], &d->saddr,
			       &src_family) ||
	    !k8snet_addr_parse(tb[K8SNET_A_LOOKUP_DST], &d->daddr,
			       &d->family) ||
	    src_family != d->family) {
		NL_SET_ERR_MSG(info->extack,
			       "source and destination are not of one family");
		return -EINVAL;
	}
	if (tb[K8SNET_A_LOOKUP_SPORT])
		d->sport = nla_get_be16(tb[K8SNET_A_LOOKUP_SPORT]);
	d->dport = nla_get_be16(tb[K8SNET_A_LOOKUP_DPORT]);
	return 0;
}

int k8snet_nl_lookup_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct k8snet_net *kn = k8snet_info_net(info);
	struct k8snet_decision d = { .dry = true };
	bool is_pod;
	int err;

	err = question_parse(info, &d);
	if (err)
		return err;

	/* cfg_lock keeps what the decision points to while it is put into the
	 * answer, which may sleep; RCU and BH are what the packet path has.
	 */
	mutex_lock(&kn->cfg_lock);
	rcu_read_lock_bh();
	rcu_read_lock();
	is_pod = k8snet_pod_lookup_rcu(kn, &d.saddr, d.family);
	if (k8snet_node_is_local_addr(kn, &d.saddr, d.family) ||
	    k8snet_addr_loopback(&d.saddr, d.family))
		d.origin = K8SNET_ORIGIN_NODE;
	else
		d.origin = k8snet_service_origin(kn, &d.saddr, d.family,
						 is_pod);
	k8snet_service_decide(kn, &d);
	err = k8snet_nl_reply_rcu(info, K8SNET_CMD_LOOKUP, lookup_fill, kn, &d);
	rcu_read_unlock();
	rcu_read_unlock_bh();
	mutex_unlock(&kn->cfg_lock);
	return err;
}
