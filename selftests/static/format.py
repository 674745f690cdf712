#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""format.py FILE...: checks indentation and blanks with clang-format.

Line breaks are the author's, and so are the indentation of a statement's further
lines, columns within lines, and macros: clang-format knows no way to do these
that checkpatch and a reader always agree with.
"""
import difflib
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.realpath(os.path.dirname(os.path.realpath(__file__)) + "/../..")


def style():
    """The style of the project, without a limit of columns: clang-format then
    keeps the breaks that it finds."""
    words = []
    with open(TOP + "/.clang-format", encoding="utf-8") as source:
        for line in source:
            if line.startswith("ColumnLimit:"):
                line = "ColumnLimit: 0\n"
            words.append(line)
    return "".join(words)


def plain(line):
    """LINE with its indentation, and columns within it undone."""
    body = line.lstrip("\t ")
    indent = line[:len(line) - len(body)].expandtabs(8)
    # A comment's own text, and the end of a continued line, are not code.
    body = re.sub(r"\s*\\$", " \\\\", body)
    body = re.sub(r"\s*([{}*])\s*", r"\1", body)
    return indent + re.sub(r"\s+", " ", body)


def begins(lines, number):
    """Whether a statement or declaration begins in line NUMBER."""
    while number and not lines[number - 1].strip():
        number -= 1
    last = re.sub(r"\s*/\*.*\*/\s*$", "", lines[number - 1]).rstrip()
    return not number or last.endswith((";", "{", "}", ":", "*/")) and \
        not last.endswith((" :", "?:")) and \
        not lines[number].lstrip().startswith(("*", "K8SNET_"))


def differences(text, wanted):
    """[number, line, line wanted] where lines differ in what is checked."""
    old = text.split("\n")
    new = wanted.split("\n")
    matcher = difflib.SequenceMatcher(None, [plain(line) for line in old],
                                      [plain(line) for line in new], False)
    for kind, first, last, other, end in matcher.get_opcodes():
        # Where the number of lines differs, it is about breaking them.
        if kind != "replace" or last - first != end - other:
            continue
        for have, want in zip(range(first, last), range(other, end)):
            macro = old[have].endswith("\\") or \
                have and old[have - 1].endswith("\\")
            if not macro and begins(old, have) and "".join(old[have].split()) == \
                    "".join(new[want].split()):
                yield have + 1, old[have], new[want]


def main():
    with tempfile.NamedTemporaryFile("w", suffix=".clang-format",
                                     encoding="utf-8") as config:
        config.write(style())
        config.flush()
        sys.exit(check(sys.argv[1:], config.name))


def check(paths, config):
    """1 where one of the files is not as it should be."""
    bad = 0
    for path in paths:
        with open(path, encoding="utf-8") as source:
            text = source.read()
        done = subprocess.run(["clang-format-14", "--style=file:" + config,
                               "--assume-filename=" + path], input=text,
                              capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{path}: {done.stderr}")
            bad = 1
            continue
        for number, have, want in differences(text, done.stdout):
            print(f"{path}:{number}: {have.strip()}\n"
                  f"    wanted: {want.expandtabs(8)}")
            bad = 1
    return bad


if __name__ == "__main__":
    main()
