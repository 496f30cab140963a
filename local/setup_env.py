"""Sets up a machine that has Python, Node and make: the right Python, the locked packages, Azurite, the checks' tools,
a browser.

    python3 local/setup_env.py [--group NAME]... [--all-groups] [--azurite] [--infra] [--browser]

Runs on any Python from 3.8 on, by itself, before anything is installed; what is there already is left alone.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
CHECKS = ROOT / "infra" / "checks"
PYTHON_VERSION = "3.13"
UV_VERSION = "0.13.9"
OLDEST_NODE = 20
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_CHROME = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
NO_BROWSER = """set-up: the browser tests need Chromium or Chrome; none is here, and none could be installed.
Install one (on Debian: sudo apt-get install chromium), or name one in TONEARM_CHROMIUM"""


def main() -> None:
    """Install what the command line asks for, side by side; end with a sentence if something is missing."""
    parser = argparse.ArgumentParser(description="Set up Tonearm on this machine.")
    parser.add_argument("--group", action="append", default=[], help="dependency group to install (repeatable)")
    parser.add_argument("--all-groups", action="store_true", help="install every dependency group")
    parser.add_argument("--azurite", action="store_true", help="install Azurite, the storage emulator")
    parser.add_argument("--infra", action="store_true", help="install what `make check-infra` needs")
    parser.add_argument("--browser", action="store_true", help="find or install the Chromium of the browser tests")
    options = parser.parse_args()
    groups = ["--all-groups"] if options.all_groups else ["--group=" + group for group in options.group]
    try:
        uv, python = find_uv(), find_python()
        steps: list[tuple[Any, ...]] = [(install_packages, uv, python, groups)]
        steps += [(install_npm, ROOT / "local", "Azurite")] if options.azurite else []
        steps += [(install_checkov, uv, python)] if options.infra else []
        steps += [(install_npm, CHECKS, "the pipelines' language service")] if options.infra else []
        steps += [(apt_install_browser,)] if options.browser else []
        with ThreadPoolExecutor(len(steps)) as pool:
            for done in [pool.submit(*step) for step in steps]:
                done.result()
        if options.browser:
            download_browser()
    except (subprocess.CalledProcessError, OSError) as error:
        sys.exit(f"set-up: {error}")


def find_uv() -> str:
    """The uv of this version, below .tools/; installs it first if it is missing."""
    folder = TOOLS / ("uv-" + UV_VERSION)
    if not (folder / "bin" / "uv").exists():
        print("set-up: installing uv", UV_VERSION, flush=True)
        run([sys.executable, "-m", "venv", "--clear", str(folder)])
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv==" + UV_VERSION]
        run([str(folder / "bin" / "python"), *install])
    return str(folder / "bin" / "uv")


def find_python() -> str:
    """Pyenv's Python 3.13, whose shim on PATH need not work; else the version, which uv finds on PATH or fetches."""
    pyenv = Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv")))
    found = sorted(map(str, pyenv.glob("versions/" + PYTHON_VERSION + ".*/bin/python")))
    return found[-1] if found else PYTHON_VERSION


def install_packages(uv: str, python: str, groups: list[str]) -> None:
    """The locked Python packages and, once, their bytecode: where Python may not write it, each start would compile it.

    --inexact: what `make test` has installed stays when `make run` needs less.
    """
    compiled, lock = ROOT / ".venv" / (".compiled" + "".join(groups)), ROOT / "uv.lock"
    bytecode = [] if is_done(compiled, lock) else ["--compile-bytecode"]
    run([uv, "sync", "--quiet", "--locked", "--inexact", "--python", python, *groups, *bytecode])
    compiled.write_text(lock.read_text())


def install_checkov(uv: str, python: str) -> None:
    """Checkov as checkov.txt has it, in an environment of its own: its pins clash with ours."""
    lock, folder = CHECKS / "checkov.txt", TOOLS / "checkov"
    if not is_done(folder / ".installed", lock):
        print("set-up: installing checkov", flush=True)
        run([uv, "venv", "--quiet", "--clear", "--python", python, str(folder)])
        run([uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(folder / "bin" / "python"), str(lock)])
        (folder / ".installed").write_text(lock.read_text())


def install_npm(folder: Path, what: str) -> None:
    """The npm packages of a folder's package-lock.json. Raises SystemExit if Node is missing or too old."""
    lock, done = folder / "package-lock.json", folder / "node_modules" / ".installed"
    if not is_done(done, lock):
        if int(output(["node", "--version"]).lstrip("v").partition(".")[0] or 0) < OLDEST_NODE:
            raise SystemExit(f"set-up: Node {OLDEST_NODE} or newer with npm is needed for {what}")
        print("set-up: installing", what, flush=True)
        # No package may run scripts of its own while it is installed; none of these needs any.
        run(["npm", "ci", "--ignore-scripts", "--silent", "--no-audit", "--no-fund"], cwd=folder)
        done.write_text(lock.read_text())


def is_done(done: Path, lock: Path) -> bool:
    """Whether ``done``, which an installation leaves behind, is a copy of the lock file."""
    return done.exists() and done.read_text() == lock.read_text()


def apt_install_browser() -> None:
    """Debian's Chromium, for root, unless a browser is here."""
    if not find_browser() and shutil.which("apt-get") and os.geteuid() == 0:
        print("set-up: installing Chromium", flush=True)
        for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
            output(["apt-get", "-qq", *command], DEBIAN_FRONTEND="noninteractive")


def download_browser() -> None:
    """Playwright's own Chromium, unless a browser is here. Raises SystemExit when its host cannot be reached."""
    if not find_browser():
        print("set-up: downloading Chromium", flush=True)
        command = [str(ROOT / ".venv" / "bin" / "playwright"), "install", "--no-shell", "chromium"]
        output(command, PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT="5000")
        if not find_browser():
            raise SystemExit(NO_BROWSER)


def find_browser() -> str:
    """The Chromium or Chrome of this machine that runs; empty if there is none.

    It is what TONEARM_CHROMIUM names, else one on PATH, else one that Playwright has fetched, the newest first. Raises
    SystemExit if what TONEARM_CHROMIUM names does not run.
    """
    named = os.environ.get("TONEARM_CHROMIUM")
    if named and not runs(named):
        raise SystemExit("set-up: TONEARM_CHROMIUM names " + named + ", which is no Chromium that runs")
    cache = "Library/Caches" if sys.platform == "darwin" else ".cache"
    fetched = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / cache / "ms-playwright")
    ours = [*fetched.glob("chromium-*/chrome-*/chrome"), *fetched.glob("chromium-*/chrome-*/*.app/Contents/MacOS/*")]
    candidates = [named, *map(shutil.which, BROWSERS), MAC_CHROME, *sorted(map(str, ours), reverse=True)]
    return next((candidate for candidate in candidates if candidate and runs(candidate)), "")


def runs(browser: str) -> bool:
    """Whether it starts: Ubuntu's chromium may be a note that asks for a snap, and Playwright's may lack libraries."""
    return "Chrom" in output([browser, "--version"])


def run(command: list[str], cwd: Path = ROOT) -> None:
    """Run a command to its end; raises CalledProcessError if it fails."""
    subprocess.run(command, cwd=str(cwd), check=True)


def output(command: list[str], **environment: str) -> str:
    """What a command prints, whether it fails or not; empty if there is no such command."""
    try:
        quiet: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "env": dict(os.environ, **environment)}
        return subprocess.run(command, text=True, check=False, **quiet).stdout
    except OSError:
        return ""


if __name__ == "__main__":
    main()
