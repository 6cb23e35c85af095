"""Which snapshots Hermes's repository has: one ref a workspace, a chain of commits behind it."""

import json
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hermes_checkpoints.contract import StoreDamaged, StoreError
from hermes_checkpoints.kit.git import Objects

log = logging.getLogger("hermes_checkpoints")
REFS = "refs/hermes"
_TIP = re.compile(r"[0-9a-f]{40}")
_WORKSPACE_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Commit:
    """One of Hermes's snapshots."""

    id: str
    tree: bytes
    before: str | None
    """The snapshot before it that can be read."""
    created_ns: int
    """From the commit's time, which has whole seconds: later ones of one second are a nanosecond apart."""
    subject: str


def tips(store: Path) -> dict[str, str]:
    """The newest commit of every workspace, by workspace id. Starts no process."""
    found: dict[str, str] = {}
    try:
        for line in _text(store / "packed-refs").splitlines():
            commit, _, name = line.partition(" ")
            prefix, _, workspace_id = name.rpartition("/")
            if prefix == REFS:
                found[workspace_id] = commit
        for workspace_id in os.listdir(store / REFS):
            if text := _text(store / REFS / workspace_id).strip():  # a loose ref hides the packed one
                found[workspace_id] = text
    except FileNotFoundError:
        pass
    except OSError as error:
        raise StoreError(f"cannot read the refs of {store}: {error.strerror}. Nothing was changed.") from error
    return {name: tip for name, tip in found.items() if _WORKSPACE_ID.fullmatch(name) and _TIP.fullmatch(tip)}


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("ascii", "replace")
    except (FileNotFoundError, IsADirectoryError):
        return ""


def workspace_of(store: Path, workspace_id: str) -> Path | None:
    """The directory that a workspace id stands for, as Hermes noted it; ``None`` when the note is gone."""
    try:
        workdir = json.loads((store / "projects" / f"{workspace_id}.json").read_bytes())["workdir"]
        return Path(os.fsdecode(workdir.encode("utf-8", "surrogateescape")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def commits(objects: Objects, tip: str) -> dict[str, Commit]:
    """The chain behind a tip by id, newest first. Where it cannot be read any further, it ends."""
    rows = list(_chain(objects, tip))
    found: list[Commit] = []
    for commit, tree, seconds, subject in reversed(rows):  # the oldest first: later commits change no date before
        before = found[-1] if found else None
        created_ns = max(seconds * 10**9, before.created_ns + 1 if before else 0)
        found.append(Commit(commit, tree, before.id if before else None, created_ns, subject))
    return {commit.id: commit for commit in reversed(found)}


def _chain(objects: Objects, tip: str) -> Iterator[tuple[str, bytes, int, str]]:
    commit: str | None = tip
    while commit is not None:
        try:
            row, parent = _parsed(commit, *objects.read(bytes.fromhex(commit)))
        except StoreDamaged as damage:
            log.warning("Hermes's snapshots before it are passed over: %s", damage)
            return
        yield row
        commit = parent


def _parsed(commit: str, kind: str, data: bytes) -> tuple[tuple[str, bytes, int, str], str | None]:
    if kind != "commit":
        raise StoreDamaged(f"{commit} is a {kind} and no commit. Nothing was changed.")
    head, _, message = data.partition(b"\n\n")
    fields: dict[bytes, bytes] = {}
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        fields.setdefault(key, value)  # of several parents the first one
    try:
        tree = bytes.fromhex(fields[b"tree"].decode())
        seconds = int(fields[b"committer"].rsplit(b" ", 2)[1])
        parent = fields[b"parent"].decode() if b"parent" in fields else None
    except (KeyError, ValueError, IndexError) as error:
        raise StoreDamaged(f"commit {commit} cannot be understood: {error}. Nothing was changed.") from error
    subject = " ".join(message.lstrip(b"\n").partition(b"\n\n")[0].decode(errors="replace").splitlines())
    return (commit, tree, seconds, subject), parent
