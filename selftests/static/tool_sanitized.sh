#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# tool_sanitized.sh DIR: builds the tool in DIR with the address and undefined
# behaviour sanitizers and gives it words, batches and files that it must refuse
# or print, none of which reaches a kernel. What matters is that no sanitizer
# speaks and that every status is 0, 1 or 2.

. "$(dirname "$(realpath "$0")")/../vm/common.sh"

DIR=$1
FLAGS="-include $TOP/selftests/static/no_kernel.h -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all"
export ASAN_OPTIONS=abort_on_error=0:exitcode=99
export UBSAN_OPTIONS=print_stacktrace=1:exitcode=99
TOOL=$DIR/tool/k8snetctl

mkdir -p "$DIR/tool" "$DIR/uapi" || exit 2
cp -ru "$TOP/uapi/." "$DIR/uapi/"
( cd "$TOP/tool" && cp -ru ./*.[ch] Makefile "$DIR/tool/" )
env -u MAKEFLAGS -u MFLAGS make -s -j"$(nproc)" -C "$DIR/tool" \
	CFLAGS="$FLAGS -Werror" > "$DIR/log" 2>&1 || { cat "$DIR/log"; exit 1; }

BAD=0
N=0

try()		# ARGUMENT...: status 0, 1 or 2, and no sanitizer
{
	local rc

	N=$((N + 1))
	timeout 30 "$TOOL" "$@" < "${INPUT:-/dev/null}" > "$DIR/out" 2>&1
	rc=$?
	if [ $rc -gt 2 ] || grep -qE 'Sanitizer|runtime error:' "$DIR/out"; then
		echo "status $rc: k8snetctl $*"
		head -n 30 "$DIR/out"
		BAD=1
	fi
}

OBJECTS="bridge pod port route masq node svc ep flow stats lookup monitor save
restore apply flush nothing"
LONG=$(printf '%0300d' 7)
WORDS=("" "-" "," "/" ":" "[" "[]" "[::]" "10.0.0.1" "10.0.0.1/33" "10.0.0.1/-1"
	"fd00::1/129" "10.0.0.0/8" "1.2.3.4:0/tcp" "1.2.3.4:65536/tcp"
	"1.2.3.4:80/icmp" "[fd00::1:80/tcp" "[fd00::1]:80" "[fd00::1]80/udp"
	"1.2.3.4:80,weight=" "1.2.3.4:80,weight=99999999999"
	"1.2.3.4:80,weight=-1,,local" "18446744073709551616" "0x10" "%s%n"
	"$LONG" $'a\nb' $'\xff\xfe')

try
try --help
try --version
for object in $OBJECTS; do
	try "$object" --help
	for verb in add set del list; do
		try "$object" $verb
		try "$object" $verb "" no-such-word
		try "$object" $verb "$LONG" no-such-word
		try "$object" $verb 10.0.0.0/8 no-such-word
	done
done

values()	# COMMAND...: each bad word as what follows
{
	for word in "${WORDS[@]}"; do
		try "$@" "$word" no-such-word
	done
}

values bridge add x addr
values bridge add x addr 10.0.0.1/24 mtu
values pod add
values pod add 10.0.0.2 port p mac
values route add
values route add 10.0.0.0/8 via
values masq add
values masq add 10.0.0.0/8 except
values node set ip
values node set nodeport-addresses
values node set nodeport-range
values node set cluster-cidr
values node set fastpath
values svc add
for word in vip ep node-port external-ip lb-ip scheduler affinity \
	external-policy source-range no-endpoints on-removal; do
	values svc add x $word
done
values ep add x
values lookup tcp 10.0.0.1
values stats
values no-such-object

# Files: JSON that is none, or not what is expected, and batches.
for text in '' '{' '[]' '{}' '{"svc":1}' '{"svc":[1]}' '{"svc":[{}]}' \
	'{"svc":[{"name":1}]}' '{"svc":[{"name":"x","vip":["1.2.3.4"]}]}' \
	'{"bridge":[{"name":"'"$LONG"'"}]}' '{"pod":[{"addr":[]}]}' \
	'{"node":{"nodeport-range":"1"}}' '[[[[[[[[[[[[[[[' \
	'{"version":99}' $'{"svc":[{"name":"\\u0000"}]}'; do
	printf '%s' "$text" > "$DIR/file"
	try restore "$DIR/file" --no-such-option
	try apply "$DIR/file" --no-such-option
	try --batch "$DIR/file"
	INPUT=$DIR/file try --batch -
done
for f in "$TOP"/docs/examples/*.json; do
	# Cut at every so many bytes: each is a file that is not whole.
	for n in 1 100 1000; do
		head -c $n "$f" > "$DIR/file"
		try apply "$DIR/file"
	done
done
try restore /nowhere
try restore "$DIR"
head -c 3000 /dev/zero > "$DIR/file"
try restore "$DIR/file"
try --batch "$DIR/file"
echo "$N calls"
exit $BAD
