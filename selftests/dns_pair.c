// SPDX-License-Identifier: GPL-2.0
/*
 * dns_pair ADDR PORT COUNT: as a resolver asks for A and AAAA, two threads send
 * a datagram each from one socket at the same moment, COUNT times with a new
 * socket. Prints how many answers did not come. The threads run on different
 * processors, so that both packets may find no conntrack entry yet.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static struct sockaddr_storage to;
static socklen_t to_len;
static int fd, failed;
static int count;
static atomic_int ready, go, sent;

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void send_one(void)
{
	if (send(fd, "who\n", 4, 0) != 4)
		failed++;
}

static void *other(void *arg)
{
	int round;

	(void)arg;
	pin(1);
	for (round = 1; round <= count; round++) {
		atomic_store(&ready, round);
		while (atomic_load(&go) < round)
			;
		send_one();
		atomic_store(&sent, round);
	}
	return NULL;
}

static int parse(const char *addr, const char *port)
{
	struct sockaddr_in6 *in6 = (void *)&to;
	struct sockaddr_in *in = (void *)&to;

	if (inet_pton(AF_INET, addr, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(atoi(port));
		to_len = sizeof(*in);
		return 0;
	}
	if (inet_pton(AF_INET6, addr, &in6->sin6_addr) != 1)
		return -1;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(atoi(port));
	to_len = sizeof(*in6);
	return 0;
}

int main(int argc, char **argv)
{
	struct timeval limit = { .tv_sec = 3 };
	int round, answer, lost = 0;
	pthread_t thread;
	char buf[256];

	if (argc != 4 || parse(argv[1], argv[2]))
		return 2;
	count = atoi(argv[3]);
	pin(0);
	if (pthread_create(&thread, NULL, other, NULL))
		return 1;
	for (round = 1; round <= count; round++) {
		fd = socket(to.ss_family, SOCK_DGRAM, 0);
		if (fd < 0)
			return 1;
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		/* Also because two first datagrams of a socket without a port
		 * may leave with source port 0.
		 */
		if (connect(fd, (struct sockaddr *)&to, to_len))
			return 1;
		while (atomic_load(&ready) < round)
			;
		atomic_store(&go, round);
		send_one();
		while (atomic_load(&sent) < round)
			;
		for (answer = 0; answer < 2; answer++)
			if (recv(fd, buf, sizeof(buf), 0) <= 0)
				lost++;
		close(fd);
	}
	pthread_join(thread, NULL);
	printf("%d %d\n", lost, failed);
	return 0;
}
