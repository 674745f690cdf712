// SPDX-License-Identifier: GPL-2.0
/*
 * What the messages of all objects of the k8snet family have in common. Each
 * object has a file of its own, nl_OBJECT.c, in the order of
 * uapi/linux/k8snet.h. What the kernel answers is read by type and length;
 * attributes of a newer module are passed over.
 */
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include <linux/k8snet.h>

#include "nl_internal.h"
#include "parse.h"

void knl_put_addr(struct nl_msg *msg, int type, const struct addr *addr)
{
	knl_put(msg, type, addr->bytes, addr->len);
}

void knl_put_prefix(struct nl_msg *msg, int type,
		    const struct prefix *prefix)
{
	struct nlattr *nest = knl_nest(msg, type);

	knl_put_addr(msg, K8SNET_A_PREFIX_ADDR, &prefix->addr);
	knl_put_u8(msg, K8SNET_A_PREFIX_LEN, prefix->bits);
	nla_nest_end(msg, nest);
}

void knl_put_prefixes(struct nl_msg *msg, int type,
		      const struct prefix_list *list)
{
	const struct prefix *prefix;

	LIST_FOR_EACH(prefix, list)
		knl_put_prefix(msg, type, prefix);
}

void knl_addr(const struct nlattr *attr, struct addr *addr)
{
	memset(addr, 0, sizeof(*addr));
	if (nla_len(attr) != 4 && nla_len(attr) != 16)
		return;
	addr->len = (uint8_t)nla_len(attr);
	memcpy(addr->bytes, nla_data(attr), addr->len);
}

void knl_prefix(const struct nlattr *nest, struct prefix *prefix)
{
	struct nlattr *attr;
	int rem;

	memset(prefix, 0, sizeof(*prefix));
	nla_for_each_nested(attr, (struct nlattr *)nest, rem) {
		if (nla_type(attr) == K8SNET_A_PREFIX_ADDR)
			knl_addr(attr, &prefix->addr);
		else if (nla_type(attr) == K8SNET_A_PREFIX_LEN)
			prefix->bits = knl_u8(attr);
	}
}

void knl_lladdr(const struct nlattr *attr, uint8_t lladdr[6])
{
	if (nla_len(attr) == 6)
		memcpy(lladdr, nla_data(attr), 6);
}

/*
 * Names of devices by their number. monitor tells of devices that have just
 * gone: what they were called is remembered.
 */
struct device {
	uint32_t index;
	char name[IFNAMSIZ];
};

struct devices LIST(struct device);

static struct devices devices;

void knl_device(uint32_t index, char **name)
{
	struct device *dev, *known = NULL;
	char buf[IFNAMSIZ] = "";

	LIST_FOR_EACH(dev, &devices)
		if (dev->index == index)
			known = dev;
	if (if_indextoname(index, buf)) {
		if (!known)
			known = LIST_ADD(&devices);
		known->index = index;
		memcpy(known->name, buf, sizeof(buf));
	}
	free(*name);
	*name = known ? xstrdup(known->name) : text_printf("if%u", index);
}

void knl_k8snet_forget(void)
{
	free(devices.v);
	memset(&devices, 0, sizeof(devices));
}

int knl_list(struct nl_msg *msg, const void *key, knl_answer_fn *answer,
	     void (*restart)(void *arg), void *list, unsigned int flags)
{
	if (key)
		return knl_talk(NL_BUS_K8SNET, msg, answer, list, flags);
	return knl_dump(NL_BUS_K8SNET, msg, answer, restart, list);
}
