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

/* Whether a file has what is called like something that is there. */

static bool bridge_in(const struct state *file, const struct bridge *br)
{
	const struct bridge *b;

	LIST_FOR_EACH(b, &file->bridges)
		if (!strcmp(b->name, br->name))
			return true;
	return false;
}

static bool port_in(const struct state *file, const struct port *port)
{
	const struct port *p;

	LIST_FOR_EACH(p, &file->ports)
		if (!strcmp(p->name, port->name))
			return true;
	return false;
}

/* The first address of @pod that a pod of @file has */
static const struct addr *pod_in(const struct state *file,
				 const struct pod *pod)
{
	const struct addr *addr, *a;
	const struct pod *p;

	LIST_FOR_EACH(addr, &pod->addr)
		LIST_FOR_EACH(p, &file->pods)
			LIST_FOR_EACH(a, &p->addr)
				if (!addr_cmp(a, addr))
					return addr;
	return NULL;
}

static bool route_in(const struct state *file, const struct route *route)
{
	const struct route *r;

	LIST_FOR_EACH(r, &file->routes)
		if (!prefix_cmp(&r->cidr, &route->cidr))
			return true;
	return false;
}

static bool masq_in(const struct state *file, const struct masq *masq)
{
	const struct masq *m;

	LIST_FOR_EACH(m, &file->masqs)
		if (!prefix_cmp(&m->cidr, &masq->cidr))
			return true;
	return false;
}

static bool service_in(const struct state *file, const struct service *svc)
{
	return service_list_find(&file->services, svc->name);
}

/* Nothing of the file may be there already. */
static int check_absent(const struct state *cur, const struct state *want)
{
	const struct service *svc;
	const struct bridge *br;
	const struct route *route;
	const struct addr *addr;
	const struct masq *masq;
	const struct port *port;
	const struct pod *pod;

	LIST_FOR_EACH(br, &cur->bridges)
		if (bridge_in(want, br))
			return in_the_way(text_printf("bridge %s", br->name));
	LIST_FOR_EACH(port, &cur->ports)
		if (port_in(want, port))
			return in_the_way(text_printf("port %s", port->name));
	LIST_FOR_EACH(pod, &cur->pods) {
		addr = pod_in(want, pod);
		if (addr)
			return in_the_way(text_addr(addr));
	}
	LIST_FOR_EACH(route, &cur->routes)
		if (route_in(want, route))
			return in_the_way(text_prefix(&route->cidr));
	LIST_FOR_EACH(masq, &cur->masqs)
		if (masq_in(want, masq))
			return in_the_way(text_prefix(&masq->cidr));
	LIST_FOR_EACH(svc, &cur->services)
		if (service_in(want, svc))
			return in_the_way(text_printf("service %s", svc->name));
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

/* A port of a pod of the file became one with the pod if it was none. */
static bool port_made(const struct state *before, const struct state *want,
		      const struct port *port)
{
	const struct pod *pod;

	if (port_in(want, port))
		return true;
	LIST_FOR_EACH(pod, &want->pods)
		if (!strcmp(pod->port, port->name))
			return !port_in(before, port);
	return false;
}

/*
 * None of the file was there before, so what of it is there now was made by
 * restore, and what is absent was never made; all else is somebody else's.
 * The copies are shallow.
 */
static void find_made(struct state *made, const struct state *now,
		      const struct state *before, const struct state *want)
{
	struct service *svc;
	struct bridge *br;
	struct route *route;
	struct masq *masq;
	struct port *port;
	struct pod *pod;

	LIST_FOR_EACH(br, &now->bridges)
		if (bridge_in(want, br))
			*LIST_ADD(&made->bridges) = *br;
	LIST_FOR_EACH(port, &now->ports)
		if (port_made(before, want, port))
			*LIST_ADD(&made->ports) = *port;
	LIST_FOR_EACH(pod, &now->pods)
		if (pod_in(want, pod))
			*LIST_ADD(&made->pods) = *pod;
	LIST_FOR_EACH(route, &now->routes)
		if (route_in(want, route))
			*LIST_ADD(&made->routes) = *route;
	LIST_FOR_EACH(masq, &now->masqs)
		if (masq_in(want, masq))
			*LIST_ADD(&made->masqs) = *masq;
	LIST_FOR_EACH(svc, &now->services)
		if (service_in(want, svc))
			*LIST_ADD(&made->services) = *svc;
}

/*
 * After a restore that failed: what it has made goes again, last first, and
 * the node's settings that it has changed are those of before.
 */
static void undo(const struct state *before, const struct state *want)
{
	struct state now = { 0 }, made = { 0 }, target = { 0 };
	const struct field *field;
	struct plan plan = { 0 };

	if (!state_read(&now)) {
		find_made(&made, &now, before, want);
		target.has = want->has | STATE_PORTS;
		made.node = now.node;
		target.node = before->node;
		/* Fields that neither has are left alone. */
		for (field = node_fields; field->word; field++) {
			if (field_equal(field, &now.node, &want->node))
				continue;
			made.node.has &= ~field->bit;
			target.node.has &= ~field->bit;
		}
		plan_make(&plan, &made, &target);
		plan_run(&plan, false);
		plan_clear(&plan);
	}
	free(made.bridges.v);
	free(made.ports.v);
	free(made.pods.v);
	free(made.routes.v);
	free(made.masqs.v);
	free(made.services.v);
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
