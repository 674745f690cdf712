// SPDX-License-Identifier: GPL-2.0
/* Other programs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model.h"
#include "program.h"
#include "report.h"

/* An unnamed file that holds @text, from its beginning. */
static FILE *file_with(const char *text)
{
	FILE *f = tmpfile();

	if (f && text && fputs(text, f) < 0) {
		fclose(f);
		return NULL;
	}
	if (f)
		rewind(f);
	return f;
}

static char *read_all(FILE *f)
{
	size_t len = 0, room = 4096;
	char *text = xcalloc(room, 1);

	rewind(f);
	for (;;) {
		len += fread(text + len, 1, room - len - 1, f);
		if (len < room - 1)
			break;
		room *= 2;
		text = realloc(text, room);
		if (!text) {
			report("out of memory");
			exit(STATUS_REFUSED);
		}
	}
	text[len] = '\0';
	return text;
}

static void child(const char *const argv[], int in, int out, bool quiet)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	dup2(in >= 0 ? in : null, STDIN_FILENO);
	dup2(out >= 0 ? out : null, STDOUT_FILENO);
	if (quiet)
		dup2(null, STDERR_FILENO);
	execvp(argv[0], (char *const *)argv);
	_exit(PROGRAM_MISSING);
}

int program_run(const char *const argv[], const char *input, char **output,
		bool quiet)
{
	FILE *in = input ? file_with(input) : NULL;
	FILE *out = output ? file_with(NULL) : NULL;
	int status = -1;
	pid_t pid = -1;

	if (output)
		*output = NULL;
	if ((!input || in) && (!output || out)) {
		fflush(NULL);
		pid = fork();
	}
	if (!pid)
		child(argv, in ? fileno(in) : -1, out ? fileno(out) : -1,
		      quiet);
	if (pid < 0) {
		report("cannot run %s: %s", argv[0], strerror(errno));
		status = 1 << 8;
	} else {
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	if (output)
		*output = out ? read_all(out) : xstrdup("");
	if (in)
		fclose(in);
	if (out)
		fclose(out);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
