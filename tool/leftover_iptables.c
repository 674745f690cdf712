// SPDX-License-Identifier: GPL-2.0
/* What kube-proxy leaves in iptables: its chains and the rules that lead there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "leftover.h"
#include "parse.h"
#include "program.h"
#include "report.h"

/*
 * kube-proxy's chains: whole names, or beginnings that end with "-". Not all
 * that begins with KUBE- is kube-proxy's: KUBE-FIREWALL, KUBE-MARK-DROP and
 * KUBE-KUBELET-CANARY are the kubelet's, others a network policy engine's.
 */
static const char *const chains[] = {
	"KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-NODEPORTS",
	"KUBE-POSTROUTING", "KUBE-FORWARD", "KUBE-PROXY-FIREWALL",
	"KUBE-PROXY-CANARY", "KUBE-MARK-MASQ", "KUBE-LOAD-BALANCER",
	"KUBE-NODE-PORT", "KUBE-SOURCE-RANGES-FIREWALL", "KUBE-IPVS-FILTER",
	"KUBE-IPVS-OUT-FILTER", "KUBE-SVC-", "KUBE-SVL-", "KUBE-SEP-",
	"KUBE-EXT-", "KUBE-FW-", "KUBE-XLB-",
};

static bool is_ours(const char *name, size_t len)
{
	unsigned int i;

	for (i = 0; i < sizeof(chains) / sizeof(*chains); i++) {
		size_t n = strlen(chains[i]);
		bool start = chains[i][n - 1] == '-';

		if (start ? len > n && !strncmp(name, chains[i], n) :
		    len == n && !strncmp(name, chains[i], n))
			return true;
	}
	return false;
}

/* The chain that a rule jumps or goes to, or NULL. */
static const char *target_of(const char *rule)
{
	const char *at = NULL, *p;

	for (p = rule; (p = strstr(p, " -")); p++)
		if (!strncmp(p, " -j ", 4) || !strncmp(p, " -g ", 4))
			at = p + 4;
	return at;
}

static size_t word_len(const char *s)
{
	return s ? strcspn(s, "\n ") : 0;
}

/* ":NAME POLICY [...]": found chains; "-A NAME ...": rules of others. */
static void line_read(struct leftover_list *list, const char *place,
		      const char *line)
{
	const char *name = line + (*line == ':' ? 1 : 3), *target;
	size_t len = word_len(name);
	char *what;

	if (*line == ':' && !strncmp(name, "KUBE-", 5)) {
		bool ours = is_ours(name, len);

		what = text_printf("chain %.*s", (int)len, name);
		leftover_add(list, place, what, ours ? "found" : "left",
			     ours ? text_printf(":%.*s - [0:0]\n-X %.*s\n",
						(int)len, name, (int)len,
						name) : NULL);
		free(what);
	}
	if (strncmp(line, "-A ", 3) || is_ours(name, len))
		return;
	target = target_of(line);
	if (!target || !is_ours(target, word_len(target)))
		return;
	what = text_printf("rule of %s", name);
	leftover_add(list, place, what, "found",
		     text_printf("-D %s\n", name));
	free(what);
}

/*
 * What iptables-restore --noflush shall do to a table: rules that lead to
 * chains first, then the chains are emptied (":NAME"), then removed.
 */
static char *undo_text(const struct leftover_list *list, const char *place,
		       const char *table)
{
	static const char starts[] = "-:X";
	char *text = text_printf("*%s\n", table);
	const struct leftover *item;
	const char *start;
	unsigned int n = 0;
	char *more;

	for (start = starts; *start; start++) {
		LIST_FOR_EACH(item, list) {
			const char *del;

			if (!item->undo || strcmp(item->place, place))
				continue;
			del = strstr(item->undo, "\n-X ");
			if ((*start == '-') != !del)
				continue;
			more = !del ? text_printf("%s%s", text, item->undo) :
			       *start == ':' ?
			       text_printf("%s%.*s", text,
					   (int)(del + 1 - item->undo),
					   item->undo) :
			       text_printf("%s%s", text, del + 1);
			free(text);
			text = more;
			n++;
		}
	}
	more = text_printf("%sCOMMIT\n", text);
	free(text);
	if (n)
		return more;
	free(more);
	return NULL;
}

static bool table_remove(struct leftover_list *list, const char *program,
			 const char *place, const char *table)
{
	char *text = undo_text(list, place, table);
	char *restore = text_printf("%s-restore", program);
	const char *const argv[] = { restore, "--noflush", NULL };
	struct leftover *item;
	bool good = true;

	if (text)
		good = !program_run(argv, text, NULL, false);
	if (!good)
		report("%s: nothing is removed there", place);
	LIST_FOR_EACH(item, list)
		if (text && good && item->undo && !strcmp(item->place, place))
			item->state = "removed";
	free(restore);
	free(text);
	return good;
}

/* One program's tables, all or none of each. */
static bool program_tables(struct leftover_list *list, const char *program,
			   bool dry)
{
	char *save = text_printf("%s-save", program);
	const char *const argv[] = { save, NULL };
	char *place = xstrdup(program), *table = xstrdup("");
	char *out, *rest, *line;
	bool good = true;

	program_run(argv, NULL, &out, true);
	for (rest = out; (line = strsep(&rest, "\n"));) {
		if (*line == '*') {
			free(place);
			free(table);
			table = xstrdup(line + 1);
			place = text_printf("%s %s", program, table);
		} else if (!strcmp(line, "COMMIT")) {
			good &= dry || table_remove(list, program, place,
						    table);
		} else if (*line == ':' || *line == '-') {
			line_read(list, place, line);
		}
	}
	free(place);
	free(table);
	free(save);
	free(out);
	return good;
}

/* Both kinds of iptables may have been used; "iptables" is one of the two. */
bool leftover_iptables(struct leftover_list *list, bool dry)
{
	static const char *const programs[][3] = {
		{ "iptables-nft", "iptables-legacy", "iptables" },
		{ "ip6tables-nft", "ip6tables-legacy", "ip6tables" },
	};
	const char *const *names;
	bool good = true;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		unsigned int found = 0, k;

		names = programs[i];
		for (k = 0; k < 3; k++) {
			const char *const argv[] = {
				names[k], "--version", NULL
			};

			if (k == 2 && found)
				break;
			if (program_run(argv, NULL, NULL, true) ==
			    PROGRAM_MISSING)
				continue;
			found++;
			good &= program_tables(list, names[k], dry);
		}
	}
	return good;
}
