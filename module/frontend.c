// SPDX-License-Identifier: GPL-2.0
/* Frontends: the table of captured addresses and ports. */

#include <linux/slab.h>

#include "flow.h"
#include "frontend.h"
#include "localhost.h"
#include "node.h"
#include "service.h"

/* Five words. Each new flow looks for one or two frontends: see pod_hash(). */
static u32 frontend_hash(const void *data, u32 len, u32 seed)
{
	const u64 *s = k8snet_flow_secret;
	const u32 *w = data;

	return k8snet_flow_fold(((u64)w[0] << 32 | w[1]) ^ s[0],
				((u64)w[2] << 32 | w[3]) ^ (s[1] + seed)) ^
	       k8snet_flow_fold(w[4] ^ s[2], s[3]);
}

static int frontend_cmp(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct k8snet_frontend_key *a = arg->key;
	const struct k8snet_frontend *b = obj;

	return !(k8snet_addr_equal(&a->addr, &b->key.addr) &&
		 a->family == b->key.family && a->proto == b->key.proto &&
		 a->port == b->key.port);
}

static const struct rhashtable_params frontend_params = {
	.head_offset = offsetof(struct k8snet_frontend, hash),
	.key_offset = offsetof(struct k8snet_frontend, key),
	.key_len = sizeof(struct k8snet_frontend_key),
	.hashfn = frontend_hash,
	.obj_cmpfn = frontend_cmp,
	.automatic_shrinking = true,
};

static const struct rhashtable_params vip_params = {
	.head_offset = offsetof(struct k8snet_vip, hash),
	.key_offset = offsetof(struct k8snet_vip, addr),
	.key_len = offsetofend(struct k8snet_vip, family) -
		   offsetof(struct k8snet_vip, addr),
	.automatic_shrinking = true,
};

/* Context: cfg_lock held, which keeps the frontend. It does not keep the hash's
 * table, which a worker replaces: hence the lookup with an RCU section of its own.
 */
static struct k8snet_frontend *frontend_find(struct k8snet_net *kn,
					     const struct k8snet_frontend_key *k)
{
	k8snet_assert_cfg(kn);
	return rhashtable_lookup_fast(&kn->frontends, k, frontend_params);
}

struct k8snet_vip *k8snet_vip_lookup_rcu(struct k8snet_net *kn,
					 const union nf_inet_addr *addr,
					 u8 family)
{
	const struct {
		union nf_inet_addr addr;
		u32 family;
	} key = { .addr = *addr, .family = family };

	BUILD_BUG_ON(sizeof(key) != vip_params.key_len);
	return rhashtable_lookup(&kn->vips, &key, vip_params);
}

/* Context: cfg_lock held; see frontend_find(). */
static struct k8snet_vip *vip_find(struct k8snet_net *kn,
				   const union nf_inet_addr *addr, u8 family)
{
	struct k8snet_vip *vip;

	k8snet_assert_cfg(kn);
	rcu_read_lock();
	vip = k8snet_vip_lookup_rcu(kn, addr, family);
	rcu_read_unlock();
	return vip;
}

static unsigned int proto_index(u8 proto)
{
	return proto == IPPROTO_TCP ? 0 : proto == IPPROTO_UDP ? 1 : 2;
}

static bool is_range(__be16 min, __be16 max)
{
	return min != max;
}

static bool is_all_ports(__be16 min, __be16 max)
{
	return min == htons(1) && max == htons(U16_MAX);
}

/* How many ranges there are up to the last one that begins at or before @port. */
static unsigned int range_search(const struct k8snet_ranges *ranges, u8 proto,
				 u16 port)
{
	unsigned int low = 0, high = ranges->n, mid;
	const struct k8snet_range *r;

	while (low < high) {
		mid = low + (high - low) / 2;
		r = &ranges->range[mid];
		if (r->proto < proto || (r->proto == proto && r->min <= port))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* For packets: see k8snet_frontends_change(). */
static bool is_live(const struct k8snet_frontend *fe)
{
	return rcu_access_pointer(fe->plan);
}

/*
 * The range of an address that has a port. While a service's ranges are
 * replaced, old and new ones may overlap, and one that does not have the port
 * may lie over one that does. A port that both old and new ones have is found in
 * either.
 */
static struct k8snet_frontend *range_lookup_rcu(const struct k8snet_vip *vip,
						u8 proto, u16 port)
{
	const struct k8snet_ranges *ranges = rcu_dereference(vip->ranges);
	struct k8snet_frontend *fe;
	const struct k8snet_range *r;
	bool mixed = false;
	unsigned int i = 0;

	if (ranges) {
		/* Before the ranges: see ranges_settled(). */
		mixed = smp_load_acquire(&ranges->mixed);
		i = range_search(ranges, proto, port);
	}
	for (; i; i--) {
		r = &ranges->range[i - 1];
		if (r->proto != proto)
			break;
		/* An empty place may lie over a range that is there. */
		fe = rcu_dereference(r->fe);
		if (!fe || !is_live(fe))
			continue;
		if (port <= r->max)
			return fe;
		if (!mixed)
			break;
	}
	fe = rcu_dereference(vip->all_ports[proto_index(proto)]);
	return fe && is_live(fe) ? fe : NULL;
}

struct k8snet_frontend *
k8snet_frontend_lookup_node_port_rcu(struct k8snet_net *kn, u8 proto,
				     __be16 port)
{
	const struct k8snet_frontend_key key = { .proto = proto, .port = port };
	struct k8snet_frontend *fe;

	fe = rhashtable_lookup(&kn->frontends, &key, frontend_params);
	return fe && is_live(fe) ? fe : NULL;
}

struct k8snet_frontend *k8snet_frontend_lookup_rcu(struct k8snet_net *kn,
						   const union nf_inet_addr *addr,
						   u8 family, u8 proto,
						   __be16 port)
{
	struct k8snet_frontend_key key = {
		.addr = *addr,
		.family = family,
		.proto = proto,
		.port = port,
	};
	const struct k8snet_vip *vip;
	struct k8snet_frontend *fe;

	BUILD_BUG_ON(sizeof(key) != 20);	/* hashed as a whole: no holes */
	fe = rhashtable_lookup(&kn->frontends, &key, frontend_params);
	if (fe && is_live(fe))
		return fe;

	fe = k8snet_frontend_lookup_node_port_rcu(kn, proto, port);
	if (fe && (fe->type == K8SNET_FRONTEND_HOST_PORT ?
		   k8snet_node_is_local_addr(kn, addr, family) :
		   k8snet_node_is_nodeport_addr(kn, addr, family)))
		return fe;

	/* Only a namespace that has port ranges pays for them. */
	if (!READ_ONCE(kn->n_ranges) || !port)
		return NULL;
	vip = k8snet_vip_lookup_rcu(kn, addr, family);
	return vip ? range_lookup_rcu(vip, proto, ntohs(port)) : NULL;
}

/* A host port of 127.0.0.1 or ::1, which this node's processes alone may ask. */
static bool on_localhost(const struct k8snet_frontend *fe)
{
	return fe->key.family &&
	       k8snet_localhost_addr(&fe->key.addr, fe->key.family);
}

/* Loopback has no entry: its pings and its other ports are not ours. */
static bool has_vip(const struct k8snet_frontend *fe)
{
	return fe->key.family && !on_localhost(fe);
}

static int vip_get(struct k8snet_net *kn, const struct k8snet_frontend *fe)
{
	struct k8snet_vip *vip;
	int err;

	if (!has_vip(fe))
		return 0;
	vip = vip_find(kn, &fe->key.addr, fe->key.family);
	if (vip) {
		vip->users++;
		return 0;
	}
	vip = kzalloc(sizeof(*vip), GFP_KERNEL_ACCOUNT);
	if (!vip)
		return -ENOMEM;
	vip->addr = fe->key.addr;
	vip->family = fe->key.family;
	vip->users = 1;
	err = rhashtable_insert_fast(&kn->vips, &vip->hash, vip_params);
	if (err)
		kfree(vip);
	return err;
}

static void vip_put(struct k8snet_net *kn, const struct k8snet_frontend *fe)
{
	bool cluster = fe->type == K8SNET_FRONTEND_CLUSTER_IP && is_live(fe);
	struct k8snet_ranges *ranges;
	struct k8snet_vip *vip;

	if (!has_vip(fe))
		return;
	vip = vip_find(kn, &fe->key.addr, fe->key.family);
	if (WARN_ON_ONCE(!vip))
		return;
	WRITE_ONCE(vip->cluster_users, vip->cluster_users - cluster);
	if (--vip->users)
		return;
	rhashtable_remove_fast(&kn->vips, &vip->hash, vip_params);
	ranges = k8snet_cfg_dereference(kn, vip->ranges);
	if (ranges)
		kfree_rcu(ranges, rcu);
	kfree_rcu(vip, rcu);
}

/* Would a change that replaces the frontends of some types leave this one? */
static bool stays(const struct k8snet_frontend *fe,
		  const struct k8snet_service *svc, u32 replace)
{
	return fe->svc != svc ||
	       !(replace & k8snet_frontend_replace_bit(fe->type));
}

/*
 * Of a message: the very range (@same), or the first one that has ports of it
 * and would be left by a change of @svc. All ports are found only where all are
 * asked for.
 */
static struct k8snet_frontend *range_find(struct k8snet_net *kn,
					  const struct k8snet_frontend_spec *s,
					  const struct k8snet_service *svc,
					  u32 replace, bool same)
{
	u16 min = ntohs(s->key.port), max = ntohs(s->port_end);
	const struct k8snet_vip *vip;
	struct k8snet_ranges *ranges;
	struct k8snet_frontend *fe;
	struct k8snet_range *r;

	vip = vip_find(kn, &s->key.addr, s->key.family);
	if (!vip)
		return NULL;
	if (is_all_ports(s->key.port, s->port_end)) {
		fe = k8snet_cfg_dereference(kn, vip->all_ports
					    [proto_index(s->key.proto)]);
		return fe && (same || stays(fe, svc, replace)) ? fe : NULL;
	}
	ranges = k8snet_cfg_dereference(kn, vip->ranges);
	if (!ranges)
		return NULL;
	for (r = ranges->range; r < ranges->range + ranges->n; r++) {
		fe = k8snet_cfg_dereference(kn, r->fe);
		if (!fe || r->proto != s->key.proto)
			continue;
		if (same ? r->min == min && r->max == max :
			   r->min <= max && r->max >= min &&
			   stays(fe, svc, replace))
			return fe;
	}
	return NULL;
}

/* A table with one more range, and without empty places. */
static int range_insert(struct k8snet_net *kn, struct k8snet_vip *vip,
			struct k8snet_frontend *fe)
{
	struct k8snet_ranges *old = k8snet_cfg_dereference(kn, vip->ranges);
	u16 min = ntohs(fe->key.port);
	struct k8snet_ranges *new;
	unsigned int i, at = 0;

	new = kzalloc(struct_size(new, range, (old ? old->n : 0) + 1),
		      GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;
	for (i = 0; old && i < old->n; i++) {
		const struct k8snet_range *r = &old->range[i];

		if (!rcu_access_pointer(r->fe))
			continue;
		new->range[new->n++] = *r;
		if (r->proto < fe->key.proto ||
		    (r->proto == fe->key.proto && r->min <= min))
			at = new->n;
	}
	if (new->n == K8SNET_VIP_RANGES_MAX) {
		kfree(new);
		return -ENOSPC;
	}
	memmove(&new->range[at + 1], &new->range[at],
		(new->n - at) * sizeof(*new->range));
	new->n++;
	new->range[at].proto = fe->key.proto;
	new->range[at].min = min;
	new->range[at].max = ntohs(fe->port_end);
	RCU_INIT_POINTER(new->range[at].fe, fe);
	new->mixed = true;
	rcu_assign_pointer(vip->ranges, new);
	if (old)
		kfree_rcu(old, rcu);
	return 0;
}

/* Other ports of cluster IPs are ours to refuse as soon as these are there. */
static void vips_live(struct k8snet_net *kn, const struct list_head *fresh)
{
	const struct k8snet_frontend *fe;
	struct k8snet_vip *vip;

	list_for_each_entry(fe, fresh, node) {
		if (!has_vip(fe) || fe->type != K8SNET_FRONTEND_CLUSTER_IP)
			continue;
		vip = vip_find(kn, &fe->key.addr, fe->key.family);
		WRITE_ONCE(vip->cluster_users, vip->cluster_users + 1);
	}
}

/* Of the old ranges of a change only those are left that do not overlap. */
static void ranges_settled(struct k8snet_net *kn, const struct list_head *fresh)
{
	const struct k8snet_frontend *fe;
	struct k8snet_ranges *ranges;

	list_for_each_entry(fe, fresh, node) {
		if (!is_range(fe->key.port, fe->port_end))
			continue;
		ranges = k8snet_cfg_dereference(kn, vip_find(kn, &fe->key.addr,
							     fe->key.family)->ranges);
		if (!ranges)
			continue;	/* all ports */
		/* After the old ranges are out: see range_lookup_rcu(). */
		smp_store_release(&ranges->mixed, false);
	}
}

static int range_publish(struct k8snet_net *kn, struct k8snet_frontend *fe)
{
	struct k8snet_vip *vip = vip_find(kn, &fe->key.addr, fe->key.family);
	int err;

	if (is_all_ports(fe->key.port, fe->port_end)) {
		rcu_assign_pointer(vip->all_ports[proto_index(fe->key.proto)],
				   fe);
	} else {
		err = range_insert(kn, vip, fe);
		if (err)
			return err;
	}
	WRITE_ONCE(kn->n_ranges, kn->n_ranges + 1);
	return 0;
}

/* Needs no memory. A new one of the same ports may be in the table already,
 * so the place is found by the frontend.
 */
static void range_unpublish(struct k8snet_net *kn, struct k8snet_frontend *fe)
{
	struct k8snet_vip *vip = vip_find(kn, &fe->key.addr, fe->key.family);
	struct k8snet_ranges *ranges;
	unsigned int i;

	WRITE_ONCE(kn->n_ranges, kn->n_ranges - 1);
	if (is_all_ports(fe->key.port, fe->port_end)) {
		i = proto_index(fe->key.proto);
		if (rcu_access_pointer(vip->all_ports[i]) == fe)
			RCU_INIT_POINTER(vip->all_ports[i], NULL);
		return;
	}
	ranges = k8snet_cfg_dereference(kn, vip->ranges);
	for (i = 0; i < ranges->n; i++)
		if (rcu_access_pointer(ranges->range[i].fe) == fe)
			RCU_INIT_POINTER(ranges->range[i].fe, NULL);
}

/* Puts a frontend into the tables. -EEXIST cannot be: the caller holds cfg_lock
 * and has looked.
 */
static int frontend_publish(struct k8snet_net *kn, struct k8snet_frontend *fe)
{
	int err;

	if (on_localhost(fe)) {
		err = k8snet_localhost_get(kn);
		if (err)
			return err;
	}
	err = vip_get(kn, fe);
	if (err)
		goto err_localhost;
	if (is_range(fe->key.port, fe->port_end))
		err = range_publish(kn, fe);
	else
		err = rhashtable_insert_fast(&kn->frontends, &fe->hash,
					     frontend_params);
	if (err)
		goto err_vip;
	list_add_tail(&fe->node, &fe->svc->frontends);
	fe->svc->n_frontends++;
	return 0;

err_vip:
	vip_put(kn, fe);
err_localhost:
	if (on_localhost(fe))
		k8snet_localhost_put(kn);
	return err;
}

/*
 * Packets find a frontend only in the tables, and use it within the RCU section
 * of that lookup: after the removal and a grace period nobody holds it. Its
 * service is freed later still (k8snet_service_remove()).
 */
void k8snet_frontend_unpublish(struct k8snet_net *kn,
			       struct k8snet_frontend *fe)
{
	if (is_range(fe->key.port, fe->port_end))
		range_unpublish(kn, fe);
	else
		rhashtable_remove_fast(&kn->frontends, &fe->hash,
				       frontend_params);
	list_del(&fe->node);
	fe->svc->n_frontends--;
	vip_put(kn, fe);
	if (on_localhost(fe))
		k8snet_localhost_put(kn);
	kfree_rcu(fe, rcu);
}

/* Is it not clear which of two frontends a port belongs to? */
static bool specs_clash(const struct k8snet_frontend_spec *a,
			const struct k8snet_frontend_spec *b)
{
	if (!k8snet_addr_equal(&a->key.addr, &b->key.addr) ||
	    a->key.family != b->key.family ||
	    is_range(a->key.port, a->port_end) !=
	    is_range(b->key.port, b->port_end) ||
	    is_all_ports(a->key.port, a->port_end) !=
	    is_all_ports(b->key.port, b->port_end))
		return false;
	return ntohs(a->key.port) <= ntohs(b->port_end) &&
	       ntohs(a->port_end) >= ntohs(b->key.port);
}

int k8snet_frontends_check(struct k8snet_net *kn, struct k8snet_service *svc,
			   const struct k8snet_service_spec *spec,
			   struct netlink_ext_ack *extack)
{
	const struct k8snet_frontend *fe;
	unsigned int i, k, total = spec->n_frontends;

	for (i = 0; i < spec->n_frontends; i++) {
		const struct k8snet_frontend_spec *s = &spec->frontends[i];

		for (k = 0; k < i; k++) {
			if (specs_clash(s, &spec->frontends[k])) {
				NL_SET_ERR_MSG(extack, "frontend given twice");
				return -EINVAL;
			}
		}
		if (is_range(s->key.port, s->port_end))
			fe = range_find(kn, s, svc, spec->replace, false);
		else
			fe = frontend_find(kn, &s->key);
		if (!fe || !stays(fe, svc, spec->replace))
			continue;
		if (fe->svc == svc)
			NL_SET_ERR_MSG(extack, "service has this frontend already");
		else if (fe->type == K8SNET_FRONTEND_NODE_PORT)
			NL_SET_ERR_MSG(extack, "node port belongs to another service");
		else if (fe->type == K8SNET_FRONTEND_HOST_PORT)
			NL_SET_ERR_MSG(extack, "host port belongs to another service");
		else
			NL_SET_ERR_MSG(extack, "frontend belongs to another service");
		return -EEXIST;
	}
	if (svc)
		list_for_each_entry(fe, &svc->frontends, node)
			total += !(spec->replace &
				   k8snet_frontend_replace_bit(fe->type));
	if (total > K8SNET_FRONTENDS_MAX) {
		NL_SET_ERR_MSG(extack, "too many frontends for one service");
		return -E2BIG;
	}
	return 0;
}

/* Context: cfg_lock held. */
static void set_plan(const struct list_head *frontends, struct k8snet_plan *plan)
{
	struct k8snet_frontend *fe;

	list_for_each_entry(fe, frontends, node)
		rcu_assign_pointer(fe->plan, plan);
}

void k8snet_frontends_set_plan(struct k8snet_net *kn, struct k8snet_service *svc,
			       struct k8snet_plan *plan)
{
	k8snet_assert_cfg(kn);
	set_plan(&svc->frontends, plan);
}

/*
 * All that can fail is done while packets cannot see it: new frontends are in
 * the tables, but have no plan. Then each gets it, and only then those that go
 * are taken out, so that a port is never without one in between.
 */
int k8snet_frontends_change(struct k8snet_net *kn, struct k8snet_service *svc,
			    const struct k8snet_service_spec *spec,
			    struct k8snet_plan *plan)
{
	struct k8snet_frontend *fe, *tmp;
	unsigned int i;
	LIST_HEAD(fresh);
	LIST_HEAD(stay);
	int err;

	/* Of the old ones: what stays. The rest is left in svc->frontends. */
	list_for_each_entry_safe(fe, tmp, &svc->frontends, node)
		if (!(spec->replace & k8snet_frontend_replace_bit(fe->type)))
			list_move_tail(&fe->node, &stay);

	for (i = 0; i < spec->n_frontends; i++) {
		const struct k8snet_frontend_spec *s = &spec->frontends[i];

		if (is_range(s->key.port, s->port_end))
			fe = range_find(kn, s, svc, spec->replace, true);
		else
			fe = frontend_find(kn, &s->key);
		if (fe && fe->type == s->type && !WARN_ON_ONCE(fe->svc != svc)) {
			list_move_tail(&fe->node, &stay);
			continue;
		}
		if (fe) {
			/* The same address and port in another role: the old
			 * entry must go before the new one fits.
			 */
			err = -EEXIST;
			goto err_undo;
		}
		fe = kzalloc(sizeof(*fe), GFP_KERNEL_ACCOUNT);
		if (!fe) {
			err = -ENOMEM;
			goto err_undo;
		}
		fe->key = s->key;
		fe->port_end = s->port_end;
		fe->type = s->type;
		fe->svc = svc;
		err = frontend_publish(kn, fe);
		if (err) {
			kfree(fe);
			goto err_undo;
		}
		list_move_tail(&fe->node, &fresh);
	}

	set_plan(&fresh, plan);
	vips_live(kn, &fresh);
	set_plan(&stay, plan);
	list_for_each_entry_safe(fe, tmp, &svc->frontends, node)
		k8snet_frontend_unpublish(kn, fe);
	ranges_settled(kn, &fresh);
	list_splice_tail(&stay, &svc->frontends);
	list_splice_tail(&fresh, &svc->frontends);
	return 0;

err_undo:
	ranges_settled(kn, &fresh);
	list_for_each_entry_safe(fe, tmp, &fresh, node)
		k8snet_frontend_unpublish(kn, fe);
	list_splice_tail(&stay, &svc->frontends);
	return err;
}

int k8snet_frontend_net_init(struct k8snet_net *kn)
{
	int err;

	err = rhashtable_init(&kn->frontends, &frontend_params);
	if (err)
		return err;
	err = rhashtable_init(&kn->vips, &vip_params);
	if (err)
		rhashtable_destroy(&kn->frontends);
	return err;
}

/* All services are gone, and their frontends with them. */
void k8snet_frontend_net_exit(struct k8snet_net *kn)
{
	rhashtable_destroy(&kn->vips);
	rhashtable_destroy(&kn->frontends);
}
