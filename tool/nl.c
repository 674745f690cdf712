// SPDX-License-Identifier: GPL-2.0
/*
 * Netlink transport: two sockets, requests and their answers, dumps that are
 * started again when a change interrupted them, and the queue of a batch.
 *
 * libnl makes messages and knows the family; sending and receiving is done
 * here, because answers of a batch are told apart by their sequence numbers
 * and refusals are wanted with the kernel's own sentence and errno.
 */
#include "nl_internal.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/k8snet.h>

#include "report.h"

#ifndef NETLINK_EXT_ACK
#define NETLINK_EXT_ACK 11
#endif

enum {
	/* A dump that is interrupted this often is given up. */
	DUMP_TRIES = 50,
	/* What one message of a batch holds at most. */
	QUEUE_BYTES = 64 * 1024,
	QUEUE_MSGS = 256,
	/* Room asked for in the socket: the largest service, all answers. */
	SEND_BUFFER = 2 * 1024 * 1024,
	RECEIVE_BUFFER = 8 * 1024 * 1024,
	MSG_MAX = 1024 * 1024,
};

struct conn {
	struct nl_sock *sk;
	int fd;
	uint32_t seq;
	size_t msg_max;
};

static struct conn conns[2];
static int family;

/* One buffer for everything received: only one exchange is under way. */
static char *rx;
static size_t rx_size;

struct queued {
	uint32_t seq;
	int error;
	bool answered;
	unsigned int flags;
	struct where where;
	char *text;
	struct nl_msg *undo;
};

static struct {
	struct knl_batch batch;
	char *buf;
	size_t len;
	unsigned int n;
	struct queued v[QUEUE_MSGS];
} queue;

static void conn_close(struct conn *conn)
{
	if (conn->sk)
		nl_socket_free(conn->sk);
	conn->sk = NULL;
}

void knl_close(void)
{
	conn_close(&conns[NL_BUS_K8SNET]);
	conn_close(&conns[NL_BUS_ROUTE]);
	free(rx);
	rx = NULL;
	rx_size = 0;
	free(queue.buf);
	queue.buf = NULL;
	knl_k8snet_forget();
}

/* With CAP_NET_ADMIN beyond the limit, else as far as the limit goes. */
static void raise_buffer(int fd, int opt, int force_opt, int size)
{
	if (setsockopt(fd, SOL_SOCKET, force_opt, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, opt, &size, sizeof(size));
}

static int conn_open(struct conn *conn, int protocol)
{
	socklen_t len = sizeof(int);
	int on = 1, size = 0, err;

	if (conn->sk)
		return 0;
	conn->sk = nl_socket_alloc();
	err = conn->sk ? nl_connect(conn->sk, protocol) : -NLE_NOMEM;
	if (err) {
		report("cannot open a netlink socket: %s", nl_geterror(err));
		conn_close(conn);
		return -EIO;
	}
	conn->fd = nl_socket_get_fd(conn->sk);
	setsockopt(conn->fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(conn->fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	raise_buffer(conn->fd, SO_SNDBUF, SO_SNDBUFFORCE, SEND_BUFFER);
	raise_buffer(conn->fd, SO_RCVBUF, SO_RCVBUFFORCE, RECEIVE_BUFFER);
	getsockopt(conn->fd, SOL_SOCKET, SO_SNDBUF, &size, &len);
	conn->msg_max = size > MSG_MAX + 4096 ? MSG_MAX :
		size > 64 * 1024 ? (size_t)size - 4096 : 48 * 1024;
	/* libnl numbers from the time on; ours never meet those. */
	conn->seq = 1;
	return 0;
}

static int k8snet_open(void)
{
	struct conn *conn = &conns[NL_BUS_K8SNET];
	/* Said once, not for each line of a batch. */
	static bool missing;
	int err;

	if (conn->sk)
		return 0;
	if (missing)
		return -ENOENT;
	err = conn_open(conn, NETLINK_GENERIC);
	if (err)
		return err;
	family = genl_ctrl_resolve(conn->sk, K8SNET_GENL_NAME);
	if (family >= 0)
		return 0;
	missing = true;
	report("the module k8snet is not loaded: this kernel has no netlink family \"%s\"",
	       K8SNET_GENL_NAME);
	conn_close(conn);
	return -ENOENT;
}

size_t knl_msg_max(void)
{
	return k8snet_open() ? 48 * 1024 : conns[NL_BUS_K8SNET].msg_max;
}

static struct nl_msg *msg_alloc(size_t room)
{
	struct nl_msg *msg = nlmsg_alloc_size(NLMSG_HDRLEN + GENL_HDRLEN + 64 +
					      room);

	if (!msg) {
		report("out of memory");
		exit(STATUS_REFUSED);
	}
	return msg;
}

struct nl_msg *knl_k8snet_msg(uint8_t cmd, size_t room)
{
	struct nl_msg *msg;

	if (k8snet_open())
		return NULL;
	msg = msg_alloc(room);
	genlmsg_put(msg, 0, 0, family, 0, NLM_F_REQUEST | NLM_F_ACK, cmd,
		    K8SNET_GENL_VERSION);
	return msg;
}

struct nl_msg *knl_route_msg(uint16_t type, uint16_t flags, size_t room)
{
	struct nl_msg *msg;

	if (conn_open(&conns[NL_BUS_ROUTE], NETLINK_ROUTE))
		return NULL;
	msg = msg_alloc(room);
	nlmsg_put(msg, 0, 0, type, 0, NLM_F_REQUEST | NLM_F_ACK | flags);
	return msg;
}

/* Reads one datagram from the kernel into rx; its length or -errno. */
static ssize_t receive(struct conn *conn)
{
	struct sockaddr_nl from = { 0 };
	socklen_t from_len;
	ssize_t len;

	for (;;) {
		if (!rx) {
			rx_size = 64 * 1024;
			rx = xcalloc(1, rx_size);
		}
		len = recv(conn->fd, rx, rx_size, MSG_PEEK | MSG_TRUNC);
		if (len > 0 && (size_t)len > rx_size) {
			free(rx);
			rx_size = (size_t)len;
			rx = xcalloc(1, rx_size);
			continue;
		}
		if (len >= 0) {
			from_len = sizeof(from);
			len = recvfrom(conn->fd, rx, rx_size, 0,
				       (struct sockaddr *)&from, &from_len);
		}
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return -errno;
		if (from_len == sizeof(from) && !from.nl_pid)
			return len;
	}
}

/*
 * The kernel's sentence in the attributes at @attrs of an error or of a
 * dump's end; NULL where there is none.
 */
static char *extack_text(const void *attrs, int len)
{
	struct nlattr *attr;
	int rem;

	nla_for_each_attr(attr, (struct nlattr *)attrs, len, rem) {
		if (nla_type(attr) == NLMSGERR_ATTR_MSG) {
			const char *s = nla_data(attr);

			return xstrndup(s, strnlen(s, (size_t)nla_len(attr)));
		}
	}
	return NULL;
}

/* 0 or the negative errno of an answer that ends an exchange. */
static int error_of(const struct nlmsghdr *nlh, char **text)
{
	const char *data = nlmsg_data(nlh);
	int len = nlmsg_datalen(nlh), skip, error;

	if (len < (int)sizeof(int))
		return -EPROTO;
	memcpy(&error, data, sizeof(error));
	if (nlh->nlmsg_type == NLMSG_DONE) {
		skip = (int)NLMSG_ALIGN(sizeof(int));
	} else {
		const struct nlmsgerr *e = (const void *)data;

		if (len < (int)sizeof(*e))
			return -EPROTO;
		skip = sizeof(*e);
		/* The refused request is only sent back where it is not capped. */
		if (error && !(nlh->nlmsg_flags & NLM_F_CAPPED) &&
		    e->msg.nlmsg_len > sizeof(e->msg))
			skip += (int)(NLMSG_ALIGN(e->msg.nlmsg_len) -
				      sizeof(e->msg));
	}
	if (error < 0 && nlh->nlmsg_flags & NLM_F_ACK_TLVS && skip < len)
		*text = extack_text(data + skip, len - skip);
	return error > 0 ? -EPROTO : error;
}

static void report_error(const struct where *at, int error, const char *text)
{
	if (text)
		report_at(at, "%s", text);
	else
		report_at(at, "%s", strerror(-error));
}

static int send_bytes(struct conn *conn, const void *buf, size_t len)
{
	while (send(conn->fd, buf, len, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/*
 * Sends one request and takes its answers. *@interrupted: the dump is not
 * consistent. The refusal is not reported here.
 */
static int exchange(struct conn *conn, struct nl_msg *msg,
		    knl_answer_fn *answer, void *arg, bool *interrupted,
		    char **text)
{
	struct nlmsghdr *nlh = nlmsg_hdr(msg);
	uint32_t seq = conn->seq++;
	int err, verdict = 0;

	nlh->nlmsg_seq = seq;
	err = send_bytes(conn, nlh, nlh->nlmsg_len);
	if (err)
		return err;

	for (;;) {
		ssize_t got = receive(conn);
		int len;

		if (got < 0)
			return (int)got;
		len = (int)got;
		for (nlh = (void *)rx; nlmsg_ok(nlh, len);
		     nlh = nlmsg_next(nlh, &len)) {
			/* What an exchange that failed has left behind. */
			if (nlh->nlmsg_seq != seq)
				continue;
			if (nlh->nlmsg_flags & NLM_F_DUMP_INTR && interrupted)
				*interrupted = true;
			if (nlh->nlmsg_type == NLMSG_ERROR ||
			    nlh->nlmsg_type == NLMSG_DONE) {
				err = error_of(nlh, text);
				return err ? err : verdict;
			}
			if (answer && !verdict)
				verdict = answer(nlh, arg);
		}
	}
}

static int send_queue(void);

static int sync_queue(void)
{
	if (queue.n)
		send_queue();
	return queue.batch.stopped ? -ECANCELED : 0;
}

int knl_read(enum knl_bus bus, struct nl_msg *msg, knl_answer_fn *answer,
	     void *arg, unsigned int flags)
{
	char *text = NULL;
	int err;

	if (!msg)
		return -ENOENT;
	err = exchange(&conns[bus], msg, answer, arg, NULL, &text);
	if (err == -ENOENT && flags & NL_FORCE)
		err = 0;
	if (err && !(flags & NL_QUIET))
		report_error(&where, err, text);
	free(text);
	nlmsg_free(msg);
	return err;
}

int knl_talk(enum knl_bus bus, struct nl_msg *msg, knl_answer_fn *answer,
	     void *arg, unsigned int flags)
{
	int err = sync_queue();

	if (!err)
		return knl_read(bus, msg, answer, arg, flags);
	if (msg)
		nlmsg_free(msg);
	return err;
}

int knl_dump(enum knl_bus bus, struct nl_msg *msg, knl_answer_fn *answer,
	     void (*restart)(void *arg), void *arg)
{
	char *text = NULL;
	int err, tries;

	if (!msg)
		return -ENOENT;
	err = sync_queue();
	if (err)
		goto out_free;
	nlmsg_hdr(msg)->nlmsg_flags &= (uint16_t)~NLM_F_ACK;
	nlmsg_hdr(msg)->nlmsg_flags |= NLM_F_DUMP;
	for (tries = 0; tries < DUMP_TRIES; tries++) {
		bool interrupted = false;

		restart(arg);
		err = exchange(&conns[bus], msg, answer, arg, &interrupted,
			       &text);
		if (err)
			report_error(&where, err, text);
		if (err || !interrupted)
			goto out_free;
	}
	report("the state changes too fast to be listed");
	err = -EAGAIN;
out_free:
	free(text);
	nlmsg_free(msg);
	return err;
}

/* The queue of a batch */

struct knl_batch knl_batch_begin(bool keep_going)
{
	struct knl_batch outer;

	/* What is queued belongs to the outer one. */
	sync_queue();
	outer = queue.batch;
	queue.batch.active = true;
	queue.batch.keep_going = keep_going;
	queue.batch.failed = false;
	return outer;
}

bool knl_batch_end(struct knl_batch outer)
{
	bool done;

	sync_queue();
	done = !queue.batch.failed;
	queue.batch = outer;
	return done;
}

static struct queued *queue_find(uint32_t seq)
{
	/* Sequence numbers in the queue are consecutive. */
	return queue.n && seq - queue.v[0].seq < queue.n ?
		&queue.v[seq - queue.v[0].seq] : NULL;
}

static int collect_acks(struct conn *conn)
{
	unsigned int left = queue.n;

	while (left) {
		ssize_t got = receive(conn);
		struct nlmsghdr *nlh;
		int len;

		if (got < 0)
			return (int)got;
		len = (int)got;
		for (nlh = (void *)rx; nlmsg_ok(nlh, len);
		     nlh = nlmsg_next(nlh, &len)) {
			struct queued *q = queue_find(nlh->nlmsg_seq);

			if (!q || q->answered ||
			    nlh->nlmsg_type != NLMSG_ERROR)
				continue;
			q->answered = true;
			q->error = error_of(nlh, &q->text);
			if (q->error == -ENOENT && q->flags & NL_FORCE)
				q->error = 0;
			left--;
		}
	}
	return 0;
}

/*
 * The kernel goes on after a message it refuses, so what was queued behind
 * that one has been done although the batch ends there: take it back, last
 * first. Only changes with an undo may be behind another one.
 */
static void take_back(struct conn *conn, unsigned int from)
{
	unsigned int i;

	for (i = queue.n; i-- > from;) {
		struct queued *q = &queue.v[i];
		char *text = NULL;

		if (q->answered && !q->error && q->undo)
			exchange(conn, q->undo, NULL, NULL, NULL, &text);
		free(text);
	}
}

static int send_queue(void)
{
	struct conn *conn = &conns[NL_BUS_K8SNET];
	unsigned int i;
	int err;

	err = send_bytes(conn, queue.buf, queue.len);
	if (!err)
		err = collect_acks(conn);
	if (err) {
		report_error(&queue.v[0].where, err, NULL);
		queue.batch.failed = true;
		queue.batch.stopped = true;
	}
	for (i = 0; !err && i < queue.n; i++) {
		struct queued *q = &queue.v[i];

		if (!q->error)
			continue;
		report_error(&q->where, q->error, q->text);
		queue.batch.failed = true;
		if (!queue.batch.keep_going) {
			take_back(conn, i + 1);
			queue.batch.stopped = true;
			break;
		}
	}
	for (i = 0; i < queue.n; i++) {
		free(queue.v[i].text);
		if (queue.v[i].undo)
			nlmsg_free(queue.v[i].undo);
	}
	queue.n = 0;
	queue.len = 0;
	return queue.batch.stopped ? -ECANCELED : 0;
}

int knl_change(struct nl_msg *msg, struct nl_msg *undo, unsigned int flags)
{
	struct nlmsghdr *nlh;
	struct queued *q;
	size_t len;

	if (!msg) {
		if (undo)
			nlmsg_free(undo);
		return -ENOENT;
	}
	nlh = nlmsg_hdr(msg);
	len = NLMSG_ALIGN(nlh->nlmsg_len);
	if (!queue.batch.active || flags & (NL_QUIET | NL_NOW) ||
	    len > QUEUE_BYTES) {
		if (undo)
			nlmsg_free(undo);
		return knl_talk(NL_BUS_K8SNET, msg, NULL, NULL, flags);
	}

	if (queue.n && ((!undo && !queue.batch.keep_going) ||
			queue.n == QUEUE_MSGS ||
			queue.len + len > QUEUE_BYTES))
		send_queue();
	if (queue.batch.stopped) {
		if (undo)
			nlmsg_free(undo);
		nlmsg_free(msg);
		return -ECANCELED;
	}

	if (!queue.buf)
		queue.buf = xcalloc(1, QUEUE_BYTES);
	q = &queue.v[queue.n++];
	memset(q, 0, sizeof(*q));
	q->seq = conns[NL_BUS_K8SNET].seq++;
	nlh->nlmsg_seq = q->seq;
	q->flags = flags;
	q->where = where;
	q->undo = undo;
	memset(queue.buf + queue.len, 0, len);
	memcpy(queue.buf + queue.len, nlh, nlh->nlmsg_len);
	queue.len += len;
	nlmsg_free(msg);
	return 0;
}

int knl_listen(const char *group, void (*event)(const struct nlmsghdr *nlh))
{
	struct conn *conn = &conns[NL_BUS_K8SNET];
	int err, id;

	err = k8snet_open();
	if (err)
		return err;
	id = genl_ctrl_resolve_grp(conn->sk, K8SNET_GENL_NAME, group);
	if (id < 0) {
		report("the family \"%s\" has no group \"%s\"",
		       K8SNET_GENL_NAME, group);
		return -ENOENT;
	}
	if (setsockopt(conn->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &id,
		       sizeof(id))) {
		err = -errno;
		report_error(&where, err, NULL);
		return err;
	}
	for (;;) {
		ssize_t got = receive(conn);
		struct nlmsghdr *nlh;
		int len;

		if (got == -ENOBUFS) {
			report("changes came too fast: some are not shown");
			continue;
		}
		if (got < 0) {
			report_error(&where, (int)got, NULL);
			return (int)got;
		}
		len = (int)got;
		for (nlh = (void *)rx; nlmsg_ok(nlh, len);
		     nlh = nlmsg_next(nlh, &len))
			if (nlh->nlmsg_type == family &&
			    genlmsg_valid_hdr(nlh, 0))
				event(nlh);
	}
}
