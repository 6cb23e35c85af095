"""The ignore rules against ``git check-ignore``: random trees, random patterns, every path compared.

Nothing that git decides is left out of the generated cases by hand: what docs/ignore-rules.md lists as different
has no place in a repository made for one example (no index, no global configuration, nothing above it).
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hermes_checkpoints.kit.rules.ignore import Rules

# What patterns are drawn from: the lines that people have in their files, and every oddity of the syntax.
CLASSES = "alnum alpha blank cntrl digit graph lower print punct space upper xdigit".split()
ODDITIES = [
    *(b"[-a]", b"[a-]", b"[a-c-e]", b"[[:digit:]-z]", b"[a-\\c]", b"[\\a-c]", b"[c-a]", b"[!c-a]", b"[!a]", b"[^a]"),
    *(b"[]]", b"[!]]", b"[^]]", b"[]-a]", b"[+-9]", b"[!+-9]", b"[a\\]b]", b"[\\]", b"[[:]", b"[[:]a]", b"[[::]]"),
    *(b"[[a:]", b"[a[:]", b"[[:x:]]", b"[[:x:]a]", b"[[:a", b"[[:a]"),
    *(b"[", b"[a", b"[!", b"[]", b"[\\", b"[a-", b"[a-\\"),
    *(b"[/]", b"[!/]", b"d[/]b", b"d[!x]b", b"\\", b"\\a", b"a\\", b"a\\\\", b"a\0b", b"\0", b"d/[!x]", b"d?b"),
    *(b"**\\/b", b"/**\\/b", b"d/**\\/b", b"d**\\/b", b"d/e**/b", b"d**/b", b"d/**b", b"d/***", b"d**", b"/**", b"**/"),
]
REALISTIC = rb"""
a/ | /a | a | *.b | a.* | *.[ab] | .a | **/a | a/** | !a/b | a/**/b | **/a/b | a/* | !a/c | /* | !/a | * | !*/ | !*.b
| *a* | a*b | [Aa]/ | [!a]* | **/a/**/b | /a/b/ | a/**/ | */b | !b | \#a | \!a | # a | *.a.b | ?.b | a/b/**
"""
REALISTIC_LINES = [line.strip() for line in REALISTIC.split(b"|")]
FRAGMENTS = [
    *(b"a", b"b", b"c", b"ab", b".", b"-", b"]", b":", b"\xc3\xa9", b"\xff"),
    *(b"*", b"**", b"***", b"**/", b"/", b"/**", b"/**/", b"//", b"?", b"!", b"#"),
    *(b"\\", b"\\a", b"\\*", b"\\/", b"\\ ", b" ", b"\t", b"\r", b"\0"),
    *(b"[a-c]", b"[!a]", b"[^b]", b"[]]", b"[!]]", b"[a-]", b"[c-a]", b"[+-9]", b"[/]", b"[a", b"[]", b"[!"),
    *(b"[a\\]b]", b"[\\]", b"[a-\\c]", b"[[:alpha:]]", b"[![:alnum:]-]", b"[[:x:]]", b"[[:]", b"[[a:]", b"[[:a", b"[:"),
]
NAMES = [
    *(b"a", b"b", b"c", b"A", b"ab", b".a", b"a.b", b"x.b", b"a b", b"a ", b" ", b"\xc3\xa9", b"a\xff"),
    *(b"a\n", b"\nb", b"\n", b"!a", b"#a", b"a*", b"a\\", b"a]", b"[a", b"-", b"a\r", b"a\t", b":", b"**"),
]
if sys.platform == "darwin":  # where files cannot have these names, or two of them are one
    NAMES = [name for name in NAMES if name not in (b"a\xff", b"A")]

RULE_FILE = st.builds(
    lambda mark, end, lines: mark + end.join(lines),
    st.sampled_from([b"", b"", b"\xef\xbb\xbf"]),
    st.sampled_from([b"\n", b"\n", b"\r\n"]),
    st.lists(
        st.one_of(
            st.sampled_from(REALISTIC_LINES), st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=5).map(b"".join)
        ),
        max_size=6,
    ),
)


@st.composite
def workspaces(draw) -> tuple[dict[bytes, bool], dict[bytes, bytes]]:
    """Paths with whether each is a directory, and the rule file of some directories (``b""``: the root)."""
    tree: dict[bytes, bool] = {}
    for path in draw(st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4), min_size=1, max_size=12)):
        names = [b"/".join(path[: depth + 1]) for depth in range(len(path))]
        for above in names[:-1]:
            tree[above] = True
        tree.setdefault(names[-1], draw(st.booleans()))
    directories = [b"", *(path for path, is_dir in tree.items() if is_dir)]
    below = draw(st.dictionaries(st.sampled_from(directories), RULE_FILE, max_size=2))
    return tree, {b"": draw(RULE_FILE), **below}


def git(*arguments: str | os.PathLike[str], given: bytes = b"") -> bytes:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    run = subprocess.run(["git", *arguments], input=given, stdout=subprocess.PIPE, env=environment, check=False)
    assert run.returncode in (0, 1), "git failed"  # 1: nothing is ignored
    return run.stdout


def git_decides(
    root: str | os.PathLike[str],
    paths: list[bytes],
    *options: str,
    repository: str | None = None,
    tracked_too: bool = True,
) -> dict[bytes, bool]:
    """What git says of each path, with no setting of this machine."""
    if repository is None:
        repository = os.path.join(root, ".git")
    if not os.path.isdir(repository):
        git("init", "-q", "--template=", os.path.dirname(repository))
    answer = git(
        *("-C", root, "-c", "core.ignoreCase=false", f"--git-dir={repository}", f"--work-tree={root}", *options),
        *("check-ignore", "-v", "-n", "-z", "--stdin", *["--no-index"] * tracked_too),
        given=b"".join(b"./" + path + b"\0" for path in paths),  # `:` alone would be pathspec magic
    )
    fields = answer.split(b"\0")[:-1]  # source, line, pattern and path of each
    assert len(fields) == 4 * len(paths)
    return {
        path.removeprefix(b"./"): pattern != b"" and not pattern.startswith(b"!")
        for pattern, path in zip(fields[2::4], fields[3::4], strict=True)
    }


def we_decide(
    tree: Mapping[bytes, bool], texts: Mapping[bytes, bytes], *, excludes: str = "", hermesignore: bool = False
) -> dict[bytes, bool]:
    """The same by a walk from the root that never enters an ignored directory."""

    def found(path: bytes) -> tuple[bytes | None, bytes | None]:
        return (None, texts.get(path)) if hermesignore else (texts.get(path), None)

    decided: dict[bytes, bool] = {}
    inside = {b"": Rules.root(excludes.split("\n")).inside("", found(b""))}
    for path in sorted(tree, key=lambda path: path.split(b"/")):
        parent, _, name = path.rpartition(b"/")
        if decided.get(parent, False):
            decided[path] = True
            continue
        decided[path] = inside[parent].ignores(os.fsdecode(name), tree[path])
        if tree[path]:
            inside[path] = inside[parent].inside(os.fsdecode(name), found(path))
    return decided


def lay_out(root: str, tree: Mapping[bytes, bool], texts: Mapping[bytes, bytes]) -> None:
    os.mkdir(root)
    base = os.fsencode(root)
    for path, is_dir in tree.items():
        if is_dir:
            os.makedirs(os.path.join(base, path), exist_ok=True)
        else:
            os.makedirs(os.path.dirname(os.path.join(base, path)), exist_ok=True)
            os.close(os.open(os.path.join(base, path), os.O_CREAT | os.O_WRONLY))
    for path, text in texts.items():
        with open(os.path.join(base, path, b".gitignore"), "wb") as file:
            file.write(text)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """One empty repository for every example, so that each needs a single git process."""
    root = tmp_path_factory.mktemp("repository")
    git_decides(root, [b"a"])
    return str(root / ".git")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(workspace=workspaces(), excludes=RULE_FILE, hermesignore=st.booleans())
@example(workspace=({b"a": True, b"a/b": False, b"a/c": False}, {b"": b"a/**\n!a/b"}), excludes=b"", hermesignore=False)
@example(workspace=({b"a": True, b"a/ab": False}, {b"": b"a/a**/b\na/**\\/ab"}), excludes=b"", hermesignore=False)
def test_a_file_that_git_would_keep_is_never_ignored_and_the_other_way_round(
    repository, workspace, excludes, hermesignore
):
    tree, texts = workspace
    with tempfile.TemporaryDirectory() as above:
        root = os.path.join(above, "workspace")
        lay_out(root, tree, texts)
        # core.excludesFile has the precedence among git's sources that our excludes have among ours
        machine = os.path.join(above, "excludes")
        with open(machine, "wb") as file:
            file.write(excludes)
        says = git_decides(root, list(tree), "-c", f"core.excludesFile={machine}", repository=repository)
    assert we_decide(tree, texts, excludes=os.fsdecode(excludes), hermesignore=hermesignore) == says


@pytest.mark.parametrize("pattern", [*(f"[[:{name}:]]".encode() for name in CLASSES), *ODDITIES])
def test_an_odd_pattern_means_what_it_means_to_git_for_every_byte(tmp_path, pattern):
    tree = {bytes((byte,)): False for byte in range(1, 256) if byte not in b"./"}
    tree |= dict.fromkeys((b"ab", b"aa", b"a]", b"-]", b":]", b"a:]", b"[a", b"[:", b"[:a", b"a\\"), False)
    tree |= {b"d": True, b"d/b": False, b"d/e": True, b"d/e/b": False, b"d/eb": False}
    (tmp_path / "d" / "e").mkdir(parents=True)  # git looks whether a name is a directory; files need not be there
    (tmp_path / ".gitignore").write_bytes(pattern)
    assert we_decide(tree, {b"": pattern}) == git_decides(tmp_path, list(tree))


# What docs/ignore-rules.md lists as different. Each shows git's answer too, so that the list cannot go stale.


def test_a_file_in_the_index_is_ignored_all_the_same(tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / ".gitignore").write_bytes(b"a")
    assert git_decides(tmp_path, [b"a"], tracked_too=False) == {b"a": True}
    git("-C", tmp_path, "add", "-f", "a")
    assert git_decides(tmp_path, [b"a"], tracked_too=False) == {b"a": False}
    assert we_decide({b"a": False}, {b"": b"a"}) == {b"a": True}


def test_rules_of_the_machine_and_of_the_clone_change_nothing(tmp_path):
    (tmp_path / "machine").write_bytes(b"b")
    git_decides(tmp_path, [b"a"])
    (tmp_path / ".git" / "info").mkdir()
    (tmp_path / ".git" / "info" / "exclude").write_bytes(b"a")
    option = f"core.excludesFile={tmp_path / 'machine'}"
    assert git_decides(tmp_path, [b"a", b"b"], "-c", option) == {b"a": True, b"b": True}
    assert we_decide({b"a": False, b"b": False}, {}) == {b"a": False, b"b": False}


def test_a_case_insensitive_repository_setting_changes_nothing(tmp_path):
    (tmp_path / ".gitignore").write_bytes(b"A")
    assert git_decides(tmp_path, [b"a"], "-c", "core.ignoreCase=true") == {b"a": True}
    assert we_decide({b"a": False}, {b"": b"A"}) == {b"a": False}


def test_rules_above_the_workspace_change_nothing(tmp_path):
    (tmp_path / ".gitignore").write_bytes(b"a")
    (tmp_path / "workspace").mkdir()
    assert git_decides(tmp_path, [b"workspace/a"]) == {b"workspace/a": True}
    assert we_decide({b"a": False}, {}) == {b"a": False}


def test_rules_reach_into_a_nested_repository_which_for_git_has_only_its_own(tmp_path):
    (tmp_path / ".gitignore").write_bytes(b"a")
    (tmp_path / "nested").mkdir()
    assert git_decides(tmp_path / "nested", [b"a"]) == {b"a": False}
    assert we_decide({b"nested": True, b"nested/a": False}, {b"": b"a"}) == {b"nested": False, b"nested/a": True}
