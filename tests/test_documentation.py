"""What the documentation says is run, so that it stays true."""

import re
import textwrap
from pathlib import Path

import pytest

import hermes_checkpoints.engine
from hermes_checkpoints.cli.program import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.fixture
def project(tmp_path, monkeypatch):
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "src" / "main.py").write_text("print('as it was')\n")
    monkeypatch.chdir(tmp_path)
    return project


def test_the_example_for_agent_authors_runs(project, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    assert (project / "src" / "main.py").read_text() == "print('as it was')\n"
    assert "not protected" not in capsys.readouterr().out


def test_the_example_in_the_engines_docstring_runs(project, capsys):
    document = hermes_checkpoints.engine.__doc__
    example = textwrap.dedent(document.split("::\n", 1)[1].split("\nAnswers are", 1)[0])
    exec(compile(example, "engine.py", "exec"), {})
    assert "before the refactoring" in capsys.readouterr().out


def test_the_commands_at_a_shell_run_as_written(project, tmp_path, monkeypatch, capfdbinary):
    section = README.split("## At a shell", 1)[1].split("## In an agent", 1)[0]
    commands = re.findall(r"^\$ hermes-checkpoints (.*?)(?:\s{2,}#.*)?$", section, re.MULTILINE)
    assert len(commands) >= 9
    monkeypatch.chdir(project)
    for number, command in enumerate(commands):
        words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', command)]
        words = [str(tmp_path / "then") if word == "/tmp/then" else word for word in words]
        if words[0] in ("restore", "undo") and "--dry-run" not in words:
            words.append("--yes")  # nobody is there to be asked
        assert main(words) == 0, command
        (project / "src" / "main.py").write_text(f"print({number})\n")
    assert (tmp_path / "then" / "src" / "main.py").read_text().startswith("print(")


@pytest.mark.parametrize(
    "page",
    sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("b*/**/*.md")]),
    ids=lambda page: page.name,
)
def test_links_in_the_documentation_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target
