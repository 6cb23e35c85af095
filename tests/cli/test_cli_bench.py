"""``bench``: what it tells, and that nothing of it stays."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commandline import COMMAND, on_a_terminal
from hermes_checkpoints.bench import SCENARIOS
from hermes_checkpoints.bench.scratch import PREFIX
from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.program import main as command
from hermes_checkpoints.testing.witness import difference, picture, stamps
from test_write_a_backend import _BACKEND, _ENTRY_POINTS, _HOOK, MODULE

# As little as there can be: these tests are about what is told, not about how long it took.
QUICK = ("--rounds", "1", "--big-mb", "0.1")
SYNTHETIC = (*QUICK, "--files", "60")


@pytest.fixture
def odd(workspace):
    """A workspace with what copies stumble over, too."""
    (workspace / ".gitignore").write_text("secret*\n")
    (workspace / "secret").write_text("ignored\n")
    (workspace / "node_modules").mkdir()
    (workspace / "node_modules" / "module.js").write_text("excluded\n")
    (workspace / "dangling").symlink_to("nowhere")
    (workspace / "src" / "up").symlink_to("..")
    os.mkfifo(workspace / "pipe")
    (workspace / "read only").mkdir()
    (workspace / "read only" / "text").write_text("text\n" * 100)
    (workspace / "read only" / "text").chmod(0o444)
    (workspace / "read only").chmod(0o555)
    return workspace


def untouched(directory):
    """All that is at and around a directory, and since when; a FIFO is there."""
    return {**picture(directory.parent)}, {**stamps(directory)}


def test_a_directory_is_measured_by_a_copy_and_stays_as_it_is(run, odd):
    before, since = untouched(odd)
    ran = run("bench", odd, *QUICK, "--json")
    assert ran.code == codes.DONE
    assert difference(before, picture(odd.parent)) == []
    assert difference(since, stamps(odd)) == []
    told = ran.json
    assert (told["directory"], told["tree"]["synthetic"]) == (str(odd), False)
    assert (told["tree"]["files"], told["tree"]["edited"]) == (7, 2)  # what a snapshot holds; what can be edited of it
    assert set(told["backends"]) == {"cow", "shadow-git"}  # not the one that takes no snapshots
    assert told["use"] in told["backends"]
    for backend in told["backends"].values():
        assert list(backend["scenarios"]) == [one.name for one in SCENARIOS]
        for figures in backend["scenarios"].values():
            assert figures["low_ms"] <= figures["median_ms"] <= figures["high_ms"]
            assert len(figures["samples_ms"]) == len(figures["walks_ms"]) == 1
        assert 0 < backend["disk"]["first"] < backend["disk"]["turns"]


def test_a_copy_is_made_on_every_filesystem_and_shares_what_the_backend_shares(run, on_filesystem, filesystem):
    project = on_filesystem / "project"
    project.mkdir()
    for number in range(20):
        (project / f"file{number}").write_bytes(os.urandom(100_000))
    os.sync()
    before, since = untouched(project)
    told = run("bench", project, *QUICK, "--json").json
    assert difference(before, picture(on_filesystem)) == []
    assert difference(since, stamps(project)) == []
    assert told["filesystem"] == filesystem.name
    assert told["default"] == ("cow" if filesystem.clones else "shadow-git")
    stored = {name: backend["disk"]["first"] for name, backend in told["backends"].items()}
    assert stored["shadow-git"] > 2_000_000
    assert (stored["cow"] < 1_000_000) == filesystem.clones


def test_what_an_ordinary_user_cannot_read_is_told_and_costs_nothing_else(as_user, capfd):
    project = as_user.home / "project"
    project.mkdir()
    (project / "text").write_text("text\n" * 100)
    (project / "locked").write_text("mine\n")
    (project / "closed").mkdir()
    (project / "closed" / "text").write_text("text\n")
    as_user.owns(project)
    (project / "locked").chmod(0)
    (project / "closed").chmod(0)

    assert as_user(command, ["bench", str(project), *QUICK]) == codes.DONE
    out, err = capfd.readouterr()
    assert "2 paths of" in err
    assert out.splitlines()[-1].startswith("On this filesystem")
    assert os.listdir(as_user.home) == ["project"]


def test_the_top_of_a_mount_is_measured_on_its_own_filesystem(run, small_filesystem):
    with small_filesystem("ext4", 64) as filesystem:
        (filesystem.root / "text").write_text("text\n" * 100)
        held = sorted(os.listdir(filesystem.root))
        told = run("bench", filesystem.root, *QUICK, "--json").json
        assert told["filesystem"] == "ext4"
        assert told["tree"]["files"] == 1
        assert sorted(os.listdir(filesystem.root)) == held


def test_a_disk_without_room_is_not_filled(run, small_filesystem):
    with small_filesystem("ext4", 16) as filesystem:
        project = filesystem.root / "project"
        project.mkdir()
        (project / "text").write_bytes(b"text\n" * 1_000_000)
        for words in (["--files", "5000"], ["--big-mb", "0.1"], []):
            ran = run("bench", project, *words)
            assert ran.code == codes.FAILED
            assert "--files" in ran.err
        assert sorted(os.listdir(filesystem.root)) == ["lost+found", "project"]


def test_the_last_line_in_a_pipe_says_what_to_use(run, workspace):
    ran = run("bench", *SYNTHETIC)
    *rows, (sentence,) = ran.rows
    assert sentence.startswith("On this filesystem (")
    assert "for this tree (60 files, 600.0 kB)" in sentence
    assert {row[0] for row in rows} == {"walk", "time", "disk"}
    assert {tuple(row[1:3]) for row in rows if row[0] == "time"} == {
        (one.name, backend) for one in SCENARIOS for backend in ("cow", "shadow-git")
    }
    assert all(float(cell) > 0 for row in rows if row[0] == "walk" for cell in row[2:])
    assert ran.err == ""


def test_a_terminal_gets_a_table_progress_and_the_same_last_line(workspace):
    code, drawn = on_a_terminal("bench", *SYNTHETIC, env={"NO_COLOR": "1", "COLUMNS": "200"})
    assert code == codes.DONE
    assert b"Measuring" in drawn
    assert all(one.what in drawn.decode() for one in SCENARIOS if one.name != "hundred-files")
    assert "60 files changed" in drawn.decode()
    assert b"On this filesystem (" in drawn.strip().splitlines()[-1]


def test_the_users_own_store_is_not_touched_and_its_configuration_holds(run, workspace, base, tmp_path, monkeypatch):
    monkeypatch.setenv("HERMES_CHECKPOINT_COW_DIR", str(tmp_path / "clones"))
    assert run("bench", *QUICK, "--json").json["tree"]["files"] == 3
    assert not base.exists()
    (base / "store").mkdir(parents=True)
    (base / "store" / "config.toml").write_text('exclude = ["notes.txt"]\n')
    assert run("bench", *QUICK, "--json").json["tree"]["files"] == 2
    assert os.listdir(base / "store") == ["config.toml"]
    assert not (tmp_path / "clones").exists()


def test_only_the_backends_that_are_named_are_measured(run, workspace):
    told = run("bench", *SYNTHETIC, "--backend", "shadow-git", "--json").json
    assert list(told["backends"]) == ["shadow-git"]
    assert run("bench", *SYNTHETIC, "--backend", "nonesuch").code == codes.FAILED
    foreign = run("bench", *SYNTHETIC, "--backend", "hermes-v2")
    assert (foreign.code, "nothing to measure (hermes-v2: " in foreign.err) == (codes.FAILED, True)


def test_a_backend_that_is_installed_as_a_plugin_is_measured_like_the_others(workspace, tmp_path):
    group, name, module = re.fullmatch(r'\[project\.entry-points\."(.+)"\]\n(\w+) = "(\w+)"\n', _ENTRY_POINTS).groups()
    info = tmp_path / "plugin" / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Name: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")
    (info.parent / f"{module}.py").write_text(_HOOK)
    (info.parent / f"{MODULE}.py").write_text(_BACKEND)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(info.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    }
    ran = subprocess.run([*COMMAND, "bench", *SYNTHETIC], capture_output=True, timeout=120, env=environment)
    assert ran.returncode == codes.DONE, ran.stderr
    measured = {tuple(row.split("\t")[1:3]) for row in ran.stdout.decode().splitlines() if row.startswith("time\t")}
    assert {(one.name, name) for one in SCENARIOS} <= measured


def test_a_tree_with_nothing_to_edit_says_so_and_a_home_is_declined(run, tmp_path, clean_environment):
    empty = tmp_path / "empty"
    empty.mkdir()
    ran = run("bench", empty, *QUICK)
    assert ran.code == codes.FAILED
    assert "--files" in ran.err
    assert run("bench", clean_environment, *QUICK).code == codes.DECLINED
    assert "home" in run("bench", clean_environment, "--json").json["declined"]
    assert run("bench", empty / "nowhere", *SYNTHETIC).code == codes.DECLINED


@pytest.mark.parametrize("words", [["--files", "0"], ["--rounds", "0.5"], ["--big-mb", "-1"], ["--plot", "x.pdf"]])
def test_figures_that_cannot_be_meant_are_usage_errors(run, workspace, words):
    assert run("bench", *words).code == codes.USAGE


@pytest.mark.parametrize("name", ["plot.png", "plot.SVG"])
def test_a_plot_is_drawn(run, workspace, tmp_path, name, monkeypatch):
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))
    assert run("bench", *SYNTHETIC, "--plot", tmp_path / name).code == codes.DONE
    drawn = (tmp_path / name).read_bytes()
    assert drawn.startswith(b"\x89PNG\r\n" if name.endswith("png") else b"<?xml")
    assert name.endswith("png") or b"restore of everything" in drawn


def test_a_plot_that_cannot_be_drawn_costs_no_time(run, workspace, tmp_path, monkeypatch):
    before = picture(workspace.parent)
    where = run("bench", *SYNTHETIC, "--plot", tmp_path / "nowhere" / "plot.png")
    assert (where.code, "cannot be written" in where.err) == (codes.FAILED, True)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    ran = run("bench", *SYNTHETIC, "--plot", tmp_path / "plot.png")
    assert (ran.code, ran.out) == (codes.FAILED, b"")
    assert "pip install 'hermes-checkpoints[plot]'" in ran.err
    assert difference(before, picture(workspace.parent)) == []


def at_work(workspace):
    """A bench in a process of its own that has begun to measure."""
    process = subprocess.Popen([*COMMAND, "bench", "--rounds", "1000000"], stderr=subprocess.PIPE, cwd=workspace)
    while not list(workspace.parent.glob(f"{PREFIX}*/lanes/*/tree/notes.txt")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    time.sleep(0.3)
    return process


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_stays_behind_when_it_is_interrupted(workspace, ending):
    before = picture(workspace.parent)
    process = at_work(workspace)
    process.send_signal(ending)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == codes.INTERRUPTED
    assert b"Traceback" not in complaint
    assert b"scratch directory is gone" in complaint
    assert difference(before, picture(workspace.parent)) == []


def test_what_a_killed_bench_left_goes_with_the_next_one_and_what_is_in_use_stays(run, workspace):
    process = at_work(workspace)
    (left,) = workspace.parent.glob(f"{PREFIX}*")
    an_hour_ago = time.time() - 3600
    os.utime(left, (an_hour_ago, an_hour_ago))
    assert run("bench", *SYNTHETIC).code == codes.DONE
    assert (left / "lanes").exists()
    process.kill()
    process.communicate()
    os.utime(left, (an_hour_ago, an_hour_ago))
    assert run("bench", *SYNTHETIC).code == codes.DONE
    assert os.listdir(workspace.parent) == [workspace.name]


def test_a_hook_does_not_pay_for_the_bench(workspace):
    program = (
        "import sys; from hermes_checkpoints.cli.program import main; assert main(['snapshot']) == 0;"
        "print([name for name in sys.modules if name.startswith('hermes_checkpoints.bench')])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=True)
    assert ran.stdout.splitlines()[-1] == b"[]"


def test_the_page_about_the_command_line_shows_every_scenario():
    page = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text()
    assert all(f"`{one.name}`" in page for one in SCENARIOS)
