"""What the ignore rules leave out and keep, one harm at a time; the whole syntax is compared with git next door."""

import os
import subprocess
import sys
import time

import pytest

from hermes_checkpoints.contract import DEFAULT_EXCLUDES
from hermes_checkpoints.kit.rules.ignore import RULE_FILES, Rules


def ignored(path: str, gitignore: bytes = b"", *, is_dir: bool = False, hermesignore: bytes | None = None) -> bool:
    """Whether a walk from the root leaves out the path, by rule files at the root alone."""
    rules = Rules.root(()).inside("", (gitignore, hermesignore))
    *above, name = path.split("/")
    for directory in above:
        if rules.ignores(directory, True):
            return True
        rules = rules.inside(directory, (None, None))
    return rules.ignores(name, is_dir)


def test_the_order_of_texts_is_the_order_of_the_names():
    assert RULE_FILES == (".gitignore", ".hermesignore")


@pytest.mark.parametrize("name", ["node_modules", "dist", ".venv", "__pycache__", ".git"])
def test_a_default_exclude_names_directories_and_never_a_file_of_that_name(name):
    rules = Rules.root(DEFAULT_EXCLUDES)
    assert rules.ignores(name, True)
    assert rules.inside("src", (None, None)).ignores(name, True)
    assert not rules.ignores(name, False)


@pytest.mark.parametrize("name", ["a.pyc", "libc.so", ".env", ".env.local", ".env.test.local", "x.tar.gz", "a.log"])
def test_secrets_and_build_output_are_left_out_by_default(name):
    assert Rules.root(DEFAULT_EXCLUDES).ignores(name, False)


@pytest.mark.parametrize("name", ["a.py", "environment", "dist.txt", "pyc", "env.sh", "log"])
def test_a_source_file_is_not_taken_for_build_output(name):
    assert not Rules.root(DEFAULT_EXCLUDES).ignores(name, False)


@pytest.mark.parametrize("texts", [(b"!dist/", None), (None, b"!dist/")])
def test_a_default_exclude_can_be_taken_back_by_the_workspace(texts):
    assert not Rules.root(DEFAULT_EXCLUDES).inside("", texts).ignores("dist", True)
    assert Rules.root(DEFAULT_EXCLUDES).inside("", texts).ignores("build", True)


def test_what_git_ignores_can_be_kept_and_what_git_keeps_can_be_skipped():
    rules = Rules.root(()).inside("", (b"secret\n!big", b"!secret\nbig"))
    assert not rules.ignores("secret", False)
    assert rules.ignores("big", False)


def test_a_hermesignore_above_beats_a_gitignore_below():
    rules = Rules.root(()).inside("", (None, b"a")).inside("deep", (b"!a", None))
    assert rules.ignores("a", False)


@pytest.mark.parametrize("which", [0, 1])
def test_of_two_rule_files_of_one_kind_the_deeper_one_decides(which):
    def texts(text: bytes) -> tuple[bytes | None, bytes | None]:
        return (text, None) if which == 0 else (None, text)

    rules = Rules.root(()).inside("", texts(b"a\nb"))
    assert not rules.inside("deep", texts(b"!a")).ignores("a", False)
    assert rules.inside("deep", texts(b"!a")).ignores("b", False)
    assert rules.inside("beside", (None, None)).ignores("a", False)


def test_the_last_line_that_fits_decides():
    assert not ignored("a.log", b"*.log\n!a.log")
    assert ignored("a.log", b"!a.log\n*.log")
    assert ignored("a.log", b"*.log\n!a.log\na.*")


def test_nothing_comes_back_below_an_ignored_directory():
    assert ignored("out/keep", b"out/\n!out/keep")
    assert not ignored("out/keep", b"out/*\n!out/keep")
    assert not ignored("out/keep", b"out/**\n!out/keep")


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        (b"/a", ["a"], ["b/a"]),
        (b"a/b", ["a/b"], ["c/a/b"]),
        (b"a", ["a", "b/a", "b/c/a"], ["ab", "ba"]),
        (b"**/a/b", ["a/b", "c/a/b", "c/d/a/b"], ["a/c/b", "xa/b"]),
        (b"a/**/b", ["a/b", "a/c/b", "a/c/d/b"], ["a/cb", "c/a/b"]),
        (b"a/**", ["a/b", "a/b/c"], ["a", "b/a"]),
        (b"*.o", ["x.o", "a/.o"], ["x.o/b.c", "x.oo"]),
        (b"a*/b", ["a/b", "ac/b"], ["ac/d/b"]),
        (b"a?c", ["abc"], ["ac", "a/c"]),
        (b"a[!b]c", ["axc"], ["abc", "a/c"]),
        (b"[[:digit:]]x", ["1x"], ["dx", ":x"]),
        (b"[a\\]]", ["a", "]"], ["\\"]),
    ],
)
def test_a_pattern_reaches_as_far_as_in_git_and_no_farther(pattern, fits, fits_not):
    for path in fits:
        assert ignored(path, pattern), path
    for path in fits_not:
        # alone, without what the pattern does to the directories above it
        *above, name = path.split("/")
        rules = Rules.root(()).inside("", (pattern, None))
        for directory in above:
            rules = rules.inside(directory, (None, None))
        assert not rules.ignores(name, False), path


def test_a_rule_about_directories_leaves_files_and_symlinks_alone():
    assert ignored("a", b"a/", is_dir=True)
    assert not ignored("a", b"a/")


def test_a_rule_file_below_speaks_of_its_own_directory():
    rules = Rules.root(()).inside("", (None, None)).inside("sub", (b"/a\nb/c", None))
    assert rules.ignores("a", False)
    assert rules.inside("b", (None, None)).ignores("c", False)
    assert not rules.inside("x", (None, None)).ignores("a", False)


@pytest.mark.parametrize(
    "bad", [b"[", b"a[", b"\\", b"[z-a]", b"[[:nonsense:]]", b"/", b"!", b"//", b"\xff\xfe[", b"***["]
)
def test_one_bad_line_does_not_disable_the_others(bad):
    text = b"first\n" + bad + b"\nlast"
    assert ignored("first", text)
    assert ignored("last", text)
    assert not ignored("other", text)


def test_files_written_on_windows_work():
    text = b"\xef\xbb\xbfa\r\n*.b\r\n\r\n# no\r\nc/\r\nd"
    assert all(ignored(name, text) for name in ("a", "x.b", "d"))
    assert ignored("c", text, is_dir=True)
    assert not any(ignored(name, text) for name in ("\ufeffa", "a\r", "# no", "\r"))
    assert not ignored("a", b"x\n\xef\xbb\xbfa"), "a mark in the middle is part of the pattern"


def test_trailing_spaces_do_not_count_unless_escaped():
    assert ignored("a", b"a  ")
    assert ignored("a ", b"a\\  ")
    assert not ignored("a", b"a\\ ")
    assert ignored("a\\", b"a\\\\ ")
    assert ignored("a\t", b"a\t")
    assert ignored(" a", b" a")


def test_comments_and_exclamation_marks_can_be_escaped():
    assert not ignored("#a", b"#a")
    assert ignored("#a", b"\\#a")
    assert ignored("!a", b"\\!a")


@pytest.mark.parametrize("raw", [b"\xff", "é".encode(), "é".encode("latin-1"), b"a\xf0\x9f"])
def test_a_name_in_any_encoding_is_matched_byte_for_byte(raw):
    assert ignored(os.fsdecode(raw), raw)
    assert ignored(os.fsdecode(raw), b"/" + raw)
    assert ignored(os.fsdecode(raw), b"?" * len(raw))
    assert Rules.root([os.fsdecode(raw)]).ignores(os.fsdecode(raw), False)


@pytest.mark.parametrize("pattern", [b"a", b"/a", b"[a]", b"/[a]", b"*a", b"/*a", b"**/a", b"?"])
def test_a_newline_at_the_end_of_a_name_is_not_overlooked(pattern):
    assert ignored("a", pattern)
    assert not ignored("a\n", pattern)


def test_a_newline_inside_a_name_is_a_byte_like_any_other():
    assert ignored("a\nb", b"a*b")
    assert ignored("x\ny/a\nb", b"**/a?b")
    assert ignored("x\ny/z/b", b"/x*/**/b")


def test_a_hostile_pattern_does_not_hang_a_turn():
    hostile = b"*a*a*a*a*a*a*a*a*a*b\n" + b"/" + b"**/a*a/" * 12 + b"b\n" + b"/x" + b"**\\/a" * 12
    rules = Rules.root(()).inside("", (hostile, None))
    for _ in range(60):
        rules = rules.inside("a" * 60, (None, None))
    began = time.perf_counter()
    assert not rules.ignores("a" * 255, False)
    assert time.perf_counter() - began < 2  # milliseconds as it is; hours with a backtracking regex


def test_a_directory_without_rule_files_costs_nothing_and_shares_everything():
    above = Rules.root(DEFAULT_EXCLUDES).inside("", (b"/a", None))
    below = above.inside("sub", (None, None))
    assert below.digest == above.digest
    assert above.ignores("a", False)
    assert not below.ignores("a", False)


def test_a_decision_is_never_kept_after_a_rule_changed():
    """Equal digests let a caller keep old decisions, so whatever can change one changes the digest."""
    root = Rules.root(())
    chains = [
        root,
        Rules.root(["a"]),
        Rules.root(["a", "b"]),
        root.inside("", (b"a", None)),
        root.inside("", (None, b"a")),
        root.inside("", (b"a", b"a")),
        root.inside("", (b"aa", b"")),
        root.inside("", (b"", b"aa")),
        root.inside("", (b"/a", None)).inside("sub", (None, None)),
        root.inside("", (None, None)).inside("sub", (b"/a", None)),
    ]
    assert len({rules.digest for rules in chains}) == len(chains)
    assert {len(rules.digest) for rules in chains} == {16}


def test_the_same_rules_have_the_same_digest_in_another_process():
    code = (
        "from hermes_checkpoints.kit.rules.ignore import Rules\n"
        "print(Rules.root(['x']).inside('', (b'a', None)).digest.hex())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert there == Rules.root(["x"]).inside("", (b"a", None)).digest.hex()
