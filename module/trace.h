/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: perf list 'k8snet:*', or events/k8snet of tracefs.
 *
 * k8snet_drop: a packet that k8snet refused, with the reason, which is the name
 * of the counter that counted it (stats.h), and the service whose rule it was,
 * if it was one's. Addresses and ports are the packet's at that moment: those
 * that the sender gave it, but for a masqueraded flow, which has passed the
 * translation of its destination. Without an IP header they are 0.
 *
 * A tracepoint that is off costs a branch that is never taken.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM k8snet

#if !defined(_K8SNET_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _K8SNET_TRACE_H

#include <linux/in6.h>
#include <linux/skbuff.h>
#include <linux/tracepoint.h>
#include <net/net_namespace.h>

/* Both ends of a packet as struct sockaddr_in or _in6, and its protocol. */
void k8snet_trace_ends(const struct sk_buff *skb, void *src, void *dst,
		       u8 *proto);

TRACE_EVENT(k8snet_drop,
	TP_PROTO(const struct net *net, const struct sk_buff *skb,
		 const char *reason, const char *service),
	TP_ARGS(net, skb, reason, service),
	TP_STRUCT__entry(
		__field(const void *, skbaddr)
		__field(unsigned int, netns)
		__field(int, ifindex)
		__field(u16, protocol)
		__field(u8, proto)
		__array(u8, src, sizeof(struct sockaddr_in6))
		__array(u8, dst, sizeof(struct sockaddr_in6))
		__string(reason, reason)
		__string(service, service)
	),
	TP_fast_assign(
		__entry->skbaddr = skb;
		__entry->netns = net->ns.inum;
		__entry->ifindex = skb->dev ? skb->dev->ifindex : 0;
		__entry->protocol = ntohs(skb->protocol);
		k8snet_trace_ends(skb, __entry->src, __entry->dst,
				  &__entry->proto);
		k8snet_assign_str(reason, reason);
		k8snet_assign_str(service, service);
	),
	TP_printk("reason=%s service=%s proto=%u src=%pISpc dst=%pISpc ifindex=%d protocol=0x%04x netns=%u skbaddr=%p",
		  __get_str(reason), __get_str(service), __entry->proto,
		  __entry->src, __entry->dst, __entry->ifindex,
		  __entry->protocol, __entry->netns, __entry->skbaddr)
);

#endif /* _K8SNET_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
