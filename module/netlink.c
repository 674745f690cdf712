// SPDX-License-Identifier: GPL-2.0
/* The generic netlink family and what its objects share. */

#include <linux/rtnetlink.h>

#include "bridge.h"
#include "flow.h"
#include "masq.h"
#include "netlink.h"
#include "node.h"
#include "pod.h"
#include "route.h"
#include "service.h"

static struct genl_family k8snet_family;

enum { MCGRP_CONFIG };

static const struct genl_multicast_group mcgrps[] = {
	[MCGRP_CONFIG] = {
		.name = K8SNET_MCGRP_CONFIG,
		.flags = GENL_MCAST_CAP_NET_ADMIN,
	},
};

/* A nested prefix: both attributes, host bits clear. */
int k8snet_prefix_parse(const struct nlattr *nla, struct k8snet_prefix *p,
			struct netlink_ext_ack *extack)
{
	struct nlattr *tb[K8SNET_A_PREFIX_MAX + 1];
	union nf_inet_addr masked;
	int err;

	err = nla_parse_nested(tb, K8SNET_A_PREFIX_MAX, nla,
			       k8snet_prefix_policy, extack);
	if (err)
		return err;

	if (!tb[K8SNET_A_PREFIX_ADDR] || !tb[K8SNET_A_PREFIX_LEN]) {
		NL_SET_ERR_MSG_ATTR(extack, nla,
				    "prefix needs an address and a length");
		return -EINVAL;
	}
	memset(p, 0, sizeof(*p));
	if (!k8snet_addr_parse(tb[K8SNET_A_PREFIX_ADDR], &p->addr,
			       &p->family)) {
		NL_SET_ERR_MSG_ATTR(extack, tb[K8SNET_A_PREFIX_ADDR],
				    "address is neither 4 nor 16 bytes long");
		return -EINVAL;
	}
	p->len = nla_get_u8(tb[K8SNET_A_PREFIX_LEN]);
	if (p->len > 8 * k8snet_addr_size(p->family)) {
		NL_SET_ERR_MSG_ATTR(extack, tb[K8SNET_A_PREFIX_LEN],
				    "prefix is longer than the address");
		return -EINVAL;
	}
	masked = p->addr;
	k8snet_addr_mask(&masked, p->len);
	if (!k8snet_addr_equal(&masked, &p->addr)) {
		NL_SET_ERR_MSG_ATTR(extack, nla,
				    "prefix has bits set beyond its length");
		return -EINVAL;
	}
	return 0;
}

/* All attributes @type of a message, in its order. *@n says how many there
 * are; without any nothing is written.
 */
int k8snet_prefixes_parse(const struct nlmsghdr *nlh, int type,
			  struct k8snet_prefix *p, unsigned int max,
			  unsigned int *n, struct netlink_ext_ack *extack)
{
	const struct nlattr *nla;
	int rem, err;

	*n = 0;
	nlmsg_for_each_attr(nla, nlh, GENL_HDRLEN, rem) {
		if (nla_type(nla) != type)
			continue;
		if (*n == max) {
			NL_SET_ERR_MSG_ATTR(extack, nla, "too many prefixes");
			return -E2BIG;
		}
		err = k8snet_prefix_parse(nla, &p[*n], extack);
		if (err)
			return err;
		(*n)++;
	}
	return 0;
}

int k8snet_prefix_put(struct sk_buff *msg, int type,
		      const struct k8snet_prefix *p)
{
	struct nlattr *nest = nla_nest_start(msg, type);

	if (!nest)
		return -EMSGSIZE;
	if (k8snet_addr_put(msg, K8SNET_A_PREFIX_ADDR, &p->addr, p->family) ||
	    nla_put_u8(msg, K8SNET_A_PREFIX_LEN, p->len)) {
		nla_nest_cancel(msg, nest);
		return -EMSGSIZE;
	}
	nla_nest_end(msg, nest);
	return 0;
}

void *k8snet_msg_put(struct sk_buff *skb, const struct k8snet_msg *m)
{
	return genlmsg_put(skb, m->portid, m->seq, &k8snet_family, m->flags,
			   m->cmd);
}

struct k8snet_net *k8snet_dump_begin(struct netlink_callback *cb)
{
	struct k8snet_net *kn = k8snet_net(sock_net(cb->skb->sk));

	mutex_lock(&kn->cfg_lock);
	cb->seq = kn->genid;
	return kn;
}

/* More than 0 asks for another part; a part without a message is the end. */
int k8snet_dump_end(struct k8snet_net *kn, struct sk_buff *skb)
{
	mutex_unlock(&kn->cfg_lock);
	return skb->len;
}

/*
 * A part is as long as the longest that the reader has asked for so far, less
 * than 4 kB for its first one. A single object that has no room in that gets it:
 * a part without a message would end the dump.
 */
int k8snet_msg_fill_dump(struct sk_buff *skb, const struct k8snet_msg *m,
			 struct netlink_callback *cb, k8snet_fill_t fill,
			 struct k8snet_net *kn, const void *obj)
{
	unsigned int at = skb->len;
	int err = fill(skb, m, kn, obj);

	if (unlikely(err == -EMSGSIZE) && !at &&
	    !pskb_expand_head(skb, 0, K8SNET_MSG_SIZE, GFP_KERNEL))
		err = fill(skb, m, kn, obj);
	if (!err)
		nl_dump_check_consistent(cb, (struct nlmsghdr *)
					     (skb->data + at));
	return err;
}

static int reply(struct genl_info *info, u8 cmd, k8snet_fill_t fill,
		 struct k8snet_net *kn, const void *obj, gfp_t gfp)
{
	const struct k8snet_msg m = {
		.portid = info->snd_portid,
		.seq = info->snd_seq,
		.cmd = cmd,
	};
	struct sk_buff *skb;
	int err;

	skb = genlmsg_new(K8SNET_MSG_SIZE, gfp);
	if (!skb)
		return -ENOMEM;
	err = fill(skb, &m, kn, obj);
	if (err) {
		nlmsg_free(skb);
		return err;
	}
	return genlmsg_reply(skb, info);
}

int k8snet_nl_reply(struct genl_info *info, u8 cmd, k8snet_fill_t fill,
		    struct k8snet_net *kn, const void *obj)
{
	return reply(info, cmd, fill, kn, obj, GFP_KERNEL);
}

int k8snet_nl_reply_rcu(struct genl_info *info, u8 cmd, k8snet_fill_t fill,
			struct k8snet_net *kn, const void *obj)
{
	return reply(info, cmd, fill, kn, obj, GFP_ATOMIC);
}

void k8snet_nl_notify(struct k8snet_net *kn, u8 cmd, k8snet_fill_t fill,
		      const void *obj)
{
	const struct k8snet_msg m = { .cmd = cmd };
	struct sk_buff *skb;

	if (!genl_has_listeners(&k8snet_family, kn->net, MCGRP_CONFIG))
		return;
	skb = genlmsg_new(K8SNET_MSG_SIZE, GFP_KERNEL);
	if (!skb)
		goto err;
	if (fill(skb, &m, kn, obj)) {
		nlmsg_free(skb);
		goto err;
	}
	genlmsg_multicast_netns(&k8snet_family, kn->net, skb, 0, MCGRP_CONFIG,
				GFP_KERNEL);
	return;
err:
	/* The listeners learn that they missed something. */
	genl_set_err(&k8snet_family, kn->net, 0, MCGRP_CONFIG, -ENOBUFS);
}

static int flush_fill(struct sk_buff *skb, const struct k8snet_msg *m,
		      struct k8snet_net *kn, const void *obj)
{
	void *hdr = k8snet_msg_put(skb, m);

	if (!hdr)
		return -EMSGSIZE;
	genlmsg_end(skb, hdr);
	return 0;
}

/*
 * The bridges go first and take their ports, pods and routes along; what is
 * left afterwards depends on no device.
 */
int k8snet_nl_flush_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct k8snet_node_conf *conf = k8snet_node_defaults();
	struct k8snet_net *kn = k8snet_info_net(info);

	if (!conf)
		return -ENOMEM;

	rtnl_lock();
	k8snet_bridge_flush(kn);
	mutex_lock(&kn->cfg_lock);
	k8snet_service_flush(kn);
	k8snet_masq_flush(kn);
	k8snet_pod_flush(kn);
	k8snet_route_flush(kn);
	/* They are outdated by now, and would go by themselves. */
	k8snet_flow_flush(kn);
	k8snet_node_reset(kn, conf);
	k8snet_net_changed(kn);
	k8snet_nl_notify(kn, K8SNET_CMD_FLUSH_NTF, flush_fill, NULL);
	mutex_unlock(&kn->cfg_lock);
	rtnl_unlock();
	return 0;
}

/* The policy belongs to the whole command: 6.1 has one entry for do and dump. */
#define K8SNET_OP(_cmd, _obj, ...) {					\
	.cmd = K8SNET_CMD_##_cmd,					\
	.flags = GENL_UNS_ADMIN_PERM,					\
	.policy = k8snet_##_obj##_policy,				\
	.maxattr = ARRAY_SIZE(k8snet_##_obj##_policy) - 1,		\
	__VA_ARGS__							\
}

#define K8SNET_DO(name)		.doit = k8snet_nl_##name##_doit
#define K8SNET_DUMP(name)	.dumpit = k8snet_nl_##name##_dumpit

/* Commands that take no attribute. Without a second entry there would be no
 * attribute that genetlink looks at, and it would let any pass.
 */
static const struct nla_policy k8snet_none_policy[] = {
	[0] = { .type = NLA_REJECT },
	[1] = { .type = NLA_REJECT,
		.reject_message = "request takes no attributes" },
};

static const struct genl_ops ops[] = {
	K8SNET_OP(NODE_GET, none, K8SNET_DO(node_get)),
	K8SNET_OP(NODE_SET, node, K8SNET_DO(node_set)),
	K8SNET_OP(BRIDGE_GET, bridge, K8SNET_DO(bridge_get),
		  K8SNET_DUMP(bridge_get)),
	K8SNET_OP(PORT_GET, port, K8SNET_DO(port_get), K8SNET_DUMP(port_get)),
	K8SNET_OP(PORT_SET, port, K8SNET_DO(port_set)),
	K8SNET_OP(POD_NEW, pod, K8SNET_DO(pod_new)),
	K8SNET_OP(POD_GET, pod, K8SNET_DO(pod_get), K8SNET_DUMP(pod_get)),
	K8SNET_OP(POD_DEL, pod, K8SNET_DO(pod_del)),
	K8SNET_OP(ROUTE_NEW, route, K8SNET_DO(route_new)),
	K8SNET_OP(ROUTE_GET, route, K8SNET_DO(route_get),
		  K8SNET_DUMP(route_get)),
	K8SNET_OP(ROUTE_DEL, route, K8SNET_DO(route_del)),
	K8SNET_OP(MASQ_NEW, masq, K8SNET_DO(masq_new)),
	K8SNET_OP(MASQ_GET, masq, K8SNET_DO(masq_get), K8SNET_DUMP(masq_get)),
	K8SNET_OP(MASQ_DEL, masq, K8SNET_DO(masq_del)),
	K8SNET_OP(SERVICE_NEW, service, K8SNET_DO(service_new)),
	K8SNET_OP(SERVICE_SET, service, K8SNET_DO(service_set)),
	K8SNET_OP(SERVICE_GET, service, K8SNET_DO(service_get),
		  K8SNET_DUMP(service_get)),
	K8SNET_OP(SERVICE_DEL, service, K8SNET_DO(service_del)),
	K8SNET_OP(ENDPOINT_NEW, service, K8SNET_DO(endpoint_new)),
	K8SNET_OP(ENDPOINT_SET, service, K8SNET_DO(endpoint_set)),
	K8SNET_OP(ENDPOINT_GET, service, K8SNET_DUMP(endpoint_get)),
	K8SNET_OP(ENDPOINT_DEL, service, K8SNET_DO(endpoint_del)),
	K8SNET_OP(LOOKUP, lookup, K8SNET_DO(lookup)),
	K8SNET_OP(FLOW_GET, none, K8SNET_DUMP(flow_get),
		  .start = k8snet_nl_flow_get_start,
		  .done = k8snet_nl_flow_get_done),
	K8SNET_OP(STATS_GET, none, K8SNET_DUMP(stats_get)),
	K8SNET_OP(FLUSH, none, K8SNET_DO(flush)),
};

static struct genl_family k8snet_family __ro_after_init = {
	.name = K8SNET_GENL_NAME,
	.version = K8SNET_GENL_VERSION,
	.netnsok = true,
	.parallel_ops = true,	/* cfg_lock is per namespace */
	.module = THIS_MODULE,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
	.mcgrps = mcgrps,
	.n_mcgrps = ARRAY_SIZE(mcgrps),
};

int __init k8snet_netlink_init(void)
{
	return genl_register_family(&k8snet_family);
}

void k8snet_netlink_uninit(void)
{
	genl_unregister_family(&k8snet_family);
}
