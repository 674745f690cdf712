// SPDX-License-Identifier: GPL-2.0
/* Entering a network namespace. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"

int netns_enter(const char *name)
{
	char *path;
	int fd, err;

	if (strchr(name, '/'))
		path = xstrdup(name);
	else
		path = text_printf("/var/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && *name &&
	    strspn(name, "0123456789") == strlen(name)) {
		free(path);
		path = text_printf("/proc/%s/ns/net", name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	free(path);
	if (fd < 0) {
		report("network namespace %s: %s", name, strerror(errno));
		return -1;
	}
	err = setns(fd, CLONE_NEWNET);
	if (err)
		report("network namespace %s: %s", name, strerror(errno));
	close(fd);
	return err;
}
