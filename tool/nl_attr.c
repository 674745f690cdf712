// SPDX-License-Identifier: GPL-2.0
/* Attributes in and out of messages. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "nl_internal.h"
#include "report.h"

void knl_put(struct nl_msg *msg, int type, const void *data, size_t len)
{
	if (nla_put(msg, type, (int)len, data)) {
		report("internal error: a message has no room for attribute %d",
		       type);
		abort();
	}
}

void knl_put_u8(struct nl_msg *msg, int type, uint8_t v)
{
	knl_put(msg, type, &v, sizeof(v));
}

void knl_put_u16(struct nl_msg *msg, int type, uint16_t v)
{
	knl_put(msg, type, &v, sizeof(v));
}

void knl_put_be16(struct nl_msg *msg, int type, uint16_t host)
{
	uint16_t v = htons(host);

	knl_put(msg, type, &v, sizeof(v));
}

void knl_put_u32(struct nl_msg *msg, int type, uint32_t v)
{
	knl_put(msg, type, &v, sizeof(v));
}

void knl_put_string(struct nl_msg *msg, int type, const char *s)
{
	knl_put(msg, type, s, strlen(s) + 1);
}

struct nlattr *knl_nest(struct nl_msg *msg, int type)
{
	struct nlattr *nest = nla_nest_start(msg, type | NLA_F_NESTED);

	if (!nest) {
		report("internal error: a message has no room for attribute %d",
		       type);
		abort();
	}
	return nest;
}

static void get_integer(const struct nlattr *attr, void *v, size_t size)
{
	memset(v, 0, size);
	if ((size_t)nla_len(attr) >= size)
		memcpy(v, nla_data(attr), size);
}

uint8_t knl_u8(const struct nlattr *attr)
{
	uint8_t v;

	get_integer(attr, &v, sizeof(v));
	return v;
}

uint16_t knl_u16(const struct nlattr *attr)
{
	uint16_t v;

	get_integer(attr, &v, sizeof(v));
	return v;
}

uint32_t knl_u32(const struct nlattr *attr)
{
	uint32_t v;

	get_integer(attr, &v, sizeof(v));
	return v;
}

uint64_t knl_u64(const struct nlattr *attr)
{
	uint64_t v;

	get_integer(attr, &v, sizeof(v));
	return v;
}

uint16_t knl_be16(const struct nlattr *attr)
{
	return ntohs(knl_u16(attr));
}

void knl_string(const struct nlattr *attr, char **s)
{
	const char *data = nla_data(attr);

	free(*s);
	*s = xstrndup(data, strnlen(data, (size_t)nla_len(attr)));
}

const char *knl_intern(const struct nlattr *attr)
{
	char *s = NULL;
	const char *one;

	knl_string(attr, &s);
	one = intern(s);
	free(s);
	return one;
}
