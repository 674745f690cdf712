/* SPDX-License-Identifier: GPL-2.0 */
/* Listings: plain, one object a line, or JSON, one array. */
#ifndef _K8SNETCTL_PRINT_H
#define _K8SNETCTL_PRINT_H

#include <jansson.h>
#include <stdio.h>

#include "fields.h"

/* --json and --pretty */
extern bool print_json;
extern bool print_pretty;

/* A listing: begin, objects, end. */
void print_begin(void);
void print_object(const struct field *fields, const void *obj);
void print_endpoint(const char *service, const struct endpoint *ep);
void print_end(void);

/* All of a list that LIST() made. */
#define print_list(fields, list) \
	print_objects(fields, (list)->v, (list)->n, sizeof(*(list)->v))
void print_objects(const struct field *fields, const void *v, unsigned int n,
		   size_t size);

/* The same without an array around it, for monitor. */
void print_event(json_t *o);

enum {
	PLAIN_SETTINGS	= 1 << 0,	/* without the kernel's answers */
	PLAIN_EPS	= 1 << 1,	/* "ep ..." words in the line */
	PLAIN_NONE	= 1 << 2,	/* "word none" for an empty list or name */
};

/* An object's fields as words, without a newline. */
void print_words(FILE *f, const struct field *fields, const void *obj,
		 unsigned int flags);

void print_endpoint_words(FILE *f, const struct endpoint *ep);

#endif /* _K8SNETCTL_PRINT_H */
