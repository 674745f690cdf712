// SPDX-License-Identifier: GPL-2.0
/* The flows of the fast path, listed. */

#include <linux/slab.h>

#include "flow.h"
#include "netlink.h"
#include "service.h"

/* A dump's place in the two tables; kept between its parts. */
struct flow_dump {
	struct rhashtable_iter iter[2];
	unsigned int table;		/* 0: IPv4, 1: IPv6, 2: the end */
	bool again;			/* the last one did not fit */
};

static struct flow_dump *flow_dump(struct netlink_callback *cb)
{
	return *(struct flow_dump **)cb->ctx;
}

static int put_ports(struct sk_buff *skb, int stype, int dtype,
		     const __be32 *ports)
{
	const __be16 *p = (const __be16 *)ports;

	return nla_put_be16(skb, stype, p[0]) || nla_put_be16(skb, dtype, p[1]);
}

static int put_service(struct sk_buff *skb, struct k8snet_net *kn,
		       const struct k8snet_flow *f)
{
	const struct nf_conntrack_tuple *t =
		&f->ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple;
	const struct k8snet_frontend *fe;

	if (!(f->ct->status & IPS_DST_NAT))
		return 0;
	fe = k8snet_frontend_lookup_rcu(kn, &t->dst.u3, f->family, f->proto,
					t->dst.u.all);
	return fe ? nla_put_string(skb, K8SNET_A_FLOW_SERVICE, fe->svc->name) :
		    0;
}

/* Context: RCU. */
static int flow_fill(struct sk_buff *skb, const struct k8snet_msg *m,
		     struct k8snet_net *kn, const void *obj)
{
	const struct k8snet_flow *f = obj;
	bool ipv4 = f->family == NFPROTO_IPV4;
	const union nf_inet_addr *src = ipv4 ? (const void *)&f->key4.src :
					       (const void *)&f->key6.src;
	const union nf_inet_addr *dst = ipv4 ? (const void *)&f->key4.dst :
					       (const void *)&f->key6.dst;
	u32 iif = (ipv4 ? f->key4.iif_proto : f->key6.iif_proto) >> 8;
	void *hdr = k8snet_msg_put(skb, m);

	if (!hdr)
		return -EMSGSIZE;
	if (nla_put_u8(skb, K8SNET_A_FLOW_PROTO, f->proto) ||
	    k8snet_addr_put(skb, K8SNET_A_FLOW_SRC, src, f->family) ||
	    k8snet_addr_put(skb, K8SNET_A_FLOW_DST, dst, f->family) ||
	    put_ports(skb, K8SNET_A_FLOW_SPORT, K8SNET_A_FLOW_DPORT,
		      ipv4 ? &f->key4.ports : &f->key6.ports) ||
	    nla_put_u32(skb, K8SNET_A_FLOW_IIF, iif) ||
	    nla_put_u32(skb, K8SNET_A_FLOW_OIF, f->oif) ||
	    k8snet_addr_put(skb, K8SNET_A_FLOW_NEW_SRC, &f->src, f->family) ||
	    k8snet_addr_put(skb, K8SNET_A_FLOW_NEW_DST, &f->dst, f->family) ||
	    put_ports(skb, K8SNET_A_FLOW_NEW_SPORT, K8SNET_A_FLOW_NEW_DPORT,
		      &f->ports) ||
	    nla_put_u64_64bit(skb, K8SNET_A_FLOW_PACKETS,
			      READ_ONCE(f->packets), K8SNET_A_FLOW_UNSPEC) ||
	    nla_put_u64_64bit(skb, K8SNET_A_FLOW_BYTES, READ_ONCE(f->bytes),
			      K8SNET_A_FLOW_UNSPEC) ||
	    put_service(skb, kn, f)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

int k8snet_nl_flow_get_start(struct netlink_callback *cb)
{
	struct k8snet_net *kn = k8snet_net(sock_net(cb->skb->sk));
	struct flow_dump *d = kzalloc(sizeof(*d), GFP_KERNEL);

	if (!d)
		return -ENOMEM;
	rhashtable_walk_enter(&kn->flows4, &d->iter[0]);
	rhashtable_walk_enter(&kn->flows6, &d->iter[1]);
	*(struct flow_dump **)cb->ctx = d;
	return 0;
}

int k8snet_nl_flow_get_done(struct netlink_callback *cb)
{
	struct flow_dump *d = flow_dump(cb);

	if (!d)
		return 0;
	rhashtable_walk_exit(&d->iter[0]);
	rhashtable_walk_exit(&d->iter[1]);
	kfree(d);
	return 0;
}

/*
 * Flows come and go with the traffic: a listing is what was met on the way
 * through the table, not a state of it at one moment. One that was resized
 * meanwhile is walked again, and may name a flow twice.
 */
int k8snet_nl_flow_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	const struct k8snet_msg m = k8snet_msg_dump(cb, skb,
						    K8SNET_CMD_FLOW_GET);
	struct k8snet_net *kn = k8snet_net(sock_net(cb->skb->sk));
	struct flow_dump *d = flow_dump(cb);
	struct rhashtable_iter *iter;
	struct k8snet_flow *f;
	bool full = false;

	for (; d->table < ARRAY_SIZE(d->iter) && !full; d->table++) {
		iter = &d->iter[d->table];
		rhashtable_walk_start(iter);
		/* The one that did not fit last time, if it is still there. */
		f = d->again ? rhashtable_walk_peek(iter) :
			       rhashtable_walk_next(iter);
		d->again = false;
		for (; f; f = rhashtable_walk_next(iter)) {
			if (IS_ERR(f)) {
				if (PTR_ERR(f) == -EAGAIN)
					continue;
				break;
			}
			if (f->gen != k8snet_flow_gen(kn))
				continue;
			if (flow_fill(skb, &m, kn, f)) {
				d->again = true;
				full = true;
				break;
			}
		}
		rhashtable_walk_stop(iter);
		if (full)
			break;
	}
	return skb->len;
}
