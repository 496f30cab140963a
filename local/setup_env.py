"""Sets a machine up that has Python, Node and make: the right Python, the locked packages, Azurite, the checks' tools,
a browser.

    python3 local/setup_env.py [--group NAME]... [--all-groups] [--azurite] [--infra] [--browser]

Runs on any Python from 3.8 on, by itself, before anything is installed; what is there already is left alone.
"""

import argparse
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
LOCAL = ROOT / "local"
CHECKS = ROOT / "infra" / "checks"
PYTHON_VERSION = "3.13"
UV_VERSION = "0.13.9"
OLDEST_UV = (0, 9)
OLDEST_NODE = 20
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_CHROME = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
DOWNLOAD_LIMIT_S = 300
CONNECT_LIMIT_MS = 5000


def main() -> None:
    """Sets up what the command line asks for; ends with a sentence that says what to do if something is missing."""
    parser = argparse.ArgumentParser(description="Set up Tonearm on this machine.")
    parser.add_argument("--group", action="append", default=[], help="dependency group to install (repeatable)")
    parser.add_argument("--all-groups", action="store_true", help="install every dependency group")
    parser.add_argument("--azurite", action="store_true", help="install Azurite, the storage emulator")
    parser.add_argument("--infra", action="store_true", help="install what `make check-infra` needs")
    parser.add_argument("--browser", action="store_true", help="find or install the Chromium of the browser tests")
    options = parser.parse_args()
    try:
        groups = ["--all-groups"] if options.all_groups else ["--group=" + group for group in options.group]
        # --inexact: what `make test` has installed stays when `make run` needs less.
        run([find_uv(), "sync", "--quiet", "--locked", "--inexact", "--python", find_python(), *groups])
        compile_packages(groups)
        if options.azurite:
            install_npm(LOCAL, "Azurite")
        if options.infra:
            install_checkov()
            install_npm(CHECKS, "the pipelines' language service")
        if options.browser:
            install_browser()
    except (subprocess.CalledProcessError, OSError) as error:
        sys.exit(f"set-up: {error}")


def compile_packages(groups: list) -> None:  # type: ignore[type-arg]  # Python 3.8 knows no list[str]
    """Bytecode for what is installed, once.

    Where Python may not write it, as containers have it, every start would compile it anew: half of the time that the
    functions host takes.
    """
    environment = ROOT / ".venv"
    done = environment / ".compiled"
    wanted = (ROOT / "uv.lock").read_text() + " ".join(sorted(groups))
    digest = hashlib.sha256(wanted.encode()).hexdigest()
    if done.exists() and digest in done.read_text().split():
        return
    say("compiling what was installed")
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    # Some packages bring files for other Pythons, which do not compile: that is no failure.
    command = [str(python), "-m", "compileall", "-q", "-j", "0", str(environment / "lib")]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    with done.open("a") as file:
        file.write(digest + "\n")


def find_uv() -> str:
    """The uv on this machine if it is new enough, else one of our own below .tools/."""
    installed = shutil.which("uv")
    if installed:
        version = output([installed, "--version"])
        found = re.search(r"(\d+)\.(\d+)", version)
        if found and tuple(map(int, found.groups())) >= OLDEST_UV:
            return installed
    folder = TOOLS / ("uv-" + UV_VERSION)
    uv = folder / ("Scripts" if os.name == "nt" else "bin") / "uv"
    if not uv.exists():
        say("installing uv " + UV_VERSION)
        run([sys.executable, "-m", "venv", str(folder)])
        quiet = ["--quiet", "--disable-pip-version-check"]
        run([str(uv.parent / "python"), "-m", "pip", "install", *quiet, "uv==" + UV_VERSION])
    return str(uv)


def find_python() -> str:
    """A Python 3.13 on this machine, on PATH or kept by pyenv; else its version, which uv has or fetches itself."""
    pyenv = os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))
    kept = sorted(Path(pyenv).glob(f"versions/{PYTHON_VERSION}.*/bin/python"), reverse=True)
    for candidate in (sys.executable, shutil.which("python" + PYTHON_VERSION), *map(str, kept)):
        if candidate and version_of(candidate) == PYTHON_VERSION:
            return candidate
    return PYTHON_VERSION


def version_of(python: str) -> str:
    """``3.13`` of a Python that runs; empty for one that does not (pyenv's shims exist for versions not selected)."""
    return output([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()


def install_checkov() -> None:
    """Checkov as checkov.txt has it, in an environment of its own: its pins clash with ours."""
    lock = CHECKS / "checkov.txt"
    folder = TOOLS / "checkov"
    done = folder / ".installed"
    if done.exists() and done.read_text() == lock.read_text():
        return
    say("installing checkov")
    uv = find_uv()
    run([uv, "venv", "--quiet", "--clear", "--python", find_python(), str(folder)])
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    run([uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(python), str(lock)])
    done.write_text(lock.read_text())


def install_npm(folder: Path, what: str) -> None:
    """The npm packages of a folder as its package-lock.json has them; nothing to do if they are that already."""
    lock = folder / "package-lock.json"
    done = folder / "node_modules" / ".installed"
    if done.exists() and done.read_text() == lock.read_text():
        return
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        sys.exit(f"set-up: Node {OLDEST_NODE} or newer with npm is needed for {what} and is not on PATH")
    version = output([node, "--version"])
    if int(version.lstrip("v").split(".")[0]) < OLDEST_NODE:
        sys.exit(f"set-up: Node {version.strip()} is too old for {what}; {OLDEST_NODE} or newer is needed")
    say("installing " + what)
    # No package may run scripts of its own while it is installed; none of these needs any.
    quiet = ["--silent", "--no-audit", "--no-fund"]
    run([npm, "ci", "--ignore-scripts", *quiet], cwd=folder)
    done.write_text(lock.read_text())


def install_browser() -> None:
    """A Chromium for the browser tests, unless one is here: Playwright's own, or, for root on Debian, Debian's."""
    if find_browser():
        return
    say("installing Chromium")
    download_browser()
    if not find_browser() and shutil.which("apt-get") and os.geteuid() == 0:
        apt_install("chromium")
    if not find_browser():
        sys.exit(
            "set-up: the browser tests need Chromium or Chrome; none is here, and none could be installed."
            " Install one (on Debian: sudo apt-get install chromium), or name one in TONEARM_CHROMIUM"
        )


def find_browser() -> str:
    """The Chromium or Chrome of this machine that runs; empty if there is none.

    It is what TONEARM_CHROMIUM names, else one on PATH, else one that Playwright has fetched, the newest first.
    """
    named = os.environ.get("TONEARM_CHROMIUM")
    if named:
        if not runs(named):
            sys.exit("set-up: TONEARM_CHROMIUM names " + named + ", which is no Chromium that runs")
        return named
    cache = "Library/Caches" if sys.platform == "darwin" else ".cache"
    fetched = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / cache / "ms-playwright")
    ours = [*fetched.glob("chromium-*/chrome-*/chrome"), *fetched.glob("chromium-*/chrome-*/*.app/Contents/MacOS/*")]
    candidates = [*map(shutil.which, BROWSERS), MAC_CHROME, *sorted(map(str, ours), reverse=True)]
    return next((candidate for candidate in candidates if candidate and runs(candidate)), "")


def runs(browser: str) -> bool:
    """Whether it starts: Ubuntu's chromium may be a note that asks for a snap, and Playwright's may lack libraries."""
    try:
        return "Chrom" in output([browser, "--version"])
    except OSError:
        return False


def download_browser() -> None:
    """Playwright's own Chromium, where its host can be reached, which is not everywhere; given up after a while."""
    command = [str(ROOT / ".venv" / "bin" / "playwright"), "install", "--no-shell", "chromium"]
    environment = dict(os.environ, PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT=str(CONNECT_LIMIT_MS))
    quiet = subprocess.DEVNULL
    # In a session of its own, so that what it has started ends with it.
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet, env=environment, start_new_session=True)
    try:
        process.wait(DOWNLOAD_LIMIT_S)
    except subprocess.TimeoutExpired:
        say("gave up waiting for Playwright's download of it")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def apt_install(package: str) -> None:
    """A package of Debian's or Ubuntu's, without what it merely recommends; whether that worked is not looked at."""
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    for command in (["update"], ["install", "-y", "--no-install-recommends", package]):
        subprocess.run(["apt-get", "-qq", *command], stdout=subprocess.DEVNULL, env=environment, check=False)


def run(command: list, cwd: Path = ROOT) -> None:  # type: ignore[type-arg]  # Python 3.8 knows no list[str]
    """Runs a command to its end; raises CalledProcessError if it fails."""
    subprocess.run(command, cwd=str(cwd), check=True)


def output(command: list) -> str:  # type: ignore[type-arg]
    """What a command prints; empty if it fails, which callers take as "not usable"."""
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, text=True).stdout


def say(text: str) -> None:
    """Tells what takes a while."""
    print("set-up: " + text, flush=True)


if __name__ == "__main__":
    main()
