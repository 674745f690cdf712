// SPDX-License-Identifier: GPL-2.0
/* Changes as they happen, one a line. */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "nl.h"
#include "print.h"

/* The fields of the event's object, and the object; false: it has none. */
static bool object_of(const struct monitor_event *ev,
		      const struct field **fields, const void **obj)
{
	const struct {
		const void *obj;
		const struct field *fields;
	} all[] = {
		{ ev->node, node_fields }, { ev->bridge, bridge_fields },
		{ ev->port, port_fields }, { ev->pod, pod_fields },
		{ ev->route, route_fields }, { ev->masq, masq_fields },
		{ ev->svc, service_fields },
	};
	unsigned int i;

	for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
		if (all[i].obj) {
			*fields = all[i].fields;
			*obj = all[i].obj;
			return true;
		}
	}
	return false;
}

static json_t *event_object(const struct monitor_event *ev)
{
	json_t *o = json_object();

	json_object_set_new(o, "event",
			    json_string(ev->deleted ? "deleted" : "changed"));
	json_object_set_new(o, "object", json_string(ev->object));
	return o;
}

static void print_endpoints(const struct monitor_event *ev)
{
	struct endpoint *ep;

	LIST_FOR_EACH(ep, &ev->svc->ep) {
		char *name = text_quote(ev->svc->name);

		/* Of one that has gone only the key is news. */
		if (ev->deleted)
			ep->has = EP_ANSWER;

		if (print_json) {
			json_t *o = event_object(ev);
			json_t *e = endpoint_get(ep, ev->svc->name, false);

			json_object_update(o, e);
			json_decref(e);
			print_event(o);
		} else {
			printf("%sep %s ", ev->deleted ? "deleted " : "",
			       name);
			print_endpoint_words(stdout, ep);
			putchar('\n');
		}
		free(name);
	}
}

static void event(const struct monitor_event *ev)
{
	const struct field *fields;
	const void *obj;

	if (!strcmp(ev->object, "ep")) {
		print_endpoints(ev);
	} else if (print_json) {
		json_t *o = event_object(ev);

		if (object_of(ev, &fields, &obj)) {
			json_t *e = object_get(fields, obj, false);

			json_object_update(o, e);
			json_decref(e);
		}
		print_event(o);
	} else {
		printf("%s%s", ev->deleted ? "deleted " : "", ev->object);
		if (object_of(ev, &fields, &obj)) {
			putchar(' ');
			print_words(stdout, fields, obj, 0);
		}
		putchar('\n');
	}
	/* Whoever reads sees it now; without a reader there is no point. */
	if (fflush(stdout))
		exit(STATUS_REFUSED);
}

static int run(struct request *req)
{
	print_pretty = false;
	return status(knl_monitor(event));
}

const struct object cmd_monitor = {
	.name = "monitor",
	.usage = "k8snetctl monitor\n",
	.verbs = (const struct verb[]) {
		{ NULL, NULL, run },
		{}
	},
};
