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
	char *service;
};

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

/* The service that has the port for all local addresses, or for that one. */
static const struct service *port_owner(const struct service_list *list,
					const struct listener *l)
{
	static const uint8_t any[16];
	const struct frontend *fe;
	struct service *svc;

	LIST_FOR_EACH(svc, list) {
		if (svc->proto != l->proto)
			continue;
		LIST_FOR_EACH(fe, &svc->frontend) {
			if (fe->port != l->port ||
			    (fe->type != K8SNET_FRONTEND_NODE_PORT &&
			     fe->type != K8SNET_FRONTEND_HOST_PORT))
				continue;
			if (!fe->addr.len ||
			    !memcmp(l->addr.bytes, any, l->addr.len) ||
			    !addr_cmp(&fe->addr, &l->addr))
				return svc;
		}
	}
	return NULL;
}

/* "ADDRESS:PORT" of /proc/net/tcp and its like: words of hexadecimal digits in
 * the host's byte order, which hold network byte order.
 */
static bool scan_local(const char *s, struct listener *l)
{
	const char *colon = strchr(s, ':');
	unsigned int i, port;
	uint32_t word;

	if (!colon || (colon - s != 8 && colon - s != 32))
		return false;
	l->addr.len = (uint8_t)((colon - s) / 2);
	for (i = 0; i < l->addr.len / 4U; i++) {
		if (sscanf(s + 8 * (size_t)i, "%8x", &word) != 1)
			return false;
		memcpy(l->addr.bytes + 4 * (size_t)i, &word, 4);
	}
	if (sscanf(colon + 1, "%4x", &port) != 1)
		return false;
	l->port = (uint16_t)port;
	return true;
}

/* Sockets of a file of /proc/net in @state: TCP's that listen, UDP's that are
 * not connected.
 */
static void read_file(const char *name, uint8_t proto, unsigned int state,
		      const struct service_list *list, bool localhost)
{
	char path[64], line[512], local[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/thread-self/net/%s", name);
	f = fopen(path, "re");
	if (!f)			/* no IPv6 */
		return;
	while (fgets(line, sizeof(line), f)) {
		struct listener l = { .has = LISTENER_ALL, .proto = proto };
		const struct service *svc;
		unsigned int st;

		if (sscanf(line, " %*d: %63s %*s %x", local, &st) != 2 ||
		    st != state || !scan_local(local, &l))
			continue;
		if (is_loopback(&l.addr) && !localhost)
			continue;
		svc = port_owner(list, &l);
		if (!svc)
			continue;
		l.service = svc->name;
		print_object(listener_fields, &l);
	}
	fclose(f);
}

int run_shadowed(struct request *req)
{
	struct service_list list = { 0 };
	struct node node = { 0 };
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
	print_begin();
	read_file("tcp", IPPROTO_TCP, 10, &list, localhost);
	read_file("tcp6", IPPROTO_TCP, 10, &list, localhost);
	read_file("udp", IPPROTO_UDP, 7, &list, localhost);
	read_file("udp6", IPPROTO_UDP, 7, &list, localhost);
	print_end();
	service_list_clear(&list);
	return STATUS_OK;
}
