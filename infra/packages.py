"""Builds what is deployed: the function package and the web package, each as a folder, as a zip of it, and as a list
of what is in it (``infra/sbom.py``).

    python -m infra.packages [functions] [web] [--out dist] [--stored]

The pipeline, developers and the images' build stages all call this. Dependencies are in
``.python_packages/lib/site-packages``, where Azure looks for them: nothing is installed in the cloud. Versions and
hashes come from ``uv.lock``. Two builds of one tree give the same bytes. It needs only Python's own library and uv,
which it installs for itself where there is none.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra import sbom

ROOT = Path(__file__).parents[1]
SITE_PACKAGES = Path(".python_packages", "lib", "site-packages")

PYTHON_VERSION = "3.13"
# Azure's images have glibc 2.36 or newer; numpy, onnxruntime and av publish wheels for 2.28 and older.
PYTHON_PLATFORM = "x86_64-manylinux_2_28"

# Beside the manifest's files, what loading a version and `GET /api/model` read. Other versions are left out.
MODEL_DOCUMENTS = ("manifest.json", "metrics.json", "MODEL_CARD.md")

# Parts of the dependencies that nothing runs: commands (which name the builder's Python), examples, tests, C headers.
UNUSED = ("bin", "share", "samples", "**/tests", "*/include")

DEPLOYED_AT = "/home/site/wwwroot"

# The oldest date that a zip can hold: the same whenever it is built.
ZIP_DATE = (1980, 1, 1, 0, 0, 0)
ZIP_LEVEL = 3  # twice as fast as the usual 6, for 6 % more


class PackageError(Exception):
    """A package cannot be built; the message names the file and says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What goes into a package, relative to the repository's root.

    ``requirements`` are the options of ``uv export`` that choose the dependencies.
    """

    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    models: bool = False
    requirements: tuple[str, ...]


CONTENTS = {
    "functions": Content(
        files=("function_app.py", "host.json", "requirements.txt", "NOTICE"),
        folders=("functions", "tonearm"),
        models=True,
        requirements=("--no-dev",),
    ),
    "web": Content(folders=("frontend", ".streamlit"), requirements=("--only-group", "frontend")),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.packages", description="Builds what is deployed.")
    parser.add_argument("names", nargs="*", metavar="functions|web", help="which to build; both if none is named")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder to build in (default: dist)")
    parser.add_argument("--stored", action="store_true", help="do not compress the zips: half of the time, for tests")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(CONTENTS):
        parser.error(f"no such package: {', '.join(sorted(unknown))}; there are {' and '.join(CONTENTS)}")
    try:
        for name in options.names or CONTENTS:
            print(describe(build(name, options.out, level=0 if options.stored else ZIP_LEVEL)), flush=True)
    except (PackageError, OSError, subprocess.CalledProcessError) as error:
        print(f"The package cannot be built: {error}", file=sys.stderr)
        return 1
    return 0


def build(name: str, out: Path, root: Path = ROOT, *, level: int = ZIP_LEVEL) -> Path:
    """Builds ``out/<name>/``, ``out/<name>.zip`` and ``out/<name>.cdx.json`` from the tree at ``root`` anew.

    Returns:
        The zip.

    Raises:
        PackageError: if the models are not whole or Python is of another version.
        FileNotFoundError: if other files are missing.
        CalledProcessError: if uv fails; its own output says why.
    """
    content = CONTENTS[name]
    out = out.absolute()  # uv works in the root
    folder = out / name
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for file in content.files:
        _copy(root / file, folder / file)
    for source in content.folders:
        shutil.copytree(root / source, folder / source, ignore=shutil.ignore_patterns("__pycache__"))
    models = served_model_files(root / "models") if content.models else []
    for path in models:
        _copy(path, folder / path.relative_to(root))
    exported = _install(content.requirements, folder / SITE_PACKAGES, root)
    document = sbom.sbom_of(name, exported, folder / SITE_PACKAGES, models[-1].parent if models else None)
    out.joinpath(f"{name}.cdx.json").write_text(json.dumps(document, indent=1) + "\n")
    _compile(folder)
    return pack(folder, level)


def served_model_files(models: Path) -> list[Path]:
    """The files of ``models/`` that the service reads. Raises PackageError if there is no whole default version."""
    pointer = models / "default.txt"
    try:
        version = models / pointer.read_text().strip()
        files = json.loads((version / "manifest.json").read_text())["files"]
    except (OSError, ValueError, KeyError) as error:
        raise PackageError(f"The default version cannot be read ({error}); check the repository out whole") from None
    return [pointer, *(version / name for name in (*files, *MODEL_DOCUMENTS))]


def pack(folder: Path, level: int = ZIP_LEVEL) -> Path:
    """Zips ``folder``'s files, so that the same files give the same bytes whoever packs them and whenever."""
    archive = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), ZIP_DATE)
            entry.create_system = 3  # Unix, so that the next line counts
            entry.external_attr = 0o644 << 16
            target.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, level)
    return archive


def describe(archive: Path) -> str:
    """The package's sizes and hash, for whoever built it."""
    files = zipfile.ZipFile(archive).infolist()
    unpacked_mb, packed_mb = sum(file.file_size for file in files) / 1e6, archive.stat().st_size / 1e6
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    return f"{archive}: {unpacked_mb:.1f} MB unpacked, {packed_mb:.1f} MB packed, sha256 {sha256}"


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _install(requirements: Sequence[str], target: Path, root: Path) -> str:
    """Installs what the lock has for Azure's machines, whatever machine this is, without what nothing runs.

    Returns:
        uv's list of what the lock has for all machines, as CycloneDX.
    """
    python = ["--python", sys.executable]
    with tempfile.TemporaryDirectory() as scratch:
        uv = _uv(Path(scratch), root)
        locked = Path(scratch, "requirements.txt")
        export = [uv, "export", "--quiet", "--locked", "--no-emit-project", *python, *requirements]
        plain = ["--no-annotate", "--no-header", "--output-file", str(locked)]
        subprocess.run([*export, *plain], cwd=root, check=True)
        listing = [*export, "--format", "cyclonedx1.5"]
        exported = subprocess.run(listing, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout
        install = [uv, "pip", "install", "--quiet", "--no-config", "--target", str(target), "--link-mode", "copy"]
        # No package may run code of its own while it is installed: wheels only, and only those that the lock names.
        install += ["--requirements", str(locked), "--require-hashes", "--no-deps", "--only-binary", ":all:"]
        platform = ["--python-version", PYTHON_VERSION, "--python-platform", PYTHON_PLATFORM]
        subprocess.run([*install, *python, *platform, "--no-compile-bytecode"], cwd=root, check=True)
    for pattern in UNUSED:
        for folder in list(target.glob(pattern)):
            # Licences stay; their folders have names like these.
            if folder.is_dir() and ".dist-info" not in str(folder):
                shutil.rmtree(folder)
    (target / ".lock").unlink(missing_ok=True)
    for record in target.glob("*.dist-info/RECORD"):
        lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
        present = [line for line in lines if (target / line.rsplit(",", 2)[0].strip('"')).exists()]
        record.write_text("".join(present), encoding="utf-8")
    return exported


def _compile(folder: Path) -> None:
    """Puts bytecode beside every module: the package is read-only in the cloud, and compiling is half of a cold start.

    The bytecode names the path in the cloud and no dates, so that two builds give the same bytes.
    """
    if f"{sys.version_info.major}.{sys.version_info.minor}" != PYTHON_VERSION:
        raise PackageError(f"Python {PYTHON_VERSION} is needed to build for it, and this is {sys.version.split()[0]}")
    command = [sys.executable, "-I", "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"]
    paths = ["-s", str(folder), "-p", DEPLOYED_AT]
    # Files for other Pythons do not compile, and nothing imports them.
    folders = [str(path) for path in sorted(folder.iterdir()) if path.is_dir()]
    subprocess.run([*command, *paths, *folders], stdout=subprocess.DEVNULL, check=False)


def _uv(scratch: Path, root: Path) -> str:
    """The uv beside this Python or on PATH; else one for this build alone, of the version that pyproject.toml pins."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    if found := shutil.which("uv", path=path):
        return found
    groups = tomllib.loads((root / "pyproject.toml").read_text())["dependency-groups"]
    (pinned,) = (each for each in groups["test"] if each.startswith("uv=="))
    tools = scratch / "tools" / "bin"
    subprocess.run([sys.executable, "-m", "venv", str(tools.parent)], check=True)
    subprocess.run([str(tools / "python"), "-m", "pip", "install", "--quiet", pinned], check=True)
    return str(tools / "uv")


if __name__ == "__main__":
    sys.exit(main())
