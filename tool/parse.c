// SPDX-License-Identifier: GPL-2.0
/* Text that becomes a value. */
#include "parse.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/k8snet.h>

const char *const scheduler_names[] = {
	[K8SNET_SCHED_RANDOM] = "random",
	[K8SNET_SCHED_RR] = "rr",
	[K8SNET_SCHED_LC] = "lc",
	[K8SNET_SCHED_MAGLEV] = "maglev",
	NULL
};

const char *const policy_names[] = {
	[K8SNET_POLICY_CLUSTER] = "cluster",
	[K8SNET_POLICY_LOCAL] = "local",
	NULL
};

const char *const no_endpoints_names[] = {
	[K8SNET_NO_ENDPOINTS_REJECT] = "reject",
	[K8SNET_NO_ENDPOINTS_DROP] = "drop",
	[K8SNET_NO_ENDPOINTS_PASS] = "pass",
	NULL
};

const char *const range_scope_names[] = {
	[K8SNET_RANGE_SCOPE_LB] = "lb",
	[K8SNET_RANGE_SCOPE_EXTERNAL] = "external",
	NULL
};

const char *const on_removal_names[] = {
	[K8SNET_ON_REMOVAL_KEEP] = "keep",
	[K8SNET_ON_REMOVAL_RESET] = "reset",
	[K8SNET_ON_REMOVAL_RESCHEDULE] = "reschedule",
	NULL
};

const char *const dsr_names[] = {
	[K8SNET_DSR_NONE] = "none",
	[K8SNET_DSR_IPIP] = "ipip",
	NULL
};

const char *const fastpath_names[] = {
	[K8SNET_FASTPATH_AUTO] = "auto",
	[K8SNET_FASTPATH_ESTABLISHED] = "established",
	[K8SNET_FASTPATH_OFF] = "off",
	NULL
};

const char *const verdict_names[] = {
	[K8SNET_LOOKUP_NONE] = "none",
	[K8SNET_LOOKUP_ENDPOINT] = "endpoint",
	[K8SNET_LOOKUP_REJECT] = "reject",
	[K8SNET_LOOKUP_DROP] = "drop",
	[K8SNET_LOOKUP_PASS] = "pass",
	NULL
};

const char *const origin_names[] = {
	[K8SNET_ORIGIN_POD] = "pod",
	[K8SNET_ORIGIN_NODE] = "node",
	[K8SNET_ORIGIN_OUTSIDE] = "outside",
	NULL
};

const char *const frontend_words[] = {
	[K8SNET_FRONTEND_CLUSTER_IP] = "vip",
	[K8SNET_FRONTEND_EXTERNAL_IP] = "external-ip",
	[K8SNET_FRONTEND_LB_IP] = "lb-ip",
	[K8SNET_FRONTEND_NODE_PORT] = "node-port",
	[K8SNET_FRONTEND_HOST_PORT] = "host-port",
	NULL
};

static const struct {
	uint8_t proto;
	const char *name;
} protos[] = {
	{ IPPROTO_TCP, "tcp" },
	{ IPPROTO_UDP, "udp" },
	{ IPPROTO_SCTP, "sctp" },
};

int why_fail(struct why *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why->text, sizeof(why->text), fmt, ap);
	va_end(ap);
	return -1;
}

/* Digits only: strtoul() alone would take blanks and signs. */
static bool scan_number(const char *s, uint32_t *out)
{
	uint64_t n = 0;

	if (!*s || strlen(s) > 10)
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		n = n * 10 + (uint64_t)(*s - '0');
	}
	*out = (uint32_t)n;
	return n <= UINT32_MAX;
}

int parse_number(const char *s, const char *what, uint32_t min, uint32_t max,
		 uint32_t *out, struct why *why)
{
	if (!scan_number(s, out))
		return why_fail(why, "bad %s '%.60s': not a number", what, s);
	if (*out < min || *out > max)
		return why_fail(why, "bad %s '%.60s': not in %u..%u", what, s,
				min, max);
	return 0;
}

int parse_port(const char *s, uint16_t *out, struct why *why)
{
	uint32_t n;

	if (parse_number(s, "port", 1, 65535, &n, why))
		return -1;
	*out = (uint16_t)n;
	return 0;
}

int parse_proto(const char *s, uint8_t *out, struct why *why)
{
	unsigned int i;

	for (i = 0; i < sizeof(protos) / sizeof(*protos); i++) {
		if (!strcmp(s, protos[i].name)) {
			*out = protos[i].proto;
			return 0;
		}
	}
	return why_fail(why, "bad protocol '%.60s': tcp, udp or sctp", s);
}

const char *text_proto(uint8_t proto)
{
	unsigned int i;

	for (i = 0; i < sizeof(protos) / sizeof(*protos); i++)
		if (protos[i].proto == proto)
			return protos[i].name;
	return "unknown";
}

static bool scan_addr(const char *s, struct addr *out)
{
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, s, out->bytes) == 1)
		out->len = 4;
	else if (inet_pton(AF_INET6, s, out->bytes) == 1)
		out->len = 16;
	return out->len;
}

int parse_addr(const char *s, struct addr *out, struct why *why)
{
	if (!scan_addr(s, out))
		return why_fail(why, "bad address '%.100s'", s);
	return 0;
}

int check_one_a_family(const struct addr_list *list, const char *what,
		       struct why *why)
{
	if (list->n > 2 || (list->n == 2 && list->v[0].len == list->v[1].len))
		return why_fail(why, "%s: one address a family at most", what);
	return 0;
}

int parse_addr_pair(const char *s, struct addr_list *out, struct why *why)
{
	const char *comma = strchr(s, ',');
	char first[INET6_ADDRSTRLEN + 1];

	if (!comma)
		return parse_addr(s, LIST_ADD(out), why);
	if ((size_t)(comma - s) >= sizeof(first))
		return why_fail(why, "bad address '%.100s'", s);
	memcpy(first, s, (size_t)(comma - s));
	first[comma - s] = '\0';
	if (parse_addr(first, LIST_ADD(out), why) ||
	    parse_addr(comma + 1, LIST_ADD(out), why))
		return -1;
	return check_one_a_family(out, s, why);
}

int parse_address(const char *s, struct prefix *out, struct why *why)
{
	const char *slash = strchr(s, '/');
	char addr[INET6_ADDRSTRLEN + 1];
	uint32_t bits;

	if (!slash)
		return why_fail(why, "bad CIDR '%.100s': no /LENGTH", s);
	if ((size_t)(slash - s) >= sizeof(addr))
		return why_fail(why, "bad CIDR '%.100s'", s);
	memcpy(addr, s, (size_t)(slash - s));
	addr[slash - s] = '\0';
	if (!scan_addr(addr, &out->addr))
		return why_fail(why, "bad CIDR '%.100s': bad address", s);
	if (!scan_number(slash + 1, &bits) || bits > out->addr.len * 8U)
		return why_fail(why, "bad CIDR '%.100s': length not in 0..%u",
				s, out->addr.len * 8U);
	out->bits = (uint8_t)bits;
	return 0;
}

int parse_cidr(const char *s, struct prefix *out, struct why *why)
{
	struct prefix masked;
	unsigned int i;

	if (parse_address(s, out, why))
		return -1;
	masked = *out;
	for (i = out->bits; i < out->addr.len * 8U; i++)
		masked.addr.bytes[i / 8] &= (uint8_t)~(0x80U >> i % 8);
	if (prefix_cmp(&masked, out)) {
		char *better = text_prefix(&masked);

		why_fail(why, "bad CIDR '%.100s': host bits are set, %s is meant?",
			 s, better);
		free(better);
		return -1;
	}
	return 0;
}

int parse_cidrs(const char *s, struct prefix_list *out, struct why *why)
{
	char *copy = xstrdup(s), *rest = copy, *item;
	int err = 0;

	while (!err && (item = strsep(&rest, ",")))
		err = parse_cidr(item, LIST_ADD(out), why);
	free(copy);
	return err;
}

/*
 * ADDR, ADDR:PORT, [ADDR6] or [ADDR6]:PORT; @port is 0 where there is none.
 * An IPv6 address with a port needs its brackets.
 */
static int scan_addr_port(const char *s, struct addr *addr, uint16_t *port,
			  struct why *why)
{
	char host[INET6_ADDRSTRLEN + 1];
	const char *end, *start = s, *rest;

	*port = 0;
	if (*s == '[') {
		start = s + 1;
		end = strchr(s, ']');
		if (!end || (end[1] && end[1] != ':'))
			return why_fail(why, "bad address '%.100s'", s);
		rest = end + 1;
	} else {
		end = strchr(s, ':');
		/* Two colons and no bracket: IPv6 without a port. */
		if (!end || strchr(end + 1, ':'))
			end = s + strlen(s);
		rest = end;
	}
	if ((size_t)(end - start) >= sizeof(host))
		return why_fail(why, "bad address '%.100s'", s);
	memcpy(host, start, (size_t)(end - start));
	host[end - start] = '\0';
	if (!scan_addr(host, addr) || (*s == '[' && addr->len != 16))
		return why_fail(why, "bad address '%.100s'", s);
	return *rest ? parse_port(rest + 1, port, why) : 0;
}

int parse_addr_port(const char *s, bool need_port, struct addr *addr,
		    uint16_t *port, struct why *why)
{
	if (scan_addr_port(s, addr, port, why))
		return -1;
	if (need_port && !*port)
		return why_fail(why, addr->len == 16 ?
				"'%.100s' has no port: [ADDR]:PORT" :
				"'%.100s' has no port: ADDR:PORT", s);
	return 0;
}

int parse_lladdr(const char *s, uint8_t out[6], struct why *why)
{
	const char *p = s;
	int i;

	for (i = 0; i < 6; i++, p += 3) {
		char pair[3] = { p[0], p[0] ? p[1] : '\0', '\0' };

		if (!isxdigit((unsigned char)pair[0]) ||
		    !isxdigit((unsigned char)pair[1]) ||
		    p[2] != (i < 5 ? ':' : '\0'))
			return why_fail(why, "bad link-layer address '%.60s'",
					s);
		out[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return 0;
}

/* What the kernel's dev_valid_name() takes. */
int parse_device(const char *s, char **out, struct why *why)
{
	const char *p;
	bool ok = *s && strlen(s) < IFNAMSIZ && strcmp(s, ".") &&
		  strcmp(s, "..");

	for (p = s; ok && *p; p++)
		ok = *p != '/' && *p != ':' && !isspace((unsigned char)*p);
	if (!ok)
		return why_fail(why, "bad device name '%.60s'", s);
	free(*out);
	*out = xstrdup(s);
	return 0;
}

/*
 * Well-formed UTF-8, so that the name can be written as JSON: no overlong
 * form, no surrogate, nothing above U+10FFFF.
 */
static bool valid_utf8(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	while (*p) {
		uint32_t c, min;
		int more;

		if (*p < 0x80) {
			p++;
			continue;
		}
		if ((*p & 0xe0) == 0xc0) {
			c = *p & 0x1f;
			more = 1;
			min = 0x80;
		} else if ((*p & 0xf0) == 0xe0) {
			c = *p & 0x0f;
			more = 2;
			min = 0x800;
		} else if ((*p & 0xf8) == 0xf0) {
			c = *p & 0x07;
			more = 3;
			min = 0x10000;
		} else {
			return false;
		}
		for (p++; more; more--, p++) {
			if ((*p & 0xc0) != 0x80)
				return false;
			c = c << 6 | (*p & 0x3f);
		}
		if (c < min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return false;
	}
	return true;
}

int parse_service_name(const char *s, char **out, struct why *why)
{
	size_t len = strlen(s);

	if (!len || len > K8SNET_NAME_MAX)
		return why_fail(why, "bad service name '%.60s': %zu bytes, not 1..%d",
				s, len, K8SNET_NAME_MAX);
	if (!valid_utf8(s))
		return why_fail(why, "bad service name: not UTF-8");
	free(*out);
	*out = xstrdup(s);
	return 0;
}

int parse_enum(const char *s, const char *what, const char *const *names,
	       uint8_t *out, struct why *why)
{
	char all[120] = "";
	size_t len = 0;
	uint8_t i;

	for (i = 0; names[i]; i++) {
		if (!strcmp(s, names[i])) {
			*out = i;
			return 0;
		}
		if (len < sizeof(all))
			len += (size_t)snprintf(all + len, sizeof(all) - len,
						"%s%s", i ? ", " : "", names[i]);
	}
	return why_fail(why, "bad %s '%.60s': one of %s", what, s, all);
}

int parse_on_off(const char *s, const char *what, uint8_t *out, struct why *why)
{
	static const char *const names[] = { "off", "on", NULL };

	return parse_enum(s, what, names, out, why);
}

int parse_range(const char *s, uint16_t *min, uint16_t *max, struct why *why)
{
	const char *dash = strchr(s, '-');
	char low[8];

	if (!dash || (size_t)(dash - s) >= sizeof(low))
		return why_fail(why, "bad range '%.60s': LOW-HIGH", s);
	memcpy(low, s, (size_t)(dash - s));
	low[dash - s] = '\0';
	if (parse_port(low, min, why) || parse_port(dash + 1, max, why))
		return -1;
	if (*min > *max)
		return why_fail(why, "bad range '%.60s': it is empty", s);
	return 0;
}

int parse_nodeport_addresses(const char *s, struct node *node, struct why *why)
{
	if (!strcmp(s, "primary")) {
		node->nodeport_mode = K8SNET_NODEPORT_PRIMARY;
		return 0;
	}
	if (!strcmp(s, "all")) {
		node->nodeport_mode = K8SNET_NODEPORT_ALL;
		return 0;
	}
	node->nodeport_mode = K8SNET_NODEPORT_PREFIXES;
	return parse_cidrs(s, &node->nodeport_prefix, why);
}
