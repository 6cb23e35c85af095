"""``hermes checkpoints …`` loads no plugin: Hermes's own code goes over our store, and must not harm it."""

import os
import shutil
import subprocess
import time

import pytest

from callers import HERE, Conversation
from hermes_checkpoints import Engine
from hermes_checkpoints.testing.witness import difference, picture
from installation import configure, environment
from stores import DAY, age, protect
from trees import put


def let_hermes_take(installation, workspace):
    """A snapshot of Hermes's own, in its second format."""
    configure(plugin=False)
    with Conversation(installation.python, HERE, workspace, environment()) as hermes:
        hermes.ask("load_plugins")
        assert hermes.ask("serving") == "tools.checkpoint_manager"
        assert hermes.ask("take", reason="before patch")


def make_old_repository(base, name, workspace):
    """What Hermes kept for one workspace before its second format."""
    repository = base / name
    subprocess.run(["git", "init", "--quiet", "--bare", repository], check=True)
    (repository / "HERMES_WORKDIR").write_text(f"{workspace}\n")
    return repository


def test_no_command_changes_anything_in_a_store_that_is_ours_alone(installation, engine, base, tmp_path):
    live, gone = (protect(engine, tmp_path / name) for name in ("live", "gone"))
    shutil.rmtree(gone.workspace)
    age(base, 30)
    before = picture(base)
    for words in (
        ["status"],
        ["list"],
        ["prune"],
        ["prune", "--retention-days", "0", "--max-size-mb", "1"],
        ["prune", "--retention-days", "1", "--keep-orphans"],
        ["clear-legacy", "-f"],
    ):
        installation.command("checkpoints", *words, cwd=live.workspace)
        assert difference(before, picture(base)) == [], words
    live.assert_whole(engine)
    gone.assert_whole(engine)


@pytest.mark.parametrize("first", ["hermes", "ours"])
def test_a_prune_of_hermes_own_snapshots_leaves_every_one_of_ours(installation, engine, base, tmp_path, first):
    names = ["live", "gone", "shared"]
    if first == "hermes":
        put(tmp_path / "shared", "src/main.py", "of Hermes\n")
        let_hermes_take(installation, tmp_path / "shared")
        shutil.rmtree(tmp_path / "shared")
    protected = [protect(engine, tmp_path / name) for name in names]
    if first == "ours":
        let_hermes_take(installation, tmp_path / "shared")
        let_hermes_take(installation, tmp_path / "gone")
    assert (base / "store" / "HEAD").exists(), "Hermes has no store of its own: this would show nothing"
    shutil.rmtree(tmp_path / "gone")
    for words in (["status"], ["prune", "--retention-days", "0", "--max-size-mb", "1"]):
        installation.command("checkpoints", *words, cwd=tmp_path)
    age(base, 30)
    pruned = installation.command("checkpoints", "prune", "--retention-days", "1", "--max-size-mb", "1", cwd=tmp_path)
    assert "Deleted stale:   2" in pruned
    assert list((base / "store" / "projects").glob("*.json")) == [], "no record was deleted: this would show nothing"
    with Engine(backend=engine.settings.backend) as another:
        known = {status.workspace: len(status.snapshots) for status in another.upkeep.status().workspaces}
        assert known == {tmp_path / name: 2 for name in names}  # else their space could never be had back
    for one in protected:
        one.assert_whole(engine)


def test_old_repositories_go_and_ours_stay(installation, engine, base, tmp_path):
    base.mkdir(parents=True)
    make_old_repository(base, "0123456789abcdef", tmp_path)
    live = protect(engine, tmp_path / "live")
    (archive,) = base.glob("legacy-*")
    make_old_repository(base, "fedcba9876543210", tmp_path / "missing")
    before = picture(base / "store")
    assert archive.name in installation.command("checkpoints", "status", cwd=tmp_path)
    assert "Deleted orphan:  1" in installation.command("checkpoints", "prune", "--retention-days", "0", cwd=tmp_path)
    os.utime(archive, (time.time() - 30 * DAY,) * 2)
    assert "Deleted stale:   1" in installation.command("checkpoints", "prune", "--retention-days", "7", cwd=tmp_path)
    make_old_repository(base / "legacy-20200102-030405", "fedcba9876543210", tmp_path)
    assert "Deleted 1 archive(s)" in installation.command("checkpoints", "clear-legacy", "-f", cwd=tmp_path)
    assert {path.name for path in base.iterdir()} == {"store"}
    assert difference(before, picture(base / "store")) == []
    live.assert_whole(engine)


def test_hermes_begins_beside_our_store_and_moves_nothing_of_it(installation, engine, base, tmp_path):
    live = protect(engine, tmp_path / "live")
    ours = {
        path.name: picture(path) for path in (base / "store").iterdir() if path.is_dir() and path.name != "projects"
    }
    let_hermes_take(installation, live.workspace)
    assert list(base.glob("legacy-*")) == []
    for name, before in ours.items():
        assert difference(before, picture(base / "store" / name)) == [], name
    live.assert_whole(engine)


def test_after_a_clear_an_agent_at_work_goes_on_and_a_new_one_begins(installation, engine, base, tmp_path):
    live = protect(engine, tmp_path / "live")
    assert "Cleared" in installation.command("checkpoints", "clear", "-f", cwd=tmp_path)
    assert not base.exists()
    assert engine.list(live.workspace) == []
    backend = engine.settings.backend
    for workspace, agent in ((live.workspace, engine), (tmp_path / "other", Engine(backend=backend))):
        put(workspace, "src/main.py", "old\n")
        before = picture(workspace)
        taken = agent.snapshot(workspace, "anew").snapshot
        put(workspace, "src/main.py", "new\n")
        agent.restore(workspace, taken.id)
        assert difference(before, picture(workspace)) == []
