"""Policies on roles: each identity may do what it needs, where it needs it, and nothing else."""

import re
from collections.abc import Iterator

from infra.policy.deployment import Deployment, Resource

ROLES = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": "AcrPull",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
    "f58310d9-a9f6-439a-9e8d-f62e7b41a168": "Role Based Access Control Administrator",
}
"""From https://learn.microsoft.com/azure/role-based-access-control/built-in-roles."""
ADMINISTRATOR = "Role Based Access Control Administrator"
PIPELINE = {"Contributor", ADMINISTRATOR}

NEEDED: dict[str, set[tuple[str, str]]] = {
    "-functions": {
        ("Storage Blob Data Owner", "storageAccounts/sttonearm"),
        ("Storage Queue Data Contributor", "storageAccounts/sttonearm"),
        ("Storage Blob Data Owner", "storageAccounts/sthost"),
        ("Storage Queue Data Contributor", "storageAccounts/sthost"),
        ("Storage Table Data Contributor", "storageAccounts/sthost"),
        ("Monitoring Metrics Publisher", "components/"),
    },
    "-web": {("Key Vault Secrets User", "vaults/")},
    "systemTopics": {("Storage Blob Data Contributor", "containers/event-dead-letters")},
}
"""Who needs which role, and where: parts of the id of the identity and of the resource."""


def each_role_is_needed(deployment: Deployment) -> Iterator[str]:
    """The assignments are exactly the needed ones; images may be pulled where there is a registry."""
    has_registry = bool(deployment.made("Microsoft.ContainerRegistry/registries"))
    missing = {(who, role, where) for who, each in NEEDED.items() for role, where in each}
    missing |= {(who, "AcrPull", "registries/") for who in ("-functions", "-web") if has_registry}
    for assignment in deployment.made("Microsoft.Authorization/roleAssignments"):
        who, role, where = described(assignment)
        found = next((each for each in missing if each[0] in who and each[1] == role and each[2] in where), None)
        if "/providers/" not in where and role in PIPELINE:  # at the resource group, by owner.bicep
            continue
        if role not in ROLES.values():
            yield f"{assignment}: {role!r} is no role that may be given"
        elif found is None:
            yield f"{assignment}: nobody needs {role} for {who} at {where}"
        missing -= {found} if found else set()
    for who, role, where in sorted(missing):
        yield f"no assignment lets …{who} use {where}… as {role}"


def administrators_are_bound(deployment: Deployment) -> Iterator[str]:
    """Who may assign roles may assign only the apps', to service principals: the pipeline cannot become Owner."""
    for assignment in deployment.made("Microsoft.Authorization/roleAssignments"):
        if described(assignment)[1] != ADMINISTRATOR:
            continue
        condition = str(assignment.properties.get("condition", ""))
        ids = set(re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", condition))
        given = {ROLES.get(each, each) for each in ids}
        if given != {*ROLES.values()} - PIPELINE:
            yield f"{assignment}: its condition must allow the apps' roles and no other, not {', '.join(sorted(given))}"
        for part in ("roleAssignments/write", "roleAssignments/delete", "PrincipalType]"):
            if part not in condition:
                yield f"{assignment}: its condition says nothing of {part}"
        if assignment.properties.get("conditionVersion") != "2.0":
            yield f"{assignment}: conditionVersion must be 2.0"


def described(assignment: Resource) -> tuple[str, str, str]:
    """Who (an expression or an id), which role, and on what."""
    role = str(assignment.properties.get("roleDefinitionId")).rpartition("/")[2]
    where = assignment.id.partition("/providers/Microsoft.Authorization/")[0].lstrip("[")
    return str(assignment.properties.get("principalId")), ROLES.get(role, role), where


POLICIES = (each_role_is_needed, administrators_are_bound)
