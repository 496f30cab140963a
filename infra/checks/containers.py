"""The containers: Dockerfiles and the compose file, held to each other and to what the tree and the code have."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml  # type: ignore[import-untyped]

from infra.checks.code import settings_read
from infra.checks.dockerfiles import Dockerfile, check_dockerfile, unpinned
from infra.checks.problem import Problem
from infra.packages import CONTENTS

CONTAINERS = Path("infra/containers")
LOOPBACK = "127.0.0.1"

# Read by the Functions host itself, which is no code of ours.
HOST_SETTINGS = {"AzureFunctionsWebHost__hostid", "AzureWebJobsSecretStorageType", "FUNCTIONS_SECRETS_PATH"}

Fault = tuple[tuple[str | int, ...], str]
"""Where in a service of the compose file, and what."""


def check(root: Path) -> list[Problem]:
    """Everything that is wrong with the containers in the tree at ``root``."""
    problems: list[Problem] = []
    dockerfiles: dict[str, Dockerfile] = {}
    for file in sorted((root / CONTAINERS).glob("*/Dockerfile")):
        dockerfile, wrong = check_dockerfile(file, root)
        problems += wrong
        if dockerfile.stages:
            dockerfiles[dockerfile.path] = dockerfile
    if not dockerfiles:
        problems.append(Problem(str(CONTAINERS), 0, "there is no Dockerfile in its folders: nothing was checked"))
    problems += _compose(root, dockerfiles)
    return sorted(problems)


def _compose(root: Path, dockerfiles: dict[str, Dockerfile]) -> Iterator[Problem]:
    # Takes seconds, in each process that collects tests.
    from check_jsonschema.builtin_schemas import get_builtin_schema  # type: ignore[import-untyped]
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
    from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

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
        faults += _addresses(service, content["services"], dockerfiles)
        faults += _mounts(service, dockerfile)
        for where, what in faults:
            yield Problem(path, _line(tree, "services", name, *where), f"{name}: {what}")
    yield from _keys(content, path, tree)
    for variable in sorted(set(re.findall(r"\$\{(\w+)", text))):
        if not re.search(rf"\$\{{{variable}:[?-]", text):
            line = text[: text.index(f"${{{variable}")].count("\n") + 1
            yield Problem(path, line, f"{variable} may be missing; write ${{{variable}:?what to do}} where it is used")


def _image(service: dict[str, Any], dockerfile: Dockerfile | None, path: str, root: Path) -> Iterator[Fault]:
    """What a service runs: others' image, pinned and with a health check, or one of ours."""
    build = service.get("build")
    if build is None:
        if fault := unpinned(service.get("image", "")):
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
    for setting, value in service.get("environment", {}).items():
        if setting not in known:
            yield ("environment", setting), f"nothing in its image reads {setting}; correct the name or remove it"
        if (setting, value) == ("TONEARM_BLOB_SOURCE", "EventGrid"):
            yield ("environment", setting), "nobody sends events here; write LogsAndContainerScan"


def _addresses(
    service: dict[str, Any], services: dict[str, Any], dockerfiles: dict[str, Dockerfile]
) -> Iterator[Fault]:
    """Whether the other services are where the settings say that they are."""
    for setting, value in service.get("environment", {}).items():
        for url in re.findall(r"https?://[^;\s]+", str(value)):
            address = urlsplit(url)
            other = services.get(address.hostname or "")
            if other is None:
                yield ("environment", setting), f"there is no service called {address.hostname}"
                continue
            build = other.get("build")
            dockerfile = dockerfiles.get(build.get("dockerfile", "")) if isinstance(build, dict) else None
            exposed = dockerfile.last("EXPOSE") if dockerfile else None
            if exposed and str(address.port or 80) not in exposed.arguments:
                listens = f"{address.hostname} listens on {' '.join(exposed.arguments)}"
                yield ("environment", setting), f"{listens}, not on {address.port or 80}"


def _mounts(service: dict[str, Any], dockerfile: Dockerfile | None) -> Iterator[Fault]:
    """A folder of ours is mounted over what the image has of it."""
    copied = [each.arguments[-1] for each in dockerfile.stages[-1] if each.word == "COPY"] if dockerfile else []
    for place, volume in enumerate(service.get("volumes", [])):
        if dockerfile and isinstance(volume, dict) and volume.get("target") not in copied:
            yield ("volumes", place), f"its image has nothing at {volume.get('target')} to mount over"


def _keys(content: dict[str, Any], path: str, tree: yaml.Node | None) -> Iterator[Problem]:
    """The page calls with the key that the function app is given: both are the same variable."""
    services = content["services"].values()
    called_with = {str(each.get("environment", {}).get("TONEARM_API_KEY", "")) for each in services} - {""}
    variables = {name for key in called_with for name in re.findall(r"\$\{(\w+)", key)}
    for name, config in content.get("configs", {}).items():
        line = _line(tree, "configs", name)
        try:
            keys = json.loads(re.sub(r"\$\{(\w+)[^}]*\}", r"\1", config.get("content", "")))["functionKeys"]
        except (ValueError, KeyError, TypeError):
            yield Problem(path, line, f"{name}: its content must be the JSON of a host's keys, with functionKeys")
            continue
        if not variables & {each.get("value") for each in keys}:
            yield Problem(
                path, line, f"{name}: no function key is {' or '.join(sorted(variables))}, which the page has"
            )


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
