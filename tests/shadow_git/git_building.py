"""Building blocks of the shadow-git tests."""

import os
import random
import subprocess
from pathlib import Path

import pytest

from hermes_checkpoints.kit.git import environment
from hermes_checkpoints_shadow_git.objects import (
    encode_commit,
    encode_tree,
)
from hermes_checkpoints_shadow_git.packindex import write_index
from hermes_checkpoints_shadow_git.packindexes import PackIndexes
from hermes_checkpoints_shadow_git.packs import PackWriter

REF = "refs/hermes-checkpoints/one"


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


def git(repo, *arguments, stdin=subprocess.DEVNULL):
    """What git prints, in the environment in which our own reader would start it."""
    command = ["git", *arguments]
    done = subprocess.run(
        command, stdin=stdin, stdout=subprocess.PIPE, env=environment(repo.path), cwd=repo.path, check=True
    )
    return done.stdout


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


def place_index(repo, name, oids):
    (repo.packs / f"{name}.idx").write_bytes(write_index([(oid, 0, 12) for oid in oids], b"c" * 20))
    (repo.packs / f"{name}.pack").write_bytes(b"")
