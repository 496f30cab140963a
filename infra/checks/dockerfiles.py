"""The Dockerfiles: linted, pinned, without root, and in agreement with the tree, the package and themselves."""

import functools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from infra.checks.code import routes
from infra.checks.problem import Problem
from infra.packages import CONTENTS, PYTHON_VERSION, SITE_PACKAGES

HADOLINT = Path(sys.executable).with_name("hadolint")
PAGE_HEALTH = "/_stcore/health"
"""Where Streamlit says that it is well."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a Dockerfile, with the lines that continue it."""

    line: int
    word: str
    arguments: list[str]

    @property
    def source_stage(self) -> str | None:
        """The stage that a COPY copies from; None: the build's context."""
        return next((part.removeprefix("--from=") for part in self.arguments if part.startswith("--from=")), None)

    @property
    def sources(self) -> list[str]:
        """What a COPY copies."""
        return [part for part in self.arguments if not part.startswith("--")][:-1]


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A Dockerfile, as far as it is looked at here."""

    path: str
    """Relative to the root checked."""
    stages: list[list[Instruction]]
    """Each begins with its FROM."""

    @property
    def package(self) -> str:
        """The package that it builds; empty if none."""
        commands = [" ".join(each.arguments) for stage in self.stages for each in stage if each.word == "RUN"]
        found = re.search(r"-m infra\.packages (\w+)", "\n".join(commands))
        return found[1] if found and found[1] in CONTENTS else ""

    def last(self, word: str) -> Instruction | None:
        """The instruction of this kind that counts in the image: the last of the last stage."""
        return next((each for each in reversed(self.stages[-1]) if each.word == word), None)


def check_dockerfile(file: Path, root: Path) -> tuple[Dockerfile, list[Problem]]:
    """A Dockerfile, and all that is wrong with it."""
    dockerfile = parse(file, root)
    problems = [*_lint(file, dockerfile.path)]
    if dockerfile.stages:
        problems += [*_stages(dockerfile), *_copies(dockerfile, root), *_package(dockerfile), *_runs(dockerfile, root)]
    return dockerfile, problems


def parse(file: Path, root: Path) -> Dockerfile:
    """A Dockerfile's stages and instructions; what stands before the first FROM is left out."""
    stages: list[list[Instruction]] = []
    started, text = 0, ""
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        started = started or number
        text += line.removesuffix("\\") + " "
        if line.endswith("\\"):
            continue
        word, *arguments = text.split()
        instruction = Instruction(started, word.upper(), arguments)
        if instruction.word == "FROM":
            stages.append([])
        if stages:
            stages[-1].append(instruction)
        started, text = 0, ""
    return Dockerfile(str(file.relative_to(root)), stages)


@functools.lru_cache(maxsize=256)
def _hadolint(text: str) -> subprocess.CompletedProcess[str]:
    """What hadolint says of a Dockerfile."""
    command = [str(HADOLINT), "--no-fail", "--format", "json", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


def _lint(file: Path, path: str) -> Iterator[Problem]:
    done = _hadolint(file.read_text())
    try:
        findings = json.loads(done.stdout)
    except ValueError:
        yield Problem(path, 0, f"hadolint did not run to its end: {done.stderr.strip()}")
        return
    for finding in findings:
        yield Problem(path, finding["line"], f"hadolint {finding['code']}: {finding['message']}")
    lines = file.read_text().splitlines()
    for before, (number, line) in zip(["", *lines], enumerate(lines, start=1), strict=False):
        if re.match(r"#\s*hadolint\b", line) and not before.startswith("#"):
            yield Problem(path, number, "a rule of hadolint is switched off; say why in a comment on the line before")


def _stages(dockerfile: Dockerfile) -> Iterator[Problem]:
    names: list[str] = []
    for stage in dockerfile.stages:
        image, *alias = stage[0].arguments
        if image not in names and (fault := unpinned(image)):
            yield Problem(dockerfile.path, stage[0].line, fault)
        if image not in names and f"python{PYTHON_VERSION}" not in image.replace(":", ""):
            text = f"{image} is not of Python {PYTHON_VERSION}, for which the package's dependencies are built"
            yield Problem(dockerfile.path, stage[0].line, text)
        names += alias[1:]
    for each in (each for stage in dockerfile.stages for each in stage if each.word == "COPY"):
        if each.source_stage is not None and each.source_stage not in names:
            yield Problem(dockerfile.path, each.line, f"there is no stage called {each.source_stage}")
    if len(dockerfile.stages) < 2:
        yield Problem(dockerfile.path, 0, "the image is built in one stage, so what builds it stays in it; add another")
    user = dockerfile.last("USER")
    if user is None or re.match(r"root\b|0+\b", user.arguments[0]):
        yield Problem(dockerfile.path, user.line if user else 0, "the image runs as root; end it with another USER")
    health = dockerfile.last("HEALTHCHECK")
    if health is None or health.arguments[:1] == ["NONE"]:
        yield Problem(dockerfile.path, health.line if health else 0, "the image has no HEALTHCHECK; add one")


def _copies(dockerfile: Dockerfile, root: Path) -> Iterator[Problem]:
    """Whether what is copied from the context is there, and is let in."""
    for each in (each for stage in dockerfile.stages for each in stage if each.word in {"COPY", "ADD"}):
        if each.source_stage is None:
            for source in each.sources:
                if not any(root.glob(source)):
                    yield Problem(dockerfile.path, each.line, f"there is no {source} to copy")
                elif _is_ignored(source, root):
                    yield Problem(dockerfile.path, each.line, f"{source} is kept out by .dockerignore; let it in there")


def _is_ignored(path: str, root: Path) -> bool:
    """As Docker has it: the last line that matches the path, or a folder above it, counts."""
    ignore_file = root / ".dockerignore"
    ignored = False
    for line in ignore_file.read_text().splitlines() if ignore_file.exists() else []:
        pattern = line.strip().removeprefix("!")
        above = [PurePosixPath(path), *PurePosixPath(path).parents]
        if pattern and not pattern.startswith("#") and any(each.full_match(pattern) for each in above[:-1]):
            ignored = not line.startswith("!")
    return ignored


def _package(dockerfile: Dockerfile) -> Iterator[Problem]:
    """Whether the builder gets all that goes into the package, and the image all of the package."""
    name = dockerfile.package
    if not name:
        known = " or ".join(CONTENTS)
        yield Problem(dockerfile.path, 0, f"no stage runs `python -m infra.packages` for {known}, as the pipeline does")
        return
    content = CONTENTS[name]
    parts = {*content.files, *content.folders, *(["models"] if content.models else [])}
    copies = [each for stage in dockerfile.stages for each in stage if each.word == "COPY"]
    given = [source for each in copies if each.source_stage is None for source in each.sources]
    for part in sorted(parts.difference(given)):
        yield Problem(dockerfile.path, 0, f"{part} belongs to the package; COPY it into the stage that builds it")
    taken = [source for each in copies if each.source_stage is not None for source in each.sources]
    for part in sorted({*parts, SITE_PACKAGES.parts[0]}):
        if not any(fnmatchcase(f"/dist/{name}/{part}", source) for source in taken):
            yield Problem(dockerfile.path, 0, f"{part} belongs to the package; COPY it into the image")


def unpinned(image: str) -> str | None:
    """What is wrong with an image's name, if it may be another image tomorrow."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        return None
    if digest:
        return f"{image} has a digest that is none: sha256: and 64 digits are wanted"
    # `4-python3.13` is as full as Microsoft's patched tags get; `latest`, `slim` or no tag say nothing of a version.
    return None if re.search(r"\d", tag) else f"{image} names no version; pin it by digest or by its fullest tag"


def _runs(dockerfile: Dockerfile, root: Path) -> Iterator[Problem]:
    """Whether what is started, where it listens and what is asked for its health fit together."""
    path, package = dockerfile.path, dockerfile.package
    exposed = dockerfile.last("EXPOSE")
    open_ports = exposed.arguments if exposed else []
    if package and (exposed is None or len(open_ports) != 1):
        yield Problem(path, 0, "EXPOSE the one port that it listens on")
    for each in dockerfile.stages[-1]:
        text = " ".join(each.arguments)
        for port in re.findall(r"(?:http://[^/'\s]*:|--server\.port=)(\d+)", text):
            if port not in open_ports:
                yield Problem(path, each.line, f"port {port} is not the one that is exposed: {' '.join(open_ports)}")
        site_packages = [value for value in re.findall(r"\bPYTHONPATH=(\S+)", text) if value not in _homes(dockerfile)]
        if site_packages:
            yield Problem(path, each.line, f"PYTHONPATH is {site_packages[0]}, where no dependencies are copied to")
        for script in re.findall(r"\brun\W+([\w/]+\.py)\b", text):
            if not (root / script).is_file():
                yield Problem(path, each.line, f"there is no {script} to run")
    health = dockerfile.last("HEALTHCHECK")
    asked = re.search(r"http://[^/]*(/[^'\"]*)", " ".join(health.arguments)) if health else None
    known = routes(root) if package == "functions" else {PAGE_HEALTH}
    if health and package and (asked is None or asked[1] not in known):
        yield Problem(
            path, health.line, f"HEALTHCHECK asks for {asked[1] if asked else 'nothing'}, which nobody answers"
        )


def _homes(dockerfile: Dockerfile) -> set[str]:
    """Where the image has its dependencies."""
    workdir = dockerfile.last("WORKDIR")
    above = PurePosixPath("/", workdir.arguments[0] if workdir else "")
    copies = [each for each in dockerfile.stages[-1] if each.word == "COPY"]
    name = SITE_PACKAGES.parts[0]
    targets = [each.arguments[-1] for each in copies if any(source.endswith(f"/{name}") for source in each.sources)]
    return {str(above / target / SITE_PACKAGES.relative_to(name)) for target in targets}
