"""Unified diffs: what ``git apply`` and ``patch`` make of them, and how long they take."""

import io
import os
import random
import shutil
import subprocess
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hermes_checkpoints.contract import Entry, Kind
from hermes_checkpoints.textdiff import LINK, Side, quoted, unified

EXECUTABLE = 0o100755


def git_apply(directory, diff):
    # GIT_CEILING_DIRECTORIES and /dev/null: neither a repository around the directory nor a setting may matter.
    env = os.environ | {
        "GIT_CEILING_DIRECTORIES": str(directory.parent),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    subprocess.run(["git", "apply", "-p1", "-"], cwd=directory, input=diff, env=env, check=True, capture_output=True)


def patch(directory, diff):
    if "GNU" not in subprocess.run(["patch", "--version"], capture_output=True, text=True).stdout:
        pytest.skip("only GNU patch reads git's quoted names and symlinks")
    subprocess.run(
        ["patch", "-p1", "--no-backup-if-mismatch"], cwd=directory, input=diff, check=True, capture_output=True
    )


@pytest.fixture(params=[git_apply, patch], ids=["git", "patch"])
def apply(request):
    tool = request.param.__name__.partition("_")[0]
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    return request.param


def lay_out(directory, tree):
    """Write {name as bytes: Side} below a directory."""
    for name, side in tree.items():
        target = os.path.join(os.fsencode(directory), name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if side.mode == LINK:
            os.symlink(side.content, target)
            continue
        with open(target, "wb") as file:
            file.write(side.content)
        os.chmod(target, side.mode & 0o7777)


def laid_out(directory):
    """The tree as {name: (git's mode, content)}, read with plain os calls."""
    tree = {}
    for parent, directories, files in os.walk(os.fsencode(directory)):
        for name in (*directories, *files):
            full = os.path.join(parent, name)
            relative = os.path.relpath(full, os.fsencode(directory))
            if os.path.islink(full):
                tree[relative] = (LINK, os.readlink(full))
            elif os.path.isfile(full):
                with open(full, "rb") as file:
                    tree[relative] = (EXECUTABLE if os.stat(full).st_mode & 0o100 else 0o100644, file.read())
    return tree


def as_git_sees(tree):
    return {name: (side.git_mode, side.content) for name, side in tree.items()}


def diff_of(before, after):
    return b"".join(
        unified(os.fsdecode(name), before.get(name), after.get(name)).text for name in sorted({*before, *after})
    )


def assert_applies(tmp_path, apply, before, after):
    tree = tmp_path / "tree"
    tree.mkdir()
    lay_out(tree, before)
    apply(tree, diff_of(before, after))
    assert laid_out(tree) == as_git_sees(after)


LINES = [b"line %d\n" % number for number in range(60)]
TEXT = b"".join(LINES)

CASES = {
    "an edit in the middle": ({b"a": Side(TEXT)}, {b"a": Side(TEXT.replace(b"line 30\n", b"other\nlines\n"))}),
    "edits far apart": ({b"a": Side(TEXT)}, {b"a": Side(TEXT.replace(b"line 3\n", b"").replace(b"line 50", b"x"))}),
    "edits close together": ({b"a": Side(TEXT)}, {b"a": Side(TEXT.replace(b"e 30\n", b"").replace(b"e 37", b""))}),
    "the first line": ({b"a": Side(TEXT)}, {b"a": Side(b"new\n" + TEXT)}),
    "the last line": ({b"a": Side(TEXT)}, {b"a": Side(TEXT + b"new\n")}),
    "a newline at the end that goes": ({b"a": Side(b"one\ntwo\n")}, {b"a": Side(b"one\ntwo")}),
    "a newline at the end that comes": ({b"a": Side(b"one\ntwo")}, {b"a": Side(b"one\ntwo\n")}),
    "no newline on both sides": ({b"a": Side(b"one\ntwo")}, {b"a": Side(b"zero\none\ntwo")}),
    "a file that becomes empty": ({b"a": Side(b"one\n")}, {b"a": Side(b"")}),
    "an empty file that is filled": ({b"a": Side(b"")}, {b"a": Side(b"one\n")}),
    "a new file": ({}, {b"deep/below/a": Side(TEXT)}),
    "a file that goes": ({b"a": Side(TEXT), b"b": Side(b"")}, {b"b": Side(b"")}),
    "a new executable": ({}, {b"run": Side(b"#!/bin/sh\n", EXECUTABLE)}),
    "carriage returns": ({b"a": Side(b"one\r\ntwo\r\n")}, {b"a": Side(b"one\r\nthree\r\nfour\r")}),
    "form feeds and other separators": ({b"a": Side(b"a\x0cb\x1c\xe2\x80\xa8\n")}, {b"a": Side(b"a\x0cb\x1c\n")}),
    "latin-1": ({b"a": Side(b"caf\xe9\nna\xefve\n")}, {b"a": Side(b"caf\xe9\nnaive\n")}),
    "utf-16 without a NUL": ({b"a": Side("漢字".encode("utf-16"))}, {b"a": Side("字漢".encode("utf-16"))}),
    "a name with blanks": ({b"a b c": Side(TEXT)}, {b"a b c": Side(b"x" + TEXT)}),
    "a name that is not UTF-8": ({b"\xff\xfe": Side(TEXT)}, {b"\xff\xfe": Side(b"x" + TEXT)}),
    "a name with quotes and backslashes": ({b'"\\"': Side(TEXT)}, {b'"\\"': Side(b"x" + TEXT)}),
    "a name with control characters": ({b"tab\tesc\x1b": Side(TEXT)}, {b"tab\tesc\x1b": Side(b"x" + TEXT)}),
    "a name with a dash": ({b"-x": Side(TEXT)}, {b"-x": Side(b"x" + TEXT)}),
    "lines that look like a diff": ({b"a": Side(b"-- a/x\n++ b/x\n")}, {b"a": Side(b"-- a/y\n++ b/y\n@@ -1 +1 @@\n")}),
    "a new symlink": ({}, {b"link": Side(b"to/where", LINK)}),
    "a symlink that goes": ({b"link": Side(b"to/where", LINK), b"b": Side(b"")}, {b"b": Side(b"")}),
    "a name with a newline": ({b"a\nb": Side(TEXT)}, {b"a\nb": Side(b"x" + TEXT)}),
    "a file made executable": ({b"a": Side(TEXT)}, {b"a": Side(TEXT, EXECUTABLE)}),
    "an edited file made executable": ({b"a": Side(TEXT)}, {b"a": Side(b"x" + TEXT, EXECUTABLE)}),
    "a new empty file": ({}, {b"a": Side(b"")}),
    "a file that becomes a symlink": ({b"a": Side(TEXT)}, {b"a": Side(b"there", LINK)}),
    "a symlink that becomes a file": ({b"a": Side(b"there", LINK)}, {b"a": Side(TEXT)}),
}  # fmt: skip

# GNU patch 2.7 leaves an empty file where it was and refuses to edit a symlink.
ONLY_GIT = {
    "an empty file that goes": ({b"a": Side(b""), b"b": Side(b"")}, {b"b": Side(b"")}),
    "a symlink with another target": ({b"link": Side(b"here", LINK)}, {b"link": Side(b"there", LINK)}),
}


@pytest.mark.parametrize("case", CASES)
def test_applying_the_diff_to_the_old_tree_gives_the_new_tree(tmp_path, apply, case):
    assert_applies(tmp_path, apply, *CASES[case])


@pytest.mark.parametrize("case", ONLY_GIT)
def test_applying_the_diff_with_git_gives_the_new_tree(tmp_path, case):
    assert_applies(tmp_path, git_apply, *ONLY_GIT[case])


def test_a_diff_of_many_files_of_this_project_applies(tmp_path, apply):
    source = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    before, after = {}, {}
    chance = random.Random(7)
    for parent, directories, files in os.walk(os.path.join(source, "src")):
        directories[:] = [name for name in directories if name != "__pycache__"]
        for name in files:
            full = os.path.join(parent, name)
            with open(full, "rb") as file:
                content = file.read()
            if not content:
                continue
            before[os.fsencode(os.path.relpath(full, source))] = Side(content)
    for name, side in before.items():
        lines = side.content.splitlines(keepends=True)
        kept = [line for line in lines if chance.random() > 0.1] or [b"nothing is left\n"]
        chance.shuffle(kept[: len(kept) // 4])
        after[name] = Side(b"".join(kept) + b"an end\n")
    assert len(before) > 10
    assert_applies(tmp_path, apply, before, after)


@given(
    before=st.lists(st.sampled_from([b"a", b"b", b"c", b"", b"-", b"+ "]), max_size=30),
    after=st.lists(st.sampled_from([b"a", b"b", b"c", b"", b"-", b"+ "]), max_size=30),
    ends=st.tuples(st.booleans(), st.booleans()),
)
@settings(max_examples=300, deadline=None)
def test_reading_the_diff_back_gives_both_sides(before, after, ends):
    old = b"\n".join(before) + (b"\n" if ends[0] and before else b"")
    new = b"\n".join(after) + (b"\n" if ends[1] and after else b"")
    diff = unified("x", Side(old), Side(new))
    assert patched(old, diff.text) == new
    assert diff.added - diff.removed == len(lines_of(new)) - len(lines_of(old))
    assert (diff.added, diff.removed) != (0, 0) or old == new


def lines_of(content):
    return io.BytesIO(content).readlines()


def patched(content, text):
    """A reader of unified diffs that trusts nothing: removed and kept lines and the header's counts must fit."""
    old, new, position, expected = lines_of(content), [], 0, None
    body = text.split(b"\n")[:-1]
    for line, following in zip(body, [*body, b""][1:], strict=True):
        if line.startswith(b"@@"):
            assert expected in (None, (position, len(new)))
            start, count, new_start, new_count = numbers(line)
            begin = start - 1 if count else start
            new += old[position:begin]
            position = begin
            assert len(new) == (new_start - 1 if new_count else new_start)
            expected = (position + count, len(new) + new_count)
        elif expected and not line.startswith(b"\\"):
            whole = line[1:] if following.startswith(b"\\") else line[1:] + b"\n"
            if line[:1] in b" -":
                assert old[position] == whole
                position += 1
            if line[:1] in b" +":
                new.append(whole)
    assert expected in (None, (position, len(new)))
    return b"".join(new + old[position:])


def numbers(header):
    for part in header.decode().split()[1:3]:
        start, _, count = part[1:].partition(",")
        yield from (int(start), int(count or 1))


def test_two_huge_files_that_differ_everywhere_do_not_hang():
    before = b"".join(b"old %d\n" % number for number in range(200_000))
    after = b"".join(b"new %d\n" % number for number in range(200_000))
    began = time.monotonic()
    diff = unified("x", Side(before), Side(after))
    assert time.monotonic() - began < 20  # difflib would take hours
    assert (diff.added, diff.removed) == (200_000, 200_000)


@pytest.mark.parametrize("symbols", [1, 2, 101, 90_000])
def test_huge_files_of_repeated_lines_do_not_hang(symbols):
    chance = random.Random(symbols)
    before, after = (b"".join(b"%d\n" % chance.randrange(symbols) for _ in range(100_000 + more)) for more in (0, 17))
    began = time.monotonic()
    diff = unified("x", Side(before), Side(after))
    assert time.monotonic() - began < 20
    assert diff.added - diff.removed == 17


def test_two_edits_at_both_ends_of_a_huge_file_are_two_small_hunks():
    lines = [b"%d\n" % number for number in range(200_000)]
    edited = [b"first\n", *lines[1:-1], b"last\n"]
    diff = unified("x", Side(b"".join(lines)), Side(b"".join(edited)))
    assert (diff.added, diff.removed) == (2, 2)
    assert diff.text.count(b"\n@@ ") == 2
    assert len(diff.text) < 300


def test_a_binary_file_is_named_and_not_printed():
    diff = unified("data", Side(b"\x00\x01"), Side(b"\x00\x02"))
    assert diff.binary
    assert diff.text == b"diff --git a/data b/data\nBinary files a/data and b/data differ\n"
    assert (diff.added, diff.removed) == (0, 0)
    assert b"Binary files /dev/null and b/data differ\n" in unified("data", None, Side(b"\x00")).text
    assert b"Binary files a/data and /dev/null differ\n" in unified("data", Side(b"\x00"), None).text


def test_equal_sides_give_no_text():
    assert unified("x", Side(TEXT), Side(TEXT)).text == b""
    assert unified("x", None, None).text == b""


def test_permission_bits_that_git_does_not_know_are_shown():
    diff = unified("secret", Side(TEXT, 0o100600), Side(TEXT, 0o100644))
    assert diff.text == b"diff --git a/secret b/secret\nold mode 100600\nnew mode 100644\n"


def test_a_side_is_made_from_an_entry_of_a_snapshot():
    assert Side.of(Entry(Kind.LINK, 0o777, key=b"target")) == Side(b"target", LINK)
    assert Side.of(Entry(Kind.FILE, 0o755), b"text") == Side(b"text", EXECUTABLE)


def test_names_are_quoted_as_git_quotes_them():
    assert quoted(b"plain name") == b"plain name"
    assert quoted(b'\a\b\t\n\v\f\r"\\\x1b\x7f') == rb'"\a\b\t\n\v\f\r\"\\\033\177"'
