// SPDX-License-Identifier: GPL-2.0
/* Links and addresses, by rtnetlink. */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "nl_internal.h"
#include "report.h"

#define BRIDGE_KIND "k8snet"

enum {
	LINK_ROOM = 256,
};

/*
 * The device that was asked for last: thousands of routes of a batch name the
 * same one. Forgotten as soon as a link is changed from here.
 */
static struct link last_link;

void knl_link_forget(void)
{
	memset(&last_link, 0, sizeof(last_link));
}

bool knl_link_is_bridge(const struct link *link)
{
	return !strcmp(link->kind, BRIDGE_KIND);
}

static void put_ifinfo(struct nl_msg *msg, uint32_t index, unsigned int flags,
		       unsigned int change)
{
	struct ifinfomsg ifi = {
		.ifi_family = AF_UNSPEC, .ifi_index = (int)index,
		.ifi_flags = flags, .ifi_change = change,
	};

	nlmsg_append(msg, &ifi, sizeof(ifi), NLMSG_ALIGNTO);
}

static void copy_string(const struct nlattr *attr, char *out, size_t size)
{
	size_t len = strnlen(nla_data(attr), (size_t)nla_len(attr));

	if (len >= size)
		len = size - 1;
	memcpy(out, nla_data(attr), len);
	out[len] = '\0';
}

static int link_answer(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifinfomsg *ifi = nlmsg_data(nlh);
	struct link *link = arg;
	struct nlattr *attr, *sub;
	int rem, sub_rem;

	if (nlmsg_datalen(nlh) < (int)sizeof(*ifi))
		return -EPROTO;
	memset(link, 0, sizeof(*link));
	link->index = (uint32_t)ifi->ifi_index;
	link->up = ifi->ifi_flags & IFF_UP;
	link->peer_nsid = -1;
	nlmsg_for_each_attr(attr, (struct nlmsghdr *)nlh, sizeof(*ifi), rem) {
		switch (nla_type(attr)) {
		case IFLA_IFNAME:
			copy_string(attr, link->name, sizeof(link->name));
			break;
		case IFLA_MASTER:
			link->master = knl_u32(attr);
			break;
		case IFLA_MTU:
			link->mtu = knl_u32(attr);
			break;
		case IFLA_ADDRESS:
			if (nla_len(attr) == 6)
				memcpy(link->lladdr, nla_data(attr), 6);
			break;
		case IFLA_LINK:
			link->peer = knl_u32(attr);
			break;
		case IFLA_LINK_NETNSID:
			link->peer_nsid = (int32_t)knl_u32(attr);
			break;
		case IFLA_LINKINFO:
			nla_for_each_nested(sub, attr, sub_rem)
				if (nla_type(sub) == IFLA_INFO_KIND)
					copy_string(sub, link->kind,
						    sizeof(link->kind));
			break;
		}
	}
	return 0;
}

/*
 * Reads the link that @msg asks for. What is queued in a batch does not
 * change links, so it need not be sent before.
 */
static int link_talk(struct nl_msg *msg, struct link *link, unsigned int flags)
{
	return knl_read(NL_BUS_ROUTE, msg, link_answer, link, flags);
}

int knl_link_get(const char *name, struct link *link, unsigned int flags)
{
	struct nl_msg *msg;
	int err;

	if (*last_link.name && !strcmp(last_link.name, name)) {
		*link = last_link;
		return 0;
	}
	msg = knl_route_msg(RTM_GETLINK, 0, LINK_ROOM);
	if (!msg)
		return -EIO;
	put_ifinfo(msg, 0, 0, 0);
	knl_put_string(msg, IFLA_IFNAME, name);
	err = link_talk(msg, link, NL_QUIET);
	if (err == -ENODEV && !(flags & NL_QUIET))
		report("there is no device %s", name);
	else if (err && !(flags & NL_QUIET))
		report("device %s: %s", name, strerror(-err));
	if (!err)
		last_link = *link;
	return err;
}

int knl_link_get_index(uint32_t index, struct link *link, unsigned int flags)
{
	struct nl_msg *msg = knl_route_msg(RTM_GETLINK, 0, LINK_ROOM);

	if (!msg)
		return -EIO;
	put_ifinfo(msg, index, 0, 0);
	return link_talk(msg, link, flags);
}

int knl_link_peer_lladdr(const struct link *link, uint8_t lladdr[6])
{
	static const uint8_t none[6];
	struct nl_msg *msg;
	struct link peer;
	int err;

	if (!link->peer || strcmp(link->kind, "veth"))
		return -ENOENT;
	msg = knl_route_msg(RTM_GETLINK, 0, LINK_ROOM);
	if (!msg)
		return -EIO;
	put_ifinfo(msg, link->peer, 0, 0);
	if (link->peer_nsid >= 0)
		knl_put_u32(msg, IFLA_TARGET_NETNSID,
			    (uint32_t)link->peer_nsid);
	err = link_talk(msg, &peer, NL_QUIET);
	if (err || !memcmp(peer.lladdr, none, 6))
		return -ENOENT;
	memcpy(lladdr, peer.lladdr, 6);
	return 0;
}

/* Every change of a link: the remembered one may be another now. */
static int link_change(struct nl_msg *msg, unsigned int flags)
{
	knl_link_forget();
	return knl_talk(NL_BUS_ROUTE, msg, NULL, NULL, flags);
}

int knl_bridge_new(const char *name, uint32_t mtu, const uint8_t *lladdr)
{
	struct nl_msg *msg = knl_route_msg(RTM_NEWLINK,
					   NLM_F_CREATE | NLM_F_EXCL,
					   LINK_ROOM);
	struct nlattr *info;

	if (!msg)
		return -EIO;
	put_ifinfo(msg, 0, 0, 0);
	knl_put_string(msg, IFLA_IFNAME, name);
	if (lladdr)
		knl_put(msg, IFLA_ADDRESS, lladdr, 6);
	if (mtu)
		knl_put_u32(msg, IFLA_MTU, mtu);
	info = knl_nest(msg, IFLA_LINKINFO);
	knl_put_string(msg, IFLA_INFO_KIND, BRIDGE_KIND);
	nla_nest_end(msg, info);
	return link_change(msg, 0);
}

int knl_link_change(uint32_t index, uint32_t mtu, const uint8_t *lladdr,
		    unsigned int flags)
{
	struct nl_msg *msg = knl_route_msg(RTM_NEWLINK, 0, LINK_ROOM);

	if (!msg)
		return -EIO;
	put_ifinfo(msg, index, 0, 0);
	if (lladdr)
		knl_put(msg, IFLA_ADDRESS, lladdr, 6);
	if (mtu)
		knl_put_u32(msg, IFLA_MTU, mtu);
	return link_change(msg, flags);
}

int knl_link_up(uint32_t index, bool up, unsigned int flags)
{
	struct nl_msg *msg = knl_route_msg(RTM_NEWLINK, 0, LINK_ROOM);

	if (!msg)
		return -EIO;
	put_ifinfo(msg, index, up ? IFF_UP : 0, IFF_UP);
	return link_change(msg, flags);
}

int knl_link_master(uint32_t index, uint32_t master, unsigned int flags)
{
	struct nl_msg *msg = knl_route_msg(RTM_NEWLINK, 0, LINK_ROOM);

	if (!msg)
		return -EIO;
	put_ifinfo(msg, index, 0, 0);
	knl_put_u32(msg, IFLA_MASTER, master);
	return link_change(msg, flags);
}

int knl_link_del(uint32_t index, unsigned int flags)
{
	struct nl_msg *msg = knl_route_msg(RTM_DELLINK, 0, LINK_ROOM);

	if (!msg)
		return -EIO;
	put_ifinfo(msg, index, 0, 0);
	return link_change(msg, flags);
}

static int addr_change(uint16_t type, uint16_t create, uint32_t index,
		       const struct prefix *addr, unsigned int flags)
{
	struct nl_msg *msg = knl_route_msg(type, create, LINK_ROOM);
	struct ifaddrmsg ifa = {
		.ifa_family = addr->addr.len == 16 ? AF_INET6 : AF_INET,
		.ifa_prefixlen = addr->bits, .ifa_index = index,
	};

	if (!msg)
		return -EIO;
	nlmsg_append(msg, &ifa, sizeof(ifa), NLMSG_ALIGNTO);
	knl_put(msg, IFA_LOCAL, addr->addr.bytes, addr->addr.len);
	knl_put(msg, IFA_ADDRESS, addr->addr.bytes, addr->addr.len);
	/*
	 * A gateway is used the moment it is there: nobody else can have its
	 * address on a bridge that answers for everyone.
	 */
	if (addr->addr.len == 16)
		knl_put_u32(msg, IFA_FLAGS, IFA_F_NODAD);
	return knl_talk(NL_BUS_ROUTE, msg, NULL, NULL, flags);
}

int knl_addr_add(uint32_t index, const struct prefix *addr, unsigned int flags)
{
	return addr_change(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, addr,
			   flags);
}

int knl_addr_del(uint32_t index, const struct prefix *addr, unsigned int flags)
{
	return addr_change(RTM_DELADDR, 0, index, addr, flags);
}
