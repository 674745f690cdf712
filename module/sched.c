// SPDX-License-Identifier: GPL-2.0
/*
 * The choice of an endpoint. Whatever depends on the number of endpoints or
 * on their weights is done once, when a plan is built; a choice then costs
 * the same for two endpoints and for five thousand.
 */

#include <linux/gcd.h>
#include <linux/hash.h>
#include <linux/jhash.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "decision.h"
#include "flow.h"
#include "sched.h"

/*
 * Walker's alias method, tables built with Vose's algorithm (M. D. Vose, "A
 * linear algorithm for generating random numbers with a given distribution",
 * 1991): O(n) to build, one index and one comparison to draw.
 */
static int alias_build(struct k8snet_set *set, const u32 *weights)
{
	unsigned int n = set->n, n_small = 0, n_large = 0, i;
	u32 *small, *large;
	u64 total = 0;
	u64 *share;
	int err = -ENOMEM;

	share = kvmalloc_array(n, sizeof(*share), GFP_KERNEL_ACCOUNT);
	small = kvmalloc_array(n, sizeof(*small), GFP_KERNEL_ACCOUNT);
	large = kvmalloc_array(n, sizeof(*large), GFP_KERNEL_ACCOUNT);
	set->alias = kvmalloc_array(n, sizeof(*set->alias), GFP_KERNEL_ACCOUNT);
	if (!share || !small || !large || !set->alias)
		goto out;

	for (i = 0; i < n; i++)
		total += weights[i];
	/* share: n times the probability, scaled so that the mean is total.
	 * Below 2^16 * 2^20, so it fits.
	 */
	for (i = 0; i < n; i++) {
		share[i] = (u64)weights[i] * n;
		if (share[i] < total)
			small[n_small++] = i;
		else
			large[n_large++] = i;
	}
	while (n_small && n_large) {
		u32 s = small[--n_small], l = large[n_large - 1];

		/* share < total < 2^36: shifting by 28 bits keeps 64 */
		set->alias[s].keep = div64_u64(share[s] << 28, total) << 4;
		set->alias[s].other = l;
		share[l] -= total - share[s];
		if (share[l] < total) {
			n_large--;
			small[n_small++] = l;
		}
	}
	/* What is left is a full column, but for rounding. */
	while (n_large) {
		set->alias[large[--n_large]].keep = U32_MAX;
		set->alias[large[n_large]].other = large[n_large];
	}
	while (n_small) {
		set->alias[small[--n_small]].keep = U32_MAX;
		set->alias[small[n_small]].other = small[n_small];
	}
	err = 0;
out:
	kvfree(large);
	kvfree(small);
	kvfree(share);
	return err;
}

struct rr_turn {
	u64 when;	/* position in the round, in units of 1 / 2^32 round */
	u16 ep;
};

static int rr_turn_cmp(const void *a, const void *b)
{
	const struct rr_turn *x = a, *y = b;

	if (x->when != y->when)
		return x->when < y->when ? -1 : 1;
	return (int)x->ep - (int)y->ep;
}

/*
 * Weighted round robin: each endpoint has as many turns in a round as its
 * share of the weights says, spread evenly over the round, so that a heavy
 * endpoint does not get its flows in a burst. Sums of weights that would make
 * the round too long are left to the alias table.
 */
static int rr_build(struct k8snet_set *set, const u32 *weights)
{
	unsigned long divisor = 0;
	unsigned int i, k, at = 0;
	struct rr_turn *turns;
	u64 sum = 0;

	for (i = 0; i < set->n; i++)
		divisor = gcd(divisor, weights[i]);
	for (i = 0; i < set->n; i++)
		sum += weights[i] / divisor;
	if (sum > K8SNET_RR_SLOTS_MAX)
		return alias_build(set, weights);

	turns = kvmalloc_array(sum, sizeof(*turns), GFP_KERNEL_ACCOUNT);
	set->slot = kvmalloc_array(sum, sizeof(*set->slot), GFP_KERNEL_ACCOUNT);
	if (!turns || !set->slot) {
		kvfree(turns);
		return -ENOMEM;
	}
	for (i = 0; i < set->n; i++) {
		u32 w = weights[i] / divisor;

		for (k = 0; k < w; k++) {
			turns[at].when = div_u64(((u64)(2 * k + 1)) << 32, 2 * w);
			turns[at++].ep = i;
		}
	}
	sort(turns, at, sizeof(*turns), rr_turn_cmp, NULL);
	for (i = 0; i < at; i++)
		set->slot[i] = turns[i].ep;
	set->n_slots = at;
	kvfree(turns);
	return 0;
}

/*
 * Sizes of a maglev table, primes, and how many endpoints each serves. With
 * another size almost every flow moves, so there are only two. What a change
 * moves needlessly grows with the endpoints and shrinks with the table: one of
 * 32 that goes moves 0.9 % of the smaller table, one of 300 0.5 % of the larger
 * one. The smaller one, Cilium's default, would need 1.6 % for 163 endpoints,
 * although that is 100 slots for each of them.
 */
static const struct {
	u32 size;
	u32 endpoints;
} maglev_tables[] = {
	{ 16381, 32 },
	{ 131071, U32_MAX },
};

/* Every node hashes with the same seeds, so that all choose alike. */
enum {
	MAGLEV_SEED_OFFSET = 0x6b38736e,
	MAGLEV_SEED_SKIP = 0x65746d67,
	MAGLEV_STEPS = 64,	/* of going round for a slot, at most */
};

static const u64 maglev_flow_key[2] = {
	0x6b38736e65746d61ULL, 0x676c6576666c6f77ULL
};

struct maglev_column {
	u32 next, skip;
	u64 due;	/* weight saved up towards the next turn */
};

/* The turn of endpoint @i: it takes its next slot that is free. */
static void maglev_turn(struct k8snet_set *set, struct maglev_column *col,
			u32 i, u32 size)
{
	while (set->slot[col[i].next] != U16_MAX)
		col[i].next = (col[i].next + col[i].skip) % size;
	set->slot[col[i].next] = i;
}

/* Turns that have come by the end of that round: an endpoint's k-th does in the
 * first round in which it has saved up k times @pace.
 */
static u64 maglev_turns_by(const u32 *weights, u32 n, u32 pace, u64 round)
{
	u64 turns = 0;

	while (n--)
		turns += div_u64(round * weights[n], pace);
	return turns;
}

static int u64_cmp(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/*
 * The same turns in the same order as going round would give, for sets in which
 * most rounds are hardly anybody's turn: a few heavy endpoints among many light
 * ones would make that n * 2^16 steps a slot.
 */
static int maglev_fill_sorted(struct k8snet_set *set, struct maglev_column *col,
			      const u32 *weights, u32 pace, u64 sum, u32 size)
{
	u64 low = 0, high = div64_u64(((u64)size + set->n) * pace, sum) + 1;
	u64 *turns, mid, k, mine;
	u32 i, n = 0;

	/* The first round by which there are enough. 2^33 at most. */
	while (low + 1 < high) {
		mid = (low + high) / 2;
		if (maglev_turns_by(weights, set->n, pace, mid) >= size)
			high = mid;
		else
			low = mid;
		cond_resched();
	}
	turns = kvmalloc_array((size_t)size + set->n, sizeof(*turns),
			       GFP_KERNEL_ACCOUNT);
	if (!turns)
		return -ENOMEM;
	for (i = 0; i < set->n; i++) {
		mine = div_u64(high * weights[i], pace);
		for (k = 1; k <= mine; k++)
			turns[n++] = DIV64_U64_ROUND_UP(k * pace, weights[i])
				     << 16 | i;
	}
	sort(turns, n, sizeof(*turns), u64_cmp, NULL);
	for (i = 0; i < size; i++)
		maglev_turn(set, col, turns[i] & U16_MAX, size);
	kvfree(turns);
	return 0;
}

/*
 * D. Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load
 * Balancer", NSDI 2016, section 3.4. Each endpoint prefers the slots of the
 * table in an order of its own and in turn takes the first that is free;
 * heavier endpoints take their turn more often. With at least 100 slots an
 * endpoint, which is up to 1,310 of them, a change moves at most 1 % more flows
 * than it must. Depends on nothing but the endpoints, which come sorted.
 */
static int maglev_build(struct k8snet_set *set, const u32 *weights)
{
	u32 filled = 0, pace = 0, size;
	struct maglev_column *col;
	unsigned int i;
	u64 sum = 0;
	int err = 0;

	for (i = 0; set->n > maglev_tables[i].endpoints; i++)
		;
	size = maglev_tables[i].size;

	col = kvmalloc_array(set->n, sizeof(*col), GFP_KERNEL_ACCOUNT);
	set->slot = kvmalloc_array(size, sizeof(*set->slot),
				   GFP_KERNEL_ACCOUNT);
	if (!col || !set->slot) {
		kvfree(col);
		return -ENOMEM;
	}
	for (i = 0; i < set->n; i++) {
		const struct k8snet_endpoint *ep = set->ep[i];
		u32 port = (__force u16)ep->port;

		col[i].next = jhash2(ep->addr.all, 4,
				     MAGLEV_SEED_OFFSET ^ port) % size;
		col[i].skip = jhash2(ep->addr.all, 4,
				     MAGLEV_SEED_SKIP ^ port) % (size - 1) + 1;
		col[i].due = 0;
		pace = max(pace, weights[i]);
		sum += weights[i];
	}
	/* That the heaviest endpoint goes must not change everybody's pace. */
	pace = roundup_pow_of_two(pace);
	memset(set->slot, 0xff, size * sizeof(*set->slot));
	if ((u64)pace * set->n > MAGLEV_STEPS * sum) {
		err = maglev_fill_sorted(set, col, weights, pace, sum, size);
		filled = size;
	}
	for (i = 0; filled < size; i = (i + 1) % set->n) {
		col[i].due += weights[i];
		if (col[i].due < pace)
			continue;
		col[i].due -= pace;
		maglev_turn(set, col, i, size);
		filled++;
		cond_resched();
	}
	set->n_slots = size;
	kvfree(col);
	return err;
}

int k8snet_sched_build(struct k8snet_set *set, u8 scheduler,
		       const u32 *weights)
{
	bool equal = true;
	unsigned int i;

	for (i = 1; i < set->n; i++)
		equal &= weights[i] == weights[0];

	/* Slots name an endpoint with 16 bits; beyond that chance is as fair. */
	if (set->n < U16_MAX) {
		if (scheduler == K8SNET_SCHED_MAGLEV)
			return maglev_build(set, weights);
		if (scheduler == K8SNET_SCHED_RR && !equal)
			return rr_build(set, weights);
	}
	if (equal || scheduler == K8SNET_SCHED_LC)
		return 0;
	return alias_build(set, weights);
}

static u64 addr_half(const union nf_inet_addr *addr, unsigned int word)
{
	return (u64)addr->all[word] << 32 | addr->all[word + 1];
}

/*
 * Multiplied and folded as wyhash does (flow.h), and once more, since both
 * halves of the result are to be evenly distributed. What it hashes to is no
 * secret worth more: a pod that wants a certain endpoint asks that.
 */
u64 k8snet_sched_hash(u8 scheduler, const siphash_key_t *secret,
		      const struct k8snet_decision *d)
{
	const u64 *key = scheduler == K8SNET_SCHED_MAGLEV ?
			 maglev_flow_key : secret->key;
	u64 ports = (u64)(__force u16)d->sport << 16 | (__force u16)d->dport |
		    (u64)d->proto << 32;
	u64 hash;

	if (d->family == NFPROTO_IPV4) {
		hash = (u64)(__force u32)d->saddr.ip << 32 |
		       (__force u32)d->daddr.ip;
	} else {
		hash = k8snet_flow_fold(addr_half(&d->saddr, 0) ^ key[1],
					addr_half(&d->saddr, 2) ^ key[0]);
		hash = k8snet_flow_fold(addr_half(&d->daddr, 0) ^ hash,
					addr_half(&d->daddr, 2) ^ key[1]);
	}
	hash = k8snet_flow_fold(hash ^ key[0], ports ^ key[1]);
	return k8snet_flow_fold(hash ^ key[1], GOLDEN_RATIO_64);
}

/* Is (active flows + 1) / weight of @a smaller than that of @b? */
static bool lc_less(const struct k8snet_endpoint *a,
		    const struct k8snet_endpoint *b)
{
	u64 flows_a = atomic_read(&a->active) + 1;
	u64 flows_b = atomic_read(&b->active) + 1;

	return flows_a * max(READ_ONCE(b->weight), 1U) <
	       flows_b * max(READ_ONCE(a->weight), 1U);
}

/*
 * Least connections compares all endpoints of a small set, and of a large one
 * a sample of K8SNET_LC_SAMPLE: the best of that many is as good as the best
 * of all for every practical purpose (M. Mitzenmacher, "The Power of Two
 * Choices in Randomized Load Balancing", 2001, shows it for two).
 */
static struct k8snet_endpoint *lc_pick(const struct k8snet_set *set, u32 start)
{
	unsigned int n = min_t(unsigned int, set->n, K8SNET_LC_SAMPLE);
	struct k8snet_endpoint *best = set->ep[start];

	while (--n) {
		if (++start == set->n)
			start = 0;
		if (lc_less(set->ep[start], best))
			best = set->ep[start];
	}
	return best;
}

struct k8snet_endpoint *k8snet_sched_pick(u8 scheduler,
					  const struct k8snet_set *set,
					  u64 hash, u32 turn)
{
	u32 i = reciprocal_scale(lower_32_bits(hash), set->n);

	switch (scheduler) {
	case K8SNET_SCHED_RR:
		if (set->n_slots)
			return set->ep[set->slot[turn % set->n_slots]];
		if (!set->alias)
			return set->ep[turn % set->n];
		break;
	case K8SNET_SCHED_LC:
		return lc_pick(set, i);
	case K8SNET_SCHED_MAGLEV:
		if (!set->n_slots)
			break;
		i = reciprocal_scale(upper_32_bits(hash), set->n_slots);
		return set->ep[set->slot[i]];
	}
	if (set->alias && upper_32_bits(hash) > set->alias[i].keep)
		i = set->alias[i].other;
	return set->ep[i];
}
