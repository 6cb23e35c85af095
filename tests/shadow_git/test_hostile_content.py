"""Content that means something to git."""

import io
import os
import subprocess
import tarfile

import pytest

from git_building import REF, commit, fsck, plain_environment, writer_for
from hermes_checkpoints_shadow_git.objects import (
    DIRECTORY,
    EXECUTABLE,
    FILE,
    LINK,
    encode_tree,
)


def hostile_entries(writer):
    def blob(data):
        return writer.add_object(b"blob", data)

    empty = writer.add_object(b"tree", b"")
    holder = writer.add_object(b"tree", encode_tree([(FILE, b".gitmodules", blob(b"[[[ not a config\0"))]))
    update = (
        b'[submodule "../x"]\n\tpath = -x\n\turl = -u\n\tupdate = !rm -rf /\n[submodule "y"]\n\turl = ext::sh -c x\n'
    )
    evil = writer.add_object(b"tree", encode_tree([(FILE, b".gitmodules", blob(update))]))
    long_line = writer.add_object(b"tree", encode_tree([(FILE, b".gitattributes", blob(b"* " + b"a" * 5000))]))
    huge = writer.add_object(b"tree", encode_tree([(FILE, b".gitattributes", blob(b"# much\n" * (16 << 20)))]))
    link = blob(b"elsewhere")
    links = writer.add_object(
        b"tree",
        encode_tree(
            [(LINK, b".git" + name, link) for name in (b"attributes", b"ignore")] + [(LINK, b".mailmap", link)]
        ),
    )
    directories = writer.add_object(
        b"tree", encode_tree([(DIRECTORY, b".gitmodules", empty), (DIRECTORY, b".gitattributes", empty)])
    )
    return [
        (DIRECTORY, b".GIT", empty),
        (DIRECTORY, b"git~1", empty),
        (FILE, b".g\xe2\x80\x8cit", blob(b"ignored by HFS+")),
        (LINK, b".gitmodules", link),
        (DIRECTORY, b"broken", holder),
        (DIRECTORY, b"directories", directories),
        (DIRECTORY, b"empty", empty),
        (DIRECTORY, b"evil", evil),
        (DIRECTORY, b"huge", huge),
        (DIRECTORY, b"links", links),
        (DIRECTORY, b"long", long_line),
        (EXECUTABLE, b"-rf", blob(b"")),
    ]


def test_fsck_is_silent_about_content_that_git_would_refuse_in_a_project(repo):
    with writer_for(repo) as writer:
        commit(repo, writer, hostile_entries(writer))
    assert fsck(repo) == (0, [])


ATTRIBUTES = (
    b"* text eol=crlf ident export-subst working-tree-encoding=UTF-16 filter=shout diff=shout merge=binary\n"
    b"hidden export-ignore\n*.dir export-ignore\n[attr]mine text=auto eol=crlf\n*.txt mine crlf\n"
)
TEXT = b"$Id$ $Format:%H$\nunix\ndos\r\n\xff\xfe\n"


@pytest.fixture
def attributed(repo, tmp_path):
    """A snapshot whose .gitattributes would change every file, and a person whose own settings would, too."""
    with writer_for(repo) as writer:
        text = writer.add_object(b"blob", TEXT)
        inner = writer.add_object(b"tree", encode_tree([(FILE, b"inner.txt", text)]))
        commit(
            repo,
            writer,
            [
                (FILE, b".gitattributes", writer.add_object(b"blob", ATTRIBUTES)),
                (FILE, b"a.txt", text),
                (FILE, b"back\\slash", text),
                (FILE, b"hidden", text),
                (DIRECTORY, b"some.dir", inner),
                (DIRECTORY, b"git~1", inner),
            ],
        )
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        "[core]\n\tautocrlf = true\n\teol = crlf\n\tattributesFile = ~/attributes\n"
        '[filter "shout"]\n\tsmudge = tr a-z A-Z\n\trequired = true\n[diff "shout"]\n\ttextconv = tr a-z A-Z <\n'
    )
    (home / "attributes").write_text("* text eol=crlf filter=shout diff=shout\n")
    wanted = dict.fromkeys(["a.txt", "back\\slash", "hidden", "some.dir/inner.txt", "git~1/inner.txt"], TEXT)
    return wanted | {".gitattributes": ATTRIBUTES}, plain_environment(HOME=os.fspath(home))


def test_gitattributes_do_not_change_the_bytes_of_git_show(repo, attributed):
    wanted, env = attributed
    for path, content in wanted.items():
        shown = subprocess.run(
            ["git", "-C", repo.path, "show", "--textconv", f"{REF}:{path}"], stdout=subprocess.PIPE, env=env, check=True
        )
        assert shown.stdout == content


def test_gitattributes_do_not_change_or_hide_what_git_archive_gives(repo, attributed):
    wanted, env = attributed
    archive = subprocess.run(["git", "-C", repo.path, "archive", REF], stdout=subprocess.PIPE, env=env, check=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        assert {member.name: tar.extractfile(member).read() for member in tar if member.isfile()} == wanted


def test_gitattributes_do_not_change_the_bytes_of_git_checkout(repo, attributed, tmp_path):
    wanted, env = attributed
    out = tmp_path / "out"
    out.mkdir()
    env["GIT_INDEX_FILE"] = os.fspath(tmp_path / "index")
    git = ["git", f"--git-dir={repo.path}", f"--work-tree={out}"]
    subprocess.run([*git, "checkout", REF, "--", "."], env=env, check=True, capture_output=True)
    found = {os.fspath(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert found == wanted


def test_a_text_diff_is_readable_whatever_gitattributes_say(repo, attributed, tmp_path):
    _, env = attributed
    (tmp_path / ".gitattributes").write_text("* -diff\n")
    (tmp_path / "a.txt").write_bytes(TEXT + b"added\n")
    env["GIT_INDEX_FILE"] = os.fspath(tmp_path / "index")
    git = ["git", f"--git-dir={repo.path}", f"--work-tree={tmp_path}"]
    subprocess.run([*git, "read-tree", REF], env=env, check=True)
    diff = subprocess.run([*git, "diff", REF, "--", "a.txt"], stdout=subprocess.PIPE, env=env, check=True)
    assert b"\n+added\n" in diff.stdout
