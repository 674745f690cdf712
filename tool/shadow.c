// SPDX-License-Identifier: GPL-2.0
/*
 * Sockets that listen on a port which a node port or a host port takes from
 * them: from outside they are not reached, and bind() does not say so.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/k8snet.h>

#include "cmd.h"
#include "nl.h"
#include "print.h"

struct listener {
	uint32_t has;
	uint8_t proto;
	struct addr addr;
	uint16_t port;
	char *service;			/* that takes the port, or NULL */
};

struct listener_list LIST(struct listener);

enum { LISTENER_ALL = 1 };

#define F(type_, word_, member, ...) \
	{ .word = word_, .type = type_, .bit = LISTENER_ALL, \
	  .off = offsetof(struct listener, member), __VA_ARGS__ }

static const struct field listener_fields[] = {
	F(FIELD_PROTO, "proto", proto, .flags = FIELD_POSITIONAL),
	F(FIELD_ADDR, "listener", addr),
	F(FIELD_U16, "port", port),
	F(FIELD_NAME, "service", service),
	{}
};

static bool is_loopback(const struct addr *addr)
{
	static const uint8_t localhost6[16] = { [15] = 1 };

	return addr->len == 4 ? addr->bytes[0] == 127 :
		!memcmp(addr->bytes, localhost6, 16);
}

/* Does the frontend take what is sent to the listener? */
static bool takes(const struct frontend *fe, const struct listener *l)
{
	static const uint8_t any[16];

	if (fe->port != l->port ||
	    (fe->type != K8SNET_FRONTEND_NODE_PORT &&
	     fe->type != K8SNET_FRONTEND_HOST_PORT))
		return false;
	return !fe->addr.len || !memcmp(l->addr.bytes, any, l->addr.len) ||
	       !addr_cmp(&fe->addr, &l->addr);
}

/* The frontend that has the port for all local addresses, or for that one. On
 * loopback, the former only if @localhost.
 */
static const struct frontend *port_owner(const struct service *svc,
					 const struct listener *l,
					 bool localhost)
{
	const struct frontend *fe;

	/* "svc set" may not say which protocol the service has. */
	if (svc->proto && svc->proto != l->proto)
		return NULL;
	LIST_FOR_EACH(fe, &svc->frontend)
		if (takes(fe, l) &&
		    (fe->addr.len || localhost || !is_loopback(&l->addr)))
			return fe;
	return NULL;
}

/* The first @digits, at most 8, of a hexadecimal number; false: they are none. */
static bool scan_hex(const char *s, size_t digits, uint32_t *value)
{
	char word[9], *end;

	snprintf(word, sizeof(word), "%.*s", (int)digits, s);
	*value = (uint32_t)strtoul(word, &end, 16);
	return end == word + digits;
}

/* "ADDRESS:PORT" of /proc/net/tcp and its like: words of hexadecimal digits in
 * the host's byte order, which hold network byte order.
 */
static bool scan_local(const char *s, struct listener *l)
{
	const char *colon = strchr(s, ':');
	uint32_t word, port;
	unsigned int i;

	if (!colon || (colon - s != 8 && colon - s != 32))
		return false;
	l->addr.len = (uint8_t)((colon - s) / 2);
	for (i = 0; i < l->addr.len / 4U; i++) {
		if (!scan_hex(s + 8 * (size_t)i, 8, &word))
			return false;
		memcpy(l->addr.bytes + 4 * (size_t)i, &word, 4);
	}
	if (!scan_hex(colon + 1, 4, &port))
		return false;
	l->port = (uint16_t)port;
	return true;
}

static FILE *proc_open(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/thread-self/net/%s", name);
	return fopen(path, "re");	/* NULL: no IPv6, no SCTP */
}

/*
 * Sockets of a file of /proc/net in @state: TCP's that listen, UDP's that are
 * not connected. TCP's listeners come first; the connections behind them may be
 * many, and are not read.
 */
static void read_file(const char *name, uint8_t proto, unsigned int state,
		      struct listener_list *list)
{
	char line[512], local[64], state_text[3];
	FILE *f = proc_open(name);

	while (f && fgets(line, sizeof(line), f)) {
		struct listener l = { .has = LISTENER_ALL, .proto = proto };
		uint32_t st;

		if (sscanf(line, " %*d: %63s %*s %2s", local, state_text) != 2 ||
		    !scan_hex(state_text, 2, &st))
			continue;
		if (st == state && scan_local(local, &l))
			*LIST_ADD(list) = l;
		else if (st != state && proto == IPPROTO_TCP)
			break;
	}
	if (f)
		fclose(f);
}

/* SCTP's endpoints that listen, each with all of its addresses behind
 * "ENDPT SOCK STY SST HBKT LPORT UID INODE".
 */
static void read_sctp(struct listener_list *list)
{
	FILE *f = proc_open("sctp/eps");
	char line[4096];

	while (f && fgets(line, sizeof(line), f)) {
		char *save = NULL, *word = strtok_r(line, "\n ", &save);
		unsigned int i, port = 0;

		for (i = 0; word && i < 8; i++) {
			if (i == 5)
				port = (unsigned int)strtoul(word, NULL, 10);
			word = strtok_r(NULL, "\n ", &save);
		}
		for (; word; word = strtok_r(NULL, "\n ", &save)) {
			struct listener l = {
				.has = LISTENER_ALL, .proto = IPPROTO_SCTP,
				.port = (uint16_t)port,
			};

			/* The line of titles has no address. */
			if (inet_pton(AF_INET, word, l.addr.bytes) == 1)
				l.addr.len = 4;
			else if (inet_pton(AF_INET6, word, l.addr.bytes) == 1)
				l.addr.len = 16;
			else
				continue;
			*LIST_ADD(list) = l;
		}
	}
	if (f)
		fclose(f);
}

static void listeners_read(struct listener_list *list)
{
	read_file("tcp", IPPROTO_TCP, 10, list);
	read_file("tcp6", IPPROTO_TCP, 10, list);
	read_file("udp", IPPROTO_UDP, 7, list);
	read_file("udp6", IPPROTO_UDP, 7, list);
	read_sctp(list);
}

int run_shadowed(struct request *req)
{
	struct listener_list listeners = { 0 };
	struct service_list list = { 0 };
	struct node node = { 0 };
	const struct service *svc;
	struct listener *l;
	bool localhost;
	int err;

	(void)req;
	err = knl_node_get(&node);
	if (!err)
		err = knl_service_list(&list, NULL);
	localhost = node.nodeport_localhost;
	node_clear(&node);
	if (err)
		return status(err);
	listeners_read(&listeners);
	print_begin();
	LIST_FOR_EACH(l, &listeners) {
		LIST_FOR_EACH(svc, &list) {
			if (!port_owner(svc, l, localhost))
				continue;
			l->service = svc->name;
			print_object(listener_fields, l);
			break;
		}
	}
	print_end();
	service_list_clear(&list);
	free(listeners.v);
	return STATUS_OK;
}

static uint8_t proto_of(const char *service)
{
	struct service_list list = { 0 };
	uint8_t proto = 0;

	if (!knl_service_list(&list, service) && list.n)
		proto = list.v[0].proto;
	service_list_clear(&list);
	return proto;
}

/*
 * The sockets are read once for a batch, and not at all where no service has a
 * node port or host port.
 */
void shadow_warn(const struct service *svc)
{
	static struct listener_list listeners;
	static bool known;
	const struct frontend *fe;
	const struct listener *l;
	bool any = false;

	LIST_FOR_EACH(fe, &svc->frontend)
		any |= fe->type == K8SNET_FRONTEND_NODE_PORT ||
		       fe->type == K8SNET_FRONTEND_HOST_PORT;
	if (!any)
		return;
	if (!known)
		listeners_read(&listeners);
	known = true;
	LIST_FOR_EACH(l, &listeners) {
		char *text;

		if (!port_owner(svc, l, false) ||
		    (!svc->proto && proto_of(svc->name) != l->proto))
			continue;
		text = text_addr_port(&l->addr, l->port);
		report("warning: a process listens on %s/%s, which service %s takes from it",
		       text, text_proto(l->proto), svc->name);
		free(text);
	}
}
