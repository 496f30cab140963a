"""Deployments as the Bicep compiler predicts them: the committed snapshots beside the scenarios' parameters."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BICEP = ROOT / "infra" / "bicep"
SCENARIOS = BICEP / "scenarios"
SOURCES_HASH = SCENARIOS / "sources.sha256"
"""SHA-256 of the snapshots, and of all that they were made of."""

ENVIRONMENTS = {
    "dev": ("dev",),
    "open": ("open",),
    "private": ("private",),
    "prod": ("prod", "events", "key", "owner"),  # deployed one after the other
    "release": ("release",),
}
"""What is looked at together, and the snapshots of it."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One predicted resource. Values that only Azure knows stay expressions: ``[reference('…').principalId]``."""

    type: str
    name: str
    id: str
    body: dict[str, Any]

    @property
    def properties(self) -> dict[str, Any]:
        """The part of the body that is the resource type's own."""
        return dict(self.body.get("properties", {}))

    def at(self, path: str) -> Any:
        """The value at a path such as ``sku.name``; None if there is none."""
        found: Any = self.body
        for step in path.split("."):
            found = found.get(step) if isinstance(found, dict) else None
        return found

    def __str__(self) -> str:
        return f"{self.type} {self.name}"


@dataclass(frozen=True)
class Deployment:
    """An environment: all its resources, and the outputs of main.bicep. Capitals in ids and types do not matter."""

    name: str
    resources: list[Resource]
    outputs: dict[str, Any]

    @cached_property
    def _by_type(self) -> dict[str, list[Resource]]:
        found: dict[str, list[Resource]] = {}
        for each in self.resources:
            found.setdefault(each.type.lower(), []).append(each)
        return found

    def made(self, *types: str) -> list[Resource]:
        """All resources of these types."""
        return [each for type_ in types for each in self._by_type.get(type_.lower(), [])]

    def by_id(self, id_: object) -> Resource | None:
        """The resource of this id."""
        return next((each for each in self.resources if each.id.lower() == str(id_).lower()), None)

    def below(self, parent: Resource, kind: str) -> list[Resource]:
        """Resources of type ``parent/kind``, of this parent only."""
        start = f"{parent.id}/".lower()
        return [each for each in self.made(f"{parent.type}/{kind}") if each.id.lower().startswith(start)]

    @property
    def sites(self) -> list[Resource]:
        """All apps, then slots."""
        return self.made("Microsoft.Web/sites", "Microsoft.Web/sites/slots")

    @property
    def function_apps(self) -> list[Resource]:
        """Both colours."""
        return [each for each in self.sites if "functionapp" in str(each.body.get("kind"))]

    @property
    def pages(self) -> list[Resource]:
        """The web app and its slot."""
        return [each for each in self.sites if each not in self.function_apps]

    def config(self, site: Resource, name: str) -> dict[str, Any]:
        """A site's configuration of this name, such as its app settings; empty if it has none."""
        found = [each for each in self.below(site, "config") if each.id.endswith(f"/config/{name}")]
        return found[0].properties if found else {}

    def account_of(self, container: str) -> Resource | None:
        """The storage account with this container."""
        containers = self.made("Microsoft.Storage/storageAccounts/blobServices/containers")
        ids = [each.id.partition("/blobServices/")[0] for each in containers if each.id.endswith(f"/{container}")]
        return self.by_id(ids[0]) if ids else None


def parse(name: str, *texts: str) -> Deployment:
    """One deployment out of the texts of snapshots; the first is main.bicep's."""
    snapshots = [json.loads(text) for text in texts]
    bodies = [each for snapshot in snapshots for each in snapshot["predictedResources"]]
    resources = [Resource(each["type"], each["name"], each["id"], each) for each in bodies]
    return Deployment(name, resources, snapshots[0]["outputs"])


def load(name: str) -> Deployment:
    """An environment from its committed snapshots."""
    return parse(name, *(snapshot_path(each).read_text() for each in ENVIRONMENTS[name]))


def snapshot_path(scenario: str) -> Path:
    """Where the compiler writes a scenario's snapshot."""
    return SCENARIOS / f"{scenario}.snapshot.json"


def sources_hash() -> str:
    """SHA-256 over the names and contents of the snapshots and of everything that they are made of."""
    digest = hashlib.sha256()
    for file in sorted([*BICEP.rglob("*.bicep*"), *BICEP.rglob("*.json")]):
        digest.update(f"{file.relative_to(BICEP).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def refers_to(value: object, resource: Resource | None, property_: str) -> bool:
    """Whether a value is an expression that reads this property of this resource."""
    pattern = rf"reference\('{re.escape(resource.id)}', [^)]*\)\.{property_}\b" if resource else "$^"
    return bool(re.search(pattern, str(value)))


def identities(resource: Resource) -> list[str]:
    """Resource ids of the user-assigned identities that a resource has."""
    return list(resource.at("identity.userAssignedIdentities") or {})


def strings(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """All texts in a value, each with its path; the items of a list share one."""
    if isinstance(value, str):
        yield path.lstrip("."), value
    for key, each in value.items() if isinstance(value, dict) else ():
        yield from strings(each, f"{path}.{key}")
    for each in value if isinstance(value, list) else ():
        yield from strings(each, path)
