/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Commands. An object has verbs; a verb reads its words into a request and
 * later runs it. Reading and running are apart, so that a batch can be read
 * to its end before anything of it is sent.
 */
#ifndef _K8SNETCTL_CMD_H
#define _K8SNETCTL_CMD_H

#include "fields.h"
#include "model.h"
#include "parse.h"
#include "report.h"

struct args {
	char **v;
	int n;
};

/* The next word, or NULL. */
static inline char *args_next(struct args *args)
{
	return args->n ? (args->n--, *args->v++) : NULL;
}

struct object;

struct request {
	const struct object *object;
	const struct verb *verb;
	struct where where;
	bool force;
	bool all;			/* a listing without a key */
	char *file;			/* restore, apply */
	char *step;			/* of a plan: what messages begin with */
	bool verbose, dry_run;		/* apply, takeover */
	uint32_t seconds;		/* stats: of a rate; 0: totals */
	bool checked;			/* svc set: it agrees with what is there */
	bool borrowed;			/* the union belongs to somebody else */
	union {
		struct node node;
		struct bridge bridge;
		struct port port;
		struct pod pod;
		struct route route;
		struct masq masq;
		struct service svc;
		struct lookup lookup;
	};
};

struct verb {
	const char *name;		/* NULL: the object has no verbs */
	/* 0, or -1 with the reason in @why */
	int (*parse)(struct request *req, struct args *args, struct why *why);
	/* An exit status; what went wrong has been reported */
	int (*run)(struct request *req);
};

struct object {
	const char *name;
	const char *usage;
	const struct verb *verbs;	/* ends with one without run */
	const struct field *fields;
	/* Reads what the object is known by; NULL: it has no name. */
	int (*parse_key)(struct request *req, struct args *args,
			 struct why *why);
	/* Frees what is in the union; NULL: nothing is. */
	void (*clear)(struct request *req);
};

extern const struct object cmd_node, cmd_bridge, cmd_port, cmd_pod, cmd_route,
	cmd_hostport, cmd_masq, cmd_svc, cmd_ep, cmd_lookup, cmd_flow, cmd_stats,
	cmd_monitor, cmd_save, cmd_restore, cmd_apply, cmd_flush, cmd_takeover;

extern const struct object *const objects[];

/* Reads the words of one command. */
int request_parse(struct request *req, struct args *args, struct why *why);
void request_clear(struct request *req);

/*
 * A request that a program makes: object and verb by name. @where is the
 * current one.
 */
void request_init(struct request *req, const struct object *object,
		  const char *verb);
int request_run(struct request *req);

/* The request as a command line, without the tool's name. */
void request_print(FILE *f, const struct request *req);
/* Its object, verb and what it is about; the caller's to free. */
char *request_name(const struct request *req);

/* Reasons that many verbs have */
int why_no_more(struct why *why, const char *word);
int why_missing(struct why *why, const char *what);
/* Notes a word that may come once; -1: it has come before. */
int once(uint32_t *seen, uint32_t bit, const char *word, struct why *why);
/*
 * "none", which stands alone and answers 0, or one more than the @n items of a
 * list, which answers 1; -1: the one beside the other.
 */
int list_none(uint32_t *has, uint32_t bit, unsigned int n, const char *word,
	      const char *value, struct why *why);
/* -1: there are words left. */
int args_end(struct args *args, struct why *why);
/* Verbs that take one object by its key, or that or none for all. */
int parse_one(struct request *req, struct args *args, struct why *why);
int parse_one_or_all(struct request *req, struct args *args, struct why *why);
/* The key of an object that is known by a CIDR. */
int parse_key_cidr(struct args *args, struct prefix *cidr, struct why *why);
/* shadow.c: a verb of the node. */
int run_shadowed(struct request *req);
/* Says on stderr which listeners the service's node and host ports cover. */
void shadow_warn(const struct service *svc);

/* The word after a word; NULL with the reason in @why. */
char *args_value(struct args *args, const char *word, struct why *why);

/* Status of an errno */
static inline int status(int err)
{
	return err ? STATUS_REFUSED : STATUS_OK;
}

int batch_run(const char *file, bool force);

/* setns() into NAME, a path, or a process by its number */
int netns_enter(const char *name);

/* Shared by commands and by restore and apply */
void bridge_default_lladdr(const struct prefix_list *addrs, uint8_t lladdr[6]);
/* 10.0.0.0/24 means its first address. */
void prefix_first_address(struct prefix *prefix);

#endif /* _K8SNETCTL_CMD_H */
