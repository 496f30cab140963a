"""The containers: Dockerfiles linted, the compose file validated, and both held to what the tree and the code have."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import yaml  # type: ignore[import-untyped]
from check_jsonschema.builtin_schemas import get_builtin_schema  # type: ignore[import-untyped]
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

from infra.checks.code import settings_read
from infra.checks.problem import Problem
from infra.packages import CONTENTS, SITE_PACKAGES

CONTAINERS = Path("infra/containers")
HADOLINT = Path(sys.executable).with_name("hadolint")
LOOPBACK = "127.0.0.1"

# Read by the Functions host itself, which is no code of ours.
HOST_SETTINGS = {"AzureFunctionsWebHost__hostid", "AzureWebJobsSecretStorageType", "FUNCTIONS_SECRETS_PATH"}

Fault = tuple[tuple[str | int, ...], str]
"""Where in a service of the compose file, and what."""


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


def check(root: Path) -> list[Problem]:
    """Everything that is wrong with the containers in the tree at ``root``."""
    problems: list[Problem] = []
    dockerfiles: dict[str, Dockerfile] = {}
    for file in sorted((root / CONTAINERS).glob("*/Dockerfile")):
        dockerfile = parse(file, root)
        problems += _lint(file, dockerfile.path)
        if dockerfile.stages:
            dockerfiles[dockerfile.path] = dockerfile
            problems += _stages(dockerfile)
            problems += _copies(dockerfile, root)
            problems += _package(dockerfile)
    if not dockerfiles:
        problems.append(Problem(str(CONTAINERS), 0, "there is no Dockerfile in its folders: nothing was checked"))
    problems += _compose(root, dockerfiles)
    return sorted(problems)


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


def _lint(file: Path, path: str) -> Iterator[Problem]:
    command = [str(HADOLINT), "--no-fail", "--format", "json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
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
        if image not in names and (fault := _unpinned(image)):
            yield Problem(dockerfile.path, stage[0].line, fault)
        names += alias[1:]
    for each in (each for stage in dockerfile.stages for each in stage if each.word == "COPY"):
        if each.source_stage is not None and each.source_stage not in names:
            yield Problem(dockerfile.path, each.line, f"there is no stage called {each.source_stage}")
    if len(dockerfile.stages) < 2:
        yield Problem(dockerfile.path, 0, "the image is built in one stage, so what builds it stays in it; add another")
    user = dockerfile.last("USER")
    if user is None or user.arguments[0].partition(":")[0] in {"root", "0"}:
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


def _unpinned(image: str) -> str | None:
    """What is wrong with an image's name, if it may be another image tomorrow."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        return None
    if digest:
        return f"{image} has a digest that is none: sha256: and 64 digits are wanted"
    # `4-python3.13` is as full as Microsoft's patched tags get; `latest`, `slim` or no tag say nothing of a version.
    return None if re.search(r"\d", tag) else f"{image} names no version; pin it by digest or by its fullest tag"


def _compose(root: Path, dockerfiles: dict[str, Dockerfile]) -> Iterator[Problem]:
    file = root / CONTAINERS / "compose.yaml"
    path = str(CONTAINERS / "compose.yaml")
    try:
        text = file.read_text()
        content, tree = yaml.safe_load(text), yaml.compose(text)
    except (OSError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        yield Problem(path, mark.line + 1 if mark else 0, f"cannot be read: {getattr(error, 'problem', None) or error}")
        return
    errors = list(Draft202012Validator(get_builtin_schema("vendor.compose-spec")).iter_errors(content))
    # A service with one fault is also called a mapping of unexpected keys: that is said only where nothing else is.
    for each in [each for each in errors if each.validator != "unevaluatedProperties"] or errors:
        nearest = best_match([each])
        yield Problem(path, _line(tree, *nearest.absolute_path), f"not as the compose schema has it: {nearest.message}")
    if errors:
        return
    for name, service in content["services"].items():
        build = service.get("build")
        built_from = build.get("dockerfile", "") if isinstance(build, dict) else ""
        dockerfile = dockerfiles.get(built_from)
        faults = [*_image(service, dockerfile, built_from, root)]
        faults += _settings(service, dockerfile, root)
        faults += _ports(service, dockerfile)
        faults += _references(service, content, root)
        for where, what in faults:
            yield Problem(path, _line(tree, "services", name, *where), f"{name}: {what}")
    for variable in sorted(set(re.findall(r"\$\{(\w+)", text))):
        if not re.search(rf"\$\{{{variable}:[?-]", text):
            line = text[: text.index(f"${{{variable}")].count("\n") + 1
            yield Problem(path, line, f"{variable} may be missing; write ${{{variable}:?what to do}} where it is used")


def _image(service: dict[str, Any], dockerfile: Dockerfile | None, path: str, root: Path) -> Iterator[Fault]:
    """What a service runs: others' image, pinned and with a health check, or one of ours."""
    build = service.get("build")
    if build is None:
        if fault := _unpinned(service.get("image", "")):
            yield ("image",), fault
        if "healthcheck" not in service:
            yield ("image",), "nothing says when it is healthy; add a healthcheck"
        return
    if dockerfile is None:
        yield ("build", "dockerfile"), f"there is no Dockerfile {path or 'named'} to build"
    if not isinstance(build, dict) or (root / CONTAINERS / build.get("context", "")).resolve() != root.resolve():
        yield ("build", "context"), "images are built from the repository's root; write context: ../.."


def _references(service: dict[str, Any], content: dict[str, Any], root: Path) -> Iterator[Fault]:
    """Whether the services, configs, volumes and folders that a service names are there."""
    for other in service.get("depends_on", []):
        if other not in content["services"]:
            yield ("depends_on", other), f"there is no service called {other}"
    for place, config in enumerate(service.get("configs", [])):
        source = config["source"] if isinstance(config, dict) else config
        if source not in content.get("configs", {}):
            yield ("configs", place), f"there is no config called {source}"
    for place, volume in enumerate(service.get("volumes", [])):
        source = volume.get("source", "") if isinstance(volume, dict) else volume.partition(":")[0]
        if source.startswith((".", "/")):
            if not (root / CONTAINERS / source).exists():
                yield ("volumes", place), f"there is no {source} to mount"
        elif source not in content.get("volumes", {}):
            yield ("volumes", place), f"there is no volume called {source}"


def _settings(service: dict[str, Any], dockerfile: Dockerfile | None, root: Path) -> Iterator[Fault]:
    package = dockerfile.package if dockerfile else ""
    known = set(HOST_SETTINGS) if package == "functions" else set()
    for folder in CONTENTS[package].folders if package else ():
        known |= settings_read(root, folder)[0].keys()
    for setting in service.get("environment", {}):
        if setting not in known:
            yield ("environment", setting), f"nothing in its image reads {setting}; correct the name or remove it"


def _ports(service: dict[str, Any], dockerfile: Dockerfile | None) -> Iterator[Fault]:
    for place, port in enumerate(service.get("ports", [])):
        address, _, ports = str(port).partition(":")
        target = ports.partition(":")[2]
        if address != LOOPBACK:
            yield ("ports", place), f"{port} is open to other machines; begin it with {LOOPBACK}:"
        elif dockerfile and (exposed := dockerfile.last("EXPOSE")) and target not in exposed.arguments:
            yield ("ports", place), f"its image listens on {' '.join(exposed.arguments)}, not on {target}"


def _line(node: yaml.Node | None, *path: str | int) -> int:
    """The line of what a path of keys and places leads to, or of the last on the way that is there."""
    line = 1
    for step in path:
        if isinstance(node, yaml.MappingNode):
            pairs = {key.value: (key, value) for key, value in node.value}
            if step not in pairs:
                break
            key, node = pairs[step]
            line = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
            line = node.start_mark.line + 1
    return line
