/* SPDX-License-Identifier: GPL-2.0 */
/* Between the files that know libnl: nl*.c. */
#ifndef _K8SNETCTL_NL_INTERNAL_H
#define _K8SNETCTL_NL_INTERNAL_H

#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include <linux/k8snet.h>

#include "nl.h"

/* Room that attributes take at most, headers and padding included. */
enum {
	ROOM_U32	= 8,
	ROOM_ADDR	= 4 + 16,
	ROOM_PREFIX	= 4 + ROOM_ADDR + 8,
	ROOM_FRONTEND	= 4 + 8 + ROOM_ADDR + 2 * 8,
	ROOM_ENDPOINT	= 4 + ROOM_ADDR + 4 * 8,
	ROOM_IFNAME	= 4 + IFNAMSIZ,
	ROOM_NAME	= 4 + K8SNET_NAME_MAX + 1 + 3,
};

enum knl_bus {
	NL_BUS_K8SNET,
	NL_BUS_ROUTE,
};

/* One message of an answer; negative: what the exchange ends with. */
typedef int knl_answer_fn(const struct nlmsghdr *nlh, void *arg);

/*
 * A message of the k8snet family with room for @room bytes of attributes;
 * NULL where the kernel has no such family, which has been reported.
 */
struct nl_msg *knl_k8snet_msg(uint8_t cmd, size_t room);
struct nl_msg *knl_route_msg(uint16_t type, uint16_t flags, size_t room);

/* The attributes of a message of the family, as nla_for_each_attr wants it. */
#define knl_k8snet_for_each_attr(pos, nlh, rem) \
	nlmsg_for_each_attr(pos, (struct nlmsghdr *)(nlh), GENL_HDRLEN, rem)

/*
 * All of these free @msg. knl_talk: one request and its answer, now.
 * knl_dump: all objects; @restart forgets what @answer has been given, before
 * each try. knl_change: a change, queued in a batch; @undo, which may be NULL,
 * takes it back.
 */
int knl_talk(enum knl_bus bus, struct nl_msg *msg, knl_answer_fn *answer,
	     void *arg, unsigned int flags);
int knl_dump(enum knl_bus bus, struct nl_msg *msg, knl_answer_fn *answer,
	     void (*restart)(void *arg), void *arg);
int knl_change(struct nl_msg *msg, struct nl_msg *undo, unsigned int flags);

/* As knl_talk, for what the queue cannot change: it is left where it is. */
int knl_read(enum knl_bus bus, struct nl_msg *msg, knl_answer_fn *answer,
	     void *arg, unsigned int flags);

/* How long a message may be. */
size_t knl_msg_max(void);

/* Joins the group and hands every notification to @event. */
int knl_listen(const char *group, void (*event)(const struct nlmsghdr *nlh));

/* Attributes; room has been made for them. */
void knl_put(struct nl_msg *msg, int type, const void *data, size_t len);
void knl_put_u8(struct nl_msg *msg, int type, uint8_t v);
void knl_put_u16(struct nl_msg *msg, int type, uint16_t v);
void knl_put_be16(struct nl_msg *msg, int type, uint16_t host);
void knl_put_u32(struct nl_msg *msg, int type, uint32_t v);
void knl_put_string(struct nl_msg *msg, int type, const char *s);
struct nlattr *knl_nest(struct nl_msg *msg, int type);

/* Values; 0 or nothing where the attribute is too short. */
uint8_t knl_u8(const struct nlattr *attr);
uint16_t knl_u16(const struct nlattr *attr);
uint16_t knl_be16(const struct nlattr *attr);
uint32_t knl_u32(const struct nlattr *attr);
uint64_t knl_u64(const struct nlattr *attr);
/* Replaces *@s. */
void knl_string(const struct nlattr *attr, char **s);
/* See intern(). */
const char *knl_intern(const struct nlattr *attr);

/* The same for addresses, of which one of a wrong length is none. */
void knl_put_addr(struct nl_msg *msg, int type, const struct addr *addr);
void knl_put_prefix(struct nl_msg *msg, int type, const struct prefix *prefix);
void knl_put_prefixes(struct nl_msg *msg, int type,
		      const struct prefix_list *list);
void knl_addr(const struct nlattr *attr, struct addr *addr);
void knl_prefix(const struct nlattr *nest, struct prefix *prefix);
void knl_lladdr(const struct nlattr *attr, uint8_t lladdr[6]);
/* The name of a device; replaces *@name. */
void knl_device(uint32_t index, char **name);

/*
 * Objects. Notifications hold what answers hold. KNL_LIST() makes
 * NOUN_answer() and NOUN_restart() of a list that has one object a message.
 */
void knl_node_decode(const struct nlmsghdr *nlh, struct node *node);
void knl_bridge_decode(const struct nlmsghdr *nlh, struct bridge *br);
void knl_port_decode(const struct nlmsghdr *nlh, struct port *port);
void knl_pod_decode(const struct nlmsghdr *nlh, struct pod *pod);
void knl_route_decode(const struct nlmsghdr *nlh, struct route *route);
void knl_masq_decode(const struct nlmsghdr *nlh, struct masq *masq);
void knl_service_decode(const struct nlmsghdr *nlh, struct service *svc);
/* False: a type that this tool does not know. */
bool knl_frontend_decode(const struct nlattr *nest, struct frontend *fe);
void knl_endpoint_decode(const struct nlattr *nest, struct endpoint *ep);

#define KNL_LIST(noun, decode) \
	static int noun##_answer(const struct nlmsghdr *nlh, void *arg) \
	{ \
		struct noun##_list *list = arg; \
\
		decode(nlh, LIST_ADD(list)); \
		return 0; \
	} \
\
	static void noun##_restart(void *arg) \
	{ \
		noun##_list_clear(arg); \
	}

/* The one object whose key is in @msg if there is a @key, else all. */
int knl_list(struct nl_msg *msg, const void *key, knl_answer_fn *answer,
	     void (*restart)(void *arg), void *list, unsigned int flags);

/* Forgets the links that nl_link.c remembers, the names nl_k8snet.c does. */
void knl_link_forget(void);
void knl_k8snet_forget(void);

#endif /* _K8SNETCTL_NL_INTERNAL_H */
