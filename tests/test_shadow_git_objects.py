"""The low level of the shadow-git backend, held against real git."""

import errno
import io
import os
import random
import signal
import stat
import struct
import subprocess
import sys
import tarfile
import threading
import time
import tracemalloc
from itertools import accumulate
from pathlib import Path

import pytest

from hermes_checkpoints.contract import BackendUnusable, StoreDamaged, StoreError
from hermes_checkpoints_shadow_git import repository
from hermes_checkpoints_shadow_git.git import ObjectReader, run
from hermes_checkpoints_shadow_git.objects import (
    DIRECTORY,
    EXECUTABLE,
    FILE,
    LINK,
    decode_tree,
    encode_commit,
    encode_tree,
    object_id,
)
from hermes_checkpoints_shadow_git.packindex import MemoryPack, PackIndexes, pack_object, write_index
from hermes_checkpoints_shadow_git.packs import Moved, PackWriter
from hermes_checkpoints_shadow_git.repository import Repository

REF = "refs/hermes-checkpoints/one"


@pytest.fixture
def repo(tmp_path):
    return Repository.open(tmp_path / "store")


@pytest.fixture
def reader(repo):
    reader = ObjectReader(repo)
    yield reader
    reader.close()


def writer_for(repo, name="workspace"):
    return PackWriter(repo, PackIndexes(repo), repo.tmp / name)


def commit(repo, writer, entries):
    """Publish a commit of a tree and point a ref at it, as the backend above does."""
    tree = writer.add_object(b"tree", encode_tree(entries))
    made = writer.add_object(b"commit", encode_commit(tree, b"a snapshot\n", 1_700_000_000_123_456_789))
    writer.publish()
    ref = repo.path / REF
    ref.parent.mkdir(parents=True, exist_ok=True)
    ref.write_bytes(made.hex().encode() + b"\n")
    return made


def fsck(repo):
    """What git fsck has to complain of; its notices, that HEAD and branches are not used, are no complaint."""
    found = subprocess.run(
        ["git", "-C", repo.path, "fsck", "--strict", "--full"], capture_output=True, text=True, env=plain_environment()
    )
    said = (found.stdout + found.stderr).splitlines()
    return found.returncode, [line for line in said if not line.startswith("notice: ")]


def plain_environment(**more):
    """A person's environment, of whom we know nothing but PATH."""
    return {"PATH": os.environ["PATH"], "LC_ALL": "C", "GIT_CONFIG_NOSYSTEM": "1", "HOME": os.devnull, **more}


def names_below(directory):
    return sorted(path.name for path in directory.rglob("*") if path.is_file())


def a_large_file(path, size, seed=1):
    """Half noise, half zeros: neither all stored nor all squeezed away."""
    block = random.Random(seed).randbytes(1 << 19) + bytes(1 << 19)
    with path.open("wb") as file:
        for _ in range(size >> 20):
            file.write(block)
        file.write(b"x" * (size & ((1 << 20) - 1)))
    return path


# -- the repository


def test_a_new_repository_is_one_that_git_accepts_without_a_complaint(repo):
    assert run(repo, "rev-parse", "--is-bare-repository") == b"true\n"
    assert fsck(repo) == (0, [])


@pytest.mark.parametrize("harm", ["no refs", "no HEAD", "empty HEAD", "no config", "no objects", "no info", "no tmp"])
def test_an_emptied_ref_directory_or_a_lost_file_does_not_make_the_store_not_a_git_repository(repo, harm):
    what, name = harm.split()
    target = repo.path / name
    if what == "empty":
        target.chmod(0o600)
        target.write_bytes(b"")
    elif target.is_dir():
        subprocess.run(["rm", "-r", target], check=True)
    else:
        target.unlink()
    Repository.open(repo.path)
    assert run(repo, "rev-parse", "--is-bare-repository") == b"true\n"
    assert (repo.path / "info" / "attributes").exists()
    with writer_for(repo) as writer:
        commit(repo, writer, [])
    assert fsck(repo) == (0, [])


def test_a_setting_written_into_the_store_by_hand_does_not_outlive_the_next_opening(repo):
    wanted = (repo.path / "config").read_bytes()
    subprocess.run(["git", "-C", repo.path, "config", "gc.auto", "1"], check=True, env=plain_environment())
    assert (repo.path / "config").read_bytes() != wanted
    Repository.open(repo.path)
    assert (repo.path / "config").read_bytes() == wanted


def test_opening_again_writes_nothing_and_keeps_snapshots(repo):
    with writer_for(repo) as writer:
        made = commit(repo, writer, [])
    before = {path: path.stat().st_mtime_ns for path in repo.path.rglob("*")}
    Repository.open(repo.path)
    assert {path: path.stat().st_mtime_ns for path in repo.path.rglob("*")} == before
    assert run(repo, "rev-parse", REF).strip().decode() == made.hex()


def test_processes_that_open_a_new_store_at_once_do_not_trip_over_each_other(tmp_path):
    code = (
        "import sys, pathlib\n"
        "from hermes_checkpoints_shadow_git.repository import Repository\n"
        "sys.stdin.read()\n"
        "Repository.open(pathlib.Path(sys.argv[1]))\n"
    )
    store = tmp_path / "store"
    started = [
        subprocess.Popen([sys.executable, "-c", code, store], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in started:
        process.stdin.close()
        process.stdin = None
    assert [process.communicate()[1] for process in started] == [b""] * 4
    assert [process.returncode for process in started] == [0] * 4
    assert names_below(store) == ["HEAD", "attributes", "config"]
    assert run(Repository(store), "rev-parse", "--is-bare-repository") == b"true\n"


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o277])
def test_no_umask_opens_the_store_to_others_or_closes_it_to_us(tmp_path, umask):
    before = os.umask(umask)
    try:
        repo = Repository.open(tmp_path / "store")
        with writer_for(repo) as writer:
            writer.add_blob(b"private")
            writer.publish()
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [repo.path, *repo.path.rglob("*")] if path.is_dir()}
    assert modes == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in repo.packs.iterdir()} == {0o400}


def test_a_store_that_cannot_be_made_is_told_as_our_error(tmp_path):
    (tmp_path / "store").write_bytes(b"a file")
    with pytest.raises(StoreError, match="store could not be opened") as told:
        Repository.open(tmp_path / "store")
    assert isinstance(told.value.__cause__, OSError)


# -- content that means something to git


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


# -- starting git


def test_git_variables_of_the_caller_do_not_reach_git(repo, tmp_path, monkeypatch):
    (tmp_path / ".gitconfig").write_text("[core]\n\tabbrev = 7\n[user]\n\tname = Somebody\n")
    hostile = {
        "GIT_DIR": "/nowhere",
        "GIT_OBJECT_DIRECTORY": "/nowhere",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": "/nowhere",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "user.name",
        "GIT_CONFIG_VALUE_0": "Somebody",
        "GIT_TRACE": "1",
        "GIT_INDEX_FILE": "/nowhere",
        "HOME": os.fspath(tmp_path),
        "XDG_CONFIG_HOME": os.fspath(tmp_path),
    }
    for name, value in hostile.items():
        monkeypatch.setenv(name, value)
    config = run(repo, "config", "--list", "--show-origin")
    assert {line.split(b"\t")[0] for line in config.splitlines()} == {b"file:" + os.fsencode(repo.path) + b"/config"}
    assert run(repo, "rev-parse", "--git-dir").strip() == os.fsencode(repo.path)


def test_a_git_in_the_workspace_is_not_run_because_path_has_a_dot(repo, tmp_path, monkeypatch):
    planted = tmp_path / "workspace"
    planted.mkdir()
    (planted / "git").write_text("#!/bin/sh\necho planted\n")
    (planted / "git").chmod(0o755)
    monkeypatch.chdir(planted)
    monkeypatch.setenv("PATH", f".:{os.environ['PATH']}")
    assert run(repo, "--version").startswith(b"git version")


def test_without_git_the_backend_is_unusable_and_says_what_to_do(repo, reader, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    for ask in (lambda: run(repo, "--version"), lambda: reader.read(bytes(20))):
        with pytest.raises(BackendUnusable, match="Install git, or choose another backend") as told:
            ask()
        assert isinstance(told.value.__cause__, OSError)


def test_a_vanished_store_is_not_taken_for_a_missing_git(repo, tmp_path):
    repo.path.rename(tmp_path / "away")
    with pytest.raises(StoreError, match="is not there"):
        run(repo, "--version")


def test_a_failing_git_is_told_with_its_own_words(repo):
    with pytest.raises(StoreError, match=r"unknown-command.*is not a git command") as told:
        run(repo, "unknown-command")
    assert isinstance(told.value.__cause__, subprocess.CalledProcessError)


# -- reading


def test_a_missing_object_is_damage_that_names_it_and_the_reader_goes_on(repo, reader):
    with writer_for(repo) as writer:
        there = writer.add_object(b"blob", b"there")
        writer.publish()
    for ask in (reader.read, reader.stream):
        with pytest.raises(StoreDamaged, match="01" * 20 + " is missing"):
            ask(b"\1" * 20)
    assert reader.read(there) == ("blob", b"there")


def test_content_published_after_git_was_started_is_found(repo, reader):
    with pytest.raises(StoreDamaged):
        reader.read(object_id(b"blob", b"later"))
    with writer_for(repo) as writer:
        later = writer.add_object(b"blob", b"later")
        writer.publish()
    assert reader.read(later) == ("blob", b"later")


def children():
    me = str(os.getpid())
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[1] == me:
            found.append(int(path.parent.name))
    return found


only_with_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes through /proc")


@only_with_proc
def test_a_git_killed_between_two_reads_is_started_again(repo, reader):
    with writer_for(repo) as writer:
        oid = writer.add_object(b"blob", b"content")
        writer.publish()
    before = set(children())
    reader.read(oid)
    (git,) = set(children()) - before
    os.kill(git, signal.SIGKILL)
    assert reader.read(oid) == ("blob", b"content")


@only_with_proc
def test_ctrl_c_does_not_reach_git_and_closing_leaves_no_process(repo):
    before = set(children())
    reader = ObjectReader(repo)
    assert set(children()) == before  # nothing is started before the first question
    with pytest.raises(StoreDamaged):
        reader.read(bytes(20))
    (git,) = set(children()) - before
    assert os.getpgid(git) != os.getpgrp()
    assert os.getsid(git) != os.getsid(0)
    assert not os.readlink(f"/proc/{git}/fd/0").startswith("/dev")
    reader.close()
    reader.close()
    assert set(children()) == before


def test_rot_in_a_pack_is_damage_and_never_other_bytes(repo, reader):
    data = random.Random(4).randbytes(100_000)
    with writer_for(repo) as writer:
        oid = writer.add_object(b"blob", data)
        writer.publish()
    (pack,) = repo.packs.glob("*.pack")
    pack.chmod(0o600)
    with pack.open("r+b") as file:
        file.seek(50_000)
        file.write(b"rotten")
    for ask in (reader.read, reader.stream):
        with pytest.raises(StoreDamaged, match=oid.hex()):
            ask(oid)
    with pytest.raises(StoreError):
        run(repo, "fsck", "--full")


def test_an_index_that_gives_another_object_is_damage(repo, reader):
    pack = MemoryPack()
    wrong = b"\7" * 20
    pack.add(wrong, *pack_object(b"blob", b"what is there"))
    pack.write(repo.tmp).publish(repo.packs)
    with pytest.raises(StoreDamaged, match="has other bytes"):
        reader.read(wrong)


def test_threads_that_share_a_reader_get_their_own_answers(repo, reader):
    contents = [str(number).encode() * 1000 for number in range(200)]
    with writer_for(repo) as writer:
        for content in contents:
            writer.add_blob(content)
        oids = writer.oids()
        writer.publish()
    wrong = []

    def ask(start):
        wrong.extend(i for i in range(start, 200, 4) if reader.read(oids[i]) != ("blob", contents[i]))

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# -- encoding


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
    listed = run(repo, "ls-tree", "-z", "--name-only", tree.hex()).split(b"\0")[:-1]
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
    assert run(repo, "show", "-s", "--format=%at %P", made.hex()).split() == [str(max(0, when // 10**9)).encode()]
    with pytest.raises(ValueError, match="NUL"):
        encode_commit(tree, b"cut\0short", 0)


# -- the index


def test_an_index_with_offsets_beyond_2_gib_reads_as_git_reads_it(tmp_path):
    noise = random.Random(3)
    offsets = [12, (1 << 31) - 1, 1 << 31, 1 << 33, 5]
    entries = [(noise.randbytes(20), noise.getrandbits(32), offset) for offset in offsets]
    index = write_index(entries, b"c" * 20)
    shown = subprocess.run(
        ["git", "show-index"], input=index, stdout=subprocess.PIPE, check=True, env=plain_environment()
    )
    lines = [line.split() for line in shown.stdout.decode().splitlines()]
    found = {(bytes.fromhex(oid), int(crc.strip("()"), 16), int(offset)) for offset, oid, crc in lines}
    assert found == set(entries)


def test_an_index_as_git_writes_it_is_ours_to_the_byte(repo):
    with writer_for(repo) as writer:
        for number in range(1000):
            writer.add_blob(b"%d" % number)
        writer.publish()
    (ours,) = repo.packs.glob("*.idx")
    (pack,) = repo.packs.glob("*.pack")
    run(repo, "index-pack", "-o", os.fspath(repo.tmp / "theirs.idx"), os.fspath(pack))
    assert (repo.tmp / "theirs.idx").read_bytes() == ours.read_bytes()


def place_index(repo, name, oids):
    (repo.packs / f"{name}.idx").write_bytes(write_index([(oid, 0, 12) for oid in oids], b"c" * 20))
    (repo.packs / f"{name}.pack").write_bytes(b"")


@pytest.mark.parametrize("count", [1, 512, 513, 200_000])
def test_every_id_is_found_and_no_other_in_packs_of_any_size(repo, count):
    noise = random.Random(count)
    oids = [noise.randbytes(20) for _ in range(count)]
    place_index(repo, "pack-some", oids)
    indexes = PackIndexes(repo)
    asked = oids if count < 1000 else [*noise.sample(oids, 1000), min(oids), max(oids)]
    assert all(oid in indexes for oid in asked)
    others = [noise.randbytes(20) for _ in range(1000)] + [bytes(20), b"\xff" * 20]
    others += [oid[:19] + bytes([oid[19] ^ 1]) for oid in asked]
    assert not any(oid in indexes for oid in others)


def test_the_end_of_one_id_and_the_beginning_of_the_next_are_not_an_object(repo):
    oids = sorted(b"\5" + bytes([byte]) * 19 for byte in range(200))
    oids += [b"\5\5" + b"\5" * 17 + bytes([byte]) for byte in range(6, 255)]
    oids = sorted(set(oids) - {b"\5" * 20})
    place_index(repo, "pack-some", oids + [b"\6" + bytes(17) + struct.pack(">H", n) for n in range(600)])
    indexes = PackIndexes(repo)
    assert all(oid in indexes for oid in oids)
    table = b"".join(oids)
    shifted = {table[at : at + 20] for at in range(len(table) - 20) if at % 20} - set(oids)
    assert not any(oid in indexes for oid in shifted)


@pytest.mark.parametrize("count", [3, 600])
def test_what_another_process_reclaimed_is_no_longer_taken_for_stored(repo, count):
    oids = [random.Random(9).randbytes(20) for _ in range(count)]
    place_index(repo, "pack-going", oids)
    place_index(repo, "pack-staying", [b"\1" * 20])
    indexes = PackIndexes(repo)
    assert oids[0] in indexes
    (repo.packs / "pack-going.idx").unlink()
    (repo.packs / "pack-going.pack").unlink()
    indexes.refresh()
    assert oids[0] not in indexes
    assert b"\1" * 20 in indexes


def test_a_pack_that_another_process_adds_is_seen_without_being_told(repo):
    indexes = PackIndexes(repo)
    assert b"\1" * 20 not in indexes
    os.utime(repo.packs, (1, 1))  # so that the change falls into another tick of the clock
    assert b"\1" * 20 not in indexes
    place_index(repo, "pack-new", [b"\1" * 20])
    assert b"\1" * 20 in indexes


@only_with_proc
def test_a_thousand_packs_do_not_use_up_the_file_descriptors(repo):
    for number in range(1000):
        place_index(repo, f"pack-{number}", [number.to_bytes(20, "big")])
    indexes = PackIndexes(repo)
    before = len(os.listdir("/proc/self/fd"))
    assert all(number.to_bytes(20, "big") in indexes for number in range(1000))
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("damage", ["vanished", "empty", "cut", "no pack", "other format"])
def test_an_index_that_is_no_use_is_passed_over(repo, damage):
    place_index(repo, "pack-good", [b"\1" * 20])
    place_index(repo, "pack-bad", [b"\2" * 20])
    bad = repo.packs / "pack-bad.idx"
    content = bad.read_bytes()
    if damage == "vanished":  # between the listing and the opening: a name that cannot be opened
        bad.unlink()
        bad.symlink_to("nowhere")
    elif damage == "no pack":
        (repo.packs / "pack-bad.pack").unlink()
    else:
        bad.write_bytes({"empty": b"", "cut": content[:-1], "other format": b"\0" + content[1:]}[damage])
    indexes = PackIndexes(repo)
    assert b"\2" * 20 not in indexes
    assert b"\1" * 20 in indexes


def test_asking_a_hundred_thousand_times_takes_seconds_at_most(repo):
    for number in range(300):
        place_index(repo, f"pack-{number}", [random.Random(number).randbytes(20) for _ in range(10)])
    indexes = PackIndexes(repo)
    noise = random.Random(1000)
    questions = [noise.randbytes(20) for _ in range(100_000)]
    start = time.process_time()
    assert not any(oid in indexes for oid in questions)
    assert time.process_time() - start < 5


# -- writing


def test_every_object_comes_back_as_it_was_given(repo, reader):
    noise = random.Random(7)
    blobs = [b"", b"x", *[noise.randbytes(noise.randrange(5000)) for _ in range(300)], b"a" * (5 << 20)]
    blobs += [b"text %d\n" % number * 500 for number in range(300)]
    with writer_for(repo) as writer:
        assert [writer.add_blob(data) for data in blobs] == list(range(len(blobs)))
        oids = writer.oids()
        commit(repo, writer, [(FILE, b"%d" % number, oid) for number, oid in enumerate(oids)])
    assert oids == [object_id(b"blob", data) for data in blobs]
    assert [reader.read(oid) for oid in oids] == [("blob", data) for data in blobs]
    assert fsck(repo) == (0, [])
    assert [path.suffix for path in sorted(repo.packs.iterdir())] == [".idx", ".pack"]


def test_running_numbers_stay_right_across_drops_streams_and_questions(repo, reader, tmp_path):
    big = a_large_file(tmp_path / "big", 3 << 20)
    noise = random.Random(11)
    model = []
    with writer_for(repo) as writer, big.open("rb") as file:
        for step in range(600):
            what = noise.randrange(20)
            if what == 0:
                data = big.read_bytes()
                number = writer.add_stream(file.fileno(), len(data))
            else:
                data = noise.randbytes(noise.randrange(3000))
                number = writer.add_blob(data)
            assert number == len(model)
            if noise.randrange(4) == 0:
                writer.drop_last()
            else:
                model.append(data)
            if step % 150 == 149:
                assert writer.oids() == [object_id(b"blob", data) for data in model]
        writer.add_blob(b"last")
        writer.drop_last()
        oids = writer.oids()
        writer.publish()
    assert [reader.read(oid)[1] for oid in oids] == model
    with pytest.raises(StoreDamaged):
        reader.read(object_id(b"blob", b"last"))


def test_content_of_a_file_that_moved_while_it_was_read_is_not_kept(repo, reader, tmp_path):
    big = a_large_file(tmp_path / "big", 2 << 20)
    with writer_for(repo) as writer, big.open("rb") as file:
        kept = writer.add_object(b"blob", b"kept")
        for wrong in (-1, 1, -(1 << 20), 1 << 20):
            with pytest.raises(Moved):
                writer.add_stream(file.fileno(), (2 << 20) + wrong)
        assert names_below(repo.tmp) == []
        assert writer.add_stream(file.fileno(), 2 << 20) == 0
        writer.drop_last()
        assert names_below(repo.tmp) == []
        assert writer.oids() == []
        writer.publish()
    assert reader.read(kept) == ("blob", b"kept")
    assert len(list(repo.packs.glob("*.pack"))) == 1


def test_a_file_that_cannot_be_read_costs_only_itself(repo, reader, tmp_path):
    with writer_for(repo) as writer:
        fd = os.open(tmp_path, os.O_RDONLY)
        try:
            with pytest.raises(IsADirectoryError):
                writer.add_stream(fd, 10)
        finally:
            os.close(fd)
        kept = writer.add_object(b"blob", b"kept")
        writer.publish()
    assert reader.read(kept) == ("blob", b"kept")


def test_a_large_file_is_never_in_memory_as_a_whole(repo, reader, tmp_path):
    size = (40 << 20) + 17
    big = a_large_file(tmp_path / "big", size)
    tracemalloc.start()
    try:
        with writer_for(repo) as writer, big.open("rb") as file:
            writer.add_stream(file.fileno(), size)
            (oid,) = writer.oids()
            writer.publish()
        with reader.stream(oid) as stored, big.open("rb") as file:
            while block := file.read(1 << 20):
                assert stored.read(len(block)) == block
            assert stored.read() == b""
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 << 20
    assert run(repo, "hash-object", os.fspath(big)).strip().decode() == oid.hex()
    assert fsck(repo)[0] == 0


def test_many_blobs_that_do_not_compress_stay_within_the_memory_promised(repo):
    noise = random.Random(5).randbytes(1 << 20)
    tracemalloc.start()
    try:
        with writer_for(repo) as writer:
            for number in range(200):
                writer.add_blob(b"%d" % number + noise)
            writer.publish()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 96 << 20
    assert len(list(repo.packs.glob("*.pack"))) == 7  # 200 MiB, a pack a little above 32


def test_identical_content_is_stored_once_within_and_across_writers(repo):
    contents = [b"%d" % (number % 50) * 100 for number in range(500)]
    for workspace in ("one", "two"):
        with writer_for(repo, workspace) as writer:
            for content in contents:
                writer.add_blob(content)
            assert writer.add_object(b"blob", contents[0]) == object_id(b"blob", contents[0])
            assert writer.oids() == [object_id(b"blob", content) for content in contents]
            writer.publish()
    counts = dict(line.split(b": ") for line in run(repo, "count-objects", "-v").splitlines())
    assert (counts[b"in-pack"], counts[b"packs"], counts[b"garbage"]) == (b"50", b"1", b"0")


def test_a_large_file_that_is_stored_already_is_not_stored_again(repo, tmp_path):
    big = a_large_file(tmp_path / "big", 2 << 20)
    for workspace in ("one", "two"):
        with writer_for(repo, workspace) as writer, big.open("rb") as file:
            assert [writer.add_stream(file.fileno(), 2 << 20) for _ in range(2)] == [0, 1]
            assert len(set(writer.oids())) == 1
            writer.publish()
    assert len(list(repo.packs.glob("*.pack"))) == 1
    assert names_below(repo.tmp) == []


def test_two_writers_with_the_same_content_at_once_both_succeed(repo, reader):
    writers = [writer_for(repo, name) for name in ("one", "two")]
    for writer in writers:
        for number in range(100):
            writer.add_blob(b"%d" % number)
        writer.oids()
    for writer in writers:
        writer.publish()
        writer.abandon()
    assert reader.read(object_id(b"blob", b"99")) == ("blob", b"99")
    assert fsck(repo)[0] == 0
    assert len(list(repo.packs.iterdir())) == 2  # the same bytes have the same name


def test_a_writer_can_publish_again_what_came_later(repo, reader):
    with writer_for(repo) as writer:
        first = writer.add_object(b"blob", b"first")
        writer.publish()
        assert reader.read(first)[1] == b"first"
        writer.add_blob(b"second")
        assert reader.read(first)[1] == b"first"
        writer.publish()
        writer.publish()
    assert reader.read(object_id(b"blob", b"second"))[1] == b"second"
    assert len(list(repo.packs.glob("*.pack"))) == 2


def test_publishing_nothing_writes_nothing(repo):
    with writer_for(repo) as writer:
        writer.publish()
    assert list(repo.packs.iterdir()) == []
    assert names_below(repo.tmp) == []


def test_a_writer_killed_before_it_published_leaves_nothing_that_git_sees(repo):
    code = (
        "import os, pathlib, signal, sys\n"
        "from hermes_checkpoints_shadow_git.packindex import PackIndexes\n"
        "from hermes_checkpoints_shadow_git.packs import PackWriter\n"
        "from hermes_checkpoints_shadow_git.repository import Repository\n"
        "repo = Repository.open(pathlib.Path(sys.argv[1]))\n"
        "writer = PackWriter(repo, PackIndexes(repo), repo.tmp / 'workspace')\n"
        "for _ in range(40): writer.add_blob(os.urandom(1 << 20))\n"
        "writer.oids()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, repo.path])
    assert killed.returncode == -signal.SIGKILL
    assert list(repo.packs.iterdir()) == []
    left = names_below(repo.tmp)
    assert sorted(name.split("-")[0] for name in left) == ["index", "pack"]
    assert names_below(repo.tmp / "workspace") == left
    assert fsck(repo) == (0, [])


def test_leaving_without_publishing_leaves_no_file(repo, tmp_path):
    big = a_large_file(tmp_path / "big", 1 << 20)
    with writer_for(repo) as writer, big.open("rb") as file:
        for number in range(40):
            writer.add_blob(random.Random(number).randbytes(1 << 20))
        writer.oids()
        writer.add_stream(file.fileno(), 1 << 20)
        assert len(names_below(repo.tmp)) == 4
    assert names_below(repo.tmp) == []
    assert list(repo.packs.iterdir()) == []
    with pytest.raises(StoreError, match="given up"):
        writer.publish()


class FullDisk:
    """A file on a disk that is full after some bytes."""

    def __init__(self, file, room):
        self._file = file
        self._room = room

    def write(self, data):
        self._room -= len(data)
        if self._room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._file.write(data)

    def close(self):
        self._file.close()


@pytest.mark.parametrize("room", [0, 11, 500_000])
def test_a_full_disk_is_told_leaves_no_temporary_file_and_publishes_nothing(repo, monkeypatch, room):
    real = os.fdopen
    monkeypatch.setattr(repository.os, "fdopen", lambda fd, *args, **named: FullDisk(real(fd, *args, **named), room))
    writer = writer_for(repo)
    writer.add_blob(random.Random(1).randbytes(1 << 20))
    with pytest.raises(StoreError, match=r"workspace/pack-.*No space left") as told:
        writer.publish()
    assert told.value.__cause__.errno == errno.ENOSPC
    monkeypatch.undo()
    assert names_below(repo.tmp) == []
    assert list(repo.packs.iterdir()) == []
    with pytest.raises(StoreError, match="given up"):
        writer.publish()


@pytest.mark.parametrize("failing", ["fsync", "rename"])
def test_a_disk_error_while_publishing_is_told_and_leaves_no_temporary_file(repo, monkeypatch, failing):
    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    writer = writer_for(repo)
    writer.add_blob(b"content")
    if failing == "fsync":
        monkeypatch.setattr(repository, "sync_path", fail)
    else:
        monkeypatch.setattr(repository.os, "rename", fail)
    with pytest.raises(StoreError, match="Input/output error"):
        writer.publish()
    assert names_below(repo.tmp) == []
    assert list(repo.packs.glob("*.idx")) == []


def test_what_is_published_was_synced_before_it_got_its_name(repo, monkeypatch):
    done = []
    real_sync, real_rename = repository.sync_path, os.rename

    def sync_path(path):
        done.append(("sync", path.stat().st_ino))
        real_sync(path)

    def rename(source, target):
        done.append(("rename", os.stat(source).st_ino, Path(target).suffix))
        real_rename(source, target)

    monkeypatch.setattr(repository, "sync_path", sync_path)
    monkeypatch.setattr(repository.os, "rename", rename)
    with writer_for(repo) as writer:
        writer.add_blob(b"content")
        writer.publish()
    (pack,), (index,) = repo.packs.glob("*.pack"), repo.packs.glob("*.idx")
    pack, index, directory = (path.stat().st_ino for path in (pack, index, repo.packs))
    assert done == [
        ("sync", pack),
        ("sync", index),
        ("rename", pack, ".pack"),
        ("rename", index, ".idx"),
        ("sync", directory),
    ]


def test_a_failure_in_a_thread_is_not_lost(repo, monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr("hermes_checkpoints_shadow_git.packs.pack_object", fail)
    with writer_for(repo) as writer:
        for number in range(63):
            writer.add_blob(b"%d" % number * 5000)
        with pytest.raises(MemoryError):
            writer.oids()
        with pytest.raises(StoreError, match="given up"):
            writer.publish()
    assert list(repo.packs.iterdir()) == []


def test_the_fan_out_counts_what_begins_with_each_byte():
    oids = [bytes([byte]) + bytes(19) for byte in (0, 0, 7, 255)]
    fan_out = struct.unpack_from(">256I", write_index([(oid, 0, 12) for oid in oids], bytes(20)), 8)
    starting = [2, *[0] * 6, 1, *[0] * 247, 1]
    assert fan_out == tuple(accumulate(starting))
