// SPDX-License-Identifier: GPL-2.0
/* Requests about masquerade rules. */

#include <linux/slab.h>

#include "masq.h"
#include "netlink.h"

static int masq_fill(struct sk_buff *skb, const struct k8snet_msg *msg,
		     struct k8snet_net *kn, const void *obj)
{
	const struct k8snet_masq *m = obj;
	unsigned int i;
	void *hdr;

	hdr = k8snet_msg_put(skb, msg);
	if (!hdr)
		return -EMSGSIZE;
	if (k8snet_prefix_put(skb, K8SNET_A_MASQ_PREFIX, &m->prefix))
		goto err_cancel;
	for (i = 0; i < m->n_except; i++)
		if (k8snet_prefix_put(skb, K8SNET_A_MASQ_EXCEPT,
				      &m->except[i]))
			goto err_cancel;
	if (nla_put_u64_64bit(skb, K8SNET_A_MASQ_FLOWS,
			      atomic64_read(&m->flows),
			      K8SNET_A_MASQ_UNSPEC) ||
	    nla_put_u64_64bit(skb, K8SNET_A_MASQ_EXEMPT,
			      atomic64_read(&m->exempt),
			      K8SNET_A_MASQ_UNSPEC))
		goto err_cancel;
	genlmsg_end(skb, hdr);
	return 0;

err_cancel:
	genlmsg_cancel(skb, hdr);
	return -EMSGSIZE;
}

/* The key of every request. */
static int prefix_parse(struct genl_info *info, struct k8snet_prefix *prefix)
{
	if (!info->attrs[K8SNET_A_MASQ_PREFIX]) {
		NL_SET_ERR_MSG(info->extack, "masquerade rule needs a prefix");
		return -EINVAL;
	}
	return k8snet_prefix_parse(info->attrs[K8SNET_A_MASQ_PREFIX], prefix,
				   info->extack);
}

static int masq_parse(struct genl_info *info, struct k8snet_masq *m)
{
	const struct nlattr *nla;
	unsigned int i = 0;
	int err, rem;

	err = prefix_parse(info, &m->prefix);
	if (err)
		return err;
	err = k8snet_prefixes_parse(info->nlhdr, K8SNET_A_MASQ_EXCEPT,
				    m->except, K8SNET_PREFIXES_MAX,
				    &m->n_except, info->extack);
	if (err)
		return err;
	nlmsg_for_each_attr(nla, info->nlhdr, GENL_HDRLEN, rem) {
		if (nla_type(nla) != K8SNET_A_MASQ_EXCEPT)
			continue;
		if (m->except[i++].family == m->prefix.family)
			continue;
		NL_SET_ERR_MSG_ATTR(info->extack, nla,
				    "exception is of another address family than the masquerade rule");
		return -EINVAL;
	}
	return 0;
}

static struct k8snet_masq *masq_find(struct k8snet_net *kn,
				     struct genl_info *info,
				     const struct k8snet_prefix *prefix)
{
	struct k8snet_masq *m = k8snet_masq_lookup(kn, prefix);

	if (!m)
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[K8SNET_A_MASQ_PREFIX],
				    "no masquerade rule has this prefix");
	return m;
}

int k8snet_nl_masq_new_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct k8snet_net *kn = k8snet_info_net(info);
	struct k8snet_masq *m;
	int err;

	m = kzalloc(sizeof(*m), GFP_KERNEL_ACCOUNT);
	if (!m)
		return -ENOMEM;
	err = masq_parse(info, m);
	if (err)
		goto err_free;

	mutex_lock(&kn->cfg_lock);
	if (k8snet_masq_lookup(kn, &m->prefix)) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[K8SNET_A_MASQ_PREFIX],
				    "a masquerade rule has this prefix already");
		err = -EEXIST;
		goto err_unlock;
	}
	err = k8snet_masq_add(kn, m, info->extack);
	if (err)
		goto err_unlock;
	k8snet_nl_notify(kn, K8SNET_CMD_MASQ_NTF, masq_fill, m);
	mutex_unlock(&kn->cfg_lock);
	return 0;

err_unlock:
	mutex_unlock(&kn->cfg_lock);
err_free:
	kfree(m);
	return err;
}

int k8snet_nl_masq_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct k8snet_net *kn = k8snet_info_net(info);
	struct k8snet_prefix prefix;
	struct k8snet_masq *m;
	int err;

	err = prefix_parse(info, &prefix);
	if (err)
		return err;

	mutex_lock(&kn->cfg_lock);
	m = masq_find(kn, info, &prefix);
	err = m ? k8snet_nl_reply(info, K8SNET_CMD_MASQ_GET, masq_fill, kn, m) :
		  -ENOENT;
	mutex_unlock(&kn->cfg_lock);
	return err;
}

int k8snet_nl_masq_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	const struct k8snet_msg msg = k8snet_msg_dump(cb, skb,
						      K8SNET_CMD_MASQ_GET);
	struct k8snet_dump *dump = k8snet_dump_ctx(cb);
	struct k8snet_net *kn = k8snet_dump_begin(cb);
	const struct k8snet_masq *m;

	while ((m = k8snet_masq_next(kn, dump->next))) {
		if (k8snet_msg_fill_dump(skb, &msg, cb, masq_fill, kn, m))
			break;
		dump->next = m->id + 1UL;
	}
	return k8snet_dump_end(kn, skb);
}

int k8snet_nl_masq_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct k8snet_net *kn = k8snet_info_net(info);
	struct k8snet_prefix prefix;
	struct k8snet_masq *m;
	int err;

	err = prefix_parse(info, &prefix);
	if (err)
		return err;

	mutex_lock(&kn->cfg_lock);
	m = masq_find(kn, info, &prefix);
	err = m ? k8snet_masq_remove(kn, m) : -ENOENT;
	if (!err) {
		k8snet_nl_notify(kn, K8SNET_CMD_MASQ_DEL_NTF, masq_fill, m);
		/* Flows that have an address keep it; a packet that found the
		 * rule may still count in it.
		 */
		kfree_rcu(m, rcu);
	}
	mutex_unlock(&kn->cfg_lock);
	return err;
}
