// SPDX-License-Identifier: GPL-2.0
/* Requests about the node's settings and counters. */

#include <linux/rtnetlink.h>
#include <linux/slab.h>

#include "bridge.h"
#include "localhost.h"
#include "netlink.h"
#include "node.h"
#include "service.h"

static int addrs_put(struct sk_buff *skb, int type,
		     const union nf_inet_addr addr[2])
{
	unsigned int i;

	for (i = 0; i < 2; i++)
		if (!k8snet_addr_any(&addr[i]) &&
		    k8snet_addr_put(skb, type, &addr[i],
				    k8snet_family_of_index(i)))
			return -EMSGSIZE;
	return 0;
}

static int prefixes_put(struct sk_buff *skb, int type,
			const struct k8snet_prefix *p, unsigned int n)
{
	while (n--)
		if (k8snet_prefix_put(skb, type, p++))
			return -EMSGSIZE;
	return 0;
}

static int node_fill(struct sk_buff *skb, const struct k8snet_msg *msg,
		     struct k8snet_net *kn, const void *obj)
{
	const struct k8snet_node_conf *c = obj;
	void *hdr;

	hdr = k8snet_msg_put(skb, msg);
	if (!hdr)
		return -EMSGSIZE;
	if (addrs_put(skb, K8SNET_A_NODE_IP, c->ip) ||
	    nla_put_u8(skb, K8SNET_A_NODE_NODEPORT_MODE, c->nodeport_mode) ||
	    prefixes_put(skb, K8SNET_A_NODE_NODEPORT_PREFIX, c->nodeport,
			 c->n_nodeport) ||
	    nla_put_u16(skb, K8SNET_A_NODE_NODEPORT_MIN, c->nodeport_min) ||
	    nla_put_u16(skb, K8SNET_A_NODE_NODEPORT_MAX, c->nodeport_max) ||
	    prefixes_put(skb, K8SNET_A_NODE_CLUSTER_CIDR, c->cluster,
			 c->n_cluster) ||
	    nla_put_u8(skb, K8SNET_A_NODE_FASTPATH, c->fastpath) ||
	    addrs_put(skb, K8SNET_A_NODE_ADDRESS, c->address) ||
	    prefixes_put(skb, K8SNET_A_NODE_SERVICE_CIDR, c->service,
			 c->n_service) ||
	    nla_put_u8(skb, K8SNET_A_NODE_DEAD_PORTS, c->dead_ports) ||
	    nla_put_u8(skb, K8SNET_A_NODE_UNASSIGNED_IPS,
		       c->unassigned_ips) ||
	    (*c->name && nla_put_string(skb, K8SNET_A_NODE_NAME, c->name)) ||
	    (*c->zone && nla_put_string(skb, K8SNET_A_NODE_ZONE, c->zone)) ||
	    nla_put_u8(skb, K8SNET_A_NODE_NODEPORT_LOCALHOST,
		       c->nodeport_localhost) ||
	    nla_put_u32(skb, K8SNET_A_NODE_FLOW_MAX, c->flow_max)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

void k8snet_node_notify(struct k8snet_net *kn)
{
	k8snet_nl_notify(kn, K8SNET_CMD_NODE_NTF, node_fill,
			 k8snet_cfg_dereference(kn, kn->node));
}

/* Looks first: an answer right after "ip address add" knows of it. */
int k8snet_nl_node_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct k8snet_net *kn = k8snet_info_net(info);
	int err;

	rtnl_lock();
	mutex_lock(&kn->cfg_lock);
	k8snet_node_refresh(kn);
	err = k8snet_nl_reply(info, K8SNET_CMD_NODE_GET, node_fill, kn,
			      k8snet_cfg_dereference(kn, kn->node));
	mutex_unlock(&kn->cfg_lock);
	rtnl_unlock();
	return err;
}

/* Could packets have the address as their source anywhere? */
static bool node_ip_valid(const union nf_inet_addr *a, u8 family)
{
	if (k8snet_addr_any(a) || k8snet_addr_multicast(a, family) ||
	    k8snet_addr_loopback(a, family))
		return false;
	if (family == NFPROTO_IPV6)
		return !(ipv6_addr_type(&a->in6) &
			 (IPV6_ADDR_LINKLOCAL | IPV6_ADDR_MAPPED));
	return !ipv4_is_lbcast(a->ip) && !ipv4_is_zeronet(a->ip);
}

/* All K8SNET_A_NODE_IP of the message in place of those of before. */
static int ips_parse(const struct genl_info *info,
		     struct k8snet_node_conf *conf)
{
	union nf_inet_addr a, *ip;
	const struct nlattr *nla;
	u8 family;
	int rem;

	memset(conf->ip, 0, sizeof(conf->ip));
	nlmsg_for_each_attr(nla, info->nlhdr, GENL_HDRLEN, rem) {
		if (nla_type(nla) != K8SNET_A_NODE_IP)
			continue;
		if (!k8snet_addr_parse(nla, &a, &family)) {
			NL_SET_ERR_MSG_ATTR(info->extack, nla,
					    "address is neither 4 nor 16 bytes long");
			return -EINVAL;
		}
		if (!node_ip_valid(&a, family)) {
			NL_SET_ERR_MSG_ATTR(info->extack, nla,
					    "node ip is not a unicast address of global scope");
			return -EINVAL;
		}
		ip = &conf->ip[k8snet_family_index(family)];
		if (!k8snet_addr_any(ip)) {
			NL_SET_ERR_MSG_ATTR(info->extack, nla,
					    "node has more than one ip of a family");
			return -EINVAL;
		}
		*ip = a;
	}
	return 0;
}

/* Which addresses answer on node ports, and on which ports. */
static int nodeports_parse(const struct genl_info *info,
			   struct k8snet_node_conf *conf)
{
	struct nlattr *mode = info->attrs[K8SNET_A_NODE_NODEPORT_MODE];
	struct nlattr *prefix = info->attrs[K8SNET_A_NODE_NODEPORT_PREFIX];
	struct nlattr *min = info->attrs[K8SNET_A_NODE_NODEPORT_MIN];
	struct nlattr *max = info->attrs[K8SNET_A_NODE_NODEPORT_MAX];
	int err;

	if (mode)
		conf->nodeport_mode = nla_get_u8(mode);
	if (conf->nodeport_mode != K8SNET_NODEPORT_PREFIXES) {
		if (prefix) {
			NL_SET_ERR_MSG_ATTR(info->extack, prefix,
					    "node port prefixes need node port mode prefixes");
			return -EINVAL;
		}
		memset(conf->nodeport, 0, sizeof(conf->nodeport));
		conf->n_nodeport = 0;
	} else if (prefix) {
		memset(conf->nodeport, 0, sizeof(conf->nodeport));
		err = k8snet_prefixes_parse(info->nlhdr,
					    K8SNET_A_NODE_NODEPORT_PREFIX,
					    conf->nodeport,
					    K8SNET_PREFIXES_MAX,
					    &conf->n_nodeport, info->extack);
		if (err)
			return err;
	} else if (!conf->n_nodeport) {
		NL_SET_ERR_MSG_ATTR(info->extack, mode,
				    "node port mode prefixes needs a prefix");
		return -EINVAL;
	}

	if (min)
		conf->nodeport_min = nla_get_u16(min);
	if (max)
		conf->nodeport_max = nla_get_u16(max);
	if (conf->nodeport_min > conf->nodeport_max) {
		NL_SET_ERR_MSG_ATTR(info->extack, min ?: max,
				    "node port range ends before it begins");
		return -EINVAL;
	}
	return 0;
}

/* Attributes @type of the message in place of @list, if it has any or the
 * list is to be emptied.
 */
static int list_parse(const struct genl_info *info, int type, bool clear,
		      struct k8snet_prefix list[K8SNET_PREFIXES_MAX],
		      unsigned int *n)
{
	if (!info->attrs[type] && !clear)
		return 0;
	memset(list, 0, K8SNET_PREFIXES_MAX * sizeof(*list));
	return k8snet_prefixes_parse(info->nlhdr, type, list,
				     K8SNET_PREFIXES_MAX, n, info->extack);
}

static int conf_parse(const struct genl_info *info,
		      struct k8snet_node_conf *conf)
{
	struct nlattr *flow_max = info->attrs[K8SNET_A_NODE_FLOW_MAX];
	struct nlattr *clear = info->attrs[K8SNET_A_NODE_CLEAR];
	u32 lists = clear ? nla_get_u32(clear) : 0;
	struct nlattr **tb = info->attrs;
	int err;

	if (((lists & K8SNET_NODE_CLEAR_IP) && tb[K8SNET_A_NODE_IP]) ||
	    ((lists & K8SNET_NODE_CLEAR_CLUSTER_CIDR) &&
	     tb[K8SNET_A_NODE_CLUSTER_CIDR]) ||
	    ((lists & K8SNET_NODE_CLEAR_SERVICE_CIDR) &&
	     tb[K8SNET_A_NODE_SERVICE_CIDR])) {
		NL_SET_ERR_MSG_ATTR(info->extack, clear,
				    "node list is both given and cleared");
		return -EINVAL;
	}

	if (tb[K8SNET_A_NODE_IP] || (lists & K8SNET_NODE_CLEAR_IP)) {
		err = ips_parse(info, conf);
		if (err)
			return err;
	}
	err = nodeports_parse(info, conf);
	if (err)
		return err;
	err = list_parse(info, K8SNET_A_NODE_CLUSTER_CIDR,
			 lists & K8SNET_NODE_CLEAR_CLUSTER_CIDR,
			 conf->cluster, &conf->n_cluster);
	if (err)
		return err;
	err = list_parse(info, K8SNET_A_NODE_SERVICE_CIDR,
			 lists & K8SNET_NODE_CLEAR_SERVICE_CIDR,
			 conf->service, &conf->n_service);
	if (err)
		return err;
	if (flow_max) {
		/* The policy's own range is one of 16 bits. */
		if (nla_get_u32(flow_max) > K8SNET_FLOWS_MAX) {
			NL_SET_ERR_MSG_ATTR(info->extack, flow_max,
					    "more known flows than can be allowed");
			return -ERANGE;
		}
		conf->flow_max = nla_get_u32(flow_max);
	}
	if (tb[K8SNET_A_NODE_FASTPATH])
		conf->fastpath = nla_get_u8(tb[K8SNET_A_NODE_FASTPATH]);
	if (tb[K8SNET_A_NODE_DEAD_PORTS])
		conf->dead_ports = nla_get_u8(tb[K8SNET_A_NODE_DEAD_PORTS]);
	if (tb[K8SNET_A_NODE_UNASSIGNED_IPS])
		conf->unassigned_ips =
			nla_get_u8(tb[K8SNET_A_NODE_UNASSIGNED_IPS]);
	if (tb[K8SNET_A_NODE_NODEPORT_LOCALHOST])
		conf->nodeport_localhost =
			nla_get_u8(tb[K8SNET_A_NODE_NODEPORT_LOCALHOST]);
	/* Zeroed first: settings are compared as a whole. */
	if (tb[K8SNET_A_NODE_NAME]) {
		memset(conf->name, 0, sizeof(conf->name));
		strscpy(conf->name, nla_data(tb[K8SNET_A_NODE_NAME]),
			sizeof(conf->name));
	}
	if (tb[K8SNET_A_NODE_ZONE]) {
		memset(conf->zone, 0, sizeof(conf->zone));
		strscpy(conf->zone, nla_data(tb[K8SNET_A_NODE_ZONE]),
			sizeof(conf->zone));
	}
	return 0;
}

int k8snet_nl_node_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct k8snet_net *kn = k8snet_info_net(info);
	struct k8snet_node_conf *conf;
	int err = -ENOMEM;
	bool had;

	/* RTNL, because the addresses in use follow from the settings. */
	rtnl_lock();
	mutex_lock(&kn->cfg_lock);
	conf = k8snet_node_copy(kn);
	if (!conf)
		goto out;
	err = conf_parse(info, conf);
	if (err)
		goto out_free;
	/* What may fail, and can be taken back, before what cannot. */
	had = kn->localhost_nodeports;
	if (conf->nodeport_localhost)
		err = k8snet_localhost_set(kn, true);
	if (err)
		goto out_free;
	/* Services with hints look different from another zone. */
	err = k8snet_services_replan(kn, conf->name, conf->zone);
	if (err) {
		k8snet_localhost_set(kn, had);
		goto out_free;
	}
	k8snet_localhost_set(kn, conf->nodeport_localhost);
	if (k8snet_node_publish(kn, conf))
		k8snet_node_notify(kn);
	goto out;

out_free:
	kfree(conf);
out:
	mutex_unlock(&kn->cfg_lock);
	rtnl_unlock();
	return err;
}

static int stat_fill(struct sk_buff *skb, const struct k8snet_msg *msg,
		     struct k8snet_net *kn, const void *obj)
{
	const unsigned long *id = obj;
	void *hdr;
	u64 value;

	hdr = k8snet_msg_put(skb, msg);
	if (!hdr)
		return -EMSGSIZE;
	value = *id == K8SNET_STAT_FLOW_PACKETS ?
		k8snet_bridge_flow_packets(kn) : k8snet_stat_read(kn, *id);
	if (nla_put_string(skb, K8SNET_A_STATS_NAME, k8snet_stat_names[*id]) ||
	    nla_put_u64_64bit(skb, K8SNET_A_STATS_VALUE, value,
			      K8SNET_A_STATS_UNSPEC)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

/* Counters change all the time and are nobody's configuration. */
int k8snet_nl_stats_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	const struct k8snet_msg msg = k8snet_msg_dump(cb, skb,
						      K8SNET_CMD_STATS_GET);
	struct k8snet_net *kn = k8snet_net(sock_net(cb->skb->sk));
	struct k8snet_dump *dump = k8snet_dump_ctx(cb);

	for (; dump->next < K8SNET_STAT_NUM; dump->next++)
		if (stat_fill(skb, &msg, kn, &dump->next))
			break;
	return skb->len;
}
