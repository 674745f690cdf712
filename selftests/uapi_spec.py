#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# One contract, written three times: uapi/linux/k8snet.h (the values and, in
# its comments, the types), uapi/k8snet.yaml (YNL) and the policies in
# module/netlink_policy.c. Any difference in a name, a value, an order, a type
# or a limit is a failure.

import os
import re
import sys

import yaml

TOP = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
HEADER = os.path.join(TOP, 'uapi/linux/k8snet.h')
SPEC = os.path.join(TOP, 'uapi/k8snet.yaml')
POLICY = os.path.join(TOP, 'module/netlink_policy.c')

# Definitions of the spec that an enum of the header holds.
ENUMS = {
    'k8snet_nodeport_mode': 'nodeport',
    'k8snet_fastpath': 'fastpath',
    'k8snet_frontend_type': 'frontend',
    'k8snet_scheduler': 'sched',
    'k8snet_policy': 'policy',
    'k8snet_no_endpoints': 'no-endpoints',
    'k8snet_range_scope': 'range-scope',
    'k8snet_on_removal': 'on-removal',
    'k8snet_dsr': 'dsr',
    'k8snet_origin': 'origin',
    'k8snet_lookup_verdict': 'lookup',
}

# What the policies write for a number
NUMBERS = {'ETH_ALEN': 6, 'IFNAMSIZ - 1': 15}


def upper(*names):
    return '_'.join(names).upper().replace('-', '_')


class Results:
    """TAP; a case fails by what it adds to the list it is given."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def case(self, description, function, *args):
        wrong = []
        function(wrong, *args)
        self.count += 1
        if wrong:
            self.failed += 1
        print('%sok %d %s' % ('not ' if wrong else '', self.count, description))
        for line in wrong:
            print('# %s' % line)

    def end(self):
        print('1..%d' % self.count)
        return 1 if self.failed else 0


class Enum:
    """Members in order: name, value, the comment beside it."""

    def __init__(self, body):
        self.members = []
        self.aliases = {}
        value = -1
        token = re.compile(r'/\*(.*?)\*/|(\w+)\s*(?:=\s*([^,/]*?))?\s*(?=,|/|$|\n)',
                           re.S)
        for match in token.finditer(body):
            comment, name, expr = match.groups()
            if comment is not None:
                beside = body[:match.start()].rsplit('\n', 1)[-1].strip()
                if beside and self.members:
                    text = re.sub(r'\s*\n\s*\*?\s*', ' ', comment).strip()
                    self.members[-1][2] = text
                continue
            if expr and not re.fullmatch(r'\d+', expr.strip()):
                self.aliases[name] = expr.strip()
                continue
            value = int(expr) if expr else value + 1
            self.members.append([name, value, ''])

    def values(self):
        return [(n, v) for n, v, _ in self.members if not n.startswith('__')]


class Header:
    def __init__(self, text):
        self.enums = {}
        for name, body in re.findall(r'enum\s*(\w*)\s*\{(.*?)\n\};', text, re.S):
            self.enums[name] = Enum(body)
        self.strings = dict(re.findall(r'#define (\w+)\s+"([^"]*)"', text))
        self.bits = [(n, 1 << int(b)) for n, b in
                     re.findall(r'#define (\w+)\s+\(1U << (\d+)\)', text)]
        self.masks = {n: int(v, 16) for n, v in
                      re.findall(r'#define (__\w+_ALL)\s+(0x[0-9a-f]+)U', text)}


def compare(wrong, what, header, spec):
    if header == spec:
        return
    for item in header:
        if item not in spec:
            wrong.append('%s: only the header has %s' % (what, item))
    for item in spec:
        if item not in header:
            wrong.append('%s: only the spec has %s' % (what, item))
    if sorted(map(str, header)) == sorted(map(str, spec)):
        wrong.append('%s: the order differs' % what)


def entry_name(entry):
    return entry if isinstance(entry, str) else entry['name']


def check_limits(wrong, header, spec):
    consts = [(upper('K8SNET', d['name']), d['value'])
              for d in spec['definitions'] if d['type'] == 'const']
    compare(wrong, 'limits', header.enums[''].values(), consts)


def check_identity(wrong, header, spec):
    if header.strings.get('K8SNET_GENL_NAME') != spec['name']:
        wrong.append('the family is %r in the spec' % spec['name'])
    if spec.get('uapi-header') != 'linux/k8snet.h':
        wrong.append('the header is %r in the spec' % spec.get('uapi-header'))
    groups = [g['name'] for g in spec['mcast-groups']['list']]
    if groups != [header.strings.get('K8SNET_MCGRP_CONFIG')]:
        wrong.append('the groups are %r in the spec' % groups)


def check_enum(wrong, header, name, definition):
    spec = [(upper('K8SNET', definition['name'], entry_name(e)), i)
            for i, e in enumerate(definition['entries'])]
    values = header.enums[name].values()
    compare(wrong, name, values, spec)
    last = upper('__K8SNET', definition['name'], 'LAST')
    alias = upper('K8SNET', definition['name'], 'MAX')
    if header.enums[name].aliases != {alias: last + ' - 1'}:
        wrong.append('%s has no %s' % (name, alias))


def check_flags(wrong, header, spec):
    flags = []
    for d in spec['definitions']:
        if d['type'] != 'flags':
            continue
        bits = [(upper('K8SNET', d['name'], entry_name(e)), 1 << i)
                for i, e in enumerate(d['entries'])]
        flags += bits
        mask = upper('__K8SNET', d['name'], 'ALL')
        if header.masks.get(mask) != (1 << len(bits)) - 1:
            wrong.append('%s is not all bits of %s' % (mask, d['name']))
    compare(wrong, 'flags', sorted(header.bits), sorted(flags))


def check_definitions(wrong, header, spec):
    names = [d['name'] for d in spec['definitions'] if d['type'] == 'enum']
    if sorted(names) != sorted(ENUMS.values()):
        wrong.append('enums of the spec: %s' % sorted(names))
    known = set(ENUMS) | {'', 'k8snet_cmd'} | {
        'k8snet_attr_' + s['name'] for s in spec['attribute-sets']}
    for name in header.enums:
        if name not in known:
            wrong.append('the spec has nothing of enum %s' % name)
    for d in spec['definitions'] + spec['attribute-sets']:
        if not d.get('doc'):
            wrong.append('%s has no doc' % d['name'])


def check_commands(wrong, header, spec):
    ops = spec['operations']
    prefix = ops['name-prefix']
    cmds = [(upper(prefix.rstrip('-'), op['name']), i + 1)
            for i, op in enumerate(ops['list'])]
    values = header.enums['k8snet_cmd'].values()
    if values[0] != ('K8SNET_CMD_UNSPEC', 0):
        wrong.append('the first command is %s' % (values[0],))
    compare(wrong, 'commands', values[1:], cmds)
    sets = {s['name']: [a['name'] for a in s['attributes']]
            for s in spec['attribute-sets']}
    names = [op['name'] for op in ops['list']]
    for op in ops['list']:
        if not op.get('doc'):
            wrong.append('%s has no doc' % op['name'])
        if 'notify' in op and op['notify'] not in names:
            wrong.append('%s: there is no %s' % (op['name'], op['notify']))
        if op['name'].endswith('-ntf') != ('mcgrp' in op):
            wrong.append('%s: notification or not?' % op['name'])
        for kind in ('do', 'dump'):
            for side in ('request', 'reply'):
                for attr in op.get(kind, {}).get(side, {}).get('attributes', []):
                    if attr not in sets[op['attribute-set']]:
                        wrong.append('%s: there is no attribute %s' %
                                     (op['name'], attr))


def header_type(comment):
    """What a comment of the header says of an attribute's type."""
    match = re.match(r'(binary|string|be16|u8|u16|u32|u64|nest of (\w+))\b',
                     comment)
    if not match:
        return None
    word, nest = match.groups()
    result = {'type': 'nest' if nest else 'u16' if word == 'be16' else word,
              'nest': nest.lower() if nest else None,
              'order': 'big-endian' if word == 'be16' else None,
              'multi': 'multi-attr' in comment,
              'enum': None}
    match = re.search(r'\benum (\w+)', comment)
    if match:
        result['enum'] = ENUMS.get(match.group(1), match.group(1))
    match = re.search(r'\b(K8SNET_\w+)_\*', comment)
    if match:
        result['enum'] = match.group(1)[len('K8SNET_'):].lower().replace('_', '-')
    return result


def spec_type(attr):
    return {'type': attr['type'], 'nest': attr.get('nested-attributes'),
            'order': attr.get('byte-order'),
            'multi': attr.get('multi-attr', False), 'enum': attr.get('enum')}


def check_set(wrong, header, attr_set):
    name = attr_set['name']
    enum = header.enums.get('k8snet_attr_' + name)
    if not enum:
        wrong.append('the header has no enum k8snet_attr_%s' % name)
        return
    prefix = attr_set['name-prefix'].rstrip('-')
    values = enum.values()
    if values[0] != (upper(prefix, 'UNSPEC'), 0):
        wrong.append('the first attribute is %s' % (values[0],))
    compare(wrong, name, values[1:],
            [(upper(prefix, a['name']), i + 1)
             for i, a in enumerate(attr_set['attributes'])])
    alias = upper(prefix, 'MAX')
    if enum.aliases != {alias: '__' + upper(prefix, 'LAST') + ' - 1'}:
        wrong.append('there is no %s' % alias)
    comments = {n: c for n, _, c in enum.members}
    for attr in attr_set['attributes']:
        if not attr.get('doc'):
            wrong.append('%s has no doc' % attr['name'])
        cname = upper(prefix, attr['name'])
        says = header_type(comments.get(cname, ''))
        if not says:
            wrong.append('the header does not say the type of %s' % cname)
        elif says != spec_type(attr):
            wrong.append('%s: the header says %s, the spec %s' %
                         (cname, says, spec_type(attr)))


# The policies

def policies(text):
    """Of each table: attribute -> what is written for it, on one line."""
    macros = dict(re.findall(r'#define (K8SNET_POLICY_\w+)\s+(.*)', text))
    tables = {}
    for name, body in re.findall(
            r'nla_policy (k8snet_\w+)_policy\[[^]]*\] = \{(.*?)\n\};', text, re.S):
        table = {}
        for attr, value in re.findall(
                r'\[(K8SNET_A_\w+)\]\s*=\s*(.*?),\n(?=\s*(?:\[|/\*|$))',
                body + '\n', re.S):
            value = ' '.join(value.split())
            table[attr] = macros.get(value, value)
        tables[name[len('k8snet_'):]] = table
    return tables


def number(text):
    text = text.strip()
    if text in NUMBERS:
        return NUMBERS[text]
    return int(text) if re.fullmatch(r'\d+', text) else text


def policy_type(value, enums):
    """A policy as type and checks of the spec."""
    match = re.fullmatch(r'NLA_POLICY_NESTED\(k8snet_(\w+)_policy\)', value)
    if match:
        return {'type': 'nest', 'nest': match.group(1)}
    match = re.fullmatch(r'NLA_POLICY_EXACT_LEN\((.*)\)', value)
    if match:
        return {'type': 'binary', 'exact-len': number(match.group(1))}
    match = re.fullmatch(r'NLA_POLICY_(MIN|MAX|MASK|RANGE)\(NLA_(\w+), (.*)\)',
                         value)
    if match:
        kind, base, arg = match.groups()
        if kind == 'MASK':
            arg = re.fullmatch(r'__K8SNET_(\w+)_ALL', arg).group(1)
            return {'type': base, 'mask': arg.lower().replace('_', '-')}
        if kind == 'RANGE':
            low, high = arg.split(',')
            ends = ('min-len', 'max-len') if base == 'BINARY' else ('min', 'max')
            return {'type': base, ends[0]: number(low), ends[1]: number(high)}
        enum = re.fullmatch(r'K8SNET_(\w+)_MAX', arg)
        if enum and enum.group(1).lower().replace('_', '-') in enums:
            return {'type': base,
                    'enum': enum.group(1).lower().replace('_', '-')}
        return {'type': base, kind.lower(): number(arg)}
    match = re.fullmatch(r'\{ \.type = NLA_(\w+)(?:, \.len = (.*))? ?\}', value)
    if match:
        base, length = match.groups()
        result = {'type': base}
        if length:
            result['max-len'] = number(length.rstrip(' ,'))
        return result
    return {'unknown': value}


def expected_policy(attr):
    checks = attr.get('checks', {})
    if attr['type'] == 'nest':
        return {'type': 'nest', 'nest': attr['nested-attributes']}
    if attr['type'] == 'string':
        length = checks.get('max-len')
        if isinstance(length, str):
            length = upper('K8SNET', length)
        return {'type': 'NUL_STRING', 'max-len': length}
    if 'exact-len' in checks:
        return {'type': 'binary', 'exact-len': checks['exact-len']}
    base = attr['type'].upper()
    if attr.get('byte-order') == 'big-endian':
        base = base.replace('U', 'BE')
    result = {'type': base}
    if attr.get('enum-as-flags'):
        result['mask'] = checks.get('flags-mask')
    elif 'enum' in attr:
        result['enum'] = attr['enum']
    for key in ('min', 'max', 'min-len', 'max-len'):
        if key in checks:
            result[key] = checks[key]
    return result


def requested(spec):
    """Per set, the attributes that some request may hold."""
    sets = {s['name']: set() for s in spec['attribute-sets']}
    for op in spec['operations']['list']:
        for kind in ('do', 'dump'):
            for attr in op.get(kind, {}).get('request', {}).get('attributes', []):
                sets[op['attribute-set']].add(attr)
    # A nest that a request may hold may hold all that is not an answer.
    for attr_set in spec['attribute-sets']:
        for attr in attr_set['attributes']:
            if attr['name'] in sets[attr_set['name']] and attr['type'] == 'nest':
                inner = next(s for s in spec['attribute-sets']
                             if s['name'] == attr['nested-attributes'])
                sets[inner['name']] |= {
                    a['name'] for a in inner['attributes']
                    if not a['doc'].lower().startswith('answer only')}
    return sets


def check_policy(wrong, spec, attr_set, table):
    enums = {d['name'] for d in spec['definitions'] if d['type'] == 'enum'}
    prefix = attr_set['name-prefix'].rstrip('-')
    allowed = requested(spec)[attr_set['name']]
    if table is None:
        if allowed:
            wrong.append('no policy, but requests hold %s' % sorted(allowed))
        return
    want = {upper(prefix, 'UNSPEC'): {'type': 'REJECT'}}
    for attr in attr_set['attributes']:
        want[upper(prefix, attr['name'])] = expected_policy(attr) \
            if attr['name'] in allowed else {'type': 'REJECT'}
    if list(table) != list(want):
        compare(wrong, 'policy', list(table), list(want))
    for name, value in table.items():
        got = policy_type(value, enums)
        if name in want and got != want[name]:
            wrong.append('%s: the policy is %s, the spec %s' %
                         (name, got, want[name]))


def main():
    print('TAP version 13')
    results = Results()
    with open(HEADER) as f:
        header = Header(f.read())
    with open(SPEC) as f:
        spec = yaml.safe_load(f)

    results.case('family, header and group', check_identity, header, spec)
    results.case('limits', check_limits, header, spec)
    results.case('all definitions are compared', check_definitions, header, spec)
    for name, definition in ENUMS.items():
        for d in spec['definitions']:
            if d['name'] == definition and d['type'] == 'enum':
                results.case('enum ' + name, check_enum, header, name, d)
    results.case('flags', check_flags, header, spec)
    results.case('commands', check_commands, header, spec)
    for attr_set in spec['attribute-sets']:
        results.case('attributes of ' + attr_set['name'], check_set, header,
                     attr_set)
    if os.path.exists(POLICY):
        with open(POLICY) as f:
            tables = policies(f.read())
        for attr_set in spec['attribute-sets']:
            results.case('policy of ' + attr_set['name'], check_policy, spec,
                         attr_set, tables.pop(attr_set['name'], None))
        results.case('no policy without a set',
                     lambda wrong: wrong.extend(tables))
    return results.end()


sys.exit(main())
