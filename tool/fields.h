/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One table an object: its fields in the words of the grammar. The tables
 * drive plain listings, JSON out and JSON in, and the commands that apply
 * prints.
 */
#ifndef _K8SNETCTL_FIELDS_H
#define _K8SNETCTL_FIELDS_H

#include <jansson.h>

#include "model.h"
#include "parse.h"

enum field_type {
	FIELD_STRING,		/* read as a device's name */
	FIELD_NAME,		/* a service's name */
	FIELD_LABEL,		/* a name that is interned; none: NULL */
	FIELD_ADDR,
	FIELD_ADDRS,
	FIELD_PREFIX,
	FIELD_PREFIXES,		/* CIDRs */
	FIELD_ADDRESSES,	/* CIDRs with host bits */
	FIELD_LLADDR,
	FIELD_ENUM,
	FIELD_BOOL,		/* on, off; true, false */
	FIELD_U16,
	FIELD_U32,
	FIELD_U64,
	FIELD_PROTO,
	FIELD_FRONTENDS,	/* of the type in @arg */
	FIELD_FRONTEND,		/* of a lookup's answer */
	FIELD_ENDPOINTS,
	FIELD_ENDPOINT,
	FIELD_STATS,		/* counters by name: an object in JSON */
	FIELD_NODEPORT_ADDRESSES,
	FIELD_RANGE,
};

/* Field flags */
enum {
	FIELD_POSITIONAL = 1 << 0,	/* written without its word */
	FIELD_ANSWER	 = 1 << 1,	/* the kernel's to say: not in save */
	FIELD_IMPLIED	 = 1 << 2,	/* in words, said by a frontend */
	FIELD_KEY	 = 1 << 3,	/* required when JSON is read */
	FIELD_REPEAT	 = 1 << 4,	/* a list: "word A word B" */
};

struct field {
	const char *word;
	enum field_type type;
	uint8_t flags;
	uint8_t arg;
	uint32_t bit;			/* in the object's @has */
	size_t off;
	uint32_t max;			/* of a FIELD_U32 that JSON may set */
	const char *const *names;	/* of an enumeration or a bool */
};

/* All end with an entry without a word. */
extern const struct field node_fields[];
extern const struct field bridge_fields[];
extern const struct field port_fields[];
extern const struct field pod_fields[];
extern const struct field route_fields[];
extern const struct field masq_fields[];
extern const struct field service_fields[];
extern const struct field service_stats_fields[];
extern const struct field lookup_fields[];
extern const struct field flow_fields[];
extern const struct field stat_fields[];

/* The value as JSON, a new reference; NULL where the object has none. */
json_t *field_get(const struct field *field, const void *obj);

/* All of an object; without what has FIELD_ANSWER if @settings_only. */
json_t *object_get(const struct field *fields, const void *obj,
		   bool settings_only);

json_t *endpoint_get(const struct endpoint *ep, const char *service,
		     bool settings_only);

/*
 * Reads a JSON object into @obj, which is empty. -1: @path, a buffer that
 * holds the object's own path, has been extended to what is wrong and @why
 * says what.
 */
#define PATH_MAX_LEN 256
int object_set(const struct field *fields, void *obj, const json_t *json,
	       char path[PATH_MAX_LEN], struct why *why);

/* Whether two objects have the same value of a field. */
bool field_equal(const struct field *field, const void *a, const void *b);

/* Whether all settings that @want has are those of @cur. */
bool object_matches(const struct field *fields, const void *want,
		    const void *cur);

/* json_string() that takes any bytes: what is not UTF-8 becomes U+FFFD. */
json_t *json_text(const char *s);

#endif /* _K8SNETCTL_FIELDS_H */
