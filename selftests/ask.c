// SPDX-License-Identifier: GPL-2.0
/*
 * The client of serve.py. In C, since many a test starts it a hundred times and
 * an interpreter takes longer to start, in a VM, than all the rest of a request.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
"ask [OPTION...] PROTO ADDR [PORT]: asks serve.py and prints what comes.\n"
"\n"
"PROTO is tcp, udp (sendto), cudp (connected UDP), sctp or ping (no PORT). Each\n"
"request prints one line,\n"
"    NAME CLIENT-ADDRESS CLIENT-PORT from ADDRESS PORT\n"
"the first three being the server's answer (who it is, whom it saw) and the\n"
"rest where the answer came from; for a ping \"reply from ADDRESS\". Or\n"
"    error NAME        what the system call said, e.g. ECONNREFUSED\n"
"    timeout           nothing came\n"
"Exit status: 0 every request was answered, 1 not, 2 wrong use.\n"
"\n"
"    -c N      N requests, each with a socket of its own (default 1)\n"
"    -k        all requests on one socket\n"
"    -o        sockets stay open, so that no two have the same source port\n"
"    -i S      seconds between requests (default 0)\n"
"    -t S      seconds to wait for each answer (default 3)\n"
"    -p PORT   source port\n"
"    -b ADDR   source address\n"
"    -s N      UDP: wants an answer of N bytes; ping: sends N bytes\n"
"    -d N      UDP: sends N bytes\n"
"    -g N      fetches N bytes and compares them; the line ends in \"get ok\"\n"
"    -u N      sends N bytes, has them compared; the line ends in \"put ok\"\n"
"    -D        sets \"do not fragment\" (IP_PMTUDISC_DO)\n"
"    -H FILE   keeps the socket open after the last request until FILE is there\n";

enum proto { TCP, UDP, CUDP, SCTP, PING };

static const struct {
	const char *name;
	int type, number;
} protos[] = {
	[TCP] = { "tcp", SOCK_STREAM, IPPROTO_TCP },
	[UDP] = { "udp", SOCK_DGRAM, IPPROTO_UDP },
	[CUDP] = { "cudp", SOCK_DGRAM, IPPROTO_UDP },
	[SCTP] = { "sctp", SOCK_STREAM, IPPROTO_SCTP },
	[PING] = { "ping", SOCK_RAW, 0 },
};

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static enum proto proto;
static union address server, peer;
static socklen_t server_len;
static bool ipv6;
static const char *source_addr, *hold;
static int source_port, count = 1;
static long size = -1, padding, get_size = -1, put_size = -1;
static double timeout = 3, pause_s;
static bool keep, stay_open, dont_fragment;
static int fd = -1;

static char answer[65536];	/* its line, or the reason why there is none */
static char note[64];

static void die(const char *what)
{
	fprintf(stderr, "ask: %s\n", what);
	exit(2);
}

/* 0, or -1 with errno. */
static int resolve(const char *addr, const char *port, union address *to,
		   socklen_t *len)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_DGRAM,
	};
	struct addrinfo *found;

	if (getaddrinfo(addr, port, &hints, &found)) {
		errno = EINVAL;
		return -1;
	}
	memcpy(to, found->ai_addr, found->ai_addrlen);
	*len = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

static void set_timeout(int which, double seconds)
{
	struct timeval tv;

	if (seconds < 0.01)
		seconds = 0.01;
	tv.tv_sec = seconds;
	tv.tv_usec = (seconds - tv.tv_sec) * 1e6;
	setsockopt(fd, SOL_SOCKET, which, &tv, sizeof(tv));
}

static int set_int(int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

static int bind_source(void)
{
	union address from;
	socklen_t len;
	char port[16];

	snprintf(port, sizeof(port), "%d", source_port);
	if (set_int(SOL_SOCKET, SO_REUSEADDR, 1) ||
	    resolve(source_addr ?: ipv6 ? "::" : "0.0.0.0", port, &from, &len))
		return -1;
	return bind(fd, &from.sa, len);
}

static int open_socket(void)
{
	int number = protos[proto].number;

	if (proto == PING)
		number = ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	fd = socket(server.sa.sa_family, protos[proto].type, number);
	if (fd < 0)
		return -1;
	set_timeout(SO_RCVTIMEO, timeout);
	set_timeout(SO_SNDTIMEO, timeout);	/* also of connect() */
	if (dont_fragment &&
	    (ipv6 ? set_int(IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO) :
		    set_int(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)))
		return -1;
	/* Without it ICMP errors do not reach an unconnected socket. */
	if ((proto == UDP || proto == CUDP) &&
	    (ipv6 ? set_int(IPPROTO_IPV6, IPV6_RECVERR, 1) :
		    set_int(IPPROTO_IP, IP_RECVERR, 1)))
		return -1;
	if ((source_addr || source_port) && bind_source())
		return -1;
	if (proto == UDP || proto == PING)
		return 0;
	return connect(fd, &server.sa, server_len);
}

/* ---- TCP and SCTP ---- */

/* The bytes that serve.py makes: words that differ from one place to another. */
static uint8_t pattern(size_t i)
{
	const size_t block = 4 + 4096 * 4;
	size_t in_block = i % block;
	uint32_t word;

	if (in_block < 4)
		word = i - in_block;
	else
		word = (uint32_t)((in_block - 4) / 4) * 2654435761u;
	return word >> (24 - in_block % 4 * 8);
}

static int send_all(const void *data, size_t len)
{
	ssize_t n;

	for (; len; len -= n, data = (const char *)data + n) {
		n = send(fd, data, len, MSG_NOSIGNAL);
		if (n < 0)
			return -1;
	}
	return 0;
}

static int read_line(void)
{
	size_t len = 0;
	ssize_t n;

	do {
		n = recv(fd, answer + len, 1, 0);
		if (!n)
			errno = ECONNRESET;
		if (n <= 0)
			return -1;
	} while (answer[len++] != '\n' && len < sizeof(answer) - 1);
	answer[len - 1] = 0;
	return 0;
}

static int fetch_pattern(void)
{
	static uint8_t data[1 << 16];
	char request[32];
	bool same = true;
	size_t got = 0;
	ssize_t n, i;

	snprintf(request, sizeof(request), "get %ld\n", get_size);
	if (send_all(request, strlen(request)) || read_line())
		return -1;
	while (got < (size_t)get_size) {
		n = recv(fd, data, sizeof(data), 0);
		if (n < 0)
			return -1;
		if (!n)
			break;
		for (i = 0; i < n; i++)
			same &= data[i] == pattern(got + i);
		got += n;
	}
	same &= got == (size_t)get_size;
	strcpy(note, same ? " get ok" : " get BAD");
	return 0;
}

static int send_pattern(void)
{
	char request[32], *verdict;
	uint8_t *data;
	long i;
	int rc;

	data = malloc(put_size + 1);
	if (!data)
		return -1;
	for (i = 0; i < put_size; i++)
		data[i] = pattern(i);
	snprintf(request, sizeof(request), "put %ld\n", put_size);
	rc = send_all(request, strlen(request)) || send_all(data, put_size) ||
	     read_line();
	free(data);
	if (rc)
		return -1;
	verdict = strrchr(answer, ' ');
	strcpy(note, verdict && !strcmp(verdict, " ok") ? " put ok" :
							  " put BAD");
	if (verdict)
		*verdict = 0;
	return 0;
}

static int ask_stream(void)
{
	socklen_t len = sizeof(peer);
	int rc;

	if (get_size >= 0)
		rc = fetch_pattern();
	else if (put_size >= 0)
		rc = send_pattern();
	else
		rc = send_all("who\n", 4) || read_line();
	return rc ? -1 : getpeername(fd, &peer.sa, &len);
}

/* ---- UDP ---- */

static int ask_datagram(void)
{
	static char data[65536];
	socklen_t len = sizeof(peer);
	size_t n, i, words = 0;
	ssize_t got;

	if (size >= 0)
		n = snprintf(data, sizeof(data), "size %ld", size);
	else
		n = snprintf(data, sizeof(data), "who");
	for (; n < (size_t)padding && n < sizeof(data); n++)
		data[n] = ' ';
	if (proto == CUDP)
		got = send(fd, data, n, 0);
	else
		got = sendto(fd, data, n, 0, &server.sa, server_len);
	if (got < 0)
		return -1;
	got = recvfrom(fd, answer, sizeof(answer) - 1, 0, &peer.sa, &len);
	if (got < 0)
		return -1;
	if (size >= 0 && got != size)
		snprintf(note, sizeof(note), " size %zd BAD", got);
	/* Three words, and dots. */
	for (i = 0; i < (size_t)got && answer[i] != '\n'; i++)
		if (answer[i] == ' ' && ++words == 3)
			break;
	answer[i] = 0;
	return 0;
}

/* ---- ping ---- */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static uint16_t checksum(const uint8_t *data, size_t len)
{
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i < len; i++)
		sum += i % 2 ? data[i] : data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* What an error quotes of our own packet, after its IP header. */
static const uint8_t *quoted(const uint8_t *icmp, size_t len)
{
	size_t hlen;

	if (len <= 8)
		return NULL;
	hlen = ipv6 ? 40 : (icmp[8] & 15) * 4;
	return len >= 8 + hlen + 8 ? icmp + 8 + hlen : NULL;
}

static int ask_ping(void)
{
	static uint8_t data[65536];
	uint8_t echo[4] = { getpid() >> 8, getpid(), 0, 1 };
	long n = 8 + (size >= 0 ? size : 56);
	union address to = server;
	const uint8_t *icmp, *inner;
	double end = now() + timeout;
	socklen_t len;
	uint16_t sum;
	ssize_t got;

	if (n > 65507)
		n = 65507;
	memset(data, 0, n);
	data[0] = ipv6 ? 128 : 8;
	memcpy(data + 4, echo, sizeof(echo));
	if (!ipv6) {		/* the kernel does it for ICMPv6 */
		sum = checksum(data, n);
		data[2] = sum >> 8;
		data[3] = sum;
	}
	if (ipv6)
		to.in6.sin6_port = 0;
	else
		to.in.sin_port = 0;
	if (sendto(fd, data, n, 0, &to.sa, server_len) < 0)
		return -1;
	while (now() < end) {
		set_timeout(SO_RCVTIMEO, end - now());
		len = sizeof(peer);
		got = recvfrom(fd, data, sizeof(data), 0, &peer.sa, &len);
		if (got < 0)
			return -1;
		icmp = data;
		if (!ipv6) {
			icmp += (data[0] & 15) * 4;
			got -= icmp - data;
		}
		if (got < 8)
			continue;
		if (icmp[0] == (ipv6 ? 129 : 0) && !memcmp(icmp + 4, echo, 4)) {
			strcpy(answer, "reply");
			return 0;
		}
		if (ipv6 ? icmp[0] < 1 || icmp[0] > 3 :
			   icmp[0] != 3 && icmp[0] != 11)
			continue;
		inner = quoted(icmp, got);
		if (inner && !memcmp(inner + 4, echo, 4)) {
			errno = EHOSTUNREACH;
			return -1;
		}
	}
	errno = EAGAIN;
	return -1;
}

/* ---- all of them ---- */

static void close_socket(void)
{
	if (fd >= 0)
		close(fd);
	fd = -1;
}

static void print_peer(void)
{
	char text[INET6_ADDRSTRLEN];

	/* A link-local address without its device. */
	inet_ntop(peer.sa.sa_family,
		  ipv6 ? (void *)&peer.in6.sin6_addr : &peer.in.sin_addr, text,
		  sizeof(text));
	printf("%s from %s", answer, text);
	if (proto != PING)
		printf(" %d", ntohs(ipv6 ? peer.in6.sin6_port :
					   peer.in.sin_port));
	printf("%s\n", note);
}

/* One request: was it answered? */
static bool ask(void)
{
	int rc;

	note[0] = 0;
	rc = fd < 0 ? open_socket() : 0;
	if (!rc)
		rc = proto == PING ? ask_ping() :
		     proto == UDP || proto == CUDP ? ask_datagram() :
						     ask_stream();
	if (!rc)
		print_peer();
	else if (errno == EAGAIN || errno == EINPROGRESS || errno == ETIMEDOUT)
		puts("timeout");
	else
		printf("error %s\n", strerrorname_np(errno));
	fflush(stdout);
	return !rc && !strstr(note, "BAD");
}

static long to_number(const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end || value < 0)
		die("bad number");
	return value;
}

static void read_options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "c:koi:t:p:b:s:d:g:u:DH:h")) != -1) {
		switch (c) {
		case 'c':
			count = to_number(optarg);
			break;
		case 'k':
			keep = true;
			break;
		case 'o':
			stay_open = true;
			break;
		case 'i':
			pause_s = atof(optarg);
			break;
		case 't':
			timeout = atof(optarg);
			break;
		case 'p':
			source_port = to_number(optarg);
			break;
		case 'b':
			source_addr = optarg;
			break;
		case 's':
			size = to_number(optarg);
			break;
		case 'd':
			padding = to_number(optarg);
			break;
		case 'g':
			get_size = to_number(optarg);
			break;
		case 'u':
			put_size = to_number(optarg);
			break;
		case 'D':
			dont_fragment = true;
			break;
		case 'H':
			hold = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			die("see ask -h");
		}
	}
}

int main(int argc, char **argv)
{
	bool good = true, answered;
	size_t p;
	int i;

	read_options(argc, argv);
	argv += optind;
	if (argc - optind < 2)
		die("see ask -h");
	for (p = 0; strcmp(protos[p].name, argv[0]); p++)
		if (p == sizeof(protos) / sizeof(*protos) - 1)
			die("unknown protocol");
	proto = p;
	if (resolve(argv[1], argv[2], &server, &server_len))
		die("bad address");
	ipv6 = server.sa.sa_family == AF_INET6;
	for (i = 1; i <= count; i++) {
		answered = ask();
		good &= answered;
		if (i < count && pause_s)
			usleep(pause_s * 1e6);
		if (stay_open)
			fd = -1;
		else if ((!keep || !answered) && !(i == count && hold))
			close_socket();
	}
	while (hold && access(hold, F_OK))
		usleep(20000);
	return good ? 0 : 1;
}
