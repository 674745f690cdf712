// SPDX-License-Identifier: GPL-2.0
/* Values as text. */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/k8snet.h>

#include "parse.h"

char *text_printf(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0) {
		fputs("k8snetctl: out of memory\n", stderr);
		exit(1);
	}
	va_end(ap);
	return s;
}

char *text_addr(const struct addr *addr)
{
	char buf[INET6_ADDRSTRLEN] = "";

	inet_ntop(addr->len == 16 ? AF_INET6 : AF_INET, addr->bytes, buf,
		  sizeof(buf));
	return xstrdup(addr->len ? buf : "none");
}

char *text_prefix(const struct prefix *prefix)
{
	char *addr = text_addr(&prefix->addr);
	char *s = text_printf("%s/%u", addr, prefix->bits);

	free(addr);
	return s;
}

char *text_addr_port(const struct addr *addr, uint16_t port)
{
	char *text = text_addr(addr), *s;

	if (port)
		s = text_printf(addr->len == 16 ? "[%s]:%u" : "%s:%u", text,
				port);
	else
		s = text_printf(addr->len == 16 ? "[%s]:*" : "%s:*", text);
	free(text);
	return s;
}

/* N, LOW-HIGH or "*" */
static char *text_ports(const struct frontend *fe)
{
	if (!fe->port_end || fe->port_end == fe->port)
		return text_printf("%u", fe->port);
	if (fe->port == 1 && fe->port_end == 65535)
		return xstrdup("*");
	return text_printf("%u-%u", fe->port, fe->port_end);
}

char *text_addr_ports(const struct frontend *fe)
{
	char *ports = text_ports(fe), *addr, *s;

	if (!fe->addr.len)
		return ports;
	addr = text_addr(&fe->addr);
	s = text_printf(fe->addr.len == 16 ? "[%s]:%s" : "%s:%s", addr, ports);
	free(addr);
	free(ports);
	return s;
}

char *text_lladdr(const uint8_t lladdr[6])
{
	return text_printf("%02x:%02x:%02x:%02x:%02x:%02x", lladdr[0],
			   lladdr[1], lladdr[2], lladdr[3], lladdr[4],
			   lladdr[5]);
}

/*
 * As short as it can be read back: external addresses without the port that
 * they would take from the first cluster IP, and the protocol only where no
 * cluster IP says it.
 */
char *text_frontend(const struct frontend *fe, const struct service *svc)
{
	const struct frontend *first = service_first_vip(svc);
	char *text, *s;

	if (fe->type == K8SNET_FRONTEND_NODE_PORT) {
		if (first || !svc->proto)
			return text_printf("%u", fe->port);
		return text_printf("%u/%s", fe->port, text_proto(svc->proto));
	}
	if (fe->type == K8SNET_FRONTEND_HOST_PORT) {
		text = text_addr_ports(fe);
		s = text_printf("%s/%s", text, text_proto(svc->proto));
		free(text);
		return s;
	}
	if (fe->type != K8SNET_FRONTEND_CLUSTER_IP && first &&
	    first->port == fe->port && first->port_end == fe->port_end)
		return text_addr(&fe->addr);

	text = text_addr_ports(fe);
	if (!svc->proto || (fe->type != K8SNET_FRONTEND_CLUSTER_IP && first))
		return text;
	s = text_printf("%s/%s", text, text_proto(svc->proto));
	free(text);
	return s;
}

/* Adds ",zone=A,zone=B" to @s, which it takes over. @empty: say so if none. */
static char *text_hints(char *s, const char *word, const char *names,
			bool empty)
{
	char *copy = xstrdup(names ? names : ""), *rest = copy, *name, *all;

	if (!names && !empty)
		rest = NULL;
	while ((name = strsep(&rest, ","))) {
		all = text_printf("%s,%s=%s", s, word, name);
		free(s);
		s = all;
	}
	free(copy);
	return s;
}

char *text_endpoint(const struct endpoint *ep)
{
	bool ready = ep->flags & K8SNET_EP_READY;
	bool serving = ep->flags & K8SNET_EP_SERVING;
	const char *conditions;
	char *text, *s, weight[24] = "";
	const char *local = "";

	if (!(ep->has & EP_CONDITIONS))
		conditions = "";
	else if (ep->flags & K8SNET_EP_TERMINATING)
		conditions = ready ? (serving ? ",ready,terminating" :
				      ",ready,not-serving,terminating") :
			     serving ? ",serving,terminating" : ",terminating";
	else if (ready)
		conditions = serving ? ",ready" : ",ready,not-serving";
	else
		conditions = serving ? ",not-ready,serving" : ",not-ready";

	if (ep->has & EP_WEIGHT)
		snprintf(weight, sizeof(weight), ",weight=%u", ep->weight);
	text = text_addr_port(&ep->addr, ep->port);
	/* "remote" is only needed where a request takes "local" away. */
	if (ep->has & EP_LOCAL && ep->flags & K8SNET_EP_LOCAL)
		local = ",local";
	else if (ep->has & EP_LOCAL && !(ep->has & EP_ANSWER))
		local = ",remote";
	s = text_printf("%s%s%s%s", text, weight, conditions, local);
	free(text);
	s = text_hints(s, "zone", ep->zones, ep->has & EP_ZONES &&
		       !(ep->has & EP_ANSWER));
	return text_hints(s, "node", ep->nodes, ep->has & EP_NODES &&
			  !(ep->has & EP_ANSWER));
}

char *text_nodeport_addresses(const struct node *node)
{
	struct prefix *prefix;
	char *s;

	if (node->nodeport_mode == K8SNET_NODEPORT_PRIMARY)
		return xstrdup("primary");
	if (node->nodeport_mode == K8SNET_NODEPORT_ALL)
		return xstrdup("all");
	s = xstrdup("");
	LIST_FOR_EACH(prefix, &node->nodeport_prefix) {
		char *one = text_prefix(prefix);
		char *all = text_printf("%s%s%s", s, *s ? "," : "", one);

		free(one);
		free(s);
		s = all;
	}
	return s;
}

char *text_quote(const char *s)
{
	const char *p;
	char *out, *o;

	for (p = s; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f ||
		    strchr("\"'\\#", *p))
			break;
	if (*s && !*p)
		return xstrdup(s);

	out = xcalloc(strlen(s) * 4 + 3, 1);
	o = out;
	*o++ = '"';
	for (p = s; *p; p++) {
		if (*p == '"' || *p == '\\') {
			*o++ = '\\';
			*o++ = *p;
		} else if ((unsigned char)*p < ' ' || *p == 0x7f) {
			o += sprintf(o, "\\x%02x", (unsigned char)*p);
		} else {
			*o++ = *p;
		}
	}
	*o++ = '"';
	return out;
}
