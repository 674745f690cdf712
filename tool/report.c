// SPDX-License-Identifier: GPL-2.0
/* Messages on stderr. */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>

struct where where;

static void vreport(const struct where *at, const char *fmt, va_list ap)
{
	/* What was listed before comes out before. */
	fflush(stdout);
	fputs("k8snetctl: ", stderr);
	if (at->file)
		fprintf(stderr, "%s:%u: ", at->file, at->line);
	if (at->step)
		fprintf(stderr, "%s: ", at->step);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

void report(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vreport(&where, fmt, ap);
	va_end(ap);
}

void report_at(const struct where *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vreport(at, fmt, ap);
	va_end(ap);
}
