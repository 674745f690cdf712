#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Boots a kernel in QEMU with the host's root file system, runs a command in
it, and judges the run. Called by run.sh, which documents the options.

Three channels come out of the VM: the kernel log (first serial port), the
command's output, and the verdict (virtio-serial ports). The run is good when
the verdict channel says that the command ended with status 0, that the module
could be unloaded and that the guest reached its end, and when the kernel log
holds nothing of TROUBLE. Silence is a failure: a VM that panics, hangs or is
cut off cannot look like a success.
"""
import argparse
import ctypes
import fcntl
import mmap
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.realpath(os.path.join(HERE, "../.."))

# What the kernel prints when something is wrong. Searched in what follows the
# line of our init, so that the emulated machine's own complaints at boot do
# not count.
TROUBLE = re.compile(
    r"Kernel panic|\bOops\b|\bBUG\b|WARNING:|general protection fault"
    r"|[Uu]nable to handle|KASAN:|KCSAN:|UBSAN:|KFENCE:|INFO: possible"
    r"|INFO: suspicious|INFO: task .* blocked|INFO: inconsistent"
    r"|INFO: trying to register|possible recursive locking"
    r"|rcu: .*stall|detected stalls|self-detected stall|kthread starved"
    r"|unregister_netdevice: waiting|kmemleak: [0-9]+ new"
    r"|refcount_t:|ODEBUG:|list_(add|del) corruption|ref_tracker:"
    r"|sleeping function called|scheduling while atomic|Call Trace:"
    r"|soft lockup|hard LOCKUP|DEBUG_LOCKS_WARN|stack-protector"
    r"|page allocation failure|Out of memory:|k8snet-vm: cannot")
INIT = "k8snet-vm: init"
# A guest that boots while the host has no time for it may find that its timer
# does not work, and then runs without one.
CRIPPLED = "lapic is not functional"
BOOTS = 3               # a boot that dies before our init: tries in all
BOOT_LIMIT = 240        # seconds until init, on a busy host
END_LIMIT = 300         # seconds for clean-up after the command
UNLOAD_LIMIT = 10       # seconds for unloading the module
MODULE_SIZE = 1 << 20   # bytes of code, at most
LOG_LINES = 40          # of the kernel log, printed around trouble


def say(text):
    print("k8snet: " + text, file=sys.stderr, flush=True)


def output_of(*command):
    result = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if result.returncode:
        sys.exit(result.returncode)
    return result.stdout.decode()


def write(path, text):
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as data:
            return data.read()
    except FileNotFoundError:
        return ""


def make_modules(job, kernel, module):
    """The VM's /lib/modules/RELEASE: links to the kernel's, our module in
    updates/ and an index made anew."""
    release = read(kernel + "/release").strip()
    tree = f"{job}/root/lib/modules/{release}"
    source = os.path.realpath(kernel + "/modules")
    os.makedirs(tree + "/updates")
    if os.path.isdir(source + "/kernel"):
        os.symlink(source + "/kernel", tree + "/kernel")
    for name in ("modules.builtin", "modules.builtin.modinfo",
                 "modules.order"):
        if os.path.exists(f"{source}/{name}"):
            os.symlink(f"{source}/{name}", f"{tree}/{name}")
    if module:
        shutil.copy(module, tree + "/updates/k8snet.ko")
    subprocess.run(["depmod", "-b", job + "/root", release], check=True)
    os.symlink("root/lib/modules/" + release, job + "/modules")


def make_job(args, job, kernel):
    """Everything the guest reads, in one directory."""
    os.makedirs(job + "/bin")
    os.makedirs(job + "/out")
    make_modules(job, kernel, args.module)
    if args.tool:
        shutil.copy(args.tool, job + "/bin/k8snetctl")
    for name, target in args.bin:
        shutil.copy(target, f"{job}/bin/{name}")
    environment = {
        "K8SNET_KERNEL": args.kernel,
        "K8SNET_TOP": TOP,
        "K8SNET_OUT": "/run/job/out",
        "K8SNET_VM": "1",
        "K8SNET_SLOW": str(args.slow),
        "TERM": os.environ.get("TERM", "dumb"),
    }
    environment.update(item.partition("=")[::2] for item in args.env)
    if args.interactive:
        size = shutil.get_terminal_size()
        environment.update(K8SNET_ROWS=str(size.lines),
                           K8SNET_COLS=str(size.columns))
        write(job + "/tty", "")
    write(job + "/env", "".join(f"{name}={shlex.quote(value)}\n"
                                for name, value in environment.items()))
    write(job + "/guest", HERE + "/guest.sh")
    write(job + "/cwd", os.getcwd())
    cache = os.path.realpath(os.environ["K8SNET_CACHE"])
    write(job + "/visible", f"{TOP}\n{cache}\n")
    write(job + "/command", "".join(word + "\0" for word in args.command))
    if args.warn_ok:
        write(job + "/warn-ok", "")
    subprocess.run([sys.executable, HERE + "/initrd.py",
                    os.path.realpath(kernel + "/modules"),
                    shutil.which("busybox"), HERE + "/init",
                    job + "/initrd"], check=True)


def tsc_khz():
    """Frequency of this processor's time stamp counter, in kHz: the emulated
    ones read it. 0: it has none that is a clock."""
    if not {"constant_tsc", "nonstop_tsc"} <= set(read("/proc/cpuinfo").split()):
        return 0
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ |
                     mmap.PROT_WRITE | mmap.PROT_EXEC)
    # rdtsc; shl rdx, 32; or rax, rdx; ret
    page.write(bytes.fromhex("0f31 48c1e220 4809d0 c3"))
    rdtsc = ctypes.CFUNCTYPE(ctypes.c_uint64)(
        ctypes.addressof(ctypes.c_char.from_buffer(page)))

    def sample():
        """Both clocks at one time: of several readings the least disturbed."""
        def once():
            before = time.monotonic_ns()
            ticks = rdtsc()
            after = time.monotonic_ns()
            return after - before, (before + after) / 2, ticks

        return min(once() for _ in range(20))[1:]

    start, first = sample()
    time.sleep(0.05)
    end, last = sample()
    return round((last - first) * 1e6 / (end - start))


def qemu_command(args, job, kernel, logs):
    accel = os.environ.get("K8SNET_ACCEL", "tcg")
    words = ("console=ttyS0 loglevel=5 oops=panic panic=-1 nokaslr "
             "mitigations=off random.trust_cpu=on watchdog_thresh=30 "
             "rcupdate.rcu_cpu_stall_timeout=60 "
             f"workqueue.watchdog_thresh={60 * args.slow} "
             # KASAN does not stop a VM that is to print all of its reports.
             + ("kasan_multi_shot " if args.warn_ok else "")
             + " ".join(args.append))
    image = next(path for path in (kernel + "/bzImage", kernel + "/vmlinux")
                 if os.path.exists(path))
    command = output_of(HERE + "/qemu.sh").split("\n")[:-1] + [
        "-M", "q35", "-smp", str(args.smp), "-m", str(args.memory),
        "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
        "-kernel", image, "-initrd", job + "/initrd",
        "-serial", f"file:{logs}/kernel.log",
        "-device", "virtio-rng-pci", "-device", "virtio-serial-pci"]
    if accel == "kvm":
        command += ["-accel", "kvm", "-cpu", "host"]
    else:
        # Each look at a clock of the board's is a call of the emulator, which
        # takes its lock. The processors' own is the host's, but Linux distrusts
        # it, and on a busy host it measures its frequency wrong.
        # (With -icount it counts instructions.)
        khz = 0 if "-icount" in args.qemu else tsc_khz()
        words += f" clocksource=tsc tsc=reliable tsc_early_khz={khz}" \
            if khz else ""
        command += ["-accel", args.tcg, "-cpu", "max,la57=off"]
    for name in ("verdict", "out"):
        command += ["-chardev", f"file,id={name},path={logs}/{name}",
                    "-device", f"virtserialport,chardev={name},name={name}"]
    for name, path, how in (("root", "/", "readonly=on"),
                            ("job", job, "writeout=immediate")):
        command += ["-fsdev", f"local,id={name},path={path},{how},"
                    "security_model=none,multidevs=remap",
                    "-device", f"virtio-9p-pci,fsdev={name},mount_tag={name}"]
    command += ["-append", words]
    if args.interactive:
        command += ["-chardev", "stdio,id=tty,signal=off",
                    "-device", "virtconsole,chardev=tty"]
    return command + args.qemu


def take_slot():
    """Waits until fewer VMs run on this machine than it can keep at a speed
    that tests' limits of time allow. The slot is held until we end."""
    slots = int(os.environ.get("K8SNET_VMS", (os.cpu_count() or 1) + 1))
    where = os.environ["K8SNET_CACHE"] + "/slots"
    os.makedirs(where, exist_ok=True)
    files = [open(f"{where}/{n}", "w", encoding="ascii")
             for n in range(slots)]
    told = False
    while True:
        for slot in files:
            try:
                fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return slot
            except BlockingIOError:
                pass
        if not told:
            say(f"{slots} VMs are running: waiting for one to end "
                "(K8SNET_VMS=N allows more)")
            told = True
        time.sleep(0.3)


class Tail:
    """Copies what is added to a file to standard output."""

    def __init__(self, path, wanted):
        self.path = path
        self.wanted = wanted
        self.position = 0
        self.grew = time.monotonic()

    def copy(self):
        if not self.wanted or not os.path.exists(self.path):
            return
        with open(self.path, "rb") as data:
            data.seek(self.position)
            chunk = data.read()
        if chunk:
            self.position += len(chunk)
            self.grew = time.monotonic()
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()


def is_crippled(logs):
    """Whether the boot left something out, as only a busy host explains."""
    return CRIPPLED in read(logs + "/kernel.log").partition(INIT)[0]


def boot_once(args, job, kernel, logs):
    """Runs QEMU until it ends. Returns what cut it short, or None."""
    for name in ("kernel.log", "verdict", "out"):
        write(f"{logs}/{name}", "")
    tail = Tail(logs + "/out", not args.interactive)
    command = qemu_command(args, job, kernel, logs)
    write(logs + "/qemu", shlex.join(command) + "\n")
    saved = None
    if args.interactive and sys.stdin.isatty():
        saved = termios.tcgetattr(sys.stdin)
    start = time.monotonic()
    cut = None
    with subprocess.Popen(command,
                          stdin=None if args.interactive
                          else subprocess.DEVNULL) as qemu:
        def stop(signum, _frame):
            qemu.kill()
            sys.exit(128 + signum)
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGHUP, stop)
        booted = ended = None
        try:
            while qemu.poll() is None:
                now = time.monotonic()
                if booted is None and INIT in read(logs + "/kernel.log"):
                    booted = now
                    if is_crippled(logs):
                        cut = "it has no timer"
                        qemu.kill()
                        break
                if ended is None and "status " in read(logs + "/verdict"):
                    ended = now
                if booted is None:
                    late = now > start + BOOT_LIMIT * args.slow
                elif ended is None:
                    late = (args.timeout and now > booted + args.timeout
                            or args.silence and
                            now > max(tail.grew, booted) + args.silence)
                else:
                    late = now > ended + END_LIMIT * args.slow
                if late:
                    cut = ("no end of clean-up" if ended else
                           f"no end after {now - booted:.0f} s" if booted else
                           f"no init after {now - start:.0f} s")
                    qemu.kill()
                    break
                tail.copy()
                time.sleep(0.1)
        finally:
            if qemu.poll() is None:
                qemu.kill()
            qemu.wait()
            if saved:
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, saved)
    tail.copy()
    if cut is None and qemu.returncode:
        cut = f"QEMU ended with status {qemu.returncode}"
    return cut


def trouble_in(logs):
    """Lines of the kernel log from the first sign of trouble on."""
    lines = read(logs + "/kernel.log").replace("\r", "").split("\n")
    for number, line in enumerate(lines):
        if INIT in line:
            lines = lines[number:]
            break
    else:
        return ["(the kernel did not reach init)"] + lines[-LOG_LINES:]
    lines = without_foreign(lines)
    for number, line in enumerate(lines):
        if TROUBLE.search(line):
            return lines[max(0, number - 3):number + LOG_LINES]
    return []


NF_TABLES_LIST = re.compile(r"net/netfilter/(nf_tables_api|nft_set_\w+)\.c:\d+ "
                            "RCU-list traversed in non-reader section")


def without_nf_tables_lists(lines):
    """LINES without the one report that 6.1's nf_tables makes of itself: it
    walks lists under its commit mutex, which RCU's list walkers are not told
    of. Nothing of ours is near, and lockdep goes on."""
    kept = []
    number = 0
    while number < len(lines):
        if "suspicious RCU usage" in lines[number] and any(
                NF_TABLES_LIST.search(line)
                for line in lines[number + 1:number + 5]):
            while number < len(lines) and "</TASK>" not in lines[number]:
                number += 1
        else:
            kept.append(lines[number])
        number += 1
    return kept


def without_foreign(lines):
    """LINES without reports that say nothing about our module."""
    return without_foreign_races(without_nf_tables_lists(lines))


RACE = "BUG: KCSAN: "
RULE = "=" * 30
FRAME = re.compile(r"^(?:\[[ .0-9]*\]\s*(?:\[[ TC0-9]*\])?)?\s*"
                   r"(\S+\+0x[0-9a-f]+/0x[0-9a-f]+.*)$")
NEAR = 3                # frames from the access


def is_ours(report):
    """Whether a report of KCSAN is about an access by our module, which may
    be made through a function or two of the kernel's library. The kernel
    itself has many races that it knows of and that are reported as well."""
    depth = NEAR
    for line in report:
        if RACE in line and "[k8snet" in line:
            return True
        if " bytes by " in line or "race at unknown origin" in line:
            depth = 0
        frame = FRAME.match(line)
        if frame:
            depth += 1
            if depth <= NEAR and "[k8snet" in line:
                return True
    return False


def without_foreign_races(lines):
    """LINES without KCSAN's reports about the kernel's own races."""
    kept = []
    number = 0
    while number < len(lines):
        if RACE not in lines[number]:
            kept.append(lines[number])
            number += 1
            continue
        end = number + 1
        while end < len(lines) and RULE not in lines[end]:
            end += 1
        if is_ours(lines[number:end]):
            kept += lines[number:end]
        number = end + 1
    return kept


def name_addresses(job):
    """Names the functions in kmemleak's backtraces, which it writes when the
    module is gone."""
    symbols = []
    for line in read(job + "/symbols").split("\n"):
        words = line.split()
        if len(words) > 2 and words[1] in "tT":
            symbols.append((int(words[0], 16), words[2], words[-1]))
    symbols.sort()

    def name(match):
        address = int(match[1], 16)
        found = [symbol for symbol in symbols if symbol[0] <= address]
        if not found or address - found[-1][0] > MODULE_SIZE:
            return match[0]
        start, function, module = found[-1]
        return f"{function}+0x{address - start:x} {module}"

    text = read(job + "/kmemleak")
    if text and symbols:
        write(job + "/kmemleak", re.sub(r"(?<=\] )0x([0-9a-f]{16})$", name,
                                        text, flags=re.M))


def judge(args, logs, kept, cut):
    """Status of the run, having said what was wrong with it. LOGS is where
    its logs are, KEPT where they will be."""
    verdict = {}
    name_addresses(logs + "/job")
    for line in read(logs + "/verdict").split("\n"):
        word, _, rest = line.partition(" ")
        verdict[word] = rest
    wrong = []
    if cut:
        wrong.append(cut)
    lines = trouble_in(logs)
    if lines:
        wrong.append("trouble in the kernel log:")
        wrong.extend("| " + line for line in lines if line)
    if "status" not in verdict:
        wrong.append("the command did not come to its end")
    elif "end" not in verdict:
        wrong.append("the guest did not come to its end")
    unload = verdict.get("unload", "0")
    if unload.startswith("failed"):
        wrong.append("the module cannot be unloaded: " + unload[7:])
    elif int(unload) > UNLOAD_LIMIT * 1000 * args.slow:
        wrong.append(f"unloading the module took {unload} ms")
    if verdict.get("kmemleak", "0") != "0":
        wrong.append("memory leaked, see kmemleak:")
        wrong.extend("| " + line for line in
                     read(logs + "/job/kmemleak").split("\n")[:LOG_LINES])
    for line in wrong:
        say(line)
    if wrong:
        say(f"VM run '{args.name}' on {args.kernel} failed; logs in {kept}")
    status = int(verdict.get("status", "1"))
    return status or (1 if wrong else 0)


def options():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--kernel-dir", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--name", default="run")
    parser.add_argument("--module")
    parser.add_argument("--tool")
    parser.add_argument("--bin", action="append", default=[],
                        type=lambda item: tuple(item.split("=", 1)))
    parser.add_argument("--timeout", type=float, default=600)
    parser.add_argument("--silence", type=float, default=0)
    parser.add_argument("--slow", type=int, default=1)
    parser.add_argument("--smp", type=int, default=2)
    parser.add_argument("--memory", type=int, default=2048)
    parser.add_argument("--append", action="append", default=[])
    parser.add_argument("--tcg", default="tcg,thread=multi")
    parser.add_argument("--qemu", action="append", default=[])
    parser.add_argument("--env", action="append", default=[])
    parser.add_argument("--interactive", action="store_true")
    parser.add_argument("--warn-ok", action="store_true")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def main():
    args = options()
    os.makedirs(args.build + "/vm", exist_ok=True)
    logs = f"{args.build}/log/{args.name}"
    job = tempfile.mkdtemp(prefix=args.name + ".", dir=args.build + "/vm")
    live = job + "/log"
    try:
        os.mkdir(live)
        os.mkdir(job + "/share")
        make_job(args, job + "/share", args.kernel_dir)
        slot = None if args.interactive else take_slot()
        for left in reversed(range(BOOTS)):
            cut = boot_once(args, job + "/share", args.kernel_dir, live)
            if cut and cut.startswith("QEMU") and \
                    not read(live + "/kernel.log"):
                say(f"{cut} before the kernel said anything: "
                    "the VM cannot be started")
                sys.exit(2)
            if INIT in read(live + "/kernel.log") and \
                    not is_crippled(live) or not left:
                break
            say(f"the VM died before init ({cut or 'it ended'}), "
                "which is the emulator's doing: started again")
        if slot:
            slot.close()
        shutil.move(job + "/share/out", live + "/job")
        status = judge(args, live, logs, cut)
        # The newest run of a name keeps its logs, and only the newest.
        os.makedirs(os.path.dirname(logs), exist_ok=True)
        with open(args.build + "/log/.lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            shutil.rmtree(logs, ignore_errors=True)
            os.rename(live, logs)
    finally:
        shutil.rmtree(job, ignore_errors=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
