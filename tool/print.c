// SPDX-License-Identifier: GPL-2.0
/* Output of listings, driven by the field tables. */
#include "print.h"

#include <stdlib.h>

bool print_json;
bool print_pretty;

/* The array of a listing: whole where it is indented, else piece by piece. */
static json_t *pretty_array;
static bool first_object;

static void dump(const json_t *json)
{
	json_dumpf(json, stdout, print_pretty ? JSON_INDENT(2) : JSON_COMPACT);
}

void print_begin(void)
{
	if (!print_json)
		return;
	first_object = true;
	if (print_pretty)
		pretty_array = json_array();
	else
		putchar('[');
}

/* Takes over @o. */
static void print_item(json_t *o)
{
	if (print_pretty) {
		json_array_append_new(pretty_array, o);
		return;
	}
	if (!first_object)
		putchar(',');
	first_object = false;
	dump(o);
	json_decref(o);
}

void print_end(void)
{
	if (!print_json)
		return;
	if (print_pretty) {
		dump(pretty_array);
		json_decref(pretty_array);
		pretty_array = NULL;
	} else {
		putchar(']');
	}
	putchar('\n');
}

void print_event(json_t *o)
{
	dump(o);
	putchar('\n');
	json_decref(o);
}

/* Puts @sep between words, not before the first one. */
static void word(FILE *f, bool *started, const char *s)
{
	fprintf(f, "%s%s", *started ? " " : "", s);
	*started = true;
}

/* Takes over @s. */
static void value(FILE *f, bool *started, const struct field *field, char *s)
{
	if (!(field->flags & FIELD_POSITIONAL))
		word(f, started, field->word);
	word(f, started, s);
	free(s);
}

static void frontend_words_of(FILE *f, bool *started,
			      const struct field *field,
			      const struct service *svc, unsigned int flags)
{
	const struct frontend *fe;
	bool any = false;

	LIST_FOR_EACH(fe, &svc->frontend) {
		if (fe->type != field->arg)
			continue;
		value(f, started, field, text_frontend(fe, svc));
		any = true;
	}
	if (!any && flags & PLAIN_NONE)
		value(f, started, field, xstrdup("none"));
}

static void endpoint_words_of(FILE *f, bool *started,
			      const struct field *field,
			      const struct endpoint_list *eps,
			      unsigned int flags)
{
	const struct endpoint *ep;

	LIST_FOR_EACH(ep, eps) {
		char *text = text_endpoint(ep);

		value(f, started, field, text_quote(text));
		free(text);
	}
	if (!eps->n && flags & PLAIN_NONE)
		value(f, started, field, xstrdup("none"));
}

/* ADDR,ADDR6 for a positional list, "word A word B" for the others */
static void list_words(FILE *f, bool *started, const struct field *field,
		       const json_t *list, unsigned int flags)
{
	size_t i, n = json_array_size(list);
	char *all = NULL;

	for (i = 0; i < n; i++) {
		const char *s = json_string_value(json_array_get(list, i));
		char *joined;

		if (field->flags & FIELD_REPEAT) {
			value(f, started, field, xstrdup(s));
			continue;
		}
		joined = text_printf("%s%s%s", all ? all : "", all ? "," : "",
				     s);
		free(all);
		all = joined;
	}
	if (all)
		value(f, started, field, all);
	else if (!n && flags & PLAIN_NONE)
		value(f, started, field, xstrdup("none"));
}

static void field_words(FILE *f, bool *started, const struct field *field,
			const void *obj, unsigned int flags)
{
	const void *p = (const char *)obj + field->off;
	json_t *json;

	switch (field->type) {
	case FIELD_FRONTENDS:
		frontend_words_of(f, started, field, obj, flags);
		return;
	case FIELD_ENDPOINTS:
		if (flags & PLAIN_EPS)
			endpoint_words_of(f, started, field, p, flags);
		return;
	case FIELD_ENDPOINT: {
		const struct endpoint *ep = p;

		value(f, started, field, text_addr_port(&ep->addr, ep->port));
		return;
	}
	case FIELD_FRONTEND: {
		const struct frontend *fe = p;
		char *at = text_addr_ports(fe);

		value(f, started, field,
		      text_printf("%s %s", frontend_words[fe->type], at));
		free(at);
		return;
	}
	case FIELD_STATS: {
		const struct stat_list *stats = p;
		const struct stat_counter *stat;

		LIST_FOR_EACH(stat, stats)
			value(f, started, field,
			      text_printf("%s %llu", stat->name,
					  (unsigned long long)stat->value));
		return;
	}
	default:
		break;
	}

	json = field_get(field, obj);
	if (!json) {
		if (field->type == FIELD_LABEL && flags & PLAIN_NONE)
			value(f, started, field, xstrdup("none"));
		return;
	}
	if (json_is_array(json))
		list_words(f, started, field, json, flags);
	else if (json_is_integer(json))
		value(f, started, field,
		      text_printf("%" JSON_INTEGER_FORMAT,
				  json_integer_value(json)));
	else if (json_is_boolean(json) && field->names)
		word(f, started, field->names[json_is_true(json)]);
	else if (json_is_boolean(json))
		value(f, started, field,
		      xstrdup(json_is_true(json) ? "on" : "off"));
	else
		value(f, started, field, text_quote(json_string_value(json)));
	json_decref(json);
}

/* A command about a service without frontends says its protocol by itself. */
static bool is_implied(const struct field *field, const void *obj,
		       unsigned int flags)
{
	const struct service *svc = obj;

	return field->flags & FIELD_IMPLIED &&
	       (svc->frontend.n || !(flags & PLAIN_SETTINGS));
}

void print_words(FILE *f, const struct field *fields, const void *obj,
		 unsigned int flags)
{
	const struct field *field;
	bool started = false;

	for (field = fields; field->word; field++) {
		if (!(*(const uint32_t *)obj & field->bit) ||
		    is_implied(field, obj, flags))
			continue;
		if (flags & PLAIN_SETTINGS && field->flags & FIELD_ANSWER)
			continue;
		field_words(f, &started, field, obj, flags);
	}
}

void print_endpoint_words(FILE *f, const struct endpoint *ep)
{
	char *text = text_endpoint(ep);

	fputs(text, f);
	free(text);
	if (ep->has & EP_COUNTERS)
		fprintf(f, " flows %llu active %u",
			(unsigned long long)ep->flows, ep->active);
	if (ep->has & EP_TRAFFIC)
		fprintf(f, " packets %llu bytes %llu reply-packets %llu reply-bytes %llu",
			(unsigned long long)ep->traffic.packets,
			(unsigned long long)ep->traffic.bytes,
			(unsigned long long)ep->traffic.reply_packets,
			(unsigned long long)ep->traffic.reply_bytes);
}

/* A plain object's endpoints follow it, one an indented line. */
void print_object(const struct field *fields, const void *obj)
{
	const struct field *field;

	if (print_json) {
		print_item(object_get(fields, obj, false));
		return;
	}
	print_words(stdout, fields, obj, 0);
	putchar('\n');
	for (field = fields; field->word; field++) {
		const struct endpoint_list *eps;
		const struct endpoint *ep;

		if (field->type != FIELD_ENDPOINTS ||
		    !(*(const uint32_t *)obj & field->bit))
			continue;
		eps = (const void *)((const char *)obj + field->off);
		LIST_FOR_EACH(ep, eps) {
			fputs("  ep ", stdout);
			print_endpoint_words(stdout, ep);
			putchar('\n');
		}
	}
}

void print_objects(const struct field *fields, const void *v, unsigned int n,
		   size_t size)
{
	unsigned int i;

	print_begin();
	for (i = 0; i < n; i++)
		print_object(fields, (const char *)v + i * size);
	print_end();
}

void print_endpoint(const char *service, const struct endpoint *ep)
{
	char *name;

	if (print_json) {
		print_item(endpoint_get(ep, service, false));
		return;
	}
	name = text_quote(service);
	printf("%s ", name);
	free(name);
	print_endpoint_words(stdout, ep);
	putchar('\n');
}
