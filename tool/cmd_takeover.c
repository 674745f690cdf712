// SPDX-License-Identifier: GPL-2.0
/* Finds what kube-proxy left on the node, and removes it. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "leftover.h"
#include "print.h"

static int parse(struct request *req, struct args *args, struct why *why)
{
	const char *word = args_next(args);

	if (word && !strcmp(word, "--dry-run"))
		req->dry_run = true;
	else if (!word || strcmp(word, "--yes"))
		return word ? why_no_more(why, word) :
			why_missing(why, "--dry-run or --yes");
	return args_end(args, why);
}

/* The number of a process that would put back what is removed; 0: none. */
static int kube_proxy_pid(void)
{
	struct dirent *entry;
	DIR *dir = opendir("/proc");
	int pid = 0;

	while (dir && !pid && (entry = readdir(dir))) {
		char path[300], name[32] = "";
		FILE *f;

		if (strspn(entry->d_name, "0123456789") !=
		    strlen(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		f = fopen(path, "r");
		if (f && fgets(name, sizeof(name), f) &&
		    !strcmp(name, "kube-proxy\n"))
			pid = (int)strtol(entry->d_name, NULL, 10);
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
	return pid;
}

static const struct field leftover_fields[] = {
	{ .word = "state", .type = FIELD_STRING, .bit = LEFTOVER_STATE,
	  .off = offsetof(struct leftover, state),
	  .flags = FIELD_POSITIONAL },
	{ .word = "where", .type = FIELD_STRING, .bit = LEFTOVER_PLACE,
	  .off = offsetof(struct leftover, place) },
	{ .word = "what", .type = FIELD_STRING, .bit = LEFTOVER_WHAT,
	  .off = offsetof(struct leftover, what) },
	{}
};

static void print_leftovers(const struct leftover_list *list, bool dry)
{
	unsigned int found = 0, removed = 0, left = 0;
	const struct leftover *item;

	if (print_json) {
		print_list(leftover_fields, list);
		return;
	}
	LIST_FOR_EACH(item, list) {
		printf("%s: %s: %s\n", item->place, item->what, item->state);
		found += !strcmp(item->state, "found");
		removed += !strcmp(item->state, "removed");
		left += !strcmp(item->state, "left");
	}
	if (dry)
		printf("%u to remove", found);
	else
		printf("%u removed", removed);
	if (!dry && found)
		printf(", %u could not be removed", found);
	if (left)
		printf(", %u left: not kube-proxy's", left);
	putchar('\n');
}

static int run(struct request *req)
{
	struct leftover_list list = { 0 };
	int pid = kube_proxy_pid();
	bool good = true;

	if (pid && !req->dry_run && !req->force) {
		report("kube-proxy runs (process %d) and would put it back: stop it first",
		       pid);
		return STATUS_REFUSED;
	}
	good &= leftover_iptables(&list, req->dry_run);
	good &= leftover_nft(&list, req->dry_run);
	good &= leftover_ipvs(&list, req->dry_run);
	good &= leftover_ipset(&list, req->dry_run);
	print_leftovers(&list, req->dry_run);
	leftover_list_clear(&list);
	return good ? STATUS_OK : STATUS_REFUSED;
}

const struct object cmd_takeover = {
	.name = "takeover",
	.usage = "k8snetctl takeover --dry-run|--yes\n",
	.verbs = (const struct verb[]) {
		{ NULL, parse, run },
		{}
	},
};
