"""Policy on values: each that values.yaml names is there, and one that Azure and this system take."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from infra.policy.deployment import Deployment

VALUES: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
TABLES: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("tables.yaml").read_text())


def values(deployment: Deployment) -> Iterator[str]:
    """A resource that no pattern knows is a fault too, so that somebody looks its values up."""
    for resource in deployment.resources:
        name = f"{resource.type.removeprefix('Microsoft.')} {resource.name}"
        known = [rows for pattern, rows in VALUES.items() if re.fullmatch(rf"({pattern})( .*)?", name)]
        if not known:
            yield f"{resource}: values.yaml does not know this resource type"
        for path, allowed in (row for rows in known for row in rows.items()):
            way = re.sub(r"^\.", "properties.", path.rstrip("?")).replace("[]", ".[]").split(".")
            found = list(_found(resource.body, way))
            if not found and not {"[]", "*"} & set(way) and not path.endswith("?"):
                yield f"{resource}: say {path}"
            for value in found:
                if not _fits(value, allowed):
                    yield f"{resource}: {path} is {value!r}; Azure, or this system, takes {allowed}"


def _fits(value: Any, allowed: Any) -> bool:
    if isinstance(allowed, str) and allowed.startswith("~"):
        return bool(re.fullmatch(allowed[1:], str(value)))
    return value in allowed if isinstance(allowed, list) else bool(value == allowed)


def _found(node: Any, way: list[str]) -> Iterator[Any]:
    if not way:
        yield node
    elif way[0] in {"[]", "*"}:
        for each in node if isinstance(node, list) else node.values() if isinstance(node, dict) else []:
            yield from _found(each, way[1:])
    elif isinstance(node, dict) and way[0] in node:
        yield from _found(node[way[0]], way[1:])


POLICIES = (values,)
