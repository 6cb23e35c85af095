"""Trees and commits as bytes."""

import random

import pytest

from git_building import commit, fsck, git, writer_for
from hermes_checkpoints.contract import StoreDamaged
from hermes_checkpoints.kit.git import decode_tree
from hermes_checkpoints_shadow_git.objects import (
    DIRECTORY,
    FILE,
    encode_commit,
    encode_tree,
)


def test_trees_come_in_gits_order_with_any_byte_in_a_name(repo, reader):
    every = [bytes([byte]) for byte in range(1, 256) if byte != ord("/")]
    with writer_for(repo) as writer:
        blob = writer.add_object(b"blob", b"x")
        empty = writer.add_object(b"tree", b"")
        files = [(FILE, name, blob) for name in [*every, b"a.b", b"a-b", b"a0", b"\xff" * 255, b"new\nline"]]
        directories = [(DIRECTORY, name, empty) for name in (b"ab", b"a.c", b"a\xff", b"-dir", b"foo")]
        entries = files + directories + [(FILE, b"foo.txt", blob), (FILE, b"foo0", blob)]
        random.Random(2).shuffle(entries)
        made = commit(repo, writer, [entry for entry in entries if entry[1] not in (b".",)])
    assert fsck(repo) == (0, [])
    tree = bytes.fromhex(reader.read(made)[1].split()[1].decode())
    decoded = decode_tree(reader.read(tree)[1])
    assert sorted(decoded) == sorted(entry for entry in entries if entry[1] != b".")
    listed = git(repo, "ls-tree", "-z", "--name-only", tree.hex()).split(b"\0")[:-1]
    assert listed == [name for _, name, _ in decoded]


def test_a_name_that_no_directory_can_hold_is_refused():
    for name in (b"", b"a/b", b"a\0b"):
        with pytest.raises(ValueError, match="is not a name"):
            encode_tree([(FILE, name, bytes(20))])


def test_a_tree_that_is_cut_short_is_damage():
    whole = encode_tree([(FILE, b"name", b"\1" * 20)])
    for end in range(1, len(whole)):
        with pytest.raises(StoreDamaged):
            decode_tree(whole[:end])


@pytest.mark.parametrize("when", [-5, 0, 1_700_000_000_999_999_999, 4_000_000_000_000_000_000])
def test_commits_of_any_time_and_text_are_accepted(repo, when):
    with writer_for(repo) as writer:
        tree = writer.add_object(b"tree", b"")
        made = writer.add_object(
            b"commit", encode_commit(tree, "büro\n\nline \udcff".encode("utf-8", "surrogateescape"), when)
        )
        writer.publish()
    (repo.path / "refs" / "one").write_bytes(made.hex().encode() + b"\n")
    assert fsck(repo) == (0, [])
    assert git(repo, "show", "-s", "--format=%at %P", made.hex()).split() == [str(max(0, when // 10**9)).encode()]
    with pytest.raises(ValueError, match="NUL"):
        encode_commit(tree, b"cut\0short", 0)
