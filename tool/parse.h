/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Text to value, for command lines and for JSON alike, and back. A parse_*()
 * function takes all of @s or nothing: it answers 0, or -1 with the reason in
 * @why and @out in no particular state.
 */
#ifndef _K8SNETCTL_PARSE_H
#define _K8SNETCTL_PARSE_H

#include "model.h"

enum {
	MTU_MAX = 65535,
};

struct why {
	char text[400];
};

/* Fills @why and answers -1. */
int why_fail(struct why *why, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

int parse_number(const char *s, const char *what, uint32_t min, uint32_t max,
		 uint32_t *out, struct why *why);
int parse_port(const char *s, uint16_t *out, struct why *why);
int parse_proto(const char *s, uint8_t *out, struct why *why);
int parse_addr(const char *s, struct addr *out, struct why *why);

/* ADDR[,ADDR6]: one of a family at most, added to @out. */
int parse_addr_pair(const char *s, struct addr_list *out, struct why *why);

/* One of a family at most. */
int check_one_a_family(const struct addr_list *list, const char *what,
		       struct why *why);

/* ADDR/LEN; host bits are refused by parse_cidr, kept by parse_address. */
int parse_cidr(const char *s, struct prefix *out, struct why *why);
int parse_address(const char *s, struct prefix *out, struct why *why);

/* CIDR[,CIDR]..., added to @out. */
int parse_cidrs(const char *s, struct prefix_list *out, struct why *why);

/* SRC[:PORT] and DST:PORT of a lookup. */
int parse_addr_port(const char *s, bool need_port, struct addr *addr,
		    uint16_t *port, struct why *why);

int parse_lladdr(const char *s, uint8_t out[6], struct why *why);
int parse_device(const char *s, char **out, struct why *why);
int parse_service_name(const char *s, char **out, struct why *why);
int parse_enum(const char *s, const char *what, const char *const *names,
	       uint8_t *out, struct why *why);
int parse_range(const char *s, uint16_t *min, uint16_t *max, struct why *why);
int parse_on_off(const char *s, const char *what, uint8_t *out,
		 struct why *why);

/* primary, all, or a list of prefixes */
int parse_nodeport_addresses(const char *s, struct node *node,
			     struct why *why);

/*
 * A frontend of @type as words write it, added to the service, whose protocol
 * it must agree with. "none" adds nothing.
 */
int parse_frontend(const char *s, uint8_t type, struct service *svc,
		   struct why *why);
/* Said by a word of its own or by a frontend's: all agree. */
int service_set_proto(struct service *svc, uint8_t proto, struct why *why);
int service_add_frontend(struct service *svc, const struct frontend *fe,
			 uint8_t proto, struct why *why);

/* Puts the first cluster IP's port where none was given; -1: there is none. */
int service_fill_ports(struct service *svc, const struct frontend *first,
		       struct why *why);

/* A name of @max bytes at most without blanks and commas; "none" is NULL. */
int parse_label(const char *s, const char *what, size_t max, const char **out,
		struct why *why);

/* One more such name of a hint, put to those that @names has; "" is none. */
int parse_hint(const char *s, const char *what, size_t max, const char **names,
	       struct why *why);

/* ADDR:PORT[,weight=N][,...] */
int parse_endpoint(const char *s, struct endpoint *out, struct why *why);

/* JSON names of enumerations, NULL at the end. */
extern const char *const scheduler_names[];
extern const char *const policy_names[];
extern const char *const no_endpoints_names[];
extern const char *const range_scope_names[];
extern const char *const on_removal_names[];
extern const char *const dsr_names[];
extern const char *const fastpath_names[];
extern const char *const verdict_names[];
extern const char *const origin_names[];
extern const char *const frontend_words[];

/* Back to text. The answer is the caller's to free. */
char *text_addr(const struct addr *addr);
char *text_prefix(const struct prefix *prefix);
/* Port 0, any, is "*". */
char *text_addr_port(const struct addr *addr, uint16_t port);
/* What a frontend captures: ADDR:PORTS, or PORTS of the node's addresses. */
char *text_addr_ports(const struct frontend *fe);
char *text_lladdr(const uint8_t lladdr[6]);
char *text_frontend(const struct frontend *fe, const struct service *svc);
char *text_endpoint(const struct endpoint *ep);
char *text_nodeport_addresses(const struct node *node);
const char *text_proto(uint8_t proto);

/* As a word of a batch line: quoted where it must be. */
char *text_quote(const char *s);

/* asprintf() that does not fail */
char *text_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif /* _K8SNETCTL_PARSE_H */
