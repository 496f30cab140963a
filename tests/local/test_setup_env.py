"""The tools of the checks are installed once, and again when what is locked changes; so is a browser, unless found."""

import os
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from local import setup_env
from tests.local.conftest import wait_until


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


class Machine:
    """A machine with nothing on PATH but what a test puts there: small scripts, which note that they were called."""

    def __init__(self, folder: Path) -> None:
        self.path, self.cache, self.calls_path = folder / "bin", folder / "cache", folder / "calls"
        self.playwright = folder / ".venv" / "bin" / "playwright"
        self.path.mkdir()
        self.command(self.playwright, "exit 1")

    def command(self, file: Path, script: str) -> Path:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'#!/bin/sh\necho "{file.name} $*" >> "{self.calls_path}"\n{script}\n')
        file.chmod(0o755)
        return file

    def browser(self, file: Path) -> Path:
        return self.command(file, "echo Chromium 150.0")

    def fetches(self, file: Path) -> str:
        """The script of a command that puts a browser there."""
        return f"PATH=/usr/bin:/bin\nmkdir -p '{file.parent}'\ncp '{self.browser(self.cache / 'sample')}' '{file}'"

    @property
    def installs(self) -> list[str]:
        """What was called, but for questions for a version."""
        calls = self.calls_path.read_text().splitlines() if self.calls_path.exists() else []
        return [call for call in calls if not call.endswith(" --version")]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    monkeypatch.setattr(setup_env, "ROOT", tmp_path)
    monkeypatch.setattr(setup_env, "MAC_CHROME", str(tmp_path / "no-chrome"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(machine.path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(machine.cache))
    monkeypatch.delenv("TONEARM_CHROMIUM", raising=False)
    return machine


class TestBrowser:
    @pytest.mark.parametrize("name", setup_env.BROWSERS)
    def test_one_on_path_is_taken_and_nothing_installed(self, machine: Machine, name: str) -> None:
        browser = machine.browser(machine.path / name)
        setup_env.install_browser()
        assert setup_env.find_browser() == str(browser)
        assert machine.installs == []

    def test_the_one_named_goes_first(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        machine.browser(machine.path / "chromium")
        named = machine.browser(machine.cache / "my browser")
        monkeypatch.setenv("TONEARM_CHROMIUM", str(named))
        assert setup_env.find_browser() == str(named)

    @pytest.mark.parametrize("script", [None, "exit 1"])
    def test_a_wrong_name_is_told(self, machine: Machine, monkeypatch: pytest.MonkeyPatch, script: str | None) -> None:
        machine.browser(machine.path / "chromium")
        if script:
            machine.command(machine.cache / "broken", script)
        monkeypatch.setenv("TONEARM_CHROMIUM", str(machine.cache / "broken"))
        with pytest.raises(SystemExit, match=r"TONEARM_CHROMIUM names .*broken"):
            setup_env.install_browser()

    @pytest.mark.parametrize(
        "place", ["chrome-linux64/chrome", "chrome-mac-arm64/Chrome for Testing.app/Contents/MacOS/Chrome for Testing"]
    )
    def test_playwrights_newest_is_found(self, machine: Machine, place: str) -> None:
        for revision in ("1240", "1255"):
            machine.browser(machine.cache / f"chromium-{revision}" / place)
        setup_env.install_browser()
        assert setup_env.find_browser() == str(machine.cache / "chromium-1255" / place)
        assert machine.installs == []

    def test_playwright_fetches_one(self, machine: Machine) -> None:
        fetched = machine.cache / "chromium-1255" / "chrome-linux64" / "chrome"
        machine.command(machine.playwright, machine.fetches(fetched))
        machine.command(machine.path / "apt-get", "")
        setup_env.install_browser()
        assert setup_env.find_browser() == str(fetched)
        assert machine.installs == ["playwright install --no-shell chromium"]

    def test_debian_has_one_where_playwrights_host_is_out_of_reach(self, machine: Machine) -> None:
        # what Ubuntu has under this name where no snap is installed
        machine.command(machine.path / "chromium-browser", "echo requires the snap >&2\nexit 1")
        machine.command(machine.path / "apt-get", machine.fetches(machine.path / "chromium"))
        setup_env.install_browser()
        assert setup_env.find_browser() == str(machine.path / "chromium")
        _, *apt = machine.installs
        assert apt == ["apt-get -qq update", "apt-get -qq install -y --no-install-recommends chromium"]

    def test_who_may_not_install_is_told_what_to_install(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        machine.command(machine.path / "apt-get", machine.fetches(machine.path / "chromium"))
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(SystemExit, match="apt-get install chromium"):
            setup_env.install_browser()
        assert machine.installs == ["playwright install --no-shell chromium"]

    def test_a_download_that_hangs_is_given_up_with_all_it_started(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        started = machine.cache / "started"
        sleep = shutil.which("sleep", path="/usr/bin:/bin")
        machine.command(machine.playwright, f"{sleep} 600 &\necho $! > '{started}'\nwait")
        started.parent.mkdir()
        wait = subprocess.Popen.wait

        def until_started(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
            if timeout is None:
                return wait(process)
            wait_until(lambda: started.exists() and started.read_text(), "the download")
            raise subprocess.TimeoutExpired("playwright", timeout)

        monkeypatch.setattr(subprocess.Popen, "wait", until_started)
        setup_env.download_browser()
        child = int(started.read_text())
        wait_until(
            lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE, "its end"
        )
