"""What is locked is installed once, and again when the lock changes; so is a browser, unless one is found."""

import os
import sys
from pathlib import Path

import pytest

from local import setup_env


class Machine:
    """A machine with nothing on PATH but what a test puts there: small scripts, which note that they were called."""

    def __init__(self, folder: Path) -> None:
        self.path, self.cache, self.calls_path = folder / "bin", folder / "cache", folder / "calls"
        self.playwright = folder / ".venv" / "bin" / "playwright"
        self.command(self.playwright, "exit 1")

    def command(self, file: Path, script: str) -> Path:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'#!/bin/sh\necho "{file.name} $*" >> "{self.calls_path}"\n{script}\n')
        file.chmod(0o755)
        return file

    def browser(self, file: Path) -> Path:
        return self.command(file, "echo Chromium 150.0")

    def installs(self, file: Path) -> str:
        """The script of a command that puts a browser there."""
        return f"PATH=/usr/bin:/bin\nmkdir -p '{file.parent}'\ncp '{self.browser(self.cache / 'sample')}' '{file}'"

    @property
    def calls(self) -> list[str]:
        """What was called, but for questions for a version."""
        calls = self.calls_path.read_text().splitlines() if self.calls_path.exists() else []
        return [call for call in calls if not call.endswith(" --version")]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    for name, folder in (("ROOT", tmp_path), ("TOOLS", tmp_path / "tools"), ("CHECKS", tmp_path)):
        monkeypatch.setattr(setup_env, name, folder)
    monkeypatch.setattr(setup_env, "MAC_CHROME", str(tmp_path / "no-chrome"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(machine.path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(machine.cache))
    monkeypatch.delenv("TONEARM_CHROMIUM", raising=False)
    return machine


def test_uv_is_installed_once_in_an_environment_of_its_own(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tools" / f"uv-{setup_env.UV_VERSION}"
    pip = machine.command(tmp_path / "pip", f"/bin/touch {folder}/bin/uv")
    python = machine.command(tmp_path / "python", f"/bin/mkdir -p {folder}/bin\n/bin/cp {pip} {folder}/bin/python")
    monkeypatch.setattr(sys, "executable", str(python))
    for _ in range(2):
        assert setup_env.find_uv() == f"{folder}/bin/uv"
    install = f"pip -m pip install --quiet --disable-pip-version-check uv=={setup_env.UV_VERSION}"
    assert machine.calls == [f"python -m venv --clear {folder}", install]


def test_what_is_locked_is_installed_once(machine: Machine, tmp_path: Path) -> None:
    uv = str(machine.command(tmp_path / "uv", f"/bin/mkdir -p {tmp_path}/tools/checkov"))
    machine.command(machine.path / "node", "echo v22.1.0")
    machine.command(machine.path / "npm", "/bin/mkdir -p node_modules")
    locks = [tmp_path / name for name in ("uv.lock", "checkov.txt", "package-lock.json")]
    for content in ("1", "2"):
        for lock in locks:
            lock.write_text(content)
        for _ in range(2):
            setup_env.install_packages(uv, "3.13", ["--group=test"])
            setup_env.install_checkov(uv, "3.13")
            setup_env.install_npm(tmp_path, "a tool")
    sync = "uv sync --quiet --locked --inexact --python 3.13 --group=test"
    venv = f"uv venv --quiet --clear --python 3.13 {tmp_path}/tools/checkov"
    options = f"--require-hashes --python {tmp_path}/tools/checkov/bin/python {tmp_path}/checkov.txt"
    npm = "npm ci --ignore-scripts --silent --no-audit --no-fund"
    once = [f"{sync} --compile-bytecode", venv, f"uv pip sync --quiet {options}", npm, sync]
    assert machine.calls == once * 2


def test_an_old_node_is_named(machine: Machine, tmp_path: Path) -> None:
    machine.command(machine.path / "npm", "")
    machine.command(machine.path / "node", "echo v18.0.0")
    (tmp_path / "package-lock.json").write_text("{}")
    with pytest.raises(SystemExit, match="Node 20 or newer with npm is needed for a tool"):
        setup_env.install_npm(tmp_path, "a tool")


@pytest.mark.parametrize(
    "browser",
    [
        "bin/chromium",
        "bin/google-chrome",
        "cache/chromium-1255/chrome-linux64/chrome",
        "cache/chromium-1255/chrome-mac-arm64/Chrome for Testing.app/Contents/MacOS/Chrome for Testing",
    ],
)
def test_a_browser_that_is_here_is_taken(machine: Machine, tmp_path: Path, browser: str) -> None:
    machine.browser(tmp_path / browser)
    machine.browser(tmp_path / browser.replace("1255", "1240"))
    setup_env.apt_install_browser()
    setup_env.download_browser()
    assert setup_env.find_browser() == str(tmp_path / browser)
    assert machine.calls == []


def test_the_browser_that_is_named_goes_first(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.browser(machine.path / "chromium")
    named = machine.browser(machine.cache / "my browser")
    monkeypatch.setenv("TONEARM_CHROMIUM", str(named))
    assert setup_env.find_browser() == str(named)
    machine.command(named, "exit 1")
    with pytest.raises(SystemExit, match=r"TONEARM_CHROMIUM names .*my browser"):
        setup_env.find_browser()


def test_root_gets_debians_browser(machine: Machine) -> None:
    # what Ubuntu has under this name where no snap is installed
    machine.command(machine.path / "chromium-browser", "echo requires the snap >&2\nexit 1")
    machine.command(machine.path / "apt-get", machine.installs(machine.path / "chromium"))
    setup_env.apt_install_browser()
    setup_env.download_browser()
    assert setup_env.find_browser() == str(machine.path / "chromium")
    assert machine.calls == ["apt-get -qq update", "apt-get -qq install -y --no-install-recommends chromium"]


def test_others_get_playwrights_or_are_told_what_to_install(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    machine.command(machine.path / "apt-get", machine.installs(machine.path / "chromium"))
    setup_env.apt_install_browser()
    with pytest.raises(SystemExit, match="apt-get install chromium"):
        setup_env.download_browser()
    fetched = machine.cache / "chromium-1255" / "chrome-linux64" / "chrome"
    machine.command(machine.playwright, machine.installs(fetched))
    setup_env.download_browser()
    assert setup_env.find_browser() == str(fetched)
    assert machine.calls == ["playwright install --no-shell chromium"] * 2
