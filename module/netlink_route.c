// SPDX-License-Identifier: GPL-2.0
/* Requests about pod routes. */

#include <linux/netdevice.h>

#include "netlink.h"
#include "netns.h"
#include "route.h"

static int route_fill(struct sk_buff *skb, const struct k8snet_msg *m,
		      struct k8snet_net *kn, const void *obj)
{
	const struct k8snet_route *r = obj;
	void *hdr;

	k8snet_assert_cfg(kn);
	hdr = k8snet_msg_put(skb, m);
	if (!hdr)
		return -EMSGSIZE;
	if (k8snet_prefix_put(skb, K8SNET_A_ROUTE_PREFIX, &r->prefix) ||
	    k8snet_addr_put(skb, K8SNET_A_ROUTE_VIA, &r->via,
			    r->prefix.family) ||
	    nla_put_u32(skb, K8SNET_A_ROUTE_BRIDGE, r->bridge->ifindex) ||
	    (r->oif && nla_put_u32(skb, K8SNET_A_ROUTE_OIF, r->oif))) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

void k8snet_route_notify(struct k8snet_net *kn, const struct k8snet_route *r,
			 u8 cmd)
{
	k8snet_nl_notify(kn, cmd, route_fill, r);
}

/* The key of every request. */
static int prefix_parse(struct genl_info *info, struct k8snet_prefix *prefix)
{
	if (!info->attrs[K8SNET_A_ROUTE_PREFIX]) {
		NL_SET_ERR_MSG(info->extack, "pod route needs a prefix");
		return -EINVAL;
	}
	return k8snet_prefix_parse(info->attrs[K8SNET_A_ROUTE_PREFIX], prefix,
				   info->extack);
}

int k8snet_nl_route_new_doit(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *via = info->attrs[K8SNET_A_ROUTE_VIA];
	struct k8snet_route_conf conf = { };
	u8 family;
	int err;

	err = prefix_parse(info, &conf.prefix);
	if (err)
		return err;
	if (!via) {
		NL_SET_ERR_MSG(info->extack, "pod route needs a node it goes by");
		return -EINVAL;
	}
	if (!k8snet_addr_parse(via, &conf.via, &family)) {
		NL_SET_ERR_MSG_ATTR(info->extack, via,
				    "address is neither 4 nor 16 bytes long");
		return -EINVAL;
	}
	if (family != conf.prefix.family) {
		NL_SET_ERR_MSG_ATTR(info->extack, via,
				    "node and prefix of the route are of different address families");
		return -EINVAL;
	}
	if (info->attrs[K8SNET_A_ROUTE_BRIDGE])
		conf.bridge = nla_get_u32(info->attrs[K8SNET_A_ROUTE_BRIDGE]);
	if (info->attrs[K8SNET_A_ROUTE_OIF])
		conf.oif = nla_get_u32(info->attrs[K8SNET_A_ROUTE_OIF]);
	return k8snet_route_add(k8snet_info_net(info), &conf, info->extack);
}

int k8snet_nl_route_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct k8snet_net *kn = k8snet_info_net(info);
	struct k8snet_prefix prefix;
	const struct k8snet_route *r;
	int err;

	err = prefix_parse(info, &prefix);
	if (err)
		return err;

	mutex_lock(&kn->cfg_lock);
	r = k8snet_route_get(kn, &prefix);
	if (r) {
		err = k8snet_nl_reply(info, K8SNET_CMD_ROUTE_GET, route_fill,
				      kn, r);
	} else {
		NL_SET_ERR_MSG(info->extack, "no pod route to this prefix");
		err = -ENOENT;
	}
	mutex_unlock(&kn->cfg_lock);
	return err;
}

int k8snet_nl_route_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct k8snet_msg m = k8snet_msg_dump(cb, skb, K8SNET_CMD_ROUTE_GET);
	struct k8snet_dump *dump = k8snet_dump_ctx(cb);
	struct k8snet_net *kn = k8snet_dump_begin(cb);
	const struct k8snet_route *r;
	unsigned long id;

	xa_for_each_start(&kn->route_ids, id, r, dump->next) {
		if (k8snet_msg_fill_dump(skb, &m, cb, route_fill, kn, r))
			break;
		dump->next = id + 1;
	}
	return k8snet_dump_end(kn, skb);
}

int k8snet_nl_route_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct k8snet_prefix prefix;
	int err;

	err = prefix_parse(info, &prefix);
	if (err)
		return err;
	err = k8snet_route_del(k8snet_info_net(info), &prefix);
	if (err == -ENOENT)
		NL_SET_ERR_MSG(info->extack, "no pod route to this prefix");
	return err;
}
