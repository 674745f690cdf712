# bash completion for k8snetctl(8)                         -*- shell-script -*-
# SPDX-License-Identifier: GPL-2.0

# The first word of each line of a listing, in the namespace of the command
# line. Names that need quotes are left out: they cannot be completed here.
_k8snetctl_first()
{
	k8snetctl "${netns[@]}" "$@" 2>/dev/null |
		sed -n '/^[ "]/d; s/[ ,].*//p'
}

_k8snetctl_devices()
{
	ip "${netns[@]/#-N/-n}" -br link 2>/dev/null | sed 's/[@ ].*//'
}

# Words of a verb, or what a word wants behind it
_k8snetctl_words()
{
	local svc='vip node-port external-ip lb-ip host-port proto ep scheduler affinity
		external-policy internal-policy source-range source-range-scope
		no-endpoints on-removal dsr'

	case $prev in
	proto) echo tcp udp sctp; return ;;
	scheduler) echo random rr lc maglev; return ;;
	external-policy | internal-policy) echo cluster local; return ;;
	no-endpoints | dead-ports | unassigned-ips) echo reject drop pass; return ;;
	source-range-scope) echo lb external; return ;;
	on-removal) echo keep reset reschedule; return ;;
	dsr) echo none ipip; return ;;
	fastpath) echo auto established off; return ;;
	nodeport-addresses) echo primary all; return ;;
	nodeport-range) echo 30000-32767; return ;;
	affinity) echo 10800; return ;;
	antispoof | nodeport-localhost) echo on off; return ;;
	bridge) [ "$verb" = '' ] || { _k8snetctl_first bridge list; return; } ;;
	port | dev) [ "$verb" = '' ] || { _k8snetctl_devices; return; } ;;
	vip | node-port | external-ip | lb-ip | host-port | ep | source-range | via | \
	except | addr | mtu | mac | lladdr | ip | cluster-cidr | \
	service-cidr | name | zone)
		[ "$verb" = '' ] || return ;;
	esac

	case $object in
	'')
		echo node bridge port pod route masq svc ep hostport lookup flow \
			stats monitor save restore apply flush takeover help ;;
	lookup)
		[ "$nth" != 1 ] || echo tcp udp sctp ;;
	stats)
		[ "$nth" != 1 ] || _k8snetctl_first svc list
		[ "$nth" = 3 ] || echo rate ;;
	takeover)
		echo --dry-run --yes ;;
	apply)
		compgen -f -- "$cur"
		echo --dry-run --verbose ;;
	restore)
		compgen -f -- "$cur" ;;
	monitor | save | flush | help) ;;
	*)
		[ -n "$verb" ] || {
			case $object in
			node) echo set show shadowed help ;;
			flow) echo list help ;;
			pod | route | masq | hostport) echo add del list help ;;
			bridge | port | svc | ep) echo add set del list show help ;;
			esac
			return
		}
		case $object/$verb/$nth in
		node/set/*)
			echo ip nodeport-addresses nodeport-range cluster-cidr \
				service-cidr dead-ports unassigned-ips name zone \
				nodeport-localhost fastpath flow-max ;;
		bridge/add/1) ;;
		bridge/*/1) _k8snetctl_first bridge list ;;
		bridge/add/* | bridge/set/*) echo addr mtu lladdr ;;
		port/add/1) _k8snetctl_devices ;;
		port/*/1) _k8snetctl_first port list ;;
		port/add/*) echo bridge antispoof ;;
		port/set/*) echo antispoof ;;
		pod/add/1) ;;
		pod/*/1) _k8snetctl_first pod list ;;
		pod/add/*) echo port mac bridge ;;
		route/add/1) ;;
		route/*/1) _k8snetctl_first route list ;;
		route/add/*) echo via dev bridge ;;
		masq/add/1) ;;
		masq/*/1) _k8snetctl_first masq list ;;
		masq/add/*) echo except ;;
		hostport/add/*) ;;
		hostport/*/1) _k8snetctl_first hostport list ;;
		svc/add/1) ;;
		svc/*/1 | ep/*/1) _k8snetctl_first svc list ;;
		svc/add/* | svc/set/*) echo "$svc" ;;
		ep/set/* | ep/del/*)
			k8snetctl "${netns[@]}" ep list "$name" 2>/dev/null |
				sed 's/^[^ ]* //; s/,.*//' ;;
		esac
		[ "$verb" != del ] || echo --force ;;
	esac
}

_k8snetctl()
{
	local cur prev words cword i object='' verb='' name='' nth=0
	local netns=()

	# ":" is part of names and of addresses with ports.
	_get_comp_words_by_ref -n : cur prev words cword || return

	for ((i = 1; i < cword; i++)); do
		case ${words[i]} in
		-N | --netns)
			netns=(-N "${words[i + 1]}")
			i=$((i + 1)) ;;
		-b | --batch)
			i=$((i + 1)) ;;
		-*) ;;
		*)
			if [ -z "$object" ]; then
				object=${words[i]}
				case $object in
				lookup | stats | apply | restore | monitor | save | flush | \
				takeover)
					verb=- ;;
				esac
				nth=1
			elif [ -z "$verb" ]; then
				verb=${words[i]}
			else
				[ "$nth" != 1 ] || name=${words[i]}
				nth=$((nth + 1))
			fi ;;
		esac
	done

	case $prev in
	-N | --netns)
		COMPREPLY=($(compgen -W "$(ip netns list 2>/dev/null |
			sed 's/ .*//')" -- "$cur"))
		return ;;
	-b | --batch)
		COMPREPLY=($(compgen -f -- "$cur"))
		return ;;
	esac
	if [[ $cur == -* && -z $object ]]; then
		COMPREPLY=($(compgen -W '-j --json -p --pretty -N --netns
			-b --batch --force -h --help -V --version' -- "$cur"))
		return
	fi
	COMPREPLY=($(compgen -W "$(_k8snetctl_words)" -- "$cur"))
	__ltrim_colon_completions "$cur"
} && complete -F _k8snetctl k8snetctl
