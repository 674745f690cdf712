// SPDX-License-Identifier: GPL-2.0
/* Requests about endpoints. */

#include <linux/mm.h>

#include "conn.h"
#include "netlink.h"
#include "netlink_service.h"
#include "service.h"

static int hints_put(struct sk_buff *skb, const struct k8snet_hints *h)
{
	const char *name = h->names;
	unsigned int i;

	for (i = 0; i < h->n_zones + h->n_nodes; i++) {
		if (nla_put_string(skb, i < h->n_zones ?
				   K8SNET_A_ENDPOINT_ZONE_HINT :
				   K8SNET_A_ENDPOINT_NODE_HINT, name))
			return -EMSGSIZE;
		name = k8snet_hint_next(name);
	}
	return 0;
}

int k8snet_nl_endpoint_put(struct sk_buff *skb, int type,
			   const struct k8snet_endpoint *ep, bool hints)
{
	struct nlattr *nest = nla_nest_start(skb, type);

	if (!nest)
		return -EMSGSIZE;
	if (k8snet_addr_put(skb, K8SNET_A_ENDPOINT_ADDR, &ep->addr,
			    ep->family) ||
	    nla_put_be16(skb, K8SNET_A_ENDPOINT_PORT, ep->port) ||
	    nla_put_u32(skb, K8SNET_A_ENDPOINT_WEIGHT,
			READ_ONCE(ep->weight)) ||
	    nla_put_u32(skb, K8SNET_A_ENDPOINT_FLAGS, READ_ONCE(ep->flags)) ||
	    nla_put_u64_64bit(skb, K8SNET_A_ENDPOINT_FLOWS,
			      atomic_long_read(&ep->flows),
			      K8SNET_A_ENDPOINT_UNSPEC) ||
	    nla_put_u32(skb, K8SNET_A_ENDPOINT_ACTIVE,
			atomic_read(&ep->active)) ||
	    (hints && ep->hints && hints_put(skb, ep->hints)) ||
	    (READ_ONCE(ep->traffic) &&
	     k8snet_nl_traffic_put(skb, K8SNET_A_ENDPOINT_PACKETS,
				   &ep->traffic))) {
		nla_nest_cancel(skb, nest);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}

/* One endpoint and the service it belongs to. */
struct endpoint_obj {
	const struct k8snet_service *svc;
	const struct k8snet_endpoint *ep;
};

static int endpoint_fill(struct sk_buff *skb, const struct k8snet_msg *m,
			 struct k8snet_net *kn, const void *obj)
{
	const struct endpoint_obj *o = obj;
	void *hdr = k8snet_msg_put(skb, m);

	if (!hdr)
		return -EMSGSIZE;
	if (nla_put_string(skb, K8SNET_A_SERVICE_NAME, o->svc->name) ||
	    k8snet_nl_endpoint_put(skb, K8SNET_A_SERVICE_ENDPOINT, o->ep,
				   true)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

void k8snet_endpoints_notify(struct k8snet_net *kn, struct k8snet_service *svc)
{
	struct endpoint_obj o = { .svc = svc };
	struct k8snet_endpoint *ep, *tmp;

	k8snet_assert_cfg(kn);
	list_for_each_entry_safe(ep, tmp, &svc->gone, node) {
		/* Which one it was; the rest is over. */
		struct k8snet_endpoint end = {
			.addr = ep->addr, .family = ep->family, .port = ep->port,
		};

		o.ep = &end;
		k8snet_nl_notify(kn, K8SNET_CMD_ENDPOINT_DEL_NTF, endpoint_fill,
				 &o);
		list_del_init(&ep->node);
		k8snet_endpoint_put(ep);
		cond_resched();
	}
	list_for_each_entry(ep, &svc->endpoints, node) {
		if (!ep->untold)
			continue;
		ep->untold = false;
		o.ep = ep;
		k8snet_nl_notify(kn, K8SNET_CMD_ENDPOINT_NTF, endpoint_fill, &o);
		cond_resched();
	}
}

typedef int (*endpoint_op_t)(struct k8snet_net *kn, struct k8snet_service *svc,
			     const struct k8snet_endpoint_spec *specs,
			     unsigned int n, struct netlink_ext_ack *extack);

static int endpoint_request(struct genl_info *info, bool set, endpoint_op_t op)
{
	struct k8snet_net *kn = k8snet_info_net(info);
	struct k8snet_endpoint_spec *specs;
	struct k8snet_service *svc;
	unsigned int n;
	int err;

	err = k8snet_nl_endpoints_parse(info, set, &specs, &n);
	if (err)
		return err;
	if (!n) {
		NL_SET_ERR_MSG(info->extack, "no endpoint given");
		return -EINVAL;
	}

	mutex_lock(&kn->cfg_lock);
	svc = k8snet_nl_service_find(kn, info, &err);
	if (svc)
		err = op(kn, svc, specs, n, info->extack);
	if (svc && !err)
		k8snet_endpoints_notify(kn, svc);
	mutex_unlock(&kn->cfg_lock);
	kvfree(specs);
	return err;
}

int k8snet_nl_endpoint_new_doit(struct sk_buff *skb, struct genl_info *info)
{
	return endpoint_request(info, false, k8snet_endpoint_add);
}

int k8snet_nl_endpoint_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	return endpoint_request(info, true, k8snet_endpoint_change);
}

int k8snet_nl_endpoint_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	return endpoint_request(info, false, k8snet_endpoint_remove);
}

/*
 * A dump of one service's endpoints remembers the service by its id, so that
 * a service of the same name made meanwhile is not taken for it. Looked up by
 * the first part and not by .start, from where no sentence reaches the caller.
 */
static int dump_select(struct netlink_callback *cb, struct k8snet_net *kn)
{
	const struct nlattr *nla =
		genl_info_dump(cb)->attrs[K8SNET_A_SERVICE_NAME];
	struct k8snet_dump *ctx = k8snet_dump_ctx(cb);
	const struct k8snet_service *svc;

	if (!nla || ctx->service_id)
		return 0;
	svc = k8snet_service_find(kn, nla_data(nla));
	if (!svc) {
		NL_SET_ERR_MSG(cb->extack, "no such service");
		return -ENOENT;
	}
	ctx->service_id = svc->id;
	ctx->next = svc->id;
	return 0;
}

/* All endpoints of one service from ctx->sub on; false: the message is full. */
static bool dump_service(struct sk_buff *skb, struct netlink_callback *cb,
			 const struct k8snet_msg *m, struct k8snet_net *kn,
			 const struct k8snet_service *svc)
{
	struct k8snet_dump *ctx = k8snet_dump_ctx(cb);
	struct endpoint_obj o = { .svc = svc };
	unsigned long i = 0;

	list_for_each_entry(o.ep, &svc->endpoints, node) {
		if (i++ < ctx->sub)
			continue;
		if (k8snet_msg_fill_dump(skb, m, cb, endpoint_fill, kn, &o))
			return false;
		ctx->sub = i;
	}
	ctx->sub = 0;
	return true;
}

int k8snet_nl_endpoint_get_dumpit(struct sk_buff *skb,
				  struct netlink_callback *cb)
{
	const struct k8snet_msg m = k8snet_msg_dump(cb, skb,
						    K8SNET_CMD_ENDPOINT_GET);
	struct k8snet_dump *ctx = k8snet_dump_ctx(cb);
	struct k8snet_net *kn = k8snet_dump_begin(cb);
	struct k8snet_service *svc;
	unsigned long id;
	int err;

	if (!ctx->next && !ctx->sub)
		k8snet_conn_account(kn);
	err = dump_select(cb, kn);
	if (err) {
		mutex_unlock(&kn->cfg_lock);
		return err;
	}
	xa_for_each_start(&kn->service_ids, id, svc, ctx->next) {
		if (ctx->service_id && ctx->service_id != svc->id)
			break;
		ctx->next = id;
		if (!dump_service(skb, cb, &m, kn, svc))
			break;
		ctx->next = id + 1;
	}
	return k8snet_dump_end(kn, skb);
}
