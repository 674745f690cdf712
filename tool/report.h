/* SPDX-License-Identifier: GPL-2.0 */
/* Messages on stderr: "k8snetctl: ...", in a batch "k8snetctl: FILE:LINE: ...". */
#ifndef _K8SNETCTL_REPORT_H
#define _K8SNETCTL_REPORT_H

/* Exit statuses */
enum {
	STATUS_OK	= 0,
	STATUS_REFUSED	= 1,	/* by the kernel, or by what is there */
	STATUS_USAGE	= 2,	/* cannot be read; nothing was sent */
};

/*
 * A line of a batch, a step of restore or apply in words, or the command line,
 * which is not said.
 */
struct where {
	const char *file;
	unsigned int line;
	const char *step;
};

/* Where the command that runs now was written. */
extern struct where where;

void report(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void report_at(const struct where *at, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif /* _K8SNETCTL_REPORT_H */
