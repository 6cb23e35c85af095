"""The witness must notice every kind of damage, or every test that believes it proves nothing."""

import ast
import os
import resource
import socket
import sys
from pathlib import Path

import pytest

from hermes_checkpoints.testing import witness
from hermes_checkpoints.testing.witness import difference, picture, stamps

XATTR = "user.colour"


@pytest.fixture
def tree(fresh_directory):
    """A small tree with something of everything in it."""
    (fresh_directory / "sub" / "empty").mkdir(parents=True)
    (fresh_directory / "file").write_bytes(b"content")
    (fresh_directory / "sub" / "inner").write_bytes(b"inner")
    (fresh_directory / "link").symlink_to("file")
    (fresh_directory / "dangling").symlink_to(b"/nowhere/\xff")
    os.mkfifo(fresh_directory / "fifo")
    for path in ("file", "sub/inner", "fifo"):
        (fresh_directory / path).chmod(0o644)
    for path in ("sub", "sub/empty"):
        (fresh_directory / path).chmod(0o755)
    return fresh_directory


def _replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _relink(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


DAMAGE = {
    "a byte changed, size kept": (lambda t: (t / "file").write_bytes(b"Content"), b"file"),
    "a file was cut": (lambda t: os.truncate(t / "file", 3), b"file"),
    "a file was emptied": (lambda t: os.truncate(t / "sub/inner", 0), b"sub/inner"),
    "a file went away": (lambda t: (t / "file").unlink(), b"file"),
    "a file appeared": (lambda t: (t / "sub/new").touch(), b"sub/new"),
    "an empty directory went away": (lambda t: (t / "sub/empty").rmdir(), b"sub/empty"),
    "a file lost its execute bit": (lambda t: (t / "file").chmod(0o600), b"file"),
    "a file became setuid": (lambda t: (t / "file").chmod(0o4644), b"file"),
    "a directory was opened to others": (lambda t: (t / "sub").chmod(0o777), b"sub"),
    "the top was closed": (lambda t: t.chmod(0o700), b""),
    "a file became a directory": (lambda t: _replace_by_directory(t / "file"), b"file"),
    "a link became what it pointed to": (lambda t: ((t / "link").unlink(), os.link(t / "file", t / "link")), b"link"),
    "a link points elsewhere": (lambda t: _relink(t / "link", "fil"), b"link"),
    "a dangling link points elsewhere": (lambda t: _relink(t / "dangling", "/nowhere"), b"dangling"),
    "a fifo became a file": (lambda t: ((t / "fifo").unlink(), (t / "fifo").touch(0o644)), b"fifo"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_noticed_at_its_path_and_nowhere_else(tree, damage):
    before = picture(tree)
    do, path = DAMAGE[damage]
    do(tree)
    after = picture(tree)
    assert {each for each in before.keys() | after.keys() if before.get(each) != after.get(each)} == {path}
    (line,) = difference(before, after)
    assert line.startswith(repr(os.fsdecode(path) or ".") + ": ")


def test_a_tree_left_alone_shows_no_difference(tree):
    assert difference(picture(tree), picture(tree)) == []
    assert difference(stamps(tree), stamps(tree)) == []


def test_every_kind_of_entry_is_told_apart(tree):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(tree / "socket"))
        kinds = {path: seen.kind for path, seen in picture(tree).items()}
    assert kinds == {
        b"": "directory",
        b"dangling": "link",
        b"fifo": "fifo",
        b"file": "file",
        b"link": "link",
        b"socket": "socket",
        b"sub": "directory",
        b"sub/empty": "directory",
        b"sub/inner": "file",
    }


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="Python has extended attributes on Linux only")
def test_an_extended_attribute_lost_or_changed_is_noticed(on_filesystem):
    file, folder = on_filesystem / "file", on_filesystem / "folder"
    file.touch()
    folder.mkdir()
    for path in (file, folder):
        os.setxattr(path, XATTR, b"red")
    before = picture(on_filesystem)
    os.setxattr(file, XATTR, b"blue")
    os.removexattr(folder, XATTR)
    assert difference(before, picture(on_filesystem)) == [
        "'file': xattrs (('user.colour', b'red'),) became (('user.colour', b'blue'),)",
        "'folder': xattrs (('user.colour', b'red'),) became ()",
    ]


@pytest.mark.skipif(sys.platform == "darwin", reason="APFS takes valid UTF-8 only")
@pytest.mark.parametrize("name", [b"\xff\xfe", b"new\nline", b"-rf", b"a|b*?[", b" ", b"x" * 255])
def test_a_file_is_seen_whatever_bytes_its_name_has(fresh_directory, name):
    Path(fresh_directory, os.fsdecode(name)).write_bytes(b"1")
    before = picture(fresh_directory)
    assert set(before) == {b"", name}
    Path(fresh_directory, os.fsdecode(name)).write_bytes(b"2")
    (line,) = difference(before, picture(fresh_directory))
    assert line.isprintable()


def test_a_link_to_a_directory_is_not_entered(tree):
    (tree / "loop").symlink_to(".")
    assert [path for path in picture(tree) if path.startswith(b"loop")] == [b"loop"]


def test_a_skipped_path_hides_itself_and_what_is_below_and_nothing_else(tree):
    whole, partly = picture(tree), picture(tree, skip={b"sub/empty", b"file"})
    assert whole.keys() - partly.keys() == {b"sub/empty", b"file"}
    assert whole.keys() - stamps(tree, skip={b"sub"}).keys() == {b"sub", b"sub/empty", b"sub/inner"}


def test_a_file_written_anew_with_the_same_bytes_is_noticed_by_its_inode(tree):
    pictured, stamped = picture(tree), stamps(tree)
    moment = (tree / "file").stat().st_mtime_ns
    (tree / "twin").write_bytes(b"content")
    (tree / "twin").chmod(0o644)
    os.utime(tree / "twin", ns=(moment, moment))
    (tree / "twin").rename(tree / "file")
    assert difference(pictured, picture(tree)) == []
    lines = difference(stamped, stamps(tree))
    assert [line for line in lines if line.startswith("'file': inode ")]


def test_a_touched_file_is_noticed_by_its_time(tree):
    before = stamps(tree)
    os.utime(tree / "sub" / "inner", ns=(1, 1))
    (line,) = difference(before, stamps(tree))
    assert line.startswith("'sub/inner': mtime_ns ")
    assert line.endswith(" became 1")


def test_damage_below_three_thousand_directories_is_noticed_with_twenty_descriptors(fresh_directory):
    depth = 3000
    bottom = os.open(fresh_directory, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("deep", dir_fd=bottom)
        bottom, above = os.open("deep", os.O_RDONLY, dir_fd=bottom), bottom
        os.close(above)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    already = len(os.listdir("/dev/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (already + 20, limit[1]))
    try:
        before = picture(fresh_directory)
        os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=bottom))
        after = picture(fresh_directory)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        os.close(bottom)
    assert len(before) == depth + 1
    assert after.keys() - before.keys() == {b"/".join([b"deep"] * depth + [b"file"])}
    (line,) = difference(before, after)
    assert len(line) < 250


def test_no_descriptor_stays_open(tree):
    before = len(os.listdir("/dev/fd"))
    picture(tree)
    stamps(tree)
    assert len(os.listdir("/dev/fd")) == before


def test_a_tree_that_cannot_be_read_raises_instead_of_looking_empty(as_user, fresh_directory):
    as_user.owns(fresh_directory)
    as_user(_close, fresh_directory)
    with pytest.raises(PermissionError):
        as_user(picture, fresh_directory)


def _close(directory: Path) -> None:
    (directory / "secret").write_bytes(b"x")
    (directory / "secret").chmod(0)


def test_the_witness_imports_nothing_of_what_it_judges():
    source = Path(witness.__file__).read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert not (node.module or "").startswith("hermes")
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("hermes") for alias in node.names)


def test_a_file_is_told_by_the_sha256_of_its_bytes(tree):
    known = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"  # printf content | sha256sum
    assert picture(tree)[b"file"].content.hex() == known
