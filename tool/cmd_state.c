// SPDX-License-Identifier: GPL-2.0
/* The whole node: save, restore, apply. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nl.h"
#include "state.h"

static int run_save(struct request *req)
{
	struct state state = { 0 };
	json_t *json;
	int err;

	err = state_read(&state);
	if (!err) {
		json = state_to_json(&state);
		json_dumpf(json, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(json);
	}
	state_clear(&state);
	return status(err);
}

static int parse_restore(struct request *req, struct args *args,
			 struct why *why)
{
	const char *file = args_next(args);

	if (!file)
		return why_missing(why, "the file");
	req->file = xstrdup(file);
	return args_end(args, why);
}

static int parse_apply(struct request *req, struct args *args, struct why *why)
{
	const char *word;

	while ((word = args_next(args))) {
		if (!strcmp(word, "-v") || !strcmp(word, "--verbose"))
			req->verbose = true;
		else if (!strcmp(word, "-n") || !strcmp(word, "--dry-run"))
			req->dry_run = true;
		else if (!req->file)
			req->file = xstrdup(word);
		else
			return why_no_more(why, word);
	}
	return req->file ? 0 : why_missing(why, "the file");
}

static int plan_run(struct plan *plan, bool verbose)
{
	struct knl_batch outer = knl_batch_begin(false);
	struct where here = where;
	struct request *req;
	bool ok = true;

	LIST_FOR_EACH(req, plan) {
		if (verbose)
			request_print(stdout, req);
		/* Lives as long as the request may be queued. */
		req->step = request_name(req);
		req->where.step = req->step;
		ok = !request_run(req);
		if (!ok)
			break;
	}
	ok &= knl_batch_end(outer);
	where = here;
	return ok ? STATUS_OK : STATUS_REFUSED;
}

static int run_apply(struct request *req)
{
	struct state cur = { 0 }, want = { 0 };
	struct plan plan = { 0 };
	struct request *one;
	int ret;

	ret = state_load(&want, req->file);
	if (!ret)
		ret = status(state_read(&cur));
	if (!ret) {
		plan_make(&plan, &cur, &want);
		if (req->dry_run)
			LIST_FOR_EACH(one, &plan)
				request_print(stdout, one);
		else
			ret = plan_run(&plan, req->verbose);
	}
	plan_clear(&plan);
	state_clear(&cur);
	state_clear(&want);
	return ret;
}

/* Takes over @name. */
static int in_the_way(char *name)
{
	report("%s exists", name);
	free(name);
	return STATUS_REFUSED;
}

/* Nothing of the file may be there already. Both are sorted and small. */
static int check_absent(const struct state *cur, const struct state *want)
{
	struct bridge *br, *cbr;
	struct route *route, *croute;
	struct service *svc;
	struct masq *masq, *cmasq;
	struct port *port, *cport;
	struct pod *pod, *cpod;
	struct addr *addr, *caddr;

	LIST_FOR_EACH(br, &want->bridges)
		LIST_FOR_EACH(cbr, &cur->bridges)
			if (!strcmp(br->name, cbr->name))
				return in_the_way(text_printf("bridge %s",
							      br->name));
	LIST_FOR_EACH(port, &want->ports)
		LIST_FOR_EACH(cport, &cur->ports)
			if (!strcmp(port->name, cport->name))
				return in_the_way(text_printf("port %s",
							      port->name));
	LIST_FOR_EACH(pod, &want->pods)
		LIST_FOR_EACH(addr, &pod->addr)
			LIST_FOR_EACH(cpod, &cur->pods)
				LIST_FOR_EACH(caddr, &cpod->addr)
					if (!addr_cmp(addr, caddr))
						return in_the_way(text_addr(addr));
	LIST_FOR_EACH(route, &want->routes)
		LIST_FOR_EACH(croute, &cur->routes)
			if (!prefix_cmp(&route->cidr, &croute->cidr))
				return in_the_way(text_prefix(&route->cidr));
	LIST_FOR_EACH(masq, &want->masqs)
		LIST_FOR_EACH(cmasq, &cur->masqs)
			if (!prefix_cmp(&masq->cidr, &cmasq->cidr))
				return in_the_way(text_prefix(&masq->cidr));
	LIST_FOR_EACH(svc, &want->services)
		if (service_list_find(&cur->services, svc->name))
			return in_the_way(text_printf("service %s",
						      svc->name));
	return STATUS_OK;
}

/* Devices that are to be ports must be there, and no device in a bridge's way. */
static int check_devices(const struct state *want)
{
	struct bridge *br;
	struct port *port;
	struct link link;
	struct pod *pod;

	LIST_FOR_EACH(br, &want->bridges)
		if (!knl_link_get(br->name, &link, NL_QUIET))
			return in_the_way(text_printf("device %s", br->name));
	LIST_FOR_EACH(port, &want->ports)
		if (knl_link_get(port->name, &link, 0))
			return STATUS_REFUSED;
	LIST_FOR_EACH(pod, &want->pods)
		if (knl_link_get(pod->port, &link, 0))
			return STATUS_REFUSED;
	return STATUS_OK;
}

/*
 * After a restore that failed: what it has made goes again, last first, and
 * the node's settings are those of before. None of it was there before, so
 * what is absent was never made.
 */
static void undo(const struct state *before, const struct state *want)
{
	struct plan plan = { 0 };
	struct state now = { 0 };
	struct state target = *before;

	if (!state_read(&now)) {
		target.has = want->has;
		target.node.has &= ~(uint32_t)NODE_ADDRESS;
		plan_make(&plan, &now, &target);
		plan_run(&plan, false);
		plan_clear(&plan);
	}
	state_clear(&now);
}

static int run_restore(struct request *req)
{
	struct state cur = { 0 }, want = { 0 }, empty = { 0 };
	struct plan plan = { 0 };
	int ret;

	ret = state_load(&want, req->file);
	if (!ret)
		ret = status(state_read(&cur));
	if (!ret)
		ret = check_absent(&cur, &want);
	if (!ret)
		ret = check_devices(&want);
	if (!ret) {
		/* Only the settings are compared: all else is added. */
		empty.node = cur.node;
		plan_make(&plan, &empty, &want);
		ret = plan_run(&plan, false);
		if (ret)
			undo(&cur, &want);
		plan_clear(&plan);
	}
	state_clear(&cur);
	state_clear(&want);
	return ret;
}

static const struct verb save_verbs[] = {
	{ NULL, NULL, run_save },
	{}
};

static const struct verb restore_verbs[] = {
	{ NULL, parse_restore, run_restore },
	{}
};

static const struct verb apply_verbs[] = {
	{ NULL, parse_apply, run_apply },
	{}
};

const struct object cmd_save = {
	.name = "save",
	.usage = "k8snetctl save\n",
	.verbs = save_verbs,
};

const struct object cmd_restore = {
	.name = "restore",
	.usage = "k8snetctl restore FILE|-\n",
	.verbs = restore_verbs,
};

const struct object cmd_apply = {
	.name = "apply",
	.usage = "k8snetctl apply FILE|- [-v|--verbose] [-n|--dry-run]\n",
	.verbs = apply_verbs,
};
