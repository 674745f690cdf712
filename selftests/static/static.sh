#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# static.sh [PART...]: what can be found out about the sources without running
# them. All parts, or those named; "style" stands for those about form only.
# Findings are printed; the last line is "N passed, N failed, N skipped", the
# status 0 when nothing failed.

. "$(dirname "$(realpath "$0")")/../vm/common.sh"

HERE=$(dirname "$(realpath "$0")")
OBJ=$BUILD/static
STYLE="checkpatch clang-format shellcheck python text"
PARTS="sparse-6.1 sparse-6.12 sparse-7.2 clang coccinelle cppcheck clang-tidy"
PARTS="$PARTS tool-sanitized $STYLE"

cd "$TOP" || exit 2
mkdir -p "$OBJ"

# Files under version control and new ones, but not ignored ones.
files()		# PATTERN...
{
	git -c safe.directory='*' ls-files -co --exclude-standard -- "$@" |
		while read -r f; do
			[ ! -f "$f" ] || printf '%s\n' "$f"
		done
}

# Lines of the file that are findings; none is success.
findings()	# FILE PATTERN
{
	! grep -E -- "$2" "$1"
}

# --- the module, by compilers and checkers ------------------------------

# Headers of newer kernels have what this sparse does not know: what is said
# about them is not our business, unlike any warning of the compiler.
module_sparse()	# KERNEL
{
	local log=$OBJ/sparse-$1.log

	K8SNET_BUILD=$OBJ/$1 "$VM_DIR/build.sh" "$1" W=1 C=2 \
		CHECK="sparse -D__CHECK_ENDIAN__ -Wno-unknown-attribute" \
		> "$log" 2>&1 || { grep -E 'error:|Error' "$log" || tail "$log"; return 1; }
	findings "$log" '(^|/)(module|uapi)/[^ ]*:[0-9:]+ |: (warning|error): .*\[-W'
}

run_clang()
{
	local dir log=$OBJ/clang.log

	dir=$(kernel_dir clang) || return
	mkdir -p "$OBJ/clang"
	cp -r Kbuild dkms.conf module uapi "$OBJ/clang/"
	find "$OBJ/clang" -name '*.o' -delete
	# There is no kernel image that it could be linked against.
	env -u MAKEFLAGS -u MFLAGS "$dir/make" M="$OBJ/clang" W=1 -j"$(nproc)" \
		KBUILD_MODPOST_WARN=1 modules > "$log" 2>&1 ||
		{ grep -E 'error' "$log" || tail "$log"; return 1; }
	findings "$log" ': (warning|error):'
}

# The kernel's own semantic checks, each with the options that it names.
run_coccinelle()
{
	local src log=$OBJ/coccinelle.log script opts

	src=$("$VM_DIR/source.sh") || return
	# Not of use out of a kernel tree, or about other code than ours.
	find "$src/scripts/coccinelle" -name '*.cocci' | sort |
		while read -r script; do
			grep -q 'virtual report' "$script" || continue
			opts=$(sed -n 's,^// Options: ,,p' "$script" | tr '\n' ' ')
			printf '%s\t%s\n' "$script" "$opts"
		done > "$OBJ/cocci.list"
	# shellcheck disable=SC2016 # for the inner shell
	tr '\n' '\0' < "$OBJ/cocci.list" |
		xargs -0 -n1 -P"$(nproc)" bash -c 'IFS=$'"'\t'"' read -r s o <<< "$0"
			timeout 120 spatch -D report --no-show-diff --very-quiet \
				--cocci-file "$s" $o -I uapi -I module --dir module 2>&1 |
				sed "s,^,${s##*/}: ,"' > "$log"
	[ -s "$OBJ/cocci.list" ] || { echo "no scripts"; return 1; }
	findings "$log" 'module/[^ ]*:[0-9]+'
}

# --- the tool ----------------------------------------------------------

run_cppcheck()
{
	local log=$OBJ/cppcheck.log

	# shellcheck disable=SC2046 # lists
	cppcheck -q -j "$(nproc)" --std=c11 --language=c --inline-suppr \
		--enable=warning,performance,portability \
		--suppress=missingIncludeSystem --error-exitcode=1 \
		--template='{file}:{line}: {severity}: {message} [{id}]' \
		-I uapi -I tool $(files 'tool/*.c' 'selftests/*.c' | grep -v planted) \
		> "$log" 2>&1 && return
	cat "$log"
	return 1
}

run_clang_tidy()
{
	local log=$OBJ/clang-tidy.log flags

	flags="-std=gnu11 -D_GNU_SOURCE -Iuapi $(pkg-config --cflags libnl-3.0 \
		libnl-genl-3.0 jansson) -DK8SNETCTL_VERSION='\"0\"'"
	# One file at a time: clang-tidy 14 takes every va_list of a second one
	# for uninitialized.
	# shellcheck disable=SC2016 # for the inner shell
	files 'tool/*.c' | xargs -P"$(nproc)" -n1 sh -c \
		'clang-tidy-14 --quiet --config-file=tool/.clang-tidy "$0" -- '"$flags" \
		> "$log" 2>"$log.err"
	[ ! -s "$log.err" ] || ! grep -E 'rror' "$log.err" || return 1
	findings "$log" ': (warning|error): '
}

# The tool built with the sanitizers: words that it must refuse, files it must
# not trust, all without a kernel module. Its other tests run with this build in
# the VM ("make check-sanitized").
run_tool_sanitized()
{
	"$HERE/tool_sanitized.sh" "$OBJ/tool"
}

# --- form --------------------------------------------------------------

# checkpatch is made for kernel patches. Types that do not apply here:
# LINUX_VERSION_CODE, CONSTANT_COMPARISON: module/compat is there for that.
# LONG_LINE_STRING: what a user reads is not broken, so that it can be found.
# BIT_MACRO: not in headers for user space.
# PREFER_KERNEL_TYPES, PREFER_DEFINED_ATTRIBUTE_MACRO: not in a user's program.
checkpatch()	# LOG IGNORED-TYPES FILE...; status 1 is that of findings
{
	perl "$src/scripts/checkpatch.pl" --no-tree --strict --terse --show-types \
		-q --max-line-length=100 --ignore "$2" -f "${@:3}" > "$1" 2>&1
	[ $? -le 1 ] || echo "checkpatch.pl:0: ERROR:STATUS: it died" >> "$1"
}

run_checkpatch()
{
	local src log=$OBJ/checkpatch.log

	src=$("$VM_DIR/source.sh") || return
	rm -f "$log".*
	# shellcheck disable=SC2046 # lists of files without blanks
	{
		checkpatch "$log.1" LONG_LINE_STRING $(files 'module/[a-m]*.[ch]' |
			grep -v ^module/compat/) &
		checkpatch "$log.2" LONG_LINE_STRING $(files 'module/[n-z]*.[ch]') &
		checkpatch "$log.3" LINUX_VERSION_CODE,CONSTANT_COMPARISON,SPACING \
			$(files 'module/compat/*.[ch]') &
		checkpatch "$log.4" BIT_MACRO $(files 'uapi/*.h') &
		checkpatch "$log.5" PREFER_KERNEL_TYPES,PREFER_DEFINED_ATTRIBUTE_MACRO,AVOID_EXTERNS,FUNCTION_ARGUMENTS \
			$(files 'tool/*.[ch]' 'selftests/*.[ch]') &
		wait
	}
	cat "$log".[1-5] > "$log"
	allowed < "$log" > "$log.left"
	findings "$log.left" ':[0-9]+: (ERROR|WARNING|CHECK):'
}

# What checkpatch says of "checkpatch.allow": FILE TYPE, with the reason.
allowed()
{
	grep -vFf <(sed -n 's/^\([^# ]*\) \([A-Z_]*\).*/\1 \2/p' \
		"$HERE/checkpatch.allow" | while read -r f t; do
			grep -E "^$f:[0-9]+: [A-Z]+:$t:" "$OBJ/checkpatch.log"
		done)
}

run_clang_format()
{
	# shellcheck disable=SC2046 # a list
	"$HERE/format.py" $(files 'module/*.[ch]' 'uapi/*.h' 'tool/*.[ch]' \
		'selftests/*.[ch]')
}

run_shellcheck()
{
	# shellcheck disable=SC2046 # a list
	shellcheck -x -f gcc $(files '*.sh' '.ci/run' 'selftests/vm/init')
}

run_python()
{
	# shellcheck disable=SC2046 # a list
	/usr/bin/python3 -m pyflakes $(files '*.py')
}

# Every file: a licence, no blanks at the ends of lines, a last line that ends.
run_text()
{
	local bad=0 f

	while read -r f; do
		case $f in
		COPYING|*.json|.gitignore|.editorconfig|*.golden|*.txt|*.png|*.svg) ;;
		*)
			head -5 "$f" | grep -q 'SPDX-License-Identifier:' || {
				echo "$f: no SPDX-License-Identifier"
				bad=1
			} ;;
		esac
		! grep -nE '[[:blank:]]+$' "$f" /dev/null || bad=1
		[ -z "$(tail -c1 "$f")" ] || {
			echo "$f: the last line does not end"
			bad=1
		}
	done < <(files)
	# shellcheck disable=SC2046 # a list
	! grep -nE '(TODO|FIXME|XXX)\b' $(files 'module/*' 'tool/*' 'uapi/*') || bad=1
	"$TOP/selftests/mutants/mutants.py" --texts || bad=1
	return $bad
}

# --- -------------------------------------------------------------------

PASSED=0
FAILED=0

part()		# NAME
{
	local start=$SECONDS out rc

	case $1 in
	sparse-*) out=$(module_sparse "${1#sparse-}" 2>&1) ;;
	*) out=$("run_${1//-/_}" 2>&1) ;;
	esac
	rc=$?
	if [ $rc = 0 ]; then
		PASSED=$((PASSED + 1))
		echo "ok   $1 ($((SECONDS - start)) s)"
	else
		FAILED=$((FAILED + 1))
		echo "FAIL $1 ($((SECONDS - start)) s)"
		printf '%s\n' "$out" | head -n "${LINES_SHOWN:-60}" | sed 's/^/     /'
	fi
}

# shellcheck disable=SC2086 # a list
[ $# -gt 0 ] || set -- $PARTS
for name in "$@"; do
	case $name in
	style) for p in $STYLE; do part "$p"; done ;;
	*)
		case " $PARTS " in
		*" $name "*) part "$name" ;;
		*) die "no part '$name'; there are: $PARTS style" ;;
		esac ;;
	esac
done
echo "$PASSED passed, $FAILED failed, 0 skipped"
[ $FAILED = 0 ]
