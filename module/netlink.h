/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The generic netlink family. netlink.c owns the family, its operations and
 * what the objects share; each object's requests are in netlink_<object>.c
 * and named as YNL would name them.
 */
#ifndef _K8SNET_NETLINK_H
#define _K8SNET_NETLINK_H

#include <linux/netlink.h>
#include <net/genetlink.h>

#include "netns.h"

/* Bytes of the largest message: a service with all its frontends and ranges. */
#define K8SNET_MSG_SIZE		((size_t)24 << 10)

int k8snet_netlink_init(void);
void k8snet_netlink_uninit(void);

/* netlink_policy.c */
extern const struct nla_policy k8snet_prefix_policy[K8SNET_A_PREFIX_MAX + 1];
extern const struct nla_policy k8snet_node_policy[K8SNET_A_NODE_MAX + 1];
extern const struct nla_policy k8snet_bridge_policy[K8SNET_A_BRIDGE_MAX + 1];
extern const struct nla_policy k8snet_port_policy[K8SNET_A_PORT_MAX + 1];
extern const struct nla_policy k8snet_pod_policy[K8SNET_A_POD_MAX + 1];
extern const struct nla_policy k8snet_route_policy[K8SNET_A_ROUTE_MAX + 1];
extern const struct nla_policy k8snet_masq_policy[K8SNET_A_MASQ_MAX + 1];
extern const struct nla_policy k8snet_frontend_policy[K8SNET_A_FRONTEND_MAX + 1];
extern const struct nla_policy k8snet_endpoint_policy[K8SNET_A_ENDPOINT_MAX + 1];
extern const struct nla_policy k8snet_service_policy[K8SNET_A_SERVICE_MAX + 1];
extern const struct nla_policy k8snet_lookup_policy[K8SNET_A_LOOKUP_MAX + 1];

/* A dump's state, in netlink_callback.ctx: where it goes on. */
struct k8snet_dump {
	unsigned long next;	/* id or ifindex to go on from */
	unsigned long sub;	/* and within that object */
	u32 service_id;		/* endpoints: only this service; 0: all */
};

static inline struct k8snet_dump *k8snet_dump_ctx(struct netlink_callback *cb)
{
	BUILD_BUG_ON(sizeof(struct k8snet_dump) > sizeof(cb->ctx));
	return (struct k8snet_dump *)cb->ctx;
}

/*
 * Starts a part of a dump: takes cfg_lock, which k8snet_dump_end() releases,
 * and says which configuration this part shows.
 */
struct k8snet_net *k8snet_dump_begin(struct netlink_callback *cb);
int k8snet_dump_end(struct k8snet_net *kn, struct sk_buff *skb);

/* Message header of an answer, a dump's message or a notification. */
struct k8snet_msg {
	u32 portid;
	u32 seq;
	int flags;		/* NLM_F_* */
	u8 cmd;
};

void *k8snet_msg_put(struct sk_buff *skb, const struct k8snet_msg *m);

/* Header of a dump's messages of kind @cmd. */
static inline struct k8snet_msg k8snet_msg_dump(const struct netlink_callback *cb,
						struct sk_buff *skb, u8 cmd)
{
	return (struct k8snet_msg){
		.portid = NETLINK_CB(cb->skb).portid,
		.seq = cb->nlh->nlmsg_seq,
		.flags = NLM_F_MULTI,
		.cmd = cmd,
	};
}

/* Fills one message about @obj: header to trailer, or returns -EMSGSIZE with
 * @skb as it was. Serves answers, dumps and notifications alike.
 * Context: cfg_lock held (bridges and ports: RTNL too).
 */
typedef int (*k8snet_fill_t)(struct sk_buff *skb, const struct k8snet_msg *m,
			     struct k8snet_net *kn, const void *obj);

/* As @fill, for a part of a dump: marks what a change has interrupted. */
int k8snet_msg_fill_dump(struct sk_buff *skb, const struct k8snet_msg *m,
			 struct netlink_callback *cb, k8snet_fill_t fill,
			 struct k8snet_net *kn, const void *obj);

/* Answers a do request with one object. Context: as @fill needs. */
int k8snet_nl_reply(struct genl_info *info, u8 cmd, k8snet_fill_t fill,
		    struct k8snet_net *kn, const void *obj);
/* The same with @fill called inside an RCU section. */
int k8snet_nl_reply_rcu(struct genl_info *info, u8 cmd, k8snet_fill_t fill,
			struct k8snet_net *kn, const void *obj);
/* Tells the listeners of a change. Never fails: a listener that misses one
 * sees ENOBUFS. Context: as @fill needs.
 */
void k8snet_nl_notify(struct k8snet_net *kn, u8 cmd, k8snet_fill_t fill,
		      const void *obj);

static inline struct k8snet_net *k8snet_info_net(struct genl_info *info)
{
	return k8snet_net(genl_info_net(info));
}

/* Operations, one line an object. */
#define K8SNET_NL_DOIT(name) \
	int k8snet_nl_##name##_doit(struct sk_buff *skb, struct genl_info *info)
#define K8SNET_NL_DUMPIT(name) \
	int k8snet_nl_##name##_dumpit(struct sk_buff *skb, \
				      struct netlink_callback *cb)

/* netlink_node.c */
K8SNET_NL_DOIT(node_get);
K8SNET_NL_DOIT(node_set);
K8SNET_NL_DUMPIT(stats_get);
/* netlink_bridge.c */
K8SNET_NL_DOIT(bridge_get);
K8SNET_NL_DUMPIT(bridge_get);
K8SNET_NL_DOIT(port_get);
K8SNET_NL_DUMPIT(port_get);
K8SNET_NL_DOIT(port_set);
/* netlink_pod.c */
K8SNET_NL_DOIT(pod_new);
K8SNET_NL_DOIT(pod_get);
K8SNET_NL_DUMPIT(pod_get);
K8SNET_NL_DOIT(pod_del);
/* netlink_route.c */
K8SNET_NL_DOIT(route_new);
K8SNET_NL_DOIT(route_get);
K8SNET_NL_DUMPIT(route_get);
K8SNET_NL_DOIT(route_del);
/* netlink_masq.c */
K8SNET_NL_DOIT(masq_new);
K8SNET_NL_DOIT(masq_get);
K8SNET_NL_DUMPIT(masq_get);
K8SNET_NL_DOIT(masq_del);
/* netlink_service.c */
K8SNET_NL_DOIT(service_new);
K8SNET_NL_DOIT(service_set);
K8SNET_NL_DOIT(service_get);
K8SNET_NL_DUMPIT(service_get);
K8SNET_NL_DOIT(service_del);
/* netlink_endpoint.c */
K8SNET_NL_DOIT(endpoint_new);
K8SNET_NL_DOIT(endpoint_set);
K8SNET_NL_DUMPIT(endpoint_get);
K8SNET_NL_DOIT(endpoint_del);
/* netlink_lookup.c */
K8SNET_NL_DOIT(lookup);
/* netlink_flow.c */
K8SNET_NL_DUMPIT(flow_get);
/* netlink.c */
K8SNET_NL_DOIT(flush);

int k8snet_nl_flow_get_start(struct netlink_callback *cb);
int k8snet_nl_flow_get_done(struct netlink_callback *cb);

/* Notifications that come from elsewhere than a request. */
void k8snet_bridge_notify(struct k8snet_bridge *br, u8 cmd);	/* RTNL */
void k8snet_port_notify(struct k8snet_port *port, u8 cmd);	/* RTNL */
void k8snet_pod_notify(struct k8snet_net *kn, const struct k8snet_pod *pod,
		       u8 cmd);					/* cfg_lock */

#endif /* _K8SNET_NETLINK_H */
