"""Deployments as the Bicep compiler predicts them: the committed snapshots beside the scenarios' parameters."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BICEP = ROOT / "infra" / "bicep"
SCENARIOS = BICEP / "scenarios"
SOURCES_HASH = SCENARIOS / "sources.sha256"
"""SHA-256 of all that the snapshots were made of."""

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
        found: dict[str, Any] = self.body.get("properties", {})
        return found

    def at(self, path: str) -> Any:
        """The value at a path such as ``properties.sku.name``; None if there is none."""
        found: Any = self.body
        for step in path.split("."):
            found = found.get(step) if isinstance(found, dict) else None
        return found

    def __str__(self) -> str:
        return f"{self.type} {self.name if not self.name.startswith('[') else self.id}"


@dataclass(frozen=True)
class Deployment:
    """An environment: all its resources, and the outputs of main.bicep."""

    name: str
    resources: list[Resource]
    outputs: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def _by_type(self) -> dict[str, list[Resource]]:
        found: dict[str, list[Resource]] = {}
        for each in self.resources:
            found.setdefault(each.type.lower(), []).append(each)
        return found

    def made(self, *types: str) -> list[Resource]:
        """All resources of these types, whose capitals do not matter."""
        return [each for type_ in types for each in self._by_type.get(type_.lower(), [])]

    def by_id(self, id_: object) -> Resource | None:
        """The resource of this id, whose capitals do not matter."""
        return next((each for each in self.resources if each.id.lower() == str(id_).lower()), None)

    def below(self, parent: Resource, kind: str) -> list[Resource]:
        """Resources of type ``parent/kind``, of this parent only."""
        return [
            each for each in self.made(f"{parent.type}/{kind}") if each.id.lower().startswith(f"{parent.id}/".lower())
        ]

    @property
    def sites(self) -> list[Resource]:
        """All apps and slots."""
        return self.made("Microsoft.Web/sites", "Microsoft.Web/sites/slots")

    @property
    def function_apps(self) -> list[Resource]:
        """Both colours."""
        return [each for each in self.sites if "functionapp" in str(each.body.get("kind"))]

    @property
    def pages(self) -> list[Resource]:
        """The web app and its slot."""
        return [each for each in self.sites if "functionapp" not in str(each.body.get("kind"))]

    def config(self, site: Resource, name: str) -> dict[str, Any]:
        """A site's configuration of this name, such as its app settings; empty if it has none."""
        wanted = f"{site.id}/config/{name}".lower()
        return next((each.properties for each in self.below(site, "config") if each.id.lower() == wanted), {})

    def account_of(self, container: str) -> Resource | None:
        """The storage account with this container."""
        for account in self.made("Microsoft.Storage/storageAccounts"):
            names = self.below(account, "blobServices/containers")
            if any(each.name.rpartition("/")[2] == container for each in names):
                return account
        return None


def parse(name: str, *texts: str) -> Deployment:
    """One deployment out of the texts of snapshots; the first is main.bicep's."""
    snapshots = [json.loads(text) for text in texts]
    resources = [
        Resource(each["type"], each["name"], each["id"], each)
        for one in snapshots
        for each in one["predictedResources"]
    ]
    return Deployment(name, resources, snapshots[0]["outputs"])


def load(name: str) -> Deployment:
    """An environment from its committed snapshots."""
    return parse(name, *(snapshot_path(each).read_text() for each in ENVIRONMENTS[name]))


def snapshot_path(scenario: str) -> Path:
    """Where the compiler writes a scenario's snapshot."""
    return SCENARIOS / f"{scenario}.snapshot.json"


def sources_hash() -> str:
    """SHA-256 over the names and contents of everything that the snapshots are made of."""
    digest = hashlib.sha256()
    for file in sorted([*BICEP.rglob("*.bicep"), *BICEP.rglob("*.bicepparam"), *BICEP.glob("modules/*.json")]):
        digest.update(f"{file.relative_to(BICEP).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def refers_to(value: object, resource: Resource | None, property_: str) -> bool:
    """Whether a value is an expression that reads this property of this resource."""
    if resource is None or not isinstance(value, str):
        return False
    return bool(re.search(rf"reference\('{re.escape(resource.id)}', [^)]*\)\.{property_}\b", value))


def identities(resource: Resource) -> list[str]:
    """Resource ids of the user-assigned identities that a resource has."""
    return list(resource.at("identity.userAssignedIdentities") or {})


def strings(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """All texts in a value, each with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from strings(each, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each, f"{path}[]")
