// SPDX-License-Identifier: GPL-2.0
/* Pod bridges: links of kind k8snet, made and changed by rtnetlink. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "nl.h"
#include "print.h"

void prefix_first_address(struct prefix *prefix)
{
	struct addr *addr = &prefix->addr;
	unsigned int i;

	/* A whole-length prefix is one address, and that is it. */
	if (prefix->bits == addr->len * 8)
		return;
	for (i = prefix->bits; i < addr->len * 8U; i++)
		if (addr->bytes[i / 8] & 0x80 >> i % 8)
			return;
	addr->bytes[addr->len - 1] |= 1;
}

/*
 * The CNI convention: a bridge that is made again has the same address, so
 * the pods' neighbour entries stay right.
 */
void bridge_default_lladdr(const struct prefix_list *addrs, uint8_t lladdr[6])
{
	const struct prefix *prefix, *best = NULL;

	LIST_FOR_EACH(prefix, addrs)
		if (!best || (best->addr.len == 16 && prefix->addr.len == 4))
			best = prefix;
	lladdr[0] = 0x0a;
	lladdr[1] = 0x58;
	memset(lladdr + 2, 0, 4);
	if (best)
		memcpy(lladdr + 2, best->addr.bytes + best->addr.len - 4, 4);
}

static int parse_addr_word(struct bridge *br, const char *value,
			   struct why *why)
{
	int more = list_none(&br->has, BRIDGE_ADDR, br->addr.n, "addr", value,
			     why);
	struct prefix *addr;

	if (more <= 0)
		return more;
	addr = LIST_ADD(&br->addr);
	if (parse_address(value, addr, why))
		return -1;
	prefix_first_address(addr);
	return 0;
}

static int parse_words(struct bridge *br, struct args *args, struct why *why)
{
	const char *word, *value;

	while ((word = args_next(args))) {
		if (!strcmp(word, "addr")) {
			value = args_value(args, word, why);
			if (!value || parse_addr_word(br, value, why))
				return -1;
		} else if (!strcmp(word, "mtu")) {
			if (once(&br->has, BRIDGE_MTU, word, why))
				return -1;
			value = args_value(args, word, why);
			if (!value || parse_number(value, word, 68, MTU_MAX,
						   &br->mtu, why))
				return -1;
		} else if (!strcmp(word, "lladdr")) {
			if (once(&br->has, BRIDGE_LLADDR, word, why))
				return -1;
			value = args_value(args, word, why);
			if (!value || parse_lladdr(value, br->lladdr, why))
				return -1;
		} else {
			return why_no_more(why, word);
		}
	}
	return 0;
}

static int parse_name(struct request *req, struct args *args, struct why *why)
{
	const char *name = args_next(args);

	if (!name)
		return why_missing(why, "the bridge's name");
	req->bridge.has |= BRIDGE_NAME;
	return parse_device(name, &req->bridge.name, why);
}

static int parse_add(struct request *req, struct args *args, struct why *why)
{
	if (parse_name(req, args, why) || parse_words(&req->bridge, args, why))
		return -1;
	if (!(req->bridge.has & BRIDGE_ADDR))
		return why_missing(why, "addr");
	return 0;
}

static int parse_set(struct request *req, struct args *args, struct why *why)
{
	if (parse_name(req, args, why))
		return -1;
	if (!args->n)
		return why_missing(why, "what to set");
	return parse_words(&req->bridge, args, why);
}

/*
 * A bridge that does not forward is of no use, and a node without this
 * setting is common: it is set here, and said. Never an error: who keeps
 * /proc/sys read-only sets it elsewhere.
 */
static void forwarding_on(const char *path, const char *name)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	char now = '1';

	if (fd < 0) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read(fd, &now, 1) == 1 && now == '0')
			report("%s is 0 and cannot be set: %s", name,
			       strerror(EROFS));
		if (fd >= 0)
			close(fd);
		return;
	}
	if (read(fd, &now, 1) == 1 && now == '0') {
		if (pwrite(fd, "1\n", 2, 0) == 2)
			report("%s set to 1", name);
		else
			report("%s is 0 and cannot be set: %s", name,
			       strerror(errno));
	}
	close(fd);
}

static void forwarding_for(const struct prefix_list *addrs)
{
	bool v4 = false, v6 = false;
	const struct prefix *addr;

	LIST_FOR_EACH(addr, addrs) {
		v4 |= addr->addr.len == 4;
		v6 |= addr->addr.len == 16;
	}
	if (v4)
		forwarding_on("/proc/sys/net/ipv4/ip_forward",
			      "net.ipv4.ip_forward");
	if (v6)
		forwarding_on("/proc/sys/net/ipv6/conf/all/forwarding",
			      "net.ipv6.conf.all.forwarding");
}

static int run_add(struct request *req)
{
	struct bridge *br = &req->bridge;
	struct prefix *addr;
	struct link link;
	int err;

	if (!(br->has & BRIDGE_LLADDR) && br->addr.n) {
		bridge_default_lladdr(&br->addr, br->lladdr);
		br->has |= BRIDGE_LLADDR;
	}
	if (!knl_link_get(br->name, &link, NL_QUIET)) {
		report("a device %s exists", br->name);
		return STATUS_REFUSED;
	}
	err = knl_bridge_new(br->name, br->mtu,
			     br->has & BRIDGE_LLADDR ? br->lladdr : NULL);
	if (err)
		return status(err);
	err = knl_link_get(br->name, &link, 0);
	if (err)
		return status(err);
	LIST_FOR_EACH(addr, &br->addr) {
		err = knl_addr_add(link.index, addr, 0);
		if (err)
			break;
	}
	if (!err)
		err = knl_link_up(link.index, true, 0);
	if (err)
		knl_link_del(link.index, NL_QUIET);
	else
		forwarding_for(&br->addr);
	return status(err);
}

/* The pod bridge of that name; -ENODEV: there is none, not reported */
static int find(const char *name, struct link *link)
{
	int err = knl_link_get(name, link, NL_QUIET);

	if (err) {
		if (err != -ENODEV)
			report("device %s: %s", name, strerror(-err));
		return err;
	}
	if (!knl_link_is_bridge(link)) {
		report("device %s is not a pod bridge", name);
		return -EINVAL;
	}
	return 0;
}

static bool has_addr(const struct prefix_list *list, const struct prefix *addr)
{
	const struct prefix *p;

	LIST_FOR_EACH(p, list)
		if (!prefix_cmp(p, addr))
			return true;
	return false;
}

/*
 * What goes and what comes where @now is to become @want; both are in the
 * kernel's order. What is added is behind all others of its kind, so that of
 * each kind those stay that @want begins with, and a secondary address only
 * where its primary one does.
 */
static void compare_addrs(const struct prefix_list *now,
			  const struct prefix_list *want,
			  struct prefix_list *go, struct prefix_list *come)
{
	const struct prefix *n = now->v, *w = want->v;
	const struct prefix *ne = n + now->n, *we = w + want->n;
	unsigned int kind;

	for (kind = 0; kind < ADDR_KINDS; kind++) {
		for (; n < ne && bridge_addr_kind(now, n) == kind; n++) {
			bool stays = w < we &&
				     bridge_addr_kind(want, w) == kind &&
				     !prefix_cmp(n, w);

			if (kind == ADDR_SECONDARY &&
			    has_addr(go, prefix_first(now, n)))
				stays = false;
			if (stays)
				w++;
			else
				*LIST_ADD(go) = *n;
		}
		for (; w < we && bridge_addr_kind(want, w) == kind; w++)
			*LIST_ADD(come) = *w;
	}
}

/*
 * Whether @addr cannot come before those of @go are gone: the kernel has an
 * IPv6 address once, whatever its prefix length, and an IPv4 address in the
 * network of another one would go with it.
 */
static bool must_wait(const struct prefix_list *go, const struct prefix *addr)
{
	const struct prefix *p;

	LIST_FOR_EACH(p, go)
		if (addr->addr.len == 16 ? !addr_cmp(&p->addr, &addr->addr) :
		    prefix_same_net(p, addr))
			return true;
	return false;
}

/*
 * New addresses come before old ones go, where that is possible: the bridge is
 * without only for the time between two messages, if at all.
 */
static int change_addrs(uint32_t index, const struct prefix_list *go,
			const struct prefix_list *come, unsigned int flags)
{
	struct prefix_list soon = { 0 }, late = { 0 };
	bool waits[2] = { false, false };
	const struct prefix *addr;
	unsigned int i;
	int err = 0;

	LIST_FOR_EACH(addr, come) {
		bool *wait = &waits[addr->addr.len == 16];

		/* With it waits what is to be behind it. */
		*wait |= must_wait(go, addr);
		*LIST_ADD(*wait ? &late : &soon) = *addr;
	}
	LIST_FOR_EACH(addr, &soon)
		if (!err)
			err = knl_addr_add(index, addr, flags);
	/* Last first: a primary address would take secondary ones along. */
	for (i = go->n; !err && i-- > 0;)
		err = knl_addr_del(index, &go->v[i], flags);
	LIST_FOR_EACH(addr, &late)
		if (!err)
			err = knl_addr_add(index, addr, flags);
	free(soon.v);
	free(late.v);
	return err;
}

/* The bridge as it is; @list has to be cleared in any case. */
static int read_bridge(const struct link *link, struct bridge_list *list)
{
	int err = knl_bridge_list(list, link->name);

	return err ? err : list->n == 1 ? 0 : -ENODEV;
}

static int set_addrs(const struct link *link, const struct prefix_list *want,
		     unsigned int flags)
{
	struct prefix_list go = { 0 }, come = { 0 };
	struct bridge_list now = { 0 };
	int err;

	err = read_bridge(link, &now);
	if (!err) {
		compare_addrs(&now.v->addr, want, &go, &come);
		err = change_addrs(link->index, &go, &come, flags);
	}
	free(go.v);
	free(come.v);
	bridge_list_clear(&now);
	return err;
}

/* Makes the bridge as it was before a change that was refused half-way. */
static void take_back(const struct link *link, const struct bridge *was)
{
	const uint8_t *lladdr = NULL;
	struct bridge_list now = { 0 };
	uint32_t mtu = 0;
	int err;

	err = read_bridge(link, &now);
	if (!err && now.v->mtu != was->mtu)
		mtu = was->mtu;
	if (!err && memcmp(now.v->lladdr, was->lladdr, 6))
		lladdr = was->lladdr;
	if (mtu || lladdr)
		err = knl_link_change(link->index, mtu, lladdr, NL_QUIET);
	if (!err)
		err = set_addrs(link, &was->addr, NL_QUIET);
	if (err)
		report("bridge %s cannot be made as it was", link->name);
	bridge_list_clear(&now);
}

static int run_set(struct request *req)
{
	struct bridge *br = &req->bridge;
	struct bridge_list was = { 0 };
	struct link link;
	int err;

	err = find(br->name, &link);
	if (err == -ENODEV)
		report("there is no bridge %s", br->name);
	if (!err)
		err = read_bridge(&link, &was);
	if (err)
		goto out;
	/* First: with an MTU that is too low there is no IPv6. */
	if (br->has & (BRIDGE_MTU | BRIDGE_LLADDR))
		err = knl_link_change(link.index, br->mtu,
				      br->has & BRIDGE_LLADDR ? br->lladdr :
				      NULL, 0);
	if (!err && br->has & BRIDGE_ADDR) {
		bridge_addrs_sort(&br->addr);
		err = set_addrs(&link, &br->addr, 0);
	}
	if (err)
		take_back(&link, was.v);
	else
		forwarding_for(&br->addr);
out:
	bridge_list_clear(&was);
	return status(err);
}

static int run_del(struct request *req)
{
	struct link link;
	int err;

	err = find(req->bridge.name, &link);
	if (err == -ENODEV) {
		if (req->force)
			return STATUS_OK;
		report("there is no bridge %s", req->bridge.name);
	}
	if (!err)
		err = knl_link_del(link.index, 0);
	return status(err);
}

static int run_show(struct request *req)
{
	struct bridge_list list = { 0 };
	int err;

	err = knl_bridge_list(&list, req->bridge.name);
	if (!err)
		print_list(bridge_fields, &list);
	bridge_list_clear(&list);
	return status(err);
}

static void clear(struct request *req)
{
	bridge_clear(&req->bridge);
}

const struct object cmd_bridge = {
	.name = "bridge",
	.usage =
"k8snetctl bridge add NAME addr CIDR|none [addr CIDR6] [mtu N] [lladdr LLADDR]\n"
"k8snetctl bridge set NAME [addr CIDR|none]... [mtu N] [lladdr LLADDR]\n"
"k8snetctl bridge del NAME\n"
"k8snetctl bridge show [NAME]\n",
	.verbs = (const struct verb[]) {
		{ "add", parse_add, run_add },
		{ "set", parse_set, run_set },
		{ "del", parse_one, run_del },
		{ "show", parse_one_or_all, run_show },
		{}
	},
	.fields = bridge_fields,
	.parse_key = parse_name,
	.clear = clear,
};
