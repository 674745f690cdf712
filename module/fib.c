// SPDX-License-Identifier: GPL-2.0
/*
 * The copies of pod routes in the FIB, made by rtnetlink requests on a socket
 * of our own: the kernel has no other interface to the FIB that a module may
 * use. These requests take RTNL on their own, so neither RTNL nor cfg_lock may
 * be held around them; fib_lock keeps the two tables in step.
 */

#include <linux/net.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <net/netlink.h>
#include <net/sock.h>

#include "bridge.h"
#include "fib.h"
#include "route.h"

enum {
	/* A request or its answer; both need less than half. */
	FIB_MSG_SIZE = 512,
};

struct fib_req {
	struct nlmsghdr nlh;
	struct rtmsg rtm;
	u8 attrs[64];		/* a destination and a device */
};

static void fib_req_put(struct fib_req *req, int type, const void *data,
			unsigned int len)
{
	struct nlattr *nla = (void *)req + NLMSG_ALIGN(req->nlh.nlmsg_len);

	nla->nla_type = type;
	nla->nla_len = nla_attr_size(len);
	memcpy(nla_data(nla), data, len);
	req->nlh.nlmsg_len = NLMSG_ALIGN(req->nlh.nlmsg_len) +
			     nla_total_size(len);
}

/*
 * A netlink socket of the kernel does not keep its namespace alive (sock_create
 * _kern() takes no reference), so it must go before the namespace: see
 * k8snet_fib_net_exit().
 */
static int fib_sock_open(struct k8snet_net *kn)
{
	if (kn->fib_sock)
		return 0;
	return sock_create_kern(kn->net, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE,
				&kn->fib_sock);
}

/*
 * Sends a request and returns what its ACK says. rtnetlink works it off before
 * kernel_sendmsg() returns, so the ACK is there already and is not waited for;
 * what else is there is old.
 *
 * The address in msg_name, though it only names the kernel, matters: it makes
 * netlink check the capabilities of the caller (a process with CAP_NET_ADMIN,
 * or our work) and not of the file of the socket, which has none.
 */
static int fib_talk(struct k8snet_net *kn, struct fib_req *req)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct msghdr msg = {
		.msg_name = &kernel,
		.msg_namelen = sizeof(kernel),
	};
	struct kvec vec = { .iov_base = req, .iov_len = req->nlh.nlmsg_len };
	static atomic_t seq = ATOMIC_INIT(0);
	struct nlmsghdr *nlh;
	void *buf;
	int err;

	lockdep_assert_held(&kn->fib_lock);
	err = fib_sock_open(kn);
	if (err)
		return err;
	buf = kmalloc(FIB_MSG_SIZE, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;

	req->nlh.nlmsg_seq = atomic_inc_return(&seq);
	err = kernel_sendmsg(kn->fib_sock, &msg, &vec, 1, vec.iov_len);
	if (err < 0)
		goto out;
	do {
		struct msghdr rmsg = { };

		vec.iov_base = buf;
		vec.iov_len = FIB_MSG_SIZE;
		err = kernel_recvmsg(kn->fib_sock, &rmsg, &vec, 1,
				     FIB_MSG_SIZE, MSG_DONTWAIT);
		if (err < 0)
			goto out;
		nlh = buf;
	} while (!nlmsg_ok(nlh, err) ||
		 nlh->nlmsg_seq != req->nlh.nlmsg_seq);

	err = -EPROTO;
	if (nlh->nlmsg_type == NLMSG_ERROR &&
	    nlmsg_len(nlh) >= sizeof(struct nlmsgerr))
		err = ((struct nlmsgerr *)nlmsg_data(nlh))->error;
out:
	kfree(buf);
	return err;
}

int k8snet_fib_change(struct k8snet_net *kn, u16 type, u16 flags,
		      const struct k8snet_prefix *prefix, int ifindex)
{
	struct fib_req req = {
		.nlh = {
			.nlmsg_len = NLMSG_LENGTH(sizeof(req.rtm)),
			.nlmsg_type = type,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags,
		},
		.rtm = {
			.rtm_family = prefix->family,
			.rtm_dst_len = prefix->len,
			.rtm_table = RT_TABLE_MAIN,
			.rtm_protocol = RTPROT_STATIC,
			.rtm_scope = prefix->family == NFPROTO_IPV4 ?
					RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
			.rtm_type = RTN_UNICAST,
		},
	};
	u32 oif = ifindex;

	BUILD_BUG_ON(sizeof(req) > FIB_MSG_SIZE / 2);
	if (prefix->len)
		fib_req_put(&req, RTA_DST, &prefix->addr,
			    k8snet_addr_size(prefix->family));
	fib_req_put(&req, RTA_OIF, &oif, sizeof(oif));
	return fib_talk(kn, &req);
}

int k8snet_fib_del(struct k8snet_net *kn, const struct k8snet_prefix *prefix,
		   int ifindex)
{
	return k8snet_fib_change(kn, RTM_DELROUTE, 0, prefix, ifindex);
}

/* What the resync needs of a route, so that it can let go of the locks. */
struct fib_copy {
	struct k8snet_prefix prefix;
	int ifindex;
};

/* Context: work; see k8snet_fib_resync(). */
static void fib_work(struct work_struct *work)
{
	struct k8snet_net *kn = container_of(work, struct k8snet_net, fib_work);
	struct k8snet_route *r;
	struct fib_copy copy;
	unsigned long id = 0;

	rtnl_lock();
	k8snet_bridge_settle(kn);
	rtnl_unlock();

	mutex_lock(&kn->fib_lock);
	for (;;) {
		mutex_lock(&kn->cfg_lock);
		xa_for_each_start(&kn->route_ids, id, r, id)
			if (netif_running(r->bridge))
				break;
		if (r) {
			copy.prefix = r->prefix;
			copy.ifindex = r->bridge->ifindex;
		}
		mutex_unlock(&kn->cfg_lock);
		if (!r)
			break;
		/* A bridge that went down or away meanwhile is an error that
		 * is of no interest: its next NETDEV_UP brings us back. Ours is
		 * there already, or somebody else's, which stays as it would
		 * have when ours was made.
		 */
		k8snet_fib_change(kn, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL,
				  &copy.prefix, copy.ifindex);
		id++;
	}
	mutex_unlock(&kn->fib_lock);
}

void k8snet_fib_resync(struct k8snet_net *kn)
{
	schedule_work(&kn->fib_work);
}

void k8snet_fib_net_init(struct k8snet_net *kn)
{
	mutex_init(&kn->fib_lock);
	INIT_WORK(&kn->fib_work, fib_work);
}

/*
 * The bridges are gone, and nobody is left to queue the work. The socket goes
 * before the namespace's own end of rtnetlink, which was registered before us
 * and is therefore removed after.
 */
void k8snet_fib_net_exit(struct k8snet_net *kn)
{
	cancel_work_sync(&kn->fib_work);
	if (kn->fib_sock)
		sock_release(kn->fib_sock);
	mutex_destroy(&kn->fib_lock);
}
