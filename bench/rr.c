// SPDX-License-Identifier: GPL-2.0
/*
 * rr: client and server of a connection, moved to their namespaces by setns().
 *
 *   rr MODE [NAME=VALUE]...
 *
 *   crr    TCP: connect, 1-byte request, 1-byte response, close
 *   rr     TCP: 1-byte ping-pong on one connection
 *   bulk   TCP: request and response of size= bytes each, on one connection
 *   udp    UDP: request and response of 1 byte, a new client socket each time
 *   touch  UDP: one request and response for each source and destination port,
 *          so that every flow is known before a packet generator continues it
 *   hold   TCP: n connections, kept open until standard input ends
 *
 *   client=NS server=NS   names as in "ip netns", "-" for the current one
 *   src=ADDR sport=LO[-HI]  client's end (default: the kernel's choice)
 *   dst=ADDR dport=LO[-HI]  what the client connects or sends to
 *   bind=ADDR bport=LO[-HI] where the server listens; touch: as many ports as
 *                           dport has, taken in the same order
 *   n=COUNT warm=COUNT      iterations that count, and before them
 *
 * With one processor a packet is carried to the other end within the system
 * call that sent it, so nothing is ever idle and two runs cost the same. What is
 * measured is both ends' system calls and stacks and everything between them;
 * in rr, bulk and udp also the two context switches between client and server,
 * which are two processes there. In crr, touch and hold they are one: a
 * connection is dear enough without them.
 *
 * Prints one JSON object: "n", "ns" (CLOCK_MONOTONIC, which is instructions in
 * a VM that counts them), "peer" and "peer_port" as the server last saw them.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BULK_MAX	(1 << 20)
#define PORTS_MAX	64

struct range {
	int lo;
	int hi;
};

static struct {
	const char *client;
	const char *server;
	const char *src;
	const char *dst;
	const char *bind;
	struct range sport;
	struct range dport;
	struct range bport;
	long n;
	long warm;
	long size;
} opt = {
	.client = "-",
	.server = "-",
	.dport = { 8080, 8080 },
	.bport = { 8080, 8080 },
	.n = 1000,
	.warm = 100,
	.size = 60000,
};

static pid_t child = -1;
static int client_ns = -1;
static int server_ns = -1;
static struct sockaddr_storage peer;
static char buffer[BULK_MAX];

static void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *format, ...)
{
	int error = errno;
	va_list args;

	va_start(args, format);
	fputs("rr: ", stderr);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, ": %s\n", strerror(error));
	exit(1);
}

static long long now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static int netns_open(const char *name)
{
	char path[256];
	int fd;

	if (!strcmp(name, "-"))
		snprintf(path, sizeof(path), "/proc/self/ns/net");
	else
		snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("%s", path);
	return fd;
}

static void netns_enter(int fd)
{
	if (setns(fd, CLONE_NEWNET))
		die("setns");
}

static socklen_t address(struct sockaddr_storage *out, const char *text,
			 int port)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
	struct sockaddr_in *in = (struct sockaddr_in *)out;

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		return sizeof(*in);
	}
	if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		return sizeof(*in6);
	}
	errno = EINVAL;
	die("address %s", text);
}

/* A lost packet must end the run, not hang it. */
static void set_limit(int fd)
{
	struct timeval limit = { .tv_sec = 5 };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)))
		die("setsockopt");
}

static int socket_bound(int type, const char *text, int port)
{
	struct sockaddr_storage sa;
	socklen_t len = address(&sa, text, port);
	int one = 1;
	int fd;

	fd = socket(sa.ss_family, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)))
		die("SO_REUSEADDR");
	if (bind(fd, (struct sockaddr *)&sa, len))
		die("bind %s:%d", text, port);
	set_limit(fd);
	return fd;
}

static int listener(void)
{
	int fd;

	netns_enter(server_ns);
	fd = socket_bound(SOCK_STREAM, opt.bind, opt.bport.lo);
	if (listen(fd, 4096))
		die("listen");
	return fd;
}

static void connect_pair(int listen_fd, const struct sockaddr_storage *to,
			 socklen_t len, int *client, int *server)
{
	socklen_t peer_len = sizeof(peer);

	*client = socket(to->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*client < 0)
		die("socket");
	if (connect(*client, (const struct sockaddr *)to, len))
		die("connect %s:%d", opt.dst, opt.dport.lo);
	*server = accept4(listen_fd, (struct sockaddr *)&peer, &peer_len,
			  SOCK_CLOEXEC);
	if (*server < 0)
		die("accept");
}

static void pass_byte(int from, int to)
{
	char byte = 'x';

	if (send(from, &byte, 1, 0) != 1)
		die("send");
	if (recv(to, &byte, 1, 0) != 1)
		die("recv");
}

static void one_crr(int listen_fd, const struct sockaddr_storage *to,
		    socklen_t len)
{
	int client, server;

	connect_pair(listen_fd, to, len, &client, &server);
	pass_byte(client, server);
	pass_byte(server, client);
	close(client);
	close(server);
}

static void send_all(int fd, long size)
{
	if (send(fd, buffer, size, 0) != size)
		die("send");
}

static void recv_all(int fd, long size)
{
	ssize_t len;

	while (size > 0) {
		len = recv(fd, buffer, sizeof(buffer), 0);
		if (len <= 0)
			die("recv, %ld bytes missing", size);
		size -= len;
	}
}

static long long run_crr(void)
{
	struct sockaddr_storage to;
	socklen_t len = address(&to, opt.dst, opt.dport.lo);
	int listen_fd = listener();
	long long start = 0;
	long i;

	netns_enter(client_ns);
	for (i = -opt.warm; i < opt.n; i++) {
		if (!i)
			start = now();
		one_crr(listen_fd, &to, len);
	}
	return now() - start;
}

static void set_nodelay(int fd)
{
	int one = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		die("TCP_NODELAY");
}

/* size bytes there and back, on one connection. */
static long long run_rr(long size)
{
	struct sockaddr_storage to;
	socklen_t len = address(&to, opt.dst, opt.dport.lo);
	int listen_fd = listener();
	long long start = 0;
	int client, server;
	long i;

	netns_enter(client_ns);
	connect_pair(listen_fd, &to, len, &client, &server);
	set_limit(client);
	set_limit(server);
	set_nodelay(client);
	set_nodelay(server);
	child = fork();
	if (child < 0)
		die("fork");
	if (!child) {
		for (i = -opt.warm; i < opt.n; i++) {
			recv_all(server, size);
			send_all(server, size);
		}
		exit(0);
	}
	for (i = -opt.warm; i < opt.n; i++) {
		if (!i)
			start = now();
		send_all(client, size);
		recv_all(client, size);
	}
	return now() - start;
}

static void run_hold(void)
{
	struct sockaddr_storage to;
	socklen_t len = address(&to, opt.dst, opt.dport.lo);
	int listen_fd = listener();
	int client, server;
	long i;

	netns_enter(client_ns);
	for (i = 0; i < opt.n; i++) {
		connect_pair(listen_fd, &to, len, &client, &server);
		pass_byte(client, server);
		pass_byte(server, client);
	}
	printf("ready\n");
	fflush(stdout);
	while (read(0, buffer, sizeof(buffer)) > 0)
		;
}

static void exchange(int client, int server, const struct sockaddr_storage *to,
		     socklen_t len)
{
	socklen_t peer_len = sizeof(peer);
	char byte = 'x';

	if (sendto(client, &byte, 1, 0, (const struct sockaddr *)to, len) != 1)
		die("sendto");
	if (recvfrom(server, &byte, 1, 0, (struct sockaddr *)&peer,
		     &peer_len) != 1)
		die("recvfrom at the server, exchange %ld", opt.n);
	if (sendto(server, &byte, 1, 0, (struct sockaddr *)&peer,
		   peer_len) != 1)
		die("sendto from the server");
	if (recv(client, &byte, 1, 0) != 1)
		die("recv at the client, exchange %ld", opt.n);
}

static long long run_udp(void)
{
	struct sockaddr_storage to;
	socklen_t len = address(&to, opt.dst, opt.dport.lo);
	long long start = 0;
	int client, server;
	long i;

	netns_enter(server_ns);
	server = socket_bound(SOCK_DGRAM, opt.bind, opt.bport.lo);
	child = fork();
	if (child < 0)
		die("fork");
	if (!child) {
		for (i = -opt.warm; i < opt.n; i++) {
			socklen_t peer_len = sizeof(peer);
			char byte;

			if (recvfrom(server, &byte, 1, 0,
				     (struct sockaddr *)&peer, &peer_len) != 1)
				die("recvfrom at the server, exchange %ld", i);
			if (sendto(server, &byte, 1, 0,
				   (struct sockaddr *)&peer, peer_len) != 1)
				die("sendto from the server");
		}
		exit(0);
	}
	netns_enter(client_ns);
	for (i = -opt.warm; i < opt.n; i++) {
		if (!i)
			start = now();
		client = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (client < 0)
			die("socket");
		set_limit(client);
		if (connect(client, (struct sockaddr *)&to, len))
			die("connect");
		send_all(client, 1);
		recv_all(client, 1);
		close(client);
	}
	return now() - start;
}

static long long run_touch(void)
{
	int ports = opt.dport.hi - opt.dport.lo + 1;
	long long start = now();
	int server[PORTS_MAX];
	int client, s, d;

	if (ports < 1 || ports > PORTS_MAX ||
	    opt.bport.hi - opt.bport.lo + 1 != ports) {
		errno = EINVAL;
		die("ports");
	}
	netns_enter(server_ns);
	for (d = 0; d < ports; d++)
		server[d] = socket_bound(SOCK_DGRAM, opt.bind,
					 opt.bport.lo + d);
	netns_enter(client_ns);
	opt.n = 0;
	for (s = opt.sport.lo; s <= opt.sport.hi; s++) {
		client = socket_bound(SOCK_DGRAM, opt.src, s);
		for (d = 0; d < ports; d++) {
			struct sockaddr_storage to;
			socklen_t len = address(&to, opt.dst,
						opt.dport.lo + d);

			exchange(client, server[d], &to, len);
			opt.n++;
		}
		close(client);
	}
	return now() - start;
}

static struct range range(const char *text)
{
	struct range out;
	char *end;

	out.lo = out.hi = strtol(text, &end, 10);
	if (*end == '-')
		out.hi = strtol(end + 1, &end, 10);
	if (*end || out.lo < 0 || out.hi < out.lo || out.hi > 65535) {
		errno = EINVAL;
		die("port %s", text);
	}
	return out;
}

static void parse(char *word)
{
	char *value = strchr(word, '=');

	if (!value) {
		errno = EINVAL;
		die("%s", word);
	}
	*value++ = 0;
	if (!strcmp(word, "client"))
		opt.client = value;
	else if (!strcmp(word, "server"))
		opt.server = value;
	else if (!strcmp(word, "src"))
		opt.src = value;
	else if (!strcmp(word, "dst"))
		opt.dst = value;
	else if (!strcmp(word, "bind"))
		opt.bind = value;
	else if (!strcmp(word, "sport"))
		opt.sport = range(value);
	else if (!strcmp(word, "dport"))
		opt.dport = range(value);
	else if (!strcmp(word, "bport"))
		opt.bport = range(value);
	else if (!strcmp(word, "n"))
		opt.n = atol(value);
	else if (!strcmp(word, "warm"))
		opt.warm = atol(value);
	else if (!strcmp(word, "size"))
		opt.size = atol(value);
	else
		errno = EINVAL, die("%s", word);
}

static void print_result(long long ns)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&peer;
	struct sockaddr_in *in = (struct sockaddr_in *)&peer;
	char text[INET6_ADDRSTRLEN] = "";
	int port = 0;

	if (peer.ss_family == AF_INET) {
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		port = ntohs(in->sin_port);
	} else if (peer.ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		port = ntohs(in6->sin6_port);
	}
	printf("{\"n\": %ld, \"ns\": %lld, \"peer\": \"%s\", \"peer_port\": %d}\n",
	       opt.n, ns, text, port);
}

int main(int argc, char **argv)
{
	long long ns = 0;
	int i;

	if (argc < 2) {
		fputs("rr: see the head of rr.c\n", stderr);
		return 2;
	}
	for (i = 2; i < argc; i++)
		parse(argv[i]);
	if (!opt.dst || !opt.bind || opt.warm < 0 || opt.n < 1 ||
	    opt.size < 1 || opt.size > BULK_MAX) {
		fputs("rr: dst=, bind=, n= or size= is missing or wrong\n",
		      stderr);
		return 2;
	}
	client_ns = netns_open(opt.client);
	server_ns = netns_open(opt.server);

	if (!strcmp(argv[1], "crr")) {
		ns = run_crr();
	} else if (!strcmp(argv[1], "rr")) {
		ns = run_rr(1);
	} else if (!strcmp(argv[1], "bulk")) {
		ns = run_rr(opt.size);
	} else if (!strcmp(argv[1], "udp")) {
		ns = run_udp();
	} else if (!strcmp(argv[1], "touch")) {
		if (!opt.src || !opt.sport.lo) {
			fputs("rr: touch needs src= and sport=\n", stderr);
			return 2;
		}
		ns = run_touch();
	} else if (!strcmp(argv[1], "hold")) {
		run_hold();
		return 0;
	} else {
		fprintf(stderr, "rr: no mode %s\n", argv[1]);
		return 2;
	}
	if (child > 0) {
		int status;

		if (waitpid(child, &status, 0) != child || status) {
			fputs("rr: the server failed\n", stderr);
			return 1;
		}
	}
	print_result(ns);
	return 0;
}
