# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced by the scripts of this directory: where things are, messages, apt.

set -o pipefail

VM_DIR=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
TOP=$(realpath "$VM_DIR/../..")
CACHE=${K8SNET_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/k8snet}
BUILD=${K8SNET_BUILD:-$TOP/build}
KERNELS="6.1 6.12 7.2"

kernel_dir()	# KERNEL: its directory, after fetching or building it
{
	case $1 in
	*/*) realpath "$1" ;;
	debug|kcsan|gcov|clang) "$VM_DIR/kbuild.sh" "$1" ;;
	*) "$VM_DIR/kernel.sh" "$1" ;;
	esac
}

say()
{
	[ -n "$K8SNET_QUIET" ] || printf '%s\n' "k8snet: $*" >&2
}

die()
{
	printf '%s\n' "k8snet: $*" >&2
	exit 2
}

# Packages of other suites are looked up and downloaded through an apt state
# of our own, so that the machine's sources and installed packages stay as they
# are. The mirror is the one this machine's apt already uses.
APT_STATE=$CACHE/apt

apt_own()
{
	local cmd=$1

	shift
	"$cmd" -o Dir::Etc::SourceList="$APT_STATE/sources.list" \
		-o Dir::Etc::SourceParts=/dev/null \
		-o Dir::State::Lists="$APT_STATE/lists" \
		-o Dir::Cache="$APT_STATE/cache" \
		-o Acquire::Check-Valid-Until=false \
		-o Acquire::Languages=none \
		-o Acquire::Retries=3 \
		-o APT::Sandbox::User=root "$@"
}

# Writes the sources of our own apt state, and updates it at most once a day.
# A failed update with older lists at hand is a message, not an error.
apt_own_update()
{
	local mirror fmt

	mkdir -p "$APT_STATE/lists/partial" "$APT_STATE/cache"
	exec {apt_lock}>"$APT_STATE/lock"
	flock "$apt_lock"
	# shellcheck disable=SC2016 # apt's own variables
	fmt='$(REPO_URI) $(RELEASE) $(COMPONENT)'
	apt-get indextargets --format "$fmt" 'Created-By: Packages' |
		awk '$2 ~ /^(bookworm|oldstable)(-security|-updates)?$/ &&
		     $3 == "main" && !seen[$0]++ { print "deb", $0 }' \
		> "$APT_STATE/sources.new"
	# A machine whose lists were never fetched has no index targets.
	[ -s "$APT_STATE/sources.new" ] || {
		apt-get update -qq || die "apt-get update failed"
		apt-get indextargets --format "$fmt" 'Created-By: Packages' |
			awk '$2 ~ /^(bookworm|oldstable)(-security|-updates)?$/ &&
			     $3 == "main" && !seen[$0]++ { print "deb", $0 }' \
			> "$APT_STATE/sources.new"
	}
	mirror=$(awk '$3 ~ /^(bookworm|oldstable)$/ { print $2; exit }' \
		"$APT_STATE/sources.new")
	[ -n "$mirror" ] ||
		die "apt has no Debian 12 (bookworm) source; kernels are fetched from there"
	printf 'deb %s %s main\n' "$mirror" bookworm-backports \
		"$mirror" sid >> "$APT_STATE/sources.new"
	if ! cmp -s "$APT_STATE/sources.new" "$APT_STATE/sources.list" ||
	   [ -z "$(find "$APT_STATE/updated" -mtime -1 2>/dev/null)" ]; then
		cp "$APT_STATE/sources.new" "$APT_STATE/sources.list"
		say "reading the package lists of bookworm, bookworm-backports and sid"
		if apt_own apt-get update -qq >&2; then
			touch "$APT_STATE/updated"
		elif apt_own apt-cache show linux-image-amd64 >/dev/null 2>&1; then
			say "package lists could not be updated: using the ones at hand"
		else
			die "package lists could not be fetched"
		fi
	fi
	flock -u "$apt_lock"
}

# Newest version of a package of our own apt state that matches a pattern.
apt_own_version()	# PACKAGE REGEX
{
	apt_own apt-cache madison "$1" | awk '{ print $3 }' | grep -E "$2" |
		sort -V | tail -1
}
