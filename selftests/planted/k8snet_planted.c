// SPDX-License-Identifier: GPL-2.0
/* Makes the mistake whose name is written to its parameter "plant", so that
 * planted.sh can check that the debug kernels report it. Each one is the
 * smallest of its kind; none is made unless it is asked for.
 */
#include <linux/debugobjects.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/rcupdate.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>

static DEFINE_SPINLOCK(plant_lock_a);
static DEFINE_SPINLOCK(plant_lock_b);
static void __rcu *plant_pointer;
static int plant_shift = 40;
static unsigned long plant_counter;

/* Reads from memory that was given back: KASAN. */
static void plant_use_after_free(void)
{
	char *p = kmalloc(64, GFP_KERNEL);

	if (!p)
		return;
	kfree(p);
	/* Not hidden from KASAN, but from the compiler. */
	OPTIMIZER_HIDE_VAR(p);
	pr_info("planted: %d\n", READ_ONCE(p[8]));
}

/* Writes behind the end of an allocation: KASAN. */
static void plant_out_of_bounds(void)
{
	char *p = kmalloc(60, GFP_KERNEL);

	if (!p)
		return;
	OPTIMIZER_HIDE_VAR(p);
	WRITE_ONCE(p[61], 1);
	kfree(p);
}

/* Asks for memory that may have to be waited for while a spinlock is held:
 * DEBUG_ATOMIC_SLEEP. Taking a mutex there would be lockdep's business, too,
 * which ends with its first report.
 */
static void plant_sleep_in_atomic(void)
{
	spin_lock(&plant_lock_a);
	kfree(kmalloc(64, GFP_KERNEL));
	spin_unlock(&plant_lock_a);
}

/* Takes two locks in both orders, which deadlocks only with bad luck:
 * PROVE_LOCKING needs no bad luck.
 */
static void plant_lock_inversion(void)
{
	spin_lock(&plant_lock_a);
	spin_lock(&plant_lock_b);
	spin_unlock(&plant_lock_b);
	spin_unlock(&plant_lock_a);

	spin_lock(&plant_lock_b);
	spin_lock(&plant_lock_a);
	spin_unlock(&plant_lock_a);
	spin_unlock(&plant_lock_b);
}

/* Follows an RCU pointer outside a reader: PROVE_RCU. */
static void plant_rcu(void)
{
	pr_info("planted: %p\n", rcu_dereference(plant_pointer));
}

/* Forgets an allocation: kmemleak. */
static void plant_leak(void)
{
	int i;

	/* Several, for the last one may be found on a stack. */
	for (i = 0; i < 16; i++)
		kmalloc(96, GFP_KERNEL);
}

/* Shifts by more than there are bits: UBSAN. */
static void plant_undefined(void)
{
	pr_info("planted: %d\n", 1 << READ_ONCE(plant_shift));
}

static void plant_timeout(struct timer_list *timer)
{
}

/* Gives back the memory of a running timer: DEBUG_OBJECTS, which then stops
 * it.
 */
static void plant_timer(void)
{
	struct timer_list *timer = kzalloc(sizeof(*timer), GFP_KERNEL);

	if (!timer)
		return;
	timer_setup(timer, plant_timeout, 0);
	mod_timer(timer, jiffies + 1000 * HZ);
	kfree(timer);
}

/* Puts an entry into a list twice: DEBUG_LIST. */
static void plant_list(void)
{
	LIST_HEAD(head);
	LIST_HEAD(entry);

	list_add(&entry, &head);
	list_add(&entry, &head);
}

/* Keeps a reference to a network device that goes away: its tracker says who
 * took it.
 */
static void plant_reference(void)
{
	netdevice_tracker tracker;
	struct net_device *dev;

	dev = dev_get_by_name(&init_net, "planted0");
	if (!dev)
		return;
	netdev_hold(dev, &tracker, GFP_KERNEL);
	dev_put(dev);
}

static int plant_racer(void *unused)
{
	while (!kthread_should_stop()) {
		plant_counter++;
		cond_resched();
	}
	return 0;
}

/* Two threads count in one variable for some time: KCSAN. */
static void plant_race(void)
{
	struct task_struct *racers[2];
	int i;

	for (i = 0; i < 2; i++)
		racers[i] = kthread_run(plant_racer, NULL, "planted/%d", i);
	msleep(5000);
	for (i = 0; i < 2; i++)
		if (!IS_ERR(racers[i]))
			kthread_stop(racers[i]);
}

static const struct {
	const char *name;
	void (*make)(void);
} plant_mistakes[] = {
	{ "use-after-free", plant_use_after_free },
	{ "out-of-bounds", plant_out_of_bounds },
	{ "sleep-in-atomic", plant_sleep_in_atomic },
	{ "lock-inversion", plant_lock_inversion },
	{ "rcu", plant_rcu },
	{ "leak", plant_leak },
	{ "undefined", plant_undefined },
	{ "timer", plant_timer },
	{ "list", plant_list },
	{ "reference", plant_reference },
	{ "race", plant_race },
};

static int plant_set(const char *name, const struct kernel_param *param)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(plant_mistakes); i++) {
		if (!sysfs_streq(name, plant_mistakes[i].name))
			continue;
		plant_mistakes[i].make();
		return 0;
	}
	return -EINVAL;
}

static const struct kernel_param_ops plant_ops = {
	.set = plant_set,
};
module_param_cb(plant, &plant_ops, NULL, 0200);
MODULE_PARM_DESC(plant, "mistake to make");

MODULE_DESCRIPTION("mistakes to test k8snet's instruments with");
MODULE_LICENSE("GPL");
