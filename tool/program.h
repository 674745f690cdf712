/* SPDX-License-Identifier: GPL-2.0 */
/* Other programs. */
#ifndef _K8SNETCTL_PROGRAM_H
#define _K8SNETCTL_PROGRAM_H

/* program_run(): there is no such program. */
#define PROGRAM_MISSING 127

/*
 * Runs @argv, found in PATH, with @input (which may be NULL) to read. What it
 * prints goes to *@output, the caller's to free, unless that is NULL. Its
 * messages go where ours go, unless @quiet. Answers its exit status.
 */
int program_run(const char *const argv[], const char *input, char **output,
		bool quiet);

#endif /* _K8SNETCTL_PROGRAM_H */
