#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests the instrument: what must make a VM run fail is planted, and the run
# has to fail. TAP.

HERE=$(dirname "$(realpath "$0")")
K=${K8SNET_KERNEL:-6.1}
N=0
FAILED=0
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT

vm()		# ARGUMENT...
{
	"$HERE/run.sh" -k "$K" -M -T -n selfcheck "$@" > "$TMP/out" 2>&1
}

result()	# STATUS WANTED TEXT-WANTED DESCRIPTION
{
	N=$((N + 1))
	if [ "$1" = "$2" ] && grep -qE -- "$3" "$TMP/out"; then
		echo "ok $N $4"
		return
	fi
	FAILED=$((FAILED + 1))
	echo "not ok $N $4"
	echo "# status $1, wanted $2, and a line with '$3'"
	tail -n 30 "$TMP/out" | sed 's/^/# /'
}

echo "TAP version 13"

# A test for each way to fail, run by the runner.
mkdir "$TMP/t"
plant()		# NAME TEXT
{
	printf '#!/bin/sh\n%s\n' "$2" > "$TMP/t/$1"
	chmod +x "$TMP/t/$1"
}
plant good.sh 'echo 1..1; echo ok 1 fine'
plant notok.sh 'echo 1..2; echo ok 1 fine; echo not ok 2 bad; exit 1'
plant quiet.sh 'exit 0'
plant short.sh 'echo 1..2; echo ok 1 fine'
plant status.sh 'echo 1..1; echo ok 1 fine; exit 1'
plant skip.sh 'echo 1..1; echo "ok 1 thing # SKIP not here"; exit 4'
plant slow.sh '# timeout: 2
echo 1..1; sleep 1000; echo ok 1 fine'
TESTS=$(base64 -w0 < <(tar -C "$TMP" -c t))
# shellcheck disable=SC2016 # expanded in the VM
vm -- bash -c "cd /tmp && echo $TESTS | base64 -d | tar x && \
	K8SNET_VM=1 '$HERE/../run_tests.py' t/good.sh t/notok.sh t/quiet.sh \
	t/short.sh t/status.sh t/skip.sh t/slow.sh | grep -E '^(not )?ok'"'
	exit ${PIPESTATUS[0]}'
RC=$?
WANT='ok 1 selftests: good.sh
not ok 2 selftests: notok.sh
not ok 3 selftests: quiet.sh
not ok 4 selftests: short.sh
not ok 5 selftests: status.sh
not ok 6 selftests: skip.sh
not ok 7 selftests: slow.sh'
[ "$(grep -E '^(not )?ok' "$TMP/out")" = "$WANT" ] || RC="$RC, other results"
result "$RC" 1 'slow.sh' "the runner fails what is not a success"

vm -- sh -c 'echo said'
result $? 0 '^said$' "a command that succeeds is a success"
vm -- sh -c 'echo said; exit 3'
result $? 3 '^said$' "status and output of a command come out"
vm -- sh -c 'echo "<4>WARNING: fake" > /dev/kmsg'
result $? 1 'trouble in the kernel log' "a warning in the kernel log fails"
vm -- sh -c 'echo c > /proc/sysrq-trigger; sleep 60'
result $? 1 'sysrq: Trigger a crash|Kernel panic' "a panic fails"
vm -- busybox poweroff -f
result $? 1 'did not come to its end' "a VM that ends early fails"
vm -t 2 -- sleep 600
result $? 1 'no end after' "a command that does not end fails"
vm -s 2 -- sleep 600
result $? 1 'no end after' "silence fails"

echo "1..$N"
[ $FAILED = 0 ]
