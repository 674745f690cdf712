// SPDX-License-Identifier: GPL-2.0
/* Requests about pods. */

#include <linux/netdevice.h>
#include <linux/rtnetlink.h>

#include "bridge.h"
#include "netlink.h"
#include "netns.h"
#include "pod.h"

static int pod_fill(struct sk_buff *skb, const struct k8snet_msg *m,
		    struct k8snet_net *kn, const void *obj)
{
	const struct k8snet_pod *pod = obj;
	const struct net_device *dev = pod->port->dev;
	unsigned int i;
	void *hdr;

	k8snet_assert_cfg(kn);
	hdr = k8snet_msg_put(skb, m);
	if (!hdr)
		return -EMSGSIZE;
	for (i = 0; i < 2; i++)
		if (pod->addr[i].key.family &&
		    k8snet_addr_put(skb, K8SNET_A_POD_ADDR,
				    &pod->addr[i].key.addr,
				    pod->addr[i].key.family))
			goto err_cancel;
	/* A port's name may change while this is read; a new one is told of
	 * by PORT_NTF.
	 */
	if (nla_put_u32(skb, K8SNET_A_POD_PORT, dev->ifindex) ||
	    nla_put_string(skb, K8SNET_A_POD_PORT_NAME, dev->name) ||
	    nla_put(skb, K8SNET_A_POD_LLADDR, ETH_ALEN, pod->lladdr) ||
	    nla_put_u32(skb, K8SNET_A_POD_BRIDGE, pod->port->br->dev->ifindex))
		goto err_cancel;
	genlmsg_end(skb, hdr);
	return 0;

err_cancel:
	genlmsg_cancel(skb, hdr);
	return -EMSGSIZE;
}

void k8snet_pod_notify(struct k8snet_net *kn, const struct k8snet_pod *pod,
		       u8 cmd)
{
	k8snet_nl_notify(kn, cmd, pod_fill, pod);
}

/* All addresses of a request, by k8snet_family_index(). *@families has a bit
 * for each.
 */
static int addrs_parse(struct genl_info *info, union nf_inet_addr addr[2],
		       unsigned int *families)
{
	const struct nlattr *nla;
	union nf_inet_addr a;
	int rem, i;
	u8 family;

	*families = 0;
	nlmsg_for_each_attr(nla, info->nlhdr, GENL_HDRLEN, rem) {
		if (nla_type(nla) != K8SNET_A_POD_ADDR)
			continue;
		if (!k8snet_addr_parse(nla, &a, &family)) {
			NL_SET_ERR_MSG_ATTR(info->extack, nla,
					    "pod address is neither 4 nor 16 bytes long");
			return -EINVAL;
		}
		i = k8snet_family_index(family);
		if (*families & BIT(i)) {
			NL_SET_ERR_MSG_ATTR(info->extack, nla,
					    "pod has two addresses of one family");
			return -EINVAL;
		}
		addr[i] = a;
		*families |= BIT(i);
	}
	if (!*families) {
		NL_SET_ERR_MSG(info->extack, "pod needs an address");
		return -EINVAL;
	}
	return 0;
}

/* The port that a request names. Context: RTNL held. */
static struct k8snet_port *port_find(struct genl_info *info)
{
	const struct nlattr *ifindex = info->attrs[K8SNET_A_POD_PORT];
	const struct nlattr *ifname = info->attrs[K8SNET_A_POD_PORT_NAME];
	struct net *net = genl_info_net(info);
	struct k8snet_port *port;
	struct net_device *dev;

	if (!ifindex && !ifname) {
		NL_SET_ERR_MSG(info->extack, "pod needs a port");
		return ERR_PTR(-EINVAL);
	}
	if (ifindex)
		dev = __dev_get_by_index(net, nla_get_u32(ifindex));
	else
		dev = __dev_get_by_name(net, nla_data(ifname));
	if (!dev || (ifname && strcmp(dev->name, nla_data(ifname)))) {
		NL_SET_ERR_MSG_ATTR(info->extack, ifindex ?: ifname,
				    "no such device for the pod's port");
		return ERR_PTR(-ENODEV);
	}
	port = k8snet_port_get_rtnl(dev);
	if (!port) {
		NL_SET_ERR_MSG_ATTR(info->extack, ifindex ?: ifname,
				    "device is not a port of a pod bridge");
		return ERR_PTR(-EINVAL);
	}
	return port;
}

int k8snet_nl_pod_new_doit(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *lladdr = info->attrs[K8SNET_A_POD_LLADDR];
	struct k8snet_net *kn = k8snet_info_net(info);
	union nf_inet_addr addr[2] = { };
	struct k8snet_port *port;
	struct k8snet_pod *pod;
	unsigned int families;
	int err;

	err = addrs_parse(info, addr, &families);
	if (err)
		return err;
	if (!lladdr) {
		NL_SET_ERR_MSG(info->extack, "pod needs a MAC");
		return -EINVAL;
	}

	rtnl_lock();
	port = port_find(info);
	if (IS_ERR(port)) {
		err = PTR_ERR(port);
		goto out;
	}
	mutex_lock(&kn->cfg_lock);
	pod = k8snet_pod_create(port, addr, families, nla_data(lladdr),
				info->extack);
	err = PTR_ERR_OR_ZERO(pod);
	mutex_unlock(&kn->cfg_lock);
out:
	rtnl_unlock();
	return err;
}

/* The pod that has the addresses of a request: one of its own, or both. */
static struct k8snet_pod *pod_find(struct genl_info *info)
{
	struct k8snet_net *kn = k8snet_info_net(info);
	struct k8snet_pod *pod = NULL, *p;
	union nf_inet_addr addr[2] = { };
	unsigned int families, i;
	int err;

	err = addrs_parse(info, addr, &families);
	if (err)
		return ERR_PTR(err);
	for (i = 0; i < 2; i++) {
		if (!(families & BIT(i)))
			continue;
		p = k8snet_pod_lookup(kn, &addr[i], k8snet_family_of_index(i));
		if (!p) {
			NL_SET_ERR_MSG(info->extack, "no pod has this address");
			return ERR_PTR(-ENOENT);
		}
		if (pod && pod != p) {
			NL_SET_ERR_MSG(info->extack, "addresses are of two pods");
			return ERR_PTR(-EINVAL);
		}
		pod = p;
	}
	return pod;
}

int k8snet_nl_pod_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct k8snet_net *kn = k8snet_info_net(info);
	struct k8snet_pod *pod;
	int err;

	mutex_lock(&kn->cfg_lock);
	pod = pod_find(info);
	err = IS_ERR(pod) ? PTR_ERR(pod) :
			    k8snet_nl_reply(info, K8SNET_CMD_POD_GET, pod_fill,
					    kn, pod);
	mutex_unlock(&kn->cfg_lock);
	return err;
}

int k8snet_nl_pod_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct k8snet_msg m = k8snet_msg_dump(cb, skb, K8SNET_CMD_POD_GET);
	struct k8snet_dump *dump = k8snet_dump_ctx(cb);
	struct k8snet_net *kn = k8snet_dump_begin(cb);
	const struct k8snet_pod *pod;
	unsigned long id;

	xa_for_each_start(&kn->pod_ids, id, pod, dump->next) {
		if (k8snet_msg_fill_dump(skb, &m, cb, pod_fill, kn, pod))
			break;
		dump->next = id + 1;
	}
	return k8snet_dump_end(kn, skb);
}

int k8snet_nl_pod_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct k8snet_net *kn = k8snet_info_net(info);
	struct k8snet_pod *pod;
	int err;

	mutex_lock(&kn->cfg_lock);
	pod = pod_find(info);
	err = PTR_ERR_OR_ZERO(pod);
	if (!err)
		k8snet_pod_remove(kn, pod);
	mutex_unlock(&kn->cfg_lock);
	return err;
}
