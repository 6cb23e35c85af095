"""``hermes status``, ``enable`` and ``disable`` where there is no Hermes; with a real one: ``tests/real_hermes``."""

import importlib.util
import os

import pytest

from commandline import on_a_terminal
from hermes_checkpoints.cli import codes

pytestmark = pytest.mark.skipif(importlib.util.find_spec("hermes_cli") is not None, reason="Hermes is installed here")


def test_status_does_not_say_protected_where_there_is_no_hermes(run, workspace):
    ran = run("hermes", "status")
    assert ran.code == codes.INCOMPLETE
    assert ran.rows[0][:2] == ["problem", "hermes"]
    assert "pip install hermes-checkpoints" in ran.rows[0][3]


def test_status_for_programs_has_every_finding_and_the_verdict(run, workspace):
    told = run("hermes", "status", "--json").json
    assert told["workspace"] == str(workspace)
    assert told["protected"] is False
    assert {one["about"]: one["state"] for one in told["findings"]} == {
        "hermes": "problem",
        "backend": "ok",
        "store": "ok",
        "room": "ok",
        "limits": "ok",
        "trial": "ok",
    }


def test_status_asks_about_the_directory_and_the_store_that_were_named(run, workspace, tmp_path):
    named, store = tmp_path / "named", tmp_path / "store"
    named.mkdir()
    told = run("hermes", "status", named, "--store", store, "--json").json
    by_name = {one["about"]: one["told"] for one in told["findings"]}
    assert f"snapshots of {named} go to" in by_name["backend"]
    assert by_name["store"].startswith(str(store))


def test_a_person_sees_the_verdict(workspace):
    code, got = on_a_terminal("hermes", "status")
    assert code == codes.INCOMPLETE
    assert "What Hermes's agent changes here is NOT protected." in got.decode()


@pytest.mark.parametrize("action", ["enable", "disable"])
def test_without_hermes_nothing_is_switched_and_it_is_said_how_to_install(run, workspace, clean_environment, action):
    ran = run("hermes", action)
    assert ran.code == codes.FAILED
    assert "there is no Hermes in" in ran.err
    assert "pip install hermes-checkpoints" in ran.err
    assert os.listdir(clean_environment) == []


@pytest.mark.parametrize(
    "words",
    [
        ("hermes",),
        ("hermes", "remove"),
        ("hermes", "status", ".", "."),
        ("hermes", "status", "--backend", "cow"),
        ("hermes", "enable", "."),
        ("hermes", "disable", "--store", "x"),
        ("hermes", "disable", "--backend", "cow"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_not_guessed(run, workspace, words):
    assert run(*words).code == codes.USAGE
