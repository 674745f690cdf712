// SPDX-License-Identifier: GPL-2.0
/* Ports of pod bridges. */
#include <errno.h>
#include <string.h>

#include "cmd.h"
#include "nl.h"
#include "print.h"

static int parse_name(struct request *req, struct args *args, struct why *why)
{
	const char *name = args_next(args);

	if (!name)
		return why_missing(why, "the device");
	req->port.has |= PORT_NAME;
	return parse_device(name, &req->port.name, why);
}

static int parse_words(struct request *req, struct args *args, bool bridge,
		       struct why *why)
{
	struct port *port = &req->port;
	const char *word, *value;

	while ((word = args_next(args))) {
		if (bridge && !strcmp(word, "bridge")) {
			if (once(&port->has, PORT_BRIDGE, word, why))
				return -1;
			value = args_value(args, word, why);
			if (!value || parse_device(value, &port->bridge, why))
				return -1;
		} else if (!strcmp(word, "antispoof")) {
			if (once(&port->has, PORT_ANTISPOOF, word, why))
				return -1;
			value = args_value(args, word, why);
			if (!value || parse_on_off(value, word,
						   &port->antispoof, why))
				return -1;
		} else {
			return why_no_more(why, word);
		}
	}
	return 0;
}

static int parse_add(struct request *req, struct args *args, struct why *why)
{
	if (parse_name(req, args, why) || parse_words(req, args, true, why))
		return -1;
	return req->port.bridge ? 0 : why_missing(why, "bridge");
}

static int parse_set(struct request *req, struct args *args, struct why *why)
{
	if (parse_name(req, args, why))
		return -1;
	if (!args->n)
		return why_missing(why, "what to set");
	return parse_words(req, args, false, why);
}

static int run_add(struct request *req)
{
	struct port *port = &req->port;
	struct link link, bridge;
	int err;

	err = knl_link_get(port->bridge, &bridge, 0);
	if (!err)
		err = knl_link_get(port->name, &link, 0);
	if (err)
		return status(err);
	if (!knl_link_is_bridge(&bridge)) {
		report("device %s is not a pod bridge", port->bridge);
		return STATUS_REFUSED;
	}
	if (link.master) {
		report("device %s already is a port", port->name);
		return STATUS_REFUSED;
	}
	err = knl_link_master(link.index, bridge.index, 0);
	if (err)
		return status(err);
	if (!link.up)
		err = knl_link_up(link.index, true, 0);
	if (!err && port->has & PORT_ANTISPOOF)
		err = knl_port_set(port->name, port->antispoof, NL_NOW);
	if (err) {
		knl_link_master(link.index, 0, NL_QUIET);
		if (!link.up)
			knl_link_up(link.index, false, NL_QUIET);
	}
	return status(err);
}

static int run_set(struct request *req)
{
	return status(knl_port_set(req->port.name, req->port.antispoof, 0));
}

static int run_del(struct request *req)
{
	struct link link, bridge;
	int err;

	err = knl_link_get(req->port.name, &link, req->force ? NL_QUIET : 0);
	if (err)
		return req->force && err == -ENODEV ? STATUS_OK : status(err);
	if (!link.master ||
	    knl_link_get_index(link.master, &bridge, NL_QUIET) ||
	    !knl_link_is_bridge(&bridge)) {
		if (req->force)
			return STATUS_OK;
		report("device %s is not a port of a pod bridge",
		       req->port.name);
		return STATUS_REFUSED;
	}
	return status(knl_link_master(link.index, 0, 0));
}

static int run_show(struct request *req)
{
	struct port_list list = { 0 };
	int err;

	err = knl_port_list(&list, req->port.name);
	if (!err)
		print_list(port_fields, &list);
	port_list_clear(&list);
	return status(err);
}

static void clear(struct request *req)
{
	port_clear(&req->port);
}

const struct object cmd_port = {
	.name = "port",
	.usage =
"k8snetctl port add DEV bridge NAME [antispoof on|off]\n"
"k8snetctl port set DEV antispoof on|off\n"
"k8snetctl port del DEV\n"
"k8snetctl port list [DEV]\n",
	.verbs = (const struct verb[]) {
		{ "add", parse_add, run_add },
		{ "set", parse_set, run_set },
		{ "del", parse_one, run_del },
		{ "show", parse_one_or_all, run_show },
		{}
	},
	.fields = port_fields,
	.parse_key = parse_name,
	.clear = clear,
};
