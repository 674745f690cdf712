// SPDX-License-Identifier: GPL-2.0
/* IPVS: a table is emptied. */
#include <errno.h>

#include <linux/ip_vs.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>

#include "nl_internal.h"
#include "report.h"

int knl_ipvs_flush(void)
{
	struct nl_sock *sk = nl_socket_alloc();
	int family, err;

	if (!sk)
		return -ENOMEM;
	err = genl_connect(sk);
	if (err)
		goto out_free;
	family = genl_ctrl_resolve(sk, IPVS_GENL_NAME);
	err = family < 0 ? family :
		genl_send_simple(sk, family, IPVS_CMD_FLUSH, IPVS_GENL_VERSION,
				 0);
	if (err >= 0)
		err = nl_wait_for_ack(sk);
out_free:
	nl_socket_free(sk);
	if (err >= 0)
		return 0;
	report("IPVS: %s", nl_geterror(err));
	return -EIO;
}
