"""What a restore decides: the plan, as a pure function and by its properties."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hermes_checkpoints.contract import Change, Entry, Kind, Note, Reason, Snapshot, ancestors
from hermes_checkpoints.kit.compare import StoredTree, compare
from hermes_checkpoints.kit.store.nodes import decode_node, encode_node
from hermes_checkpoints.policy.plan import Action, Plan, make_plan

WORKSPACE = Path("/workspace")


def snapshot(name: str, created: int = 0, note: Note = Note()) -> Snapshot:
    return Snapshot(name, WORKSPACE, "none", created, note, 0, 0, 0)


TARGET = snapshot("target")


def file(content: str = "", mode: int = 0o644) -> Entry:
    return Entry(Kind.FILE, mode, 0, len(content), content.encode())


def link(target: str) -> Entry:
    return Entry(Kind.LINK, 0o777, 0, 0, target.encode())


def directory(mode: int = 0o755) -> Entry:
    return Entry(Kind.DIR, mode)


IGNORED = Entry.left_out(Reason.IGNORED)
TOO_LARGE = Entry.left_out(Reason.TOO_LARGE)

# A tree: names, each with an entry, or with the tree of a directory.
Tree = dict[str, "Entry | Tree"]


def stored(tree: Tree) -> StoredTree:
    nodes: dict[bytes, bytes] = {}

    def store(node: Tree) -> bytes:
        entries = {
            name: directory()._replace(key=store(child)) if isinstance(child, dict) else child
            for name, child in node.items()
        }
        data = encode_node(entries)
        key = hashlib.sha256(data).digest()
        nodes[key] = data
        return key

    return StoredTree(directory()._replace(key=store(tree)), lambda key: decode_node(nodes[key]))


def planned(now: Tree, then: Tree, paths: tuple[str, ...] = (), keep=lambda change: None) -> Plan:
    changes = compare(stored(now), stored(then), lambda before, after, path: before.key == after.key)
    return make_plan(TARGET, changes, paths, keep)


def steps(plan: Plan) -> dict[str, str]:
    return {step.path: step.action.value for step in plan.steps}


def test_equal_trees_need_nothing():
    tree: Tree = {"a": file("1"), "d": {"b": link("x"), "secret": IGNORED}}
    plan = planned(tree, tree)
    assert (plan.steps, plan.empty) == ((), True)


def test_each_way_in_which_a_path_can_differ_has_its_step():
    now: Tree = {"edited": file("now"), "mode": file("same", 0o600), "new": file(), "link": link("now"), "d": {}}
    then: Tree = {
        "edited": file("then"),
        "mode": file("same"),
        "gone": file(),
        "link": link("then"),
        "e": {"x": file()},
    }
    assert steps(planned(now, then)) == {
        "edited": "write",
        "mode": "attributes",
        "new": "delete",
        "gone": "write",
        "link": "write",
        "d": "delete",
        "e": "write",
        "e/x": "write",
    }


def test_steps_come_in_path_order_and_a_directory_before_what_is_in_it():
    plan = planned({}, {"b": {"c": {"d": file()}}, "a": file(), "b.x": file()})
    paths = [step.path for step in plan.steps]
    assert all(paths.index(above) < paths.index(path) for path in paths for above in ancestors(path))


@pytest.mark.parametrize("reason", list(Reason))
def test_what_is_in_no_snapshot_now_is_kept_with_the_reason(reason):
    plan = planned({"x": Entry.left_out(reason)}, {"x": file("then")})
    assert steps(plan) == {"x": "keep"}
    assert reason.value in plan.steps[0].reason
    assert plan.empty


@pytest.mark.parametrize("reason", list(Reason))
def test_what_the_target_left_out_is_kept_with_the_reason(reason):
    plan = planned({"x": file("now")}, {"x": Entry.left_out(reason)})
    assert steps(plan) == {"x": "keep"}
    assert reason.value in plan.steps[0].reason


def test_nothing_is_said_about_what_neither_holds():
    assert planned({"x": IGNORED, "y": TOO_LARGE}, {"x": IGNORED, "z": IGNORED}).steps == ()


def test_a_directory_that_the_target_left_out_is_kept_with_all_that_is_in_it():
    plan = planned({"d": {"a": file(), "e": {"b": file()}}}, {"d": IGNORED})
    assert steps(plan) == {"d": "keep"}


def test_a_directory_cannot_go_while_something_in_it_stays():
    plan = planned({"d": {"e": {"held": file(), "ignored": IGNORED}, "f": {"x": file()}}}, {})
    assert steps(plan) == {"d": "keep", "d/e": "keep", "d/e/held": "delete", "d/f": "delete", "d/f/x": "delete"}
    assert "d/e/ignored" in next(step.reason for step in plan.steps if step.path == "d")


def test_a_directory_does_not_become_a_file_while_something_in_it_stays():
    plan = planned({"d": {"held": file(), "ignored": IGNORED}}, {"d": file("was a file")})
    assert steps(plan) == {"d": "keep", "d/held": "delete"}


def test_a_kept_edit_keeps_the_directories_above_it():
    plan = planned(
        {"d": {"edited": file(), "x": file()}}, {}, keep=lambda change: "edited" if change.path == "d/edited" else None
    )
    assert steps(plan) == {"d": "keep", "d/edited": "keep", "d/x": "delete"}


def test_nothing_is_planned_below_what_stays_another_thing():
    special: Tree = {"d": Entry.left_out(Reason.SPECIAL)}
    assert steps(planned(special, {"d": {"a": file(), "e": {"b": file()}}})) == {"d": "keep"}
    edited = planned(
        {"d": file("edited")}, {"d": {"a": file()}}, keep=lambda change: "edited" if change.path == "d" else None
    )
    assert steps(edited) == {"d": "keep"}


def test_a_selection_is_literal_and_takes_nothing_beside_it():
    now: Tree = {"a": file("now"), "ab": file("now"), "a*": file("now"), "d": {"x": file("now"), "y": file("now")}}
    then: Tree = {
        "a": file("then"),
        "ab": file("then"),
        "a*": file("then"),
        "d": {"x": file("then"), "y": file("then")},
    }
    assert steps(planned(now, then, ("a*",))) == {"a*": "write"}
    assert steps(planned(now, then, ("a", "d/x"))) == {"a": "write", "d/x": "write"}
    assert steps(planned(now, then, ("d",))) == {"d/x": "write", "d/y": "write"}


def test_a_selected_path_brings_the_missing_directories_above_it_and_nothing_else_in_them():
    then: Tree = {"a": {"b": {"wanted": file(), "other": file()}, "c": file()}}
    assert steps(planned({}, then, ("a/b/wanted",))) == {"a": "write", "a/b": "write", "a/b/wanted": "write"}


# Properties: a model of the workspace, to which a plan is applied as a restore does it.

_names = st.sampled_from("abc")
_entries = st.one_of(
    st.builds(file, st.sampled_from(["", "1", "2"]), st.sampled_from([0o644, 0o755])),
    st.builds(link, st.sampled_from(["x", "y"])),
    st.sampled_from([IGNORED, TOO_LARGE]),
)
_trees = st.recursive(
    st.dictionaries(_names, _entries, max_size=3),
    lambda trees: st.dictionaries(_names, st.one_of(_entries, trees), max_size=3),
    max_leaves=12,
)


def flat(tree: Tree, prefix: str = "") -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for name, child in tree.items():
        path = prefix + name
        if isinstance(child, dict):
            found[path] = directory()
            found |= flat(child, path + "/")
        else:
            found[path] = child
    return found


def applied(plan: Plan, world: dict[str, Entry]) -> dict[str, Entry]:
    """What a workspace becomes; asserts that no step meets what it cannot be done to."""
    world = dict(world)

    def is_directory(path: str) -> bool:
        return "/" not in path or world[path.rpartition("/")[0]].kind is Kind.DIR

    def occupied(path: str) -> bool:
        return any(other.startswith(path + "/") for other in world)

    late = []
    for step in plan.steps:
        if step.action in (Action.WRITE, Action.ATTRIBUTES):
            replaces = step.before is not None and step.before.kind is Kind.DIR
            if replaces and step.after.kind is not Kind.DIR:
                late.append(step)
                continue
            assert is_directory(step.path)
            world[step.path] = step.after._replace(key=b"" if step.after.kind is Kind.DIR else step.after.key)
    for step in reversed(plan.of(Action.DELETE)):
        assert not occupied(step.path)
        del world[step.path]
    for step in late:
        assert not occupied(step.path)
        world[step.path] = step.after
    return world


def related(path: str, paths: set[str]) -> bool:
    """Whether a path is one of them, is above one or below one."""
    return path in paths or any(other.startswith(path + "/") or path.startswith(other + "/") for other in paths)


@given(now=_trees, then=_trees)
@example(now={"a": {"b": IGNORED, "c": file()}}, then={"a": file()})
@example(now={"a": TOO_LARGE}, then={"a": {"b": file()}})
def test_a_plan_makes_what_both_know_the_targets_and_touches_nothing_else(now, then):
    world = flat(now)
    wanted = flat(then)
    after = applied(planned(now, then), world)

    unknown_now = {path for path, entry in world.items() if not entry.held}
    unknown_then = {path for path, entry in wanted.items() if not entry.held}
    for path in world.keys() | wanted.keys() | after.keys():
        if path in unknown_now:
            assert after[path] == world[path], "what the safety snapshot does not hold was touched"
        elif path in world and (path in unknown_then or any(above in unknown_then for above in ancestors(path))):
            assert after[path] == world[path], "what the target did not know was touched"
        elif not related(path, unknown_now | unknown_then):
            assert after.get(path) == wanted.get(path)


@given(now=_trees, then=_trees)
def test_undoing_a_plan_gives_back_what_was_there(now, then):
    held_now, held_then = _only_held(now), _only_held(then)
    after = applied(planned(held_now, held_then), flat(held_now))
    assert after == flat(held_then)
    assert applied(planned(held_then, held_now), after) == flat(held_now)


def _only_held(tree: Tree) -> Tree:
    return {
        name: _only_held(child) if isinstance(child, dict) else child
        for name, child in tree.items()
        if isinstance(child, dict) or child.held
    }


@given(now=_trees, then=_trees, paths=st.sets(st.lists(_names, min_size=1, max_size=3).map("/".join), min_size=1))
def test_nothing_outside_the_selection_changes_but_missing_directories_above_it(now, then, paths):
    world = flat(now)
    after = applied(planned(now, then, tuple(paths)), world)
    for path in world.keys() | after.keys():
        inside = any(path == chosen or path.startswith(chosen + "/") for chosen in paths)
        above = any(chosen.startswith(path + "/") for chosen in paths)
        if not inside:
            assert after.get(path) == world.get(path) or (above and path not in world and after[path].kind is Kind.DIR)


def test_a_change_of_nothing_to_nothing_is_no_step():
    assert make_plan(TARGET, [Change("x", None, IGNORED)]).steps == ()


def test_directories_that_came_with_a_selected_path_go_with_it_unless_something_else_is_in_them():
    now: Tree = {"a": {"b": {"wanted": file()}, "mine": file()}}
    back = make_plan(TARGET, compare(stored(now), stored({}), lambda *_: False), ("a/b/wanted",), take_back=True)
    assert steps(back) == {"a": "keep", "a/b": "delete", "a/b/wanted": "delete"}
