// SPDX-License-Identifier: GPL-2.0
/* Frontends: the table of captured addresses and ports. */

#include <linux/slab.h>

#include "frontend.h"
#include "node.h"
#include "service.h"

static const struct rhashtable_params frontend_params = {
	.head_offset = offsetof(struct k8snet_frontend, hash),
	.key_offset = offsetof(struct k8snet_frontend, key),
	.key_len = sizeof(struct k8snet_frontend_key),
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
	struct k8snet_frontend *fe;

	BUILD_BUG_ON(sizeof(key) != 20);	/* hashed as a whole: no holes */
	fe = rhashtable_lookup(&kn->frontends, &key, frontend_params);
	if (fe)
		return fe;

	memset(&key.addr, 0, sizeof(key.addr));
	key.family = 0;
	fe = rhashtable_lookup(&kn->frontends, &key, frontend_params);
	if (fe && k8snet_node_is_nodeport_addr(kn, addr, family))
		return fe;
	return NULL;
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
				   const struct k8snet_frontend *fe)
{
	struct k8snet_vip *vip;

	k8snet_assert_cfg(kn);
	rcu_read_lock();
	vip = k8snet_vip_lookup_rcu(kn, &fe->key.addr, fe->key.family);
	rcu_read_unlock();
	return vip;
}

static int vip_get(struct k8snet_net *kn, const struct k8snet_frontend *fe)
{
	bool cluster = fe->type == K8SNET_FRONTEND_CLUSTER_IP;
	struct k8snet_vip *vip;
	int err;

	if (fe->type == K8SNET_FRONTEND_NODE_PORT)
		return 0;
	vip = vip_find(kn, fe);
	if (vip) {
		vip->users++;
		WRITE_ONCE(vip->cluster_users, vip->cluster_users + cluster);
		return 0;
	}
	vip = kzalloc(sizeof(*vip), GFP_KERNEL);
	if (!vip)
		return -ENOMEM;
	vip->addr = fe->key.addr;
	vip->family = fe->key.family;
	vip->users = 1;
	vip->cluster_users = cluster;
	err = rhashtable_insert_fast(&kn->vips, &vip->hash, vip_params);
	if (err)
		kfree(vip);
	return err;
}

static void vip_put(struct k8snet_net *kn, const struct k8snet_frontend *fe)
{
	bool cluster = fe->type == K8SNET_FRONTEND_CLUSTER_IP;
	struct k8snet_vip *vip;

	if (fe->type == K8SNET_FRONTEND_NODE_PORT)
		return;
	vip = vip_find(kn, fe);
	if (WARN_ON_ONCE(!vip))
		return;
	WRITE_ONCE(vip->cluster_users, vip->cluster_users - cluster);
	if (--vip->users)
		return;
	rhashtable_remove_fast(&kn->vips, &vip->hash, vip_params);
	kfree_rcu(vip, rcu);
}

/* Publishes a frontend. -EEXIST cannot be: the caller holds cfg_lock and has
 * looked.
 */
static int frontend_publish(struct k8snet_net *kn, struct k8snet_frontend *fe)
{
	int err;

	err = vip_get(kn, fe);
	if (err)
		return err;
	err = rhashtable_insert_fast(&kn->frontends, &fe->hash,
				     frontend_params);
	if (err) {
		vip_put(kn, fe);
		return err;
	}
	list_add_tail(&fe->node, &fe->svc->frontends);
	fe->svc->n_frontends++;
	return 0;
}

/*
 * Packets find a frontend only in the hash, and use it within the RCU section
 * of that lookup: after the removal and a grace period nobody holds it. Its
 * service is freed later still (k8snet_service_remove()).
 */
void k8snet_frontend_unpublish(struct k8snet_net *kn,
			       struct k8snet_frontend *fe)
{
	rhashtable_remove_fast(&kn->frontends, &fe->hash, frontend_params);
	list_del(&fe->node);
	fe->svc->n_frontends--;
	vip_put(kn, fe);
	kfree_rcu(fe, rcu);
}

static u32 frontend_replace_bit(u8 type)
{
	/* In the order of enum k8snet_frontend_type. */
	return K8SNET_SERVICE_REPLACE_CLUSTER_IP << type;
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
			if (!memcmp(&s->key, &spec->frontends[k].key,
				    sizeof(s->key))) {
				NL_SET_ERR_MSG(extack, "frontend given twice");
				return -EINVAL;
			}
		}
		fe = frontend_find(kn, &s->key);
		if (!fe || (fe->svc == svc &&
			    spec->replace & frontend_replace_bit(fe->type)))
			continue;
		if (fe->svc == svc)
			NL_SET_ERR_MSG(extack, "service has this frontend already");
		else if (fe->type == K8SNET_FRONTEND_NODE_PORT)
			NL_SET_ERR_MSG(extack, "node port belongs to another service");
		else
			NL_SET_ERR_MSG(extack, "frontend belongs to another service");
		return -EEXIST;
	}
	if (svc)
		list_for_each_entry(fe, &svc->frontends, node)
			total += !(spec->replace &
				   frontend_replace_bit(fe->type));
	if (total > K8SNET_FRONTENDS_MAX) {
		NL_SET_ERR_MSG(extack, "too many frontends for one service");
		return -E2BIG;
	}
	return 0;
}

int k8snet_frontends_change(struct k8snet_net *kn, struct k8snet_service *svc,
			    const struct k8snet_service_spec *spec)
{
	struct k8snet_frontend *fe, *tmp;
	unsigned int i;
	LIST_HEAD(fresh);
	LIST_HEAD(stay);
	int err;

	/* Of the old ones: what stays. The rest is left in svc->frontends. */
	list_for_each_entry_safe(fe, tmp, &svc->frontends, node)
		if (!(spec->replace & frontend_replace_bit(fe->type)))
			list_move_tail(&fe->node, &stay);

	for (i = 0; i < spec->n_frontends; i++) {
		const struct k8snet_frontend_spec *s = &spec->frontends[i];

		fe = frontend_find(kn, &s->key);
		if (fe && fe->type == s->type) {
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
		fe = kzalloc(sizeof(*fe), GFP_KERNEL);
		if (!fe) {
			err = -ENOMEM;
			goto err_undo;
		}
		fe->key = s->key;
		fe->type = s->type;
		fe->svc = svc;
		err = frontend_publish(kn, fe);
		if (err) {
			kfree(fe);
			goto err_undo;
		}
		list_move_tail(&fe->node, &fresh);
	}

	list_for_each_entry_safe(fe, tmp, &svc->frontends, node)
		k8snet_frontend_unpublish(kn, fe);
	list_splice_tail(&stay, &svc->frontends);
	list_splice_tail(&fresh, &svc->frontends);
	return 0;

err_undo:
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
