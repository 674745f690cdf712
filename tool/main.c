// SPDX-License-Identifier: GPL-2.0
/* Options, the table of objects, and how a command is found. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "nl.h"
#include "print.h"

const struct object *const objects[] = {
	&cmd_node, &cmd_bridge, &cmd_port, &cmd_pod, &cmd_route, &cmd_masq,
	&cmd_svc, &cmd_ep, &cmd_hostport, &cmd_lookup, &cmd_flow, &cmd_stats,
	&cmd_monitor, &cmd_save, &cmd_restore, &cmd_apply, &cmd_flush,
	&cmd_takeover, NULL
};

static const char usage_head[] =
"Usage: k8snetctl [OPTIONS] OBJECT VERB [WORDS]\n"
"       k8snetctl [OPTIONS] -b FILE|-\n"
"       k8snetctl help | OBJECT help\n"
"OPTIONS: -j|--json  -p|--pretty  -N|--netns NAME|PATH|PID  -b|--batch FILE|-\n"
"         --force  -h|--help  -V|--version\n";

static void usage(FILE *f)
{
	const struct object *const *object;

	fputs(usage_head, f);
	for (object = objects; *object; object++)
		fputs((*object)->usage, f);
}

static const struct object *object_find(const char *name)
{
	const struct object *const *object;

	for (object = objects; *object; object++)
		if (!strcmp((*object)->name, name))
			return *object;
	return NULL;
}

/* "show", "list" and "ls" are one verb, so are "del" and "delete". */
static const struct verb *verb_find(const struct object *object,
				    const char *name)
{
	const struct verb *verb;

	if (!strcmp(name, "list") || !strcmp(name, "ls"))
		name = "show";
	else if (!strcmp(name, "delete"))
		name = "del";
	for (verb = object->verbs; verb->run; verb++)
		if (verb->name && !strcmp(verb->name, name))
			return verb;
	return NULL;
}

int why_no_more(struct why *why, const char *word)
{
	return why_fail(why, "what is '%.100s'?", word);
}

int why_missing(struct why *why, const char *what)
{
	return why_fail(why, "%s is missing", what);
}

int once(uint32_t *seen, uint32_t bit, const char *word, struct why *why)
{
	if (*seen & bit)
		return why_fail(why, "%s is given twice", word);
	*seen |= bit;
	return 0;
}

int list_none(uint32_t *has, uint32_t bit, unsigned int n, const char *word,
	      const char *value, struct why *why)
{
	bool none = !strcmp(value, "none");

	if (*has & bit && (none || !n))
		return why_fail(why, "%s none, and not none", word);
	*has |= bit;
	return none ? 0 : 1;
}

int args_end(struct args *args, struct why *why)
{
	return args->n ? why_no_more(why, *args->v) : 0;
}

char *args_value(struct args *args, const char *word, struct why *why)
{
	char *value = args_next(args);

	if (!value)
		why_fail(why, "%s: its value is missing", word);
	return value;
}

void request_init(struct request *req, const struct object *object,
		  const char *verb)
{
	memset(req, 0, sizeof(*req));
	req->object = object;
	req->verb = verb ? verb_find(object, verb) : object->verbs;
	if (!req->verb)
		abort();
	req->where = where;
}

int parse_one(struct request *req, struct args *args, struct why *why)
{
	return req->object->parse_key(req, args, why) ? -1 :
		args_end(args, why);
}

int parse_one_or_all(struct request *req, struct args *args, struct why *why)
{
	req->all = !args->n;
	return req->all ? 0 : parse_one(req, args, why);
}

int parse_key_cidr(struct args *args, struct prefix *cidr, struct why *why)
{
	const char *value = args_next(args);

	if (!value)
		return why_missing(why, "the CIDR");
	return parse_cidr(value, cidr, why);
}

int request_parse(struct request *req, struct args *args, struct why *why)
{
	const char *word = args_next(args);
	const struct object *object;
	struct args rest = *args;
	const struct verb *verb;
	int i, kept = 0;

	if (!word)
		return why_missing(why, "the object");
	object = object_find(word);
	if (!object)
		return why_fail(why, "unknown object '%.60s': k8snetctl help lists them",
				word);
	req->object = object;
	/* --force may come anywhere. */
	for (i = 0; i < rest.n; i++) {
		if (!strcmp(rest.v[i], "--force"))
			req->force = true;
		else
			rest.v[kept++] = rest.v[i];
	}
	rest.n = kept;

	verb = object->verbs;
	if (verb->name) {
		word = args_next(&rest);
		if (!word)
			return why_fail(why, "%s: the verb is missing",
					object->name);
		verb = verb_find(object, word);
		if (!verb)
			return why_fail(why, "%s: unknown verb '%.60s'",
					object->name, word);
	}
	req->verb = verb;
	return verb->parse ? verb->parse(req, &rest, why) :
		args_end(&rest, why);
}

void request_clear(struct request *req)
{
	if (req->object && req->object->clear && !req->borrowed)
		req->object->clear(req);
	free(req->file);
	free(req->step);
	req->file = NULL;
	req->step = NULL;
}

int request_run(struct request *req)
{
	/* request_parse() or request_init() found it: for the analyzer. */
	if (!req->verb)
		abort();
	where = req->where;
	return req->verb->run(req);
}

char *request_name(const struct request *req)
{
	const struct field *key = req->object->fields;
	json_t *json = key->flags & FIELD_POSITIONAL ?
		field_get(key, &req->node) : NULL;
	const json_t *first = json_is_array(json) ? json_array_get(json, 0) :
		json;
	const char *s = json_string_value(first);
	char *name = text_printf("%s %s%s%s", req->object->name,
				 req->verb->name, s ? " " : "", s ? s : "");

	json_decref(json);
	return name;
}

void request_print(FILE *f, const struct request *req)
{
	const char *verb = req->verb->name;
	unsigned int flags = PLAIN_SETTINGS | PLAIN_EPS;

	fprintf(f, "%s %s", req->object->name, verb);
	/* A bridge is not made either without a word about its addresses. */
	if (!strcmp(verb, "set") || req->object == &cmd_bridge)
		flags |= PLAIN_NONE;
	fputc(' ', f);
	print_words(f, req->object->fields, &req->node, flags);
	fputc('\n', f);
}

struct options {
	const char *netns, *batch;
	bool force, help;
};

/* The value of an option: the next word, or what follows "--name=". */
static char *option_value(struct args *args, const char *word, const char *name)
{
	size_t len = strlen(name);

	if (!strncmp(word, name, len) && word[len] == '=')
		return (char *)word + len + 1;
	return args_next(args);
}

/* "-N", "--netns", "--netns=", and "-netns" as ip(8) has it */
static bool is_option(const char *word, const char *brief, const char *name)
{
	size_t len = strlen(name);

	return !strcmp(word, brief) || !strcmp(word, name + 1) ||
	       (!strncmp(word, name, len) && (!word[len] || word[len] == '='));
}

static bool is_flag(const char *word, const char *brief, const char *name)
{
	return !strcmp(word, brief) || !strcmp(word, name) ||
	       !strcmp(word, name + 1);
}

/* Options of listings are welcome behind the object too. */
static bool late_option(const char *word)
{
	if (is_flag(word, "-j", "--json"))
		print_json = true;
	else if (is_flag(word, "-p", "--pretty"))
		print_pretty = true;
	else if (!strcmp(word, "-jp") || !strcmp(word, "-pj"))
		return late_option("-j") && late_option("-p");
	else
		return false;
	return true;
}

static int options_parse(struct args *args, struct options *opts,
			 struct why *why)
{
	while (args->n && **args->v == '-' && (*args->v)[1]) {
		const char *word = args_next(args);

		if (late_option(word))
			continue;
		if (!strcmp(word, "--"))
			break;
		if (is_flag(word, "-force", "--force")) {
			opts->force = true;
		} else if (is_flag(word, "-h", "--help")) {
			opts->help = true;
		} else if (is_flag(word, "-V", "--version")) {
			puts("k8snetctl " K8SNETCTL_VERSION);
			exit(STATUS_OK);
		} else if (is_option(word, "-N", "--netns") ||
			   !strcmp(word, "-n")) {
			opts->netns = option_value(args, word, "--netns");
			if (!opts->netns)
				return why_missing(why, "the namespace");
		} else if (is_option(word, "-b", "--batch")) {
			opts->batch = option_value(args, word, "--batch");
			if (!opts->batch)
				return why_missing(why, "the batch file");
		} else {
			return why_fail(why, "unknown option '%.60s'", word);
		}
	}
	return 0;
}

/* Answers whether help was asked for, and then given. */
static bool help_asked(struct args *args, bool asked)
{
	const struct object *object = args->n ? object_find(args->v[0]) : NULL;
	int i;

	if (!args->n || !strcmp(args->v[0], "help")) {
		if (!args->n && !asked)
			return false;
		object = args->n > 1 ? object_find(args->v[1]) : NULL;
		if (object)
			fputs(object->usage, stdout);
		else
			usage(stdout);
		return true;
	}
	if (!object)
		return false;
	for (i = 1; i < args->n && !asked; i++)
		asked = !strcmp(args->v[i], "--help") ||
			!strcmp(args->v[i], "-h") ||
			(i == 1 && !strcmp(args->v[i], "help"));
	if (asked)
		fputs(object->usage, stdout);
	return asked;
}

static int run(struct args *args, const struct options *opts, struct why *why)
{
	struct request req = { 0 };
	int i, kept = 0, ret;

	if (opts->batch) {
		if (args->n) {
			why_fail(why, "a batch and a command");
			return STATUS_USAGE;
		}
		if (opts->netns && netns_enter(opts->netns))
			return STATUS_REFUSED;
		return batch_run(opts->batch, opts->force);
	}
	for (i = 0; i < args->n; i++)
		if (!i || !late_option(args->v[i]))
			args->v[kept++] = args->v[i];
	args->n = kept;

	if (request_parse(&req, args, why)) {
		request_clear(&req);
		return STATUS_USAGE;
	}
	if (opts->force)
		req.force = true;
	if (opts->netns && netns_enter(opts->netns))
		ret = STATUS_REFUSED;
	else
		ret = request_run(&req);
	request_clear(&req);
	return ret;
}

int main(int argc, char **argv)
{
	struct args args = { .v = argv + 1, .n = argc > 0 ? argc - 1 : 0 };
	struct options opts = { 0 };
	struct why why = { "" };
	int ret;

	/* No setlocale(): output does not depend on where it is read. */
	if (options_parse(&args, &opts, &why)) {
		report("%s", why.text);
		return STATUS_USAGE;
	}
	if (!opts.batch) {
		if (help_asked(&args, opts.help))
			return fflush(stdout) ? STATUS_REFUSED : STATUS_OK;
		if (!args.n) {
			usage(stderr);
			return STATUS_USAGE;
		}
	}
	ret = run(&args, &opts, &why);
	if (*why.text)
		report("%s", why.text);
	knl_close();
	if (fflush(stdout) || ferror(stdout)) {
		report("cannot write the output");
		ret = ret ? ret : STATUS_REFUSED;
	}
	return ret;
}
