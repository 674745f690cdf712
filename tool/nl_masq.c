// SPDX-License-Identifier: GPL-2.0
/* Masquerade rules. */
#include <errno.h>

#include <linux/k8snet.h>

#include "nl_internal.h"

void knl_masq_decode(const struct nlmsghdr *nlh, struct masq *masq)
{
	struct nlattr *attr;
	int rem;

	masq->has = MASQ_EXCEPT;
	knl_k8snet_for_each_attr(attr, nlh, rem) {
		switch (nla_type(attr)) {
		case K8SNET_A_MASQ_PREFIX:
			knl_prefix(attr, &masq->cidr);
			masq->has |= MASQ_CIDR;
			break;
		case K8SNET_A_MASQ_EXCEPT:
			knl_prefix(attr, LIST_ADD(&masq->except));
			break;
		case K8SNET_A_MASQ_FLOWS:
			masq->flows = knl_u64(attr);
			masq->has |= MASQ_FLOWS;
			break;
		case K8SNET_A_MASQ_EXEMPT:
			masq->exempt = knl_u64(attr);
			masq->has |= MASQ_EXEMPT;
			break;
		}
	}
}

KNL_LIST(masq, knl_masq_decode)

int knl_masq_list(struct masq_list *list, const struct prefix *key)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_MASQ_GET, ROOM_PREFIX);
	int err;

	if (msg && key)
		knl_put_prefix(msg, K8SNET_A_MASQ_PREFIX, key);
	err = knl_list(msg, key, masq_answer, masq_restart, list, 0);
	masq_list_sort(list);
	return err;
}

static struct nl_msg *masq_del_msg(const struct prefix *cidr)
{
	struct nl_msg *msg = knl_k8snet_msg(K8SNET_CMD_MASQ_DEL, ROOM_PREFIX);

	if (msg)
		knl_put_prefix(msg, K8SNET_A_MASQ_PREFIX, cidr);
	return msg;
}

int knl_masq_new(const struct masq *masq)
{
	struct nl_msg *msg;

	msg = knl_k8snet_msg(K8SNET_CMD_MASQ_NEW, (masq->except.n + 1) *
			     (size_t)ROOM_PREFIX);
	if (!msg)
		return -ENOENT;
	knl_put_prefix(msg, K8SNET_A_MASQ_PREFIX, &masq->cidr);
	knl_put_prefixes(msg, K8SNET_A_MASQ_EXCEPT, &masq->except);
	return knl_change(msg, masq_del_msg(&masq->cidr), 0);
}

int knl_masq_del(const struct prefix *cidr, unsigned int flags)
{
	return knl_change(masq_del_msg(cidr), NULL, flags);
}
