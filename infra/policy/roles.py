"""Policies on roles: each identity may do what it needs, where it needs it, and nothing else."""

import re
from collections.abc import Iterator

from infra.policy.deployment import Deployment, Resource
from infra.policy.values import TABLES

ROLES: dict[str, str] = TABLES["roles"]
ADMINISTRATOR = "Role Based Access Control Administrator"
PIPELINE = {"Contributor", ADMINISTRATOR}
BOUND = (("write", "@Request"), ("delete", "@Resource"))
CONDITION = (
    "((!(ActionMatches{{'Microsoft.Authorization/roleAssignments/{action}'}})) OR"
    " ({source}[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {{{ids}}} AND"
    " {source}[Microsoft.Authorization/roleAssignments:PrincipalType] ForAnyOfAnyValues:StringEqualsIgnoreCase"
    " {{'ServicePrincipal'}}))"
)


def each_role_is_needed(deployment: Deployment) -> Iterator[str]:
    """The assignments are exactly the needed ones; images may be pulled where there is a registry."""
    has_registry = bool(deployment.made("Microsoft.ContainerRegistry/registries"))
    missing = {(who, role, where) for who, each in TABLES["needed"].items() for role, where in each}
    missing |= {(who, "AcrPull", "registries/") for who in ("-functions", "-web") if has_registry}
    for assignment in deployment.made("Microsoft.Authorization/roleAssignments"):
        who, role, where = described(assignment)
        found = next((each for each in missing if each[0] in who and each[1] == role and each[2] in where), None)
        if "/providers/" not in where and role in PIPELINE:  # at the resource group, by owner.bicep
            continue
        if role not in ROLES.values():
            yield f"{assignment}: {role!r} is no role that may be given"
        elif not who.endswith(".principalId]"):
            yield f"{assignment}: principalId must be an identity's principalId, not {who}"
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
        ids = ", ".join(sorted(id_ for id_, role in ROLES.items() if role not in PIPELINE))
        parts = [CONDITION.format(action=action, source=source, ids=ids) for action, source in BOUND]
        condition = " ".join(str(assignment.properties.get("condition")).split())
        found = re.sub(r"(?<=GuidEquals {)[^}]*", lambda match: ", ".join(sorted(match[0].split(", "))), condition)
        if found != (wanted := " AND ".join(parts)):
            yield f"{assignment}: its condition must be {wanted}, not {found}"
        if assignment.properties.get("conditionVersion") != "2.0":
            yield f"{assignment}: conditionVersion must be 2.0"


def described(assignment: Resource) -> tuple[str, str, str]:
    """Who (an expression or an id), which role, and on what."""
    role = str(assignment.properties.get("roleDefinitionId")).rpartition("/")[2]
    where = assignment.id.partition("/providers/Microsoft.Authorization/")[0].lstrip("[")
    return str(assignment.properties.get("principalId")), ROLES.get(role, role), where


POLICIES = (each_role_is_needed, administrators_are_bound)
