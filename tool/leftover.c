// SPDX-License-Identifier: GPL-2.0
/* What kube-proxy leaves on a node: nftables, IPVS, ipsets. */
#include "leftover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nl.h"
#include "parse.h"
#include "program.h"
#include "report.h"

void leftover_list_clear(struct leftover_list *list)
{
	struct leftover *item;

	LIST_FOR_EACH(item, list) {
		free(item->place);
		free(item->what);
		free(item->undo);
	}
	free(list->v);
	memset(list, 0, sizeof(*list));
}

void leftover_add(struct leftover_list *list, const char *place,
		  const char *what, const char *state, char *undo)
{
	struct leftover *item = LIST_ADD(list);

	item->has = LEFTOVER_PLACE | LEFTOVER_WHAT | LEFTOVER_STATE;
	item->place = xstrdup(place);
	item->what = xstrdup(what);
	item->state = state;
	item->undo = undo;
}

/* A program that is not there has left nothing that it could show. */
static char *lines_of(const char *const argv[])
{
	char *out;

	program_run(argv, NULL, &out, true);
	return out;
}

bool leftover_nft(struct leftover_list *list, bool dry)
{
	static const char *const families[] = { "ip", "ip6" };
	const char *const show[] = { "nft", "list", "tables", NULL };
	char *out = lines_of(show);
	bool good = true;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		const char *const del[] = {
			"nft", "delete", "table", families[i], "kube-proxy", NULL
		};
		char *line = text_printf("table %s kube-proxy\n", families[i]);
		char *what = text_printf("table %s kube-proxy", families[i]);
		bool done = false;

		if (strstr(out, line)) {
			done = !dry && !program_run(del, NULL, NULL, false);
			good &= dry || done;
			leftover_add(list, "nft", what,
				     done ? "removed" : "found", NULL);
		}
		free(line);
		free(what);
	}
	free(out);
	return good;
}

/* kube-proxy's names begin so in IPVS mode; they go after the rules. */
bool leftover_ipset(struct leftover_list *list, bool dry)
{
	const char *const show[] = { "ipset", "list", "-n", NULL };
	char *out = lines_of(show), *rest = out, *line;
	bool good = true;

	while ((line = strsep(&rest, "\n"))) {
		const char *const del[] = { "ipset", "destroy", line, NULL };
		bool done;

		if (strncmp(line, "KUBE-", 5))
			continue;
		done = !dry && !program_run(del, NULL, NULL, false);
		good &= dry || done;
		leftover_add(list, "ipset", line, done ? "removed" : "found",
			     NULL);
	}
	free(out);
	return good;
}

/* "TCP  0A600001:01BB rr", or IPv6 in brackets: as it stands there. */
static void ipvs_services(struct leftover_list *list, const char *state)
{
	FILE *f = fopen("/proc/net/ip_vs", "r");
	char line[256], proto[8], addr[64];

	while (f && fgets(line, sizeof(line), f)) {
		struct addr at = { .len = 4 };
		unsigned int ip, port;
		char *what, *text;

		if (sscanf(line, "%7s %63s", proto, addr) != 2 ||
		    (strcmp(proto, "TCP") && strcmp(proto, "UDP") &&
		     strcmp(proto, "SCTP")))
			continue;
		/* NOLINTNEXTLINE(cert-err34-c): as wide as what it is read to */
		if (sscanf(addr, "%8x:%4x", &ip, &port) == 2 &&
		    *addr != '[') {
			at.bytes[0] = (uint8_t)(ip >> 24);
			at.bytes[1] = (uint8_t)(ip >> 16);
			at.bytes[2] = (uint8_t)(ip >> 8);
			at.bytes[3] = (uint8_t)ip;
			text = text_addr_port(&at, (uint16_t)port);
		} else {
			text = xstrdup(addr);
		}
		what = text_printf("service %s %s", proto, text);
		leftover_add(list, "ipvs", what, state, NULL);
		free(what);
		free(text);
	}
	if (f)
		fclose(f);
}

/*
 * kube-ipvs0 is the sign that the IPVS services are kube-proxy's; without it
 * they are somebody else's and left alone.
 */
bool leftover_ipvs(struct leftover_list *list, bool dry)
{
	struct leftover_list services = { 0 };
	struct leftover *item;
	struct link link;
	bool good = true;

	if (knl_link_get("kube-ipvs0", &link, NL_QUIET)) {
		ipvs_services(list, "left");
		return true;
	}
	ipvs_services(&services, "found");
	if (services.n && !dry && knl_ipvs_flush())
		good = false;
	LIST_FOR_EACH(item, &services)
		leftover_add(list, item->place, item->what,
			     dry || !good ? "found" : "removed", NULL);
	leftover_list_clear(&services);
	if (!dry && knl_link_del(link.index, NL_NOW)) {
		leftover_add(list, "link", "kube-ipvs0", "found", NULL);
		return false;
	}
	leftover_add(list, "link", "kube-ipvs0", dry ? "found" : "removed",
		     NULL);
	return good;
}
