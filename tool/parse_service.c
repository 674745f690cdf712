// SPDX-License-Identifier: GPL-2.0
/* Frontends and endpoints as words write them. */
#include <stdlib.h>
#include <string.h>

#include <linux/k8snet.h>

#include "parse.h"

int service_set_proto(struct service *svc, uint8_t proto, struct why *why)
{
	if (svc->proto && proto != svc->proto)
		return why_fail(why, "a service has one protocol, not %s and %s",
				text_proto(svc->proto), text_proto(proto));
	svc->proto = proto;
	svc->has |= SVC_PROTO;
	return 0;
}

int service_add_frontend(struct service *svc, const struct frontend *fe,
			 uint8_t proto, struct why *why)
{
	if (proto && service_set_proto(svc, proto, why))
		return -1;
	if (svc->frontend.n >= K8SNET_FRONTENDS_MAX)
		return why_fail(why, "more than %d frontends",
				K8SNET_FRONTENDS_MAX);
	*LIST_ADD(&svc->frontend) = *fe;
	return 0;
}

/*
 * ADDR:PORT, ADDR:LOW-HIGH or ADDR:*, with the address in brackets where it is
 * IPv6, or ADDR alone.
 */
static int parse_addr_ports(char *s, struct frontend *fe, struct why *why)
{
	char *colon = strrchr(s, ':');
	uint16_t port;
	int err = 0;
	char *one;

	if (!colon || !colon[1] || (!strchr(colon, '-') &&
				    strcmp(colon, ":*")))
		return parse_addr_port(s, false, &fe->addr, &fe->port, why);
	if (strcmp(colon, ":*")) {
		err = parse_range(colon + 1, &fe->port, &fe->port_end, why);
		if (!err && fe->port == fe->port_end)
			fe->port_end = 0;
	} else {
		fe->port = 1;
		fe->port_end = 65535;
	}
	if (err)
		return err;
	/* The address, by the same rules as with one port */
	one = text_printf("%.*s:1", (int)(colon - s), s);
	err = parse_addr_port(one, true, &fe->addr, &port, why);
	free(one);
	return err;
}

int parse_frontend(const char *s, uint8_t type, struct service *svc,
		   struct why *why)
{
	const char *word = frontend_words[type];
	uint32_t bit = service_frontend_bit(type);
	struct frontend fe = { .type = type };
	char *copy, *slash;
	uint8_t proto = 0;
	int err = -1;

	if (!strcmp(s, "none")) {
		const struct frontend *other;

		LIST_FOR_EACH(other, &svc->frontend)
			if (other->type == type)
				return why_fail(why, "%s none, and not none",
						word);
		svc->has |= bit;
		return 0;
	}

	copy = xstrdup(s);
	slash = strchr(copy, '/');
	if (slash) {
		*slash = '\0';
		if (parse_proto(slash + 1, &proto, why))
			goto out_free;
	}
	if (type == K8SNET_FRONTEND_NODE_PORT ||
	    (type == K8SNET_FRONTEND_HOST_PORT && !strchr(copy, ':'))) {
		if (parse_port(copy, &fe.port, why))
			goto out_free;
	} else if (parse_addr_ports(copy, &fe, why)) {
		goto out_free;
	}
	if (type == K8SNET_FRONTEND_HOST_PORT && (!proto || fe.port_end)) {
		why_fail(why, "bad host-port '%.100s': [ADDR:]PORT/PROTO is meant",
			 s);
		goto out_free;
	}
	if (type == K8SNET_FRONTEND_CLUSTER_IP && (!fe.port || !proto)) {
		why_fail(why, "bad vip '%.100s': no %s, ADDR:PORT/PROTO is meant",
			 s, fe.port ? "protocol" : "port");
		goto out_free;
	}
	if (type != K8SNET_FRONTEND_NODE_PORT && proto && !fe.port) {
		why_fail(why, "bad %s '%.100s': a protocol without a port",
			 word, s);
		goto out_free;
	}
	svc->has |= bit;
	err = service_add_frontend(svc, &fe, proto, why);
out_free:
	free(copy);
	return err;
}

int service_fill_ports(struct service *svc, const struct frontend *first,
		       struct why *why)
{
	struct frontend *fe;

	LIST_FOR_EACH(fe, &svc->frontend) {
		if (fe->port)
			continue;
		if (!first) {
			char *text = text_addr(&fe->addr);

			why_fail(why, "%s %s: there is no vip to take the port from",
				 frontend_words[fe->type], text);
			free(text);
			return -1;
		}
		fe->port = first->port;
		fe->port_end = first->port_end;
	}
	return 0;
}

static int check_label(const char *s, const char *what, size_t max,
		       struct why *why)
{
	const char *p;

	if (strlen(s) > max)
		return why_fail(why, "bad %s '%.60s...': more than %zu bytes",
				what, s, max);
	for (p = s; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == ',')
			return why_fail(why, "bad %s '%.60s': blanks and commas cannot be",
					what, s);
	return 0;
}

int parse_label(const char *s, const char *what, size_t max, const char **out,
		struct why *why)
{
	if (!*s)
		return why_fail(why, "%s is empty", what);
	if (check_label(s, what, max, why))
		return -1;
	*out = strcmp(s, "none") ? intern(s) : NULL;
	return 0;
}

int parse_hint(const char *s, const char *what, size_t max, const char **names,
	       struct why *why)
{
	const char *p = *names;
	unsigned int n = !!p;
	char *all;

	if (check_label(s, what, max, why))
		return -1;
	if (!*s)
		return 0;
	while (p && (p = strchr(p, ','))) {
		p++;
		n++;
	}
	if (n == K8SNET_HINTS_MAX)
		return why_fail(why, "more than %d %ss", K8SNET_HINTS_MAX,
				what);
	all = text_printf("%s%s%s", *names ? *names : "", *names ? "," : "", s);
	*names = intern(all);
	free(all);
	return 0;
}

/*
 * Conditions: none written means ready. terminating and not-ready take ready
 * and serving away; serving beside them gives serving back.
 */
int parse_endpoint(const char *s, struct endpoint *out, struct why *why)
{
	enum {
		READY = 1, NOT_READY = 2, SERVING = 4, NOT_SERVING = 8,
		TERMINATING = 16, LOCAL = 32, REMOTE = 64,
	};
	static const struct {
		const char *word;
		unsigned int bit;
	} words[] = {
		{ "ready", READY },
		{ "not-ready", NOT_READY },
		{ "serving", SERVING },
		{ "not-serving", NOT_SERVING },
		{ "terminating", TERMINATING },
		{ "local", LOCAL },
		{ "remote", REMOTE },
	};
	char *copy = xstrdup(s), *rest = copy, *word;
	unsigned int seen = 0, i;
	int err = -1;
	bool any;

	memset(out, 0, sizeof(*out));
	out->weight = 1;
	word = strsep(&rest, ",");
	any = strlen(word) > 2 && !strcmp(word + strlen(word) - 2, ":*");
	if (any)		/* read as some port */
		word[strlen(word) - 1] = '1';
	if (parse_addr_port(word, false, &out->addr, &out->port, why))
		goto out_free;
	/* Also of fd00::1:*, which has become an address as a whole */
	if (!out->port) {
		why_fail(why, "bad endpoint '%.100s': no port", s);
		goto out_free;
	}
	if (any)
		out->port = 0;
	while ((word = strsep(&rest, ","))) {
		if (!strncmp(word, "weight=", 7)) {
			if (out->has & EP_WEIGHT) {
				why_fail(why, "bad endpoint '%.100s': two weights",
					 s);
				goto out_free;
			}
			if (parse_number(word + 7, "weight", 0,
					 K8SNET_WEIGHT_MAX, &out->weight, why))
				goto out_free;
			out->has |= EP_WEIGHT;
			continue;
		}
		if (!strncmp(word, "zone=", 5) || !strncmp(word, "node=", 5)) {
			bool zone = *word == 'z';

			if (parse_hint(word + 5, zone ? "zone" : "node",
				       zone ? K8SNET_ZONE_MAX : K8SNET_NAME_MAX,
				       zone ? &out->zones : &out->nodes, why))
				goto out_free;
			out->has |= zone ? EP_ZONES : EP_NODES;
			continue;
		}
		for (i = 0; i < sizeof(words) / sizeof(*words); i++)
			if (!strcmp(word, words[i].word))
				break;
		if (i == sizeof(words) / sizeof(*words)) {
			why_fail(why, "bad endpoint '%.100s': unknown word '%.60s'",
				 s, word);
			goto out_free;
		}
		seen |= words[i].bit;
	}
	if ((seen & READY && seen & NOT_READY) ||
	    (seen & SERVING && seen & NOT_SERVING) ||
	    (seen & LOCAL && seen & REMOTE)) {
		why_fail(why, "bad endpoint '%.100s': its words contradict each other",
			 s);
		goto out_free;
	}

	if (seen & TERMINATING)
		out->flags = K8SNET_EP_TERMINATING;
	else if (!(seen & NOT_READY))
		out->flags = K8SNET_EP_READY | K8SNET_EP_SERVING;
	if (seen & READY)
		out->flags |= K8SNET_EP_READY | K8SNET_EP_SERVING;
	if (seen & SERVING)
		out->flags |= K8SNET_EP_SERVING;
	if (seen & NOT_SERVING)
		out->flags &= ~(uint32_t)K8SNET_EP_SERVING;
	if (seen & LOCAL)
		out->flags |= K8SNET_EP_LOCAL;
	out->has |= EP_CONDITIONS;
	if (seen & (LOCAL | REMOTE))
		out->has |= EP_LOCAL;
	err = 0;
out_free:
	free(copy);
	return err;
}
