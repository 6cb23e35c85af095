"""Backends are found without being imported, and a broken one costs nobody but itself."""

import os
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata

import pluggy
import pytest

from fake_distributions import COMPLETE, HOOK, installed, write_distribution
from hermes_checkpoints import plugins
from hermes_checkpoints.contract import Backend, BrokenBackend, UnknownBackend, hooks

GOOD = COMPLETE + HOOK
BROKEN = {
    # name: (source of the module, what the error must say, type of its cause)
    "does-not-import": ("import no_such_module", "no_such_module", ModuleNotFoundError),
    "does-not-parse": ("def", "SyntaxError", SyntaxError),
    "leaves-at-import": ("raise SystemExit(3)", "SystemExit: 3", SystemExit),
    "raises": (
        COMPLETE + "\n    @hookimpl\n    def hermes_checkpoints_backend():\n        raise OSError('no')",
        "no",
        OSError,
    ),
    "leaves": (
        COMPLETE + "\n    @hookimpl\n    def hermes_checkpoints_backend():\n        exit(3)",
        "Exit",
        SystemExit,
    ),
    "misspelt": (
        GOOD.replace("hermes_checkpoints_backend()", "hermes_checkpoint_backend()"),
        "unknown hook 'hermes_checkpoint_backend'",
        pluggy.PluginValidationError,
    ),
    "wrong-arguments": (
        GOOD.replace("hermes_checkpoints_backend()", "hermes_checkpoints_backend(place)"),
        "place",
        pluggy.PluginValidationError,
    ),
    "no-hook": (COMPLETE, "has no hookimpl hermes_checkpoints_backend", None),
    "unmarked-hook": (GOOD.replace("@hookimpl", ""), "has no hookimpl hermes_checkpoints_backend", None),
    "nothing": (GOOD.replace("return Complete", "return None"), "returned a NoneType", None),
    "instance": (GOOD.replace("return Complete", "return Complete(None)"), "returned a Complete", None),
    "stranger": (GOOD.replace("return Complete", "return dict"), "returned dict, not a subclass of Backend", None),
    "abstract": (GOOD.replace("def save(", "def savve("), "Complete lacks save", None),
    "misnamed": (GOOD.replace("{name!r}", "'shadow-git'"), "Complete.name is 'shadow-git'", None),
    "nameless": (GOOD.replace("name = {name!r}", ""), "Complete.name is None", None),
}


def module_of(name):
    return f"fake_{name.replace('-', '_')}"


@pytest.fixture
def good(tmp_path):
    return write_distribution(tmp_path / "good", "shadow-git", "fake_shadow_git", GOOD)


@pytest.fixture
def broken(tmp_path):
    """One package for each way to be broken."""
    return [
        write_distribution(tmp_path / name, name, module_of(name), source) for name, (source, _, _) in BROKEN.items()
    ]


def test_the_backends_that_ship_are_found_like_any_other():
    ours = f"hermes-checkpoints {metadata.version('hermes-checkpoints')}"
    found = plugins.offers()
    assert found["shadow-git"] == plugins.Offer("shadow-git", "hermes_checkpoints_shadow_git", (ours,))
    assert found["cow"] == plugins.Offer("cow", "hermes_checkpoints_cow", (ours,))
    assert found["hermes-v2"] == plugins.Offer("hermes-v2", "hermes_checkpoints_hermes_v2", (ours,))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_says_which_package_to_repair_and_why(broken, name):
    _, said, cause = BROKEN[name]
    with installed(*broken), pytest.raises(BrokenBackend, match="cannot be loaded") as error:
        plugins.load(name)
    assert f"{name!r} of fake-fake-{name} 1.0" in str(error.value)
    assert said in str(error.value)
    assert type(error.value.__cause__) is (cause or type(None))


def test_broken_plugins_do_not_cost_the_good_one(broken, good):
    with installed(*broken, good):
        backend = plugins.load("shadow-git")
        assert issubclass(backend, Backend)
        assert backend.__module__ == "fake_shadow_git"


def test_nothing_but_the_wanted_plugin_is_imported(broken, good):
    with installed(*broken, good):
        before = set(sys.modules)
        assert set(plugins.offers()) == {*BROKEN, "shadow-git"}
        assert set(sys.modules) - before == set()
        plugins.load("shadow-git")
        assert set(sys.modules) - before == {"fake_shadow_git"}


def test_listing_does_not_even_import_what_lists_packages(good):
    program = "import sys; from hermes_checkpoints import plugins; plugins.offers(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    slow = {"importlib.metadata", "email", "zipfile", "hermes_checkpoints_cow", "hermes_checkpoints_shadow_git"}
    assert slow.isdisjoint(done.stdout.split())


def test_all_are_loaded_and_the_broken_are_data_with_their_error(broken, good):
    with installed(*broken, good):
        loaded = plugins.load_all()
    assert list(loaded) == sorted([*BROKEN, "shadow-git"])
    assert issubclass(loaded.pop("shadow-git"), Backend)
    assert {type(error) for error in loaded.values()} == {BrokenBackend}


def test_ctrl_c_while_a_plugin_is_imported_is_not_its_failure(tmp_path):
    source = "raise KeyboardInterrupt"
    with installed(write_distribution(tmp_path / "a", "slow", "fake_slow", source)), pytest.raises(KeyboardInterrupt):
        plugins.load_all()


def test_an_unknown_name_is_answered_with_what_is_installed(good, tmp_path):
    other = write_distribution(tmp_path / "other", "other", "fake_other", GOOD)
    with installed(good, other), pytest.raises(UnknownBackend, match=r"'shadow_git'.*Installed: other, shadow-git\."):
        plugins.load("shadow_git")
    with installed(), pytest.raises(UnknownBackend, match="Installed: none"):
        plugins.load("shadow-git")


def test_a_foreign_package_cannot_replace_a_backend_by_claiming_its_name(good, tmp_path):
    foreign = write_distribution(tmp_path / "foreign", "shadow-git", "fake_foreign", GOOD, version="6.6")
    for path in ([good, foreign], [foreign, good]):
        with installed(*path):
            before = set(sys.modules)
            with pytest.raises(BrokenBackend) as error:
                plugins.load("shadow-git")
            assert set(sys.modules) == before
            assert isinstance(plugins.load_all()["shadow-git"], BrokenBackend)
        assert "fake-fake-shadow-git 1.0" in str(error.value)
        assert "fake-fake-foreign 6.6" in str(error.value)


def test_a_package_that_claims_one_name_twice_is_not_guessed_about(good):
    with next(good.glob("*.dist-info/entry_points.txt")).open("a") as entry_points:
        entry_points.write("shadow-git = another_module\n")
    with (
        installed(good),
        pytest.raises(BrokenBackend, match=r"fake-shadow-git 1\.0 and by fake-fake-shadow-git 1\.0"),
    ):
        plugins.load("shadow-git")


@pytest.mark.parametrize("version", ["1.0", "0.9"])
def test_a_package_found_twice_on_the_path_is_no_duplicate_of_itself(good, tmp_path, version):
    again = write_distribution(
        tmp_path / "again",
        "shadow-git",
        "fake_shadow_git",
        "raise AssertionError('the path says otherwise')",
        version=version,
        distribution="Fake_Fake.Shadow-Git",  # the same name: PEP 503
    )
    with installed(good, again):
        assert plugins.offers()["shadow-git"].distributions == ("fake-fake-shadow-git 1.0",)
        assert plugins.load("shadow-git").name == "shadow-git"


def test_what_is_put_on_the_path_later_is_found(good):
    with installed():
        assert plugins.offers() == {}
        sys.path.append(str(good))
        assert list(plugins.offers()) == ["shadow-git"]
        sys.path.remove(str(good))
        assert plugins.offers() == {}


def test_a_package_in_a_zip_is_found_and_loaded(good, tmp_path):
    archive = tmp_path / "packages.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in good.rglob("*"):
            zipped.write(path, path.relative_to(good))
    with installed(archive):
        assert plugins.offers()["shadow-git"].distributions == ("fake-fake-shadow-git 1.0",)
        assert plugins.load("shadow-git").__module__ == "fake_shadow_git"


def test_a_package_that_only_a_finder_knows_is_found(good, monkeypatch):
    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            return None

        @staticmethod
        def find_distributions(context):
            return metadata.MetadataPathFinder.find_distributions(metadata.DistributionFinder.Context(path=[str(good)]))

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    with installed():
        assert plugins.offers()["shadow-git"].distributions == ("fake-fake-shadow-git 1.0",)


def test_an_old_editable_install_is_found(good):
    info = next(good.glob("*.dist-info"))
    (info / "METADATA").rename(info / "PKG-INFO")
    info.rename(good / "fake_fake_shadow_git.egg-info")
    with installed(good):
        assert plugins.offers()["shadow-git"].distributions == ("fake-fake-shadow-git 1.0",)


def test_leftovers_and_nonsense_on_the_path_do_not_end_the_listing(good, tmp_path):
    nonsense = tmp_path / "nonsense"
    (nonsense / "empty-1.dist-info").mkdir(parents=True)
    (nonsense / "file-1.egg-info").write_text("Name: file\n")
    (nonsense / "bytes-1.dist-info").mkdir()
    (nonsense / "bytes-1.dist-info" / "entry_points.txt").write_bytes(
        b"[\xff]\nx = \xff\n[" + hooks.ENTRY_POINT_GROUP.encode() + b"]\nno value here\n= \nodd = m\xff\n"
    )
    (nonsense / "loop-1.dist-info").symlink_to("loop-1.dist-info")
    no_zip = tmp_path / "no.zip"
    no_zip.write_bytes(b"PK, but not really")
    with installed(nonsense, no_zip, tmp_path / "gone", good):
        assert "shadow-git" in plugins.offers()
        assert plugins.offers()["odd"].distributions == ("bytes 1",)  # no METADATA: what the directory says
        with pytest.raises(BrokenBackend, match="must name a module"):
            plugins.load("odd")
        assert plugins.load("shadow-git").name == "shadow-git"


@pytest.mark.parametrize("name", ["auto", "projects", "..", "../../x", "a/b", "Cow", "two words", "-m", "naïve"])
def test_a_name_that_cannot_be_typed_or_be_a_directory_is_refused_unimported(tmp_path, name):
    with installed(write_distribution(tmp_path / "odd", name, "fake_oddly_named", GOOD)):
        with pytest.raises(BrokenBackend, match="cannot have that name"):
            plugins.load(name)
        assert "fake_oddly_named" not in sys.modules


def test_an_entry_point_that_names_an_object_is_refused(tmp_path):
    path = write_distribution(tmp_path / "object", "object", "fake_object", GOOD)
    entry_points = next(path.glob("*.dist-info/entry_points.txt"))
    entry_points.write_text(entry_points.read_text().replace("object = fake_object", "object = fake_object:Complete"))
    with installed(path), pytest.raises(BrokenBackend, match="must name a module, which 'fake_object:Complete' is not"):
        plugins.load("object")


@pytest.mark.parametrize("group", ["console_scripts", "pytest11", "hermes_checkpoints.backends"])
def test_the_listing_finds_what_importlib_finds_in_this_environment(monkeypatch, group):
    monkeypatch.setattr(hooks, "ENTRY_POINT_GROUP", group)
    theirs = metadata.entry_points(group=group)
    assert len(theirs) > 0
    assert {(offer.name, offer.module) for offer in plugins.offers().values() if len(offer.distributions) == 1} == {
        (entry.name, entry.value) for entry in theirs if len(theirs.select(name=entry.name)) == 1
    }
    assert {d for offer in plugins.offers().values() for d in offer.distributions} == {
        f"{entry.dist.metadata['Name']} {entry.dist.version}" for entry in theirs
    }


def test_a_directory_of_the_path_that_may_not_be_read_is_passed_over(good, fresh_directory, as_user):
    readable = shutil.copytree(good, fresh_directory / "good")
    locked = fresh_directory / "locked"
    locked.mkdir(0o000)

    def listed():
        sys.path[:] = [str(locked), str(readable)]
        with pytest.raises(PermissionError):
            os.listdir(locked)
        return list(plugins.offers())

    assert as_user(listed) == ["shadow-git"]
