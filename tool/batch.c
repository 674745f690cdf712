// SPDX-License-Identifier: GPL-2.0
/*
 * A file of commands, one a line: read wholly, then run. Words are separated
 * by blanks, # begins a comment where a word could begin, '...' takes
 * everything, double quotes know backslashes before ", \, n, t and xHH, and a
 * backslash outside takes the next character as it is.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "nl.h"
#include "print.h"

struct words LIST(char *);
struct requests LIST(struct request);

/* One character of a double-quoted word behind a backslash; its length. */
static int unescape(const char *p, char *out)
{
	if (p[0] == 'x' && isxdigit((unsigned char)p[1]) &&
	    isxdigit((unsigned char)p[2])) {
		const char hex[] = { p[1], p[2], '\0' };

		*out = (char)strtoul(hex, NULL, 16);
		return 3;
	}
	*out = *p == 'n' ? '\n' : *p == 't' ? '\t' : *p;
	return 1;
}

/* Splits @line in place. */
static int split(char *line, struct words *words, struct why *why)
{
	char *p = line;

	for (;;) {
		char *out, quote = '\0';

		p += strspn(p, " \t\r\n\v\f");
		if (!*p || *p == '#')
			return 0;
		out = p;
		*LIST_ADD(words) = out;
		while (*p && (quote || !strchr(" \t\r\n\v\f", *p))) {
			if (quote ? *p == quote : *p == '"' || *p == '\'') {
				quote = quote ? '\0' : *p;
				p++;
			} else if (*p == '\\' && quote == '"' && p[1]) {
				p += 1 + unescape(p + 1, out);
				/* It would end the word before its end. */
				if (!*out++)
					return why_fail(why, "a NUL byte");
			} else if (*p == '\\' && !quote && p[1]) {
				*out++ = p[1];
				p += 2;
			} else {
				*out++ = *p++;
			}
		}
		if (quote)
			return why_fail(why, "a quote is not closed");
		/* *p may be where the word's end is written. */
		if (*p)
			p++;
		*out = '\0';
	}
}

static int parse_line(char *line, const struct where *at,
		      struct requests *requests, struct why *why)
{
	struct words words = { 0 };
	struct request req = { .where = *at };
	struct args args;
	int err;

	err = split(line, &words, why);
	if (!err && words.n) {
		args.v = words.v;
		args.n = (int)words.n;
		err = request_parse(&req, &args, why);
		if (err)
			request_clear(&req);
		else
			*LIST_ADD(requests) = req;
	}
	free(words.v);
	return err;
}

/* STATUS_USAGE where a line cannot be read: the first one is reported. */
static int parse_file(FILE *f, const char *file, struct requests *requests)
{
	struct where at = { .file = file };
	struct why why = { "" };
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	int ret = STATUS_OK;

	while (!ret && (len = getline(&line, &size, f)) >= 0) {
		at.line++;
		if (strlen(line) != (size_t)len)
			ret = why_fail(&why, "a NUL byte");
		else
			ret = parse_line(line, &at, requests, &why);
		if (ret) {
			report_at(&at, "%s", why.text);
			ret = STATUS_USAGE;
		}
	}
	if (!ret && ferror(f)) {
		report("%s: %s", file, strerror(errno));
		ret = STATUS_USAGE;
	}
	free(line);
	return ret;
}

int batch_run(const char *file, bool force)
{
	bool from_stdin = !strcmp(file, "-");
	struct requests requests = { 0 };
	struct knl_batch outer;
	struct request *req;
	int ret, failed = 0;
	FILE *f;

	f = from_stdin ? stdin : fopen(file, "re");
	if (!f) {
		report("%s: %s", file, strerror(errno));
		return STATUS_USAGE;
	}
	ret = parse_file(f, from_stdin ? "stdin" : file, &requests);
	if (!from_stdin)
		fclose(f);

	if (!ret) {
		outer = knl_batch_begin(force);
		LIST_FOR_EACH(req, &requests) {
			if (request_run(req)) {
				failed = 1;
				if (!force)
					break;
			}
		}
		if (!knl_batch_end(outer) || failed)
			ret = STATUS_REFUSED;
	}
	LIST_FOR_EACH(req, &requests)
		request_clear(req);
	free(requests.v);
	return ret;
}
