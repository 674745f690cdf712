// SPDX-License-Identifier: GPL-2.0
/* Requests about services. */

#include <linux/mm.h>
#include <linux/slab.h>

#include "conn.h"
#include "localhost.h"
#include "netlink.h"
#include "netlink_service.h"
#include "service.h"

int k8snet_nl_traffic_put(struct sk_buff *skb, int type,
			  struct k8snet_traffic *const *sum)
{
	struct k8snet_traffic t;
	unsigned int i;

	k8snet_traffic_get(sum, &t);
	for (i = 0; i < IP_CT_DIR_MAX; i++, type += 2)
		if (nla_put_u64_64bit(skb, type, t.packets[i], 0) ||
		    nla_put_u64_64bit(skb, type + 1, t.bytes[i], 0))
			return -EMSGSIZE;
	return 0;
}

static int drop_put(struct sk_buff *skb, const char *name, u64 value)
{
	struct nlattr *nest = nla_nest_start(skb, K8SNET_A_SERVICE_DROP);

	if (!nest)
		return -EMSGSIZE;
	if (nla_put_string(skb, K8SNET_A_STATS_NAME, name) ||
	    nla_put_u64_64bit(skb, K8SNET_A_STATS_VALUE, value,
			      K8SNET_A_STATS_UNSPEC)) {
		nla_nest_cancel(skb, nest);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}

/* What is there only once there has been some of it. */
static int fill_traffic(struct sk_buff *skb, const struct k8snet_service *svc)
{
	const atomic_long_t *drops = READ_ONCE(svc->drops);
	unsigned int i;
	u64 n;

	if (READ_ONCE(svc->traffic) &&
	    k8snet_nl_traffic_put(skb, K8SNET_A_SERVICE_PACKETS,
				  &svc->traffic))
		return -EMSGSIZE;
	for (i = 0; drops && i < K8SNET_STAT_NUM; i++) {
		n = atomic_long_read(&drops[i]);
		if (n && drop_put(skb, k8snet_stat_names[i], n))
			return -EMSGSIZE;
	}
	return 0;
}

static int fill_counters(struct sk_buff *skb, const struct k8snet_service *svc)
{
	return nla_put_u32(skb, K8SNET_A_SERVICE_ENDPOINTS,
			   svc->n_endpoints) ||
	       nla_put_u64_64bit(skb, K8SNET_A_SERVICE_FLOWS,
				 atomic_long_read(&svc->flows),
				 K8SNET_A_SERVICE_UNSPEC) ||
	       nla_put_u64_64bit(skb, K8SNET_A_SERVICE_REJECTED,
				 atomic_long_read(&svc->rejected),
				 K8SNET_A_SERVICE_UNSPEC) ||
	       nla_put_u64_64bit(skb, K8SNET_A_SERVICE_DROPPED,
				 atomic_long_read(&svc->dropped),
				 K8SNET_A_SERVICE_UNSPEC);
}

int k8snet_nl_frontend_put(struct sk_buff *skb, int type,
			   const struct k8snet_frontend *fe)
{
	struct nlattr *nest = nla_nest_start(skb, type);

	if (!nest)
		return -EMSGSIZE;
	if (nla_put_u8(skb, K8SNET_A_FRONTEND_TYPE, fe->type) ||
	    (fe->key.family &&
	     k8snet_addr_put(skb, K8SNET_A_FRONTEND_ADDR, &fe->key.addr,
			     fe->key.family)) ||
	    nla_put_be16(skb, K8SNET_A_FRONTEND_PORT, fe->key.port) ||
	    (fe->port_end != fe->key.port &&
	     nla_put_be16(skb, K8SNET_A_FRONTEND_PORT_END, fe->port_end))) {
		nla_nest_cancel(skb, nest);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}

static int service_fill(struct sk_buff *skb, const struct k8snet_msg *m,
			struct k8snet_net *kn, const void *obj)
{
	const struct k8snet_service *svc = obj;
	const struct k8snet_plan *plan = svc->plan;
	const struct k8snet_frontend *fe;
	void *hdr = k8snet_msg_put(skb, m);
	unsigned int i;

	if (!hdr)
		return -EMSGSIZE;
	if (nla_put_string(skb, K8SNET_A_SERVICE_NAME, svc->name) ||
	    nla_put_u8(skb, K8SNET_A_SERVICE_PROTO, svc->proto) ||
	    nla_put_u8(skb, K8SNET_A_SERVICE_SCHEDULER, plan->scheduler) ||
	    nla_put_u32(skb, K8SNET_A_SERVICE_AFFINITY, plan->affinity) ||
	    nla_put_u8(skb, K8SNET_A_SERVICE_EXTERNAL_POLICY,
		       plan->external_policy) ||
	    nla_put_u8(skb, K8SNET_A_SERVICE_INTERNAL_POLICY,
		       plan->internal_policy) ||
	    nla_put_u8(skb, K8SNET_A_SERVICE_NO_ENDPOINTS,
		       plan->no_endpoints) ||
	    nla_put_u8(skb, K8SNET_A_SERVICE_RANGE_SCOPE,
		       plan->range_scope) ||
	    nla_put_u8(skb, K8SNET_A_SERVICE_ON_REMOVAL, plan->on_removal) ||
	    nla_put_u8(skb, K8SNET_A_SERVICE_DSR, plan->dsr) ||
	    fill_counters(skb, svc) || fill_traffic(skb, svc))
		goto err_cancel;
	list_for_each_entry(fe, &svc->frontends, node)
		if (k8snet_nl_frontend_put(skb, K8SNET_A_SERVICE_FRONTEND, fe))
			goto err_cancel;
	for (i = 0; i < plan->n_ranges; i++)
		if (k8snet_prefix_put(skb, K8SNET_A_SERVICE_SOURCE_RANGE,
				      &plan->ranges[i]))
			goto err_cancel;
	genlmsg_end(skb, hdr);
	return 0;

err_cancel:
	genlmsg_cancel(skb, hdr);
	return -EMSGSIZE;
}

/* The name alone: what is left of a service that was removed. */
static int service_fill_name(struct sk_buff *skb, const struct k8snet_msg *m,
			     struct k8snet_net *kn, const void *obj)
{
	void *hdr = k8snet_msg_put(skb, m);

	if (!hdr)
		return -EMSGSIZE;
	if (nla_put_string(skb, K8SNET_A_SERVICE_NAME, obj)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

void k8snet_service_notify(struct k8snet_net *kn,
			   const struct k8snet_service *svc)
{
	k8snet_nl_notify(kn, K8SNET_CMD_SERVICE_NTF, service_fill, svc);
}

/* ---- parsing ---- */

const char *k8snet_nl_service_name(const struct genl_info *info)
{
	const struct nlattr *nla = info->attrs[K8SNET_A_SERVICE_NAME];

	if (!nla || !*(const char *)nla_data(nla)) {
		NL_SET_ERR_MSG(info->extack, "service has no name");
		return NULL;
	}
	return nla_data(nla);
}

struct k8snet_service *k8snet_nl_service_find(struct k8snet_net *kn,
					      const struct genl_info *info,
					      int *err)
{
	const char *name = k8snet_nl_service_name(info);
	struct k8snet_service *svc;

	if (!name) {
		*err = -EINVAL;
		return NULL;
	}
	svc = k8snet_service_find(kn, name);
	if (!svc) {
		NL_SET_ERR_MSG(info->extack, "no such service");
		*err = -ENOENT;
	}
	return svc;
}

/* An address that a frontend or an endpoint may have. */
static int unicast_parse(const struct nlattr *nla, union nf_inet_addr *addr,
			 u8 *family, struct netlink_ext_ack *extack)
{
	if (!k8snet_addr_parse(nla, addr, family)) {
		NL_SET_ERR_MSG_ATTR(extack, nla,
				    "address is neither 4 nor 16 bytes long");
		return -EINVAL;
	}
	if (k8snet_addr_any(addr) || k8snet_addr_multicast(addr, *family) ||
	    k8snet_addr_loopback(addr, *family) ||
	    (*family == NFPROTO_IPV4 && ipv4_is_lbcast(addr->ip)) ||
	    (*family == NFPROTO_IPV6 &&
	     (ipv6_addr_type(&addr->in6) & (IPV6_ADDR_LINKLOCAL |
					    IPV6_ADDR_MAPPED)))) {
		NL_SET_ERR_MSG_ATTR(extack, nla,
				    "address is not a global unicast address");
		return -EINVAL;
	}
	return 0;
}

static int frontend_parse(const struct nlattr *nla, u8 proto,
			  struct k8snet_frontend_spec *s,
			  struct netlink_ext_ack *extack)
{
	struct nlattr *tb[K8SNET_A_FRONTEND_MAX + 1];
	int err;

	err = nla_parse_nested(tb, K8SNET_A_FRONTEND_MAX, nla,
			       k8snet_frontend_policy, extack);
	if (err)
		return err;
	memset(s, 0, sizeof(*s));
	if (!tb[K8SNET_A_FRONTEND_TYPE] || !tb[K8SNET_A_FRONTEND_PORT]) {
		NL_SET_ERR_MSG_ATTR(extack, nla,
				    "frontend needs a type and a port");
		return -EINVAL;
	}
	s->type = nla_get_u8(tb[K8SNET_A_FRONTEND_TYPE]);
	s->key.port = nla_get_be16(tb[K8SNET_A_FRONTEND_PORT]);
	s->key.proto = proto;
	s->port_end = s->key.port;
	if (tb[K8SNET_A_FRONTEND_PORT_END])
		s->port_end = nla_get_be16(tb[K8SNET_A_FRONTEND_PORT_END]);
	if (ntohs(s->port_end) < ntohs(s->key.port)) {
		NL_SET_ERR_MSG_ATTR(extack, tb[K8SNET_A_FRONTEND_PORT_END],
				    "port range ends before it begins");
		return -EINVAL;
	}
	if ((s->type == K8SNET_FRONTEND_NODE_PORT ||
	     s->type == K8SNET_FRONTEND_HOST_PORT) &&
	    s->port_end != s->key.port) {
		NL_SET_ERR_MSG_ATTR(extack, tb[K8SNET_A_FRONTEND_PORT_END],
				    "node port is not a range");
		return -EINVAL;
	}
	if (s->type == K8SNET_FRONTEND_NODE_PORT) {
		if (!tb[K8SNET_A_FRONTEND_ADDR])
			return 0;
		NL_SET_ERR_MSG_ATTR(extack, nla,
				    "node port has no address of its own");
		return -EINVAL;
	}
	if (!tb[K8SNET_A_FRONTEND_ADDR] &&
	    s->type == K8SNET_FRONTEND_HOST_PORT)
		return 0;
	if (!tb[K8SNET_A_FRONTEND_ADDR]) {
		NL_SET_ERR_MSG_ATTR(extack, nla, "frontend needs an address");
		return -EINVAL;
	}
	if (s->type == K8SNET_FRONTEND_HOST_PORT &&
	    k8snet_addr_parse(tb[K8SNET_A_FRONTEND_ADDR], &s->key.addr,
			      &s->key.family) &&
	    k8snet_localhost_addr(&s->key.addr, s->key.family))
		return 0;
	return unicast_parse(tb[K8SNET_A_FRONTEND_ADDR], &s->key.addr,
			     &s->key.family, extack);
}

/* Attributes @type of an endpoint: names, of which "" is none. */
static int hints_parse(const struct nlattr *nest, int type, bool *has, u8 *n,
		       const char *names[K8SNET_HINTS_MAX],
		       struct netlink_ext_ack *extack)
{
	const struct nlattr *nla;
	int rem;

	nla_for_each_nested(nla, nest, rem) {
		if (nla_type(nla) != type)
			continue;
		*has = true;
		if (!*(const char *)nla_data(nla))
			continue;
		if (*n == K8SNET_HINTS_MAX) {
			NL_SET_ERR_MSG_ATTR(extack, nla,
					    "endpoint has more than 8 hints of a kind");
			return -E2BIG;
		}
		names[(*n)++] = nla_data(nla);
	}
	return 0;
}

static int endpoint_parse(const struct nlattr *nla,
			  struct k8snet_endpoint_spec *s, bool set,
			  struct netlink_ext_ack *extack)
{
	struct nlattr *tb[K8SNET_A_ENDPOINT_MAX + 1];
	int err;

	err = nla_parse_nested(tb, K8SNET_A_ENDPOINT_MAX, nla,
			       k8snet_endpoint_policy, extack);
	if (err)
		return err;
	memset(s, 0, sizeof(*s));
	if (!tb[K8SNET_A_ENDPOINT_ADDR] || !tb[K8SNET_A_ENDPOINT_PORT]) {
		NL_SET_ERR_MSG_ATTR(extack, nla,
				    "endpoint needs an address and a port");
		return -EINVAL;
	}
	err = unicast_parse(tb[K8SNET_A_ENDPOINT_ADDR], &s->addr, &s->family,
			    extack);
	if (err)
		return err;
	s->port = nla_get_be16(tb[K8SNET_A_ENDPOINT_PORT]);
	if (tb[K8SNET_A_ENDPOINT_WEIGHT]) {
		s->has_weight = true;
		s->weight = nla_get_u32(tb[K8SNET_A_ENDPOINT_WEIGHT]);
		if (s->weight > K8SNET_WEIGHT_MAX) {
			NL_SET_ERR_MSG_ATTR(extack,
					    tb[K8SNET_A_ENDPOINT_WEIGHT],
					    "endpoint's weight is over 65535");
			return -ERANGE;
		}
	}
	err = hints_parse(nla, K8SNET_A_ENDPOINT_ZONE_HINT, &s->has_zones,
			  &s->n_zones, s->zone, extack);
	if (!err)
		err = hints_parse(nla, K8SNET_A_ENDPOINT_NODE_HINT,
				  &s->has_nodes, &s->n_nodes, s->node, extack);
	if (err)
		return err;
	if (tb[K8SNET_A_ENDPOINT_MASK] && !set) {
		NL_SET_ERR_MSG_ATTR(extack, tb[K8SNET_A_ENDPOINT_MASK],
				    "mask is for changing an endpoint");
		return -EINVAL;
	}
	if (tb[K8SNET_A_ENDPOINT_FLAGS]) {
		s->flags = nla_get_u32(tb[K8SNET_A_ENDPOINT_FLAGS]);
		s->mask = tb[K8SNET_A_ENDPOINT_MASK] ?
			  nla_get_u32(tb[K8SNET_A_ENDPOINT_MASK]) :
			  __K8SNET_EP_ALL;
	}
	return 0;
}

static unsigned int count_attrs(const struct nlmsghdr *nlh, int type)
{
	const struct nlattr *nla;
	unsigned int n = 0;
	int rem;

	nlmsg_for_each_attr(nla, nlh, GENL_HDRLEN, rem)
		n += nla_type(nla) == type;
	return n;
}

int k8snet_nl_endpoints_parse(const struct genl_info *info, bool set,
			      struct k8snet_endpoint_spec **specs,
			      unsigned int *n)
{
	unsigned int count = count_attrs(info->nlhdr,
					 K8SNET_A_SERVICE_ENDPOINT);
	struct k8snet_endpoint_spec *s;
	const struct nlattr *nla;
	unsigned int i = 0;
	int rem, err;

	*specs = NULL;
	*n = count;
	if (!count)
		return 0;
	s = kvcalloc(count, sizeof(*s), GFP_KERNEL_ACCOUNT);
	if (!s)
		return -ENOMEM;
	nlmsg_for_each_attr(nla, info->nlhdr, GENL_HDRLEN, rem) {
		if (nla_type(nla) != K8SNET_A_SERVICE_ENDPOINT)
			continue;
		err = endpoint_parse(nla, &s[i++], set, info->extack);
		if (err) {
			kvfree(s);
			return err;
		}
	}
	*specs = s;
	return 0;
}

static void spec_free(struct k8snet_service_spec *spec)
{
	kvfree(spec->endpoints);
	kfree(spec->frontends);
	kfree(spec->ranges);
}

static int frontends_parse(const struct genl_info *info, u8 proto,
			   struct k8snet_service_spec *spec)
{
	unsigned int count = count_attrs(info->nlhdr,
					 K8SNET_A_SERVICE_FRONTEND);
	const struct nlattr *nla;
	int rem, err;

	if (!count)
		return 0;
	if (count > K8SNET_FRONTENDS_MAX) {
		NL_SET_ERR_MSG(info->extack,
			       "too many frontends for one service");
		return -E2BIG;
	}
	spec->frontends = kcalloc(count, sizeof(*spec->frontends),
				  GFP_KERNEL_ACCOUNT);
	if (!spec->frontends)
		return -ENOMEM;
	nlmsg_for_each_attr(nla, info->nlhdr, GENL_HDRLEN, rem) {
		struct k8snet_frontend_spec *s;

		if (nla_type(nla) != K8SNET_A_SERVICE_FRONTEND)
			continue;
		s = &spec->frontends[spec->n_frontends++];
		err = frontend_parse(nla, proto, s, info->extack);
		if (err)
			return err;
		if (!(spec->replace & k8snet_frontend_replace_bit(s->type))) {
			NL_SET_ERR_MSG_ATTR(info->extack, nla,
					    "frontends of this type are not being replaced");
			return -EINVAL;
		}
	}
	return 0;
}

static int ranges_parse(const struct genl_info *info,
			struct k8snet_service_spec *spec)
{
	unsigned int count = count_attrs(info->nlhdr,
					 K8SNET_A_SERVICE_SOURCE_RANGE);

	if (!count)
		return 0;
	if (!(spec->replace & K8SNET_SERVICE_REPLACE_SOURCE_RANGE)) {
		NL_SET_ERR_MSG(info->extack,
			       "source ranges are not being replaced");
		return -EINVAL;
	}
	if (count > K8SNET_RANGES_MAX) {
		NL_SET_ERR_MSG(info->extack,
			       "too many source ranges for one service");
		return -E2BIG;
	}
	spec->ranges = kcalloc(count, sizeof(*spec->ranges),
			       GFP_KERNEL_ACCOUNT);
	if (!spec->ranges)
		return -ENOMEM;
	return k8snet_prefixes_parse(info->nlhdr,
				     K8SNET_A_SERVICE_SOURCE_RANGE,
				     spec->ranges, count, &spec->n_ranges,
				     info->extack);
}

/* The settings that are single values. */
static int settings_parse(const struct genl_info *info,
			  struct k8snet_service_spec *spec)
{
	struct nlattr *const *tb = info->attrs;

#define TAKE(field, ATTR) do {						\
	if (tb[K8SNET_A_SERVICE_##ATTR]) {				\
		spec->has_##field = true;				\
		spec->field = nla_get_u8(tb[K8SNET_A_SERVICE_##ATTR]);	\
	}								\
} while (0)
	TAKE(scheduler, SCHEDULER);
	TAKE(external_policy, EXTERNAL_POLICY);
	TAKE(internal_policy, INTERNAL_POLICY);
	TAKE(no_endpoints, NO_ENDPOINTS);
	TAKE(range_scope, RANGE_SCOPE);
	TAKE(on_removal, ON_REMOVAL);
	TAKE(dsr, DSR);
#undef TAKE
	if (spec->dsr && spec->proto == IPPROTO_SCTP) {
		NL_SET_ERR_MSG_ATTR(info->extack, tb[K8SNET_A_SERVICE_DSR],
				    "direct server return is for TCP and UDP");
		return -EINVAL;
	}
	if (spec->on_removal == K8SNET_ON_REMOVAL_RESET &&
	    spec->proto == IPPROTO_UDP) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    tb[K8SNET_A_SERVICE_ON_REMOVAL],
				    "UDP has no reset: its flows always move when their endpoint is removed");
		return -EINVAL;
	}
	if (spec->on_removal && spec->proto == IPPROTO_UDP) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    tb[K8SNET_A_SERVICE_ON_REMOVAL],
				    "UDP flows always move when their endpoint is removed");
		return -EINVAL;
	}
	if (tb[K8SNET_A_SERVICE_AFFINITY]) {
		spec->has_affinity = true;
		spec->affinity = nla_get_u32(tb[K8SNET_A_SERVICE_AFFINITY]);
		if (spec->affinity > K8SNET_AFFINITY_MAX) {
			NL_SET_ERR_MSG_ATTR(info->extack,
					    tb[K8SNET_A_SERVICE_AFFINITY],
					    "affinity is over 86400 seconds");
			return -ERANGE;
		}
	}
	return 0;
}

/* All lists and settings; @spec->proto and @spec->replace are there already.
 * Call spec_free() whatever it returns.
 */
static int spec_parse(const struct genl_info *info,
		      struct k8snet_service_spec *spec)
{
	int err;

	err = settings_parse(info, spec);
	if (err)
		return err;
	err = frontends_parse(info, spec->proto, spec);
	if (err)
		return err;
	err = ranges_parse(info, spec);
	if (err)
		return err;
	err = k8snet_nl_endpoints_parse(info, false, &spec->endpoints,
					&spec->n_endpoints);
	if (err)
		return err;
	if (spec->n_endpoints &&
	    !(spec->replace & K8SNET_SERVICE_REPLACE_ENDPOINT)) {
		NL_SET_ERR_MSG(info->extack, "endpoints are not being replaced");
		return -EINVAL;
	}
	return 0;
}

/* ---- requests ---- */

int k8snet_nl_service_new_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct k8snet_service_spec spec = {
		.replace = __K8SNET_SERVICE_REPLACE_ALL,
	};
	struct k8snet_net *kn = k8snet_info_net(info);
	const char *name = k8snet_nl_service_name(info);
	struct k8snet_service *svc;
	int err;

	if (!name)
		return -EINVAL;
	if (!info->attrs[K8SNET_A_SERVICE_PROTO]) {
		NL_SET_ERR_MSG(info->extack, "service has no protocol");
		return -EINVAL;
	}
	if (info->attrs[K8SNET_A_SERVICE_REPLACE]) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[K8SNET_A_SERVICE_REPLACE],
				    "a new service has nothing to replace");
		return -EINVAL;
	}
	spec.proto = nla_get_u8(info->attrs[K8SNET_A_SERVICE_PROTO]);
	if (spec.proto != IPPROTO_TCP && spec.proto != IPPROTO_UDP &&
	    spec.proto != IPPROTO_SCTP) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[K8SNET_A_SERVICE_PROTO],
				    "service's protocol is not TCP, UDP or SCTP");
		return -EPROTONOSUPPORT;
	}
	err = spec_parse(info, &spec);
	if (err)
		goto out_free;

	mutex_lock(&kn->cfg_lock);
	err = k8snet_service_create(kn, name, &spec, &svc, info->extack);
	if (!err) {
		k8snet_service_notify(kn, svc);
		k8snet_endpoints_notify(kn, svc);
	}
	mutex_unlock(&kn->cfg_lock);
out_free:
	spec_free(&spec);
	return err;
}

int k8snet_nl_service_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct k8snet_net *kn = k8snet_info_net(info);
	struct k8snet_service_spec spec = {};
	struct k8snet_service *svc;
	int err = 0;

	if (info->attrs[K8SNET_A_SERVICE_PROTO]) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[K8SNET_A_SERVICE_PROTO],
				    "a service's protocol cannot change");
		return -EINVAL;
	}
	if (info->attrs[K8SNET_A_SERVICE_REPLACE])
		spec.replace =
			nla_get_u32(info->attrs[K8SNET_A_SERVICE_REPLACE]);

	/* The protocol of the frontends is the service's. */
	mutex_lock(&kn->cfg_lock);
	svc = k8snet_nl_service_find(kn, info, &err);
	if (svc) {
		spec.proto = svc->proto;
		err = spec_parse(info, &spec);
		if (!err)
			err = k8snet_service_change(kn, svc, &spec,
						    info->extack);
		if (!err) {
			k8snet_service_notify(kn, svc);
			k8snet_endpoints_notify(kn, svc);
		}
		spec_free(&spec);
	}
	mutex_unlock(&kn->cfg_lock);
	return err;
}

int k8snet_nl_service_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct k8snet_net *kn = k8snet_info_net(info);
	struct k8snet_service *svc;
	int err = 0;

	mutex_lock(&kn->cfg_lock);
	svc = k8snet_nl_service_find(kn, info, &err);
	if (svc)
		k8snet_conn_account(kn);
	if (svc)
		err = k8snet_nl_reply(info, K8SNET_CMD_SERVICE_GET,
				      service_fill, kn, svc);
	mutex_unlock(&kn->cfg_lock);
	return err;
}

int k8snet_nl_service_get_dumpit(struct sk_buff *skb,
				 struct netlink_callback *cb)
{
	const struct k8snet_msg m = k8snet_msg_dump(cb, skb,
						    K8SNET_CMD_SERVICE_GET);
	struct k8snet_dump *ctx = k8snet_dump_ctx(cb);
	struct k8snet_net *kn = k8snet_dump_begin(cb);
	struct k8snet_service *svc;
	unsigned long id;

	if (!ctx->next)
		k8snet_conn_account(kn);
	xa_for_each_start(&kn->service_ids, id, svc, ctx->next) {
		if (k8snet_msg_fill_dump(skb, &m, cb, service_fill, kn, svc))
			break;
		ctx->next = id + 1;
	}
	return k8snet_dump_end(kn, skb);
}

int k8snet_nl_service_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct k8snet_net *kn = k8snet_info_net(info);
	struct k8snet_service *svc;
	int err = 0;

	mutex_lock(&kn->cfg_lock);
	svc = k8snet_nl_service_find(kn, info, &err);
	if (svc) {
		k8snet_service_remove(kn, svc);
		k8snet_nl_notify(kn, K8SNET_CMD_SERVICE_DEL_NTF,
				 service_fill_name,
				 k8snet_nl_service_name(info));
	}
	mutex_unlock(&kn->cfg_lock);
	return err;
}
