"""The tools of the checks are installed once, and again when what is locked changes."""

from pathlib import Path

import pytest

from local import setup_env


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would be run, in folders of the test's own."""
    ran: list[list[str]] = []

    def note(command: list[str], cwd: Path = tmp_path) -> None:
        ran.append([Path(command[0]).name, *map(str, command[1:])])
        (cwd / "node_modules").mkdir(exist_ok=True)
        (tmp_path / "tools" / "checkov").mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(setup_env, "run", note)
    monkeypatch.setattr(setup_env, "find_uv", lambda: "uv")
    monkeypatch.setattr(setup_env, "TOOLS", tmp_path / "tools")
    monkeypatch.setattr(setup_env, "CHECKS", tmp_path)
    (tmp_path / "checkov.txt").write_text("checkov==1\n")
    (tmp_path / "package-lock.json").write_text("{}\n")
    return ran


def test_checkov_gets_an_environment_of_its_own_with_hashes(commands: list[list[str]], tmp_path: Path) -> None:
    setup_env.install_checkov()
    (_, *venv), (_, *sync) = commands
    assert venv[0] == "venv"
    assert sync[:2] == ["pip", "sync"]
    assert "--require-hashes" in sync
    assert sync[-1] == str(tmp_path / "checkov.txt")


def test_what_is_there_already_is_left_alone(commands: list[list[str]], tmp_path: Path) -> None:
    for _ in range(2):
        setup_env.install_checkov()
        setup_env.install_npm(tmp_path, "a tool")
    assert len(commands) == 3
    (tmp_path / "checkov.txt").write_text("checkov==2\n")
    (tmp_path / "package-lock.json").write_text('{"new": 1}\n')
    setup_env.install_checkov()
    setup_env.install_npm(tmp_path, "a tool")
    assert len(commands) == 6


def test_npm_runs_no_scripts_of_packages(commands: list[list[str]], tmp_path: Path) -> None:
    setup_env.install_npm(tmp_path, "a tool")
    assert commands[0][:3] == ["npm", "ci", "--ignore-scripts"]
