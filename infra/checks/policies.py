"""Rules of ours for what is deployed: computed with each environment's parameters, not read off the text.

Secrets, storage, roles and names are here; the apps, the page, the way of events, the network and the watching over all
of it have modules of their own.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from infra.checks import code, policies_apps, policies_events, policies_network, policies_page, policies_watch
from infra.checks.deployed import at, made
from infra.checks.functions import GROUP
from infra.checks.problem import Problem
from infra.checks.scenarios import BICEP, Scenario, entry_points, scenarios
from infra.checks.values import Resource, is_runtime, is_secret
from infra.deploy.errors import DeployError
from infra.deploy.resources import Resources

ROLES = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
    "db58b8e5-c6ad-4a2a-8342-4190687cbf4a": "Storage Blob Delegator",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "8a0f0c08-91a1-4084-bc3d-661d67233fed": "Storage Queue Data Message Processor",
    "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a": "Storage Queue Data Message Sender",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": "AcrPull",
}
"""Built-in roles that may be given; ids are the same everywhere. None that could give rights or change resources."""

NEEDED = (
    (
        re.compile(r"\|id-tonearm-\w+-functions\|"),
        {
            "Storage Blob Data Owner",
            "Storage Queue Data Contributor",
            "Storage Table Data Contributor",
            "Monitoring Metrics Publisher",
            "AcrPull",
        },
    ),
    (re.compile(r"\|id-tonearm-\w+-web\|"), {"Key Vault Secrets User", "AcrPull"}),
    (re.compile(r"/systemTopics/\S+ identity"), {"Storage Blob Data Contributor"}),
)
"""Who needs which of them, by the id that Azure will know them by; nobody gets another."""

SECRET_PLACES = {
    "microsoft.keyvault/vaults/secrets": ("properties", "value"),
    "microsoft.eventgrid/systemtopics/eventsubscriptions": ("properties", "destination", "properties", "endpointUrl"),
}
"""Where a key may stand: a secret's value, and the webhook's address, which Event Grid does not show."""
TELEMETRY = "APPLICATIONINSIGHTS_CONNECTION_STRING"
"""The one connection string that may be a setting: an address, as long as the component takes no keys."""
KEY_WORDS = re.compile(r"AccountKey=|SharedAccessKey=|SharedAccessSignature|DefaultEndpointsProtocol=|[?&]sig=")
CONNECTION_STRING = re.compile(r"connection_?string|instrumentationkey", re.IGNORECASE)

GROUP_TAG = re.compile(r"resourceGroup\(\)\.tags(?:\.|, ')(\w+)")

NAMES = {
    "Microsoft.Storage/storageAccounts": r"[a-z0-9]{3,24}",
    "Microsoft.KeyVault/vaults": r"[A-Za-z](?!.*--)[A-Za-z0-9-]{1,22}[A-Za-z0-9]",
    "Microsoft.ContainerRegistry/registries": r"[A-Za-z0-9]{5,50}",
    "Microsoft.Web/sites": r"[A-Za-z0-9][A-Za-z0-9-]{0,58}[A-Za-z0-9]",
    "Microsoft.EventGrid/systemTopics": r"[A-Za-z0-9-]{3,50}",
    "Microsoft.Storage/storageAccounts/blobServices/containers": r"[a-z0-9](?!.*--)[a-z0-9-]{1,61}[a-z0-9]",
    "Microsoft.OperationalInsights/workspaces": r"[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]",
    "Microsoft.ManagedIdentity/userAssignedIdentities": r"[A-Za-z0-9][A-Za-z0-9_-]{2,127}",
}
"""Names as Azure takes them."""
DELETED_IN_TIME = {"uploads/", "event-dead-letters/"}
OLD_TLS = {"TLS1_0", "TLS1_1"}

ALWAYS_THERE = (
    "Microsoft.EventGrid/systemTopics",
    "Microsoft.Insights/actionGroups",
    "Microsoft.Insights/components",
    "Microsoft.Insights/scheduledQueryRules",
    "Microsoft.Insights/workbooks",
    "Microsoft.KeyVault/vaults",
    "Microsoft.ManagedIdentity/userAssignedIdentities",
    "Microsoft.OperationalInsights/workspaces",
    "Microsoft.Storage/storageAccounts",
)
"""What no environment does without."""


def check(root: Path) -> list[Problem]:
    """Every rule in every scenario. What does not hold together is `bicep`'s to tell: then this has nothing to add."""
    deployed, wrong = scenarios(root)
    if wrong or not deployed:
        return [Problem(str(BICEP), 0, "the policies cannot be looked at until the Bicep check finds nothing")]
    rules: tuple[Callable[[Scenario], Iterator[Problem]], ...] = (
        _always_there,
        _existing_are_deployed,
        _ids_differ,
        _names_are_valid,
        _no_secrets_in_resources,
        _no_secrets_in_outputs,
        _storage,
        _vault_and_registry,
        _telemetry_by_identity,
        _role_assignments,
        _deploy_finds_its_outputs,
        *policies_apps.RULES,
        *policies_page.RULES,
        *policies_events.RULES,
        *policies_network.RULES,
        *policies_watch.RULES,
    )
    problems = [problem for scenario in deployed for rule in rules for problem in rule(scenario)]
    containers, queues = _containers_of_the_code(root), _poison_queues_of_the_code(root)
    functions, logged = code.triggers(root), code.events_logged(root)
    for scenario in deployed:
        problems += _remembered(scenario, root)
        problems += _containers(scenario, containers)
        problems += _queues(scenario, queues)
        problems += policies_events.events(scenario, functions)
        problems += policies_watch.queries(scenario, functions.keys(), logged)
    return sorted(set(problems))


def _always_there(scenario: Scenario) -> Iterator[Problem]:
    for resource_type in ALWAYS_THERE:
        if not any(made(scenario, resource_type)):
            yield Problem(str(BICEP / "main.bicep"), 0, f"{scenario.name}: no {resource_type} is deployed")


def _existing_are_deployed(scenario: Scenario) -> Iterator[Problem]:
    """What a file takes as there is made by another, under the same name."""
    there = {each.id.lower() for each in scenario.resources if not each.existing}
    for each in scenario.resources:
        if each.existing and each.id.lower() not in there and not each.type.lower().endswith("/roledefinitions"):
            yield at(each, f"nothing deploys the {each.type} named {each.name}: the names must be built alike")


def _ids_differ(scenario: Scenario) -> Iterator[Problem]:
    seen: dict[str, Resource] = {}
    for each in scenario.resources:
        if not each.existing:
            other = seen.setdefault(each.id.lower(), each)
            if other is not each:
                yield at(each, f"{other.symbol} in {other.path} deploys the same {each.type} {each.name}")


def _names_are_valid(scenario: Scenario) -> Iterator[Problem]:
    for resource_type, pattern in NAMES.items():
        for each in made(scenario, resource_type):
            name = each.name.rpartition("/")[2]
            if not is_runtime(name) and not re.fullmatch(pattern, name):
                yield at(each, f"{name!r} ({len(name)} characters) is no name for a {resource_type}: {pattern}")


def _no_secrets_in_resources(scenario: Scenario) -> Iterator[Problem]:
    for each in scenario.resources:
        for way, value in _strings(each.body):
            if way == SECRET_PLACES.get(each.type.lower()):
                continue
            place = ".".join(way)
            if is_secret(value) or KEY_WORDS.search(value):
                yield at(each, f"{place} holds a key; put it into Key Vault and refer to that")
            elif is_runtime(value) and CONNECTION_STRING.search(value) and TELEMETRY not in way:
                yield at(each, f"{place} holds a connection string; use an identity")


def _no_secrets_in_outputs(scenario: Scenario) -> Iterator[Problem]:
    for path, declaration, value in scenario.module_outputs:
        for _, text in _strings(value):
            if is_secret(text) or KEY_WORDS.search(text) or (is_runtime(text) and CONNECTION_STRING.search(text)):
                yield Problem(
                    path,
                    declaration.line,
                    f"output {declaration.name} shows a key or connection string to all who see deployments: drop it",
                )


def _strings(value: Any, way: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """All texts in a value, with the way to each."""
    if isinstance(value, str):
        yield way, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _strings(each, (*way, key))
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each, way)


def _deploy_finds_its_outputs(scenario: Scenario) -> Iterator[Problem]:
    """The outputs are there that infra.deploy goes by."""
    values = {name: {"value": _as_deployed(value)} for name, (value, *_) in scenario.outputs.items()}
    try:
        Resources.of(values)
    except DeployError as error:
        yield Problem(str(BICEP / "main.bicep"), 0, f"infra.deploy: {str(error).partition('. ')[0]}")


def _as_deployed(value: Any) -> Any:
    """A value with something in place of what only Azure knows."""
    if isinstance(value, dict):
        return {key: _as_deployed(each) for key, each in value.items()}
    return "https://sample" if is_runtime(value) else value


def _remembered(scenario: Scenario, root: Path) -> Iterator[Problem]:
    """What an entry point reads from the group's tags is written there under the same name."""
    written = {name for each in made(scenario, "Microsoft.Resources/tags") for name in each.properties.get("tags", {})}
    for file in entry_points(root):
        for number, line in enumerate(file.read_text().splitlines(), start=1):
            for name in set(GROUP_TAG.findall(line)) - written:
                text = f"nothing writes the group's tag {name}: what was live would be forgotten"
                yield Problem(str(file.relative_to(root)), number, text)


def _storage(scenario: Scenario) -> Iterator[Problem]:
    for account in made(scenario, "Microsoft.Storage/storageAccounts"):
        for name in ("allowSharedKeyAccess", "allowBlobPublicAccess"):
            if account.properties.get(name) is not False:
                yield at(account, f"set {name} to false")
        tls = account.properties.get("minimumTlsVersion")
        if not isinstance(tls, str) or not tls.startswith("TLS1_") or tls in OLD_TLS:
            yield at(account, "set minimumTlsVersion to TLS1_2 or newer")
        if account.properties.get("supportsHttpsTrafficOnly") is not True:
            yield at(account, "set supportsHttpsTrafficOnly to true")
        yield from _soft_delete(scenario, account)
        yield from _uploads_are_deleted(scenario, account)
    for each in made(scenario, "Microsoft.Storage/storageAccounts/blobServices/containers"):
        if each.properties.get("publicAccess", "None") != "None":
            yield at(each, "set publicAccess to None")


def _soft_delete(scenario: Scenario, account: Resource) -> Iterator[Problem]:
    services = made(scenario, "Microsoft.Storage/storageAccounts/blobServices")
    service = next((each for each in services if each.id.startswith(f"{account.id}/")), None)
    for name in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy"):
        policy = service.properties.get(name, {}) if service else {}
        if policy.get("enabled") is not True or not policy.get("days"):
            yield at(service or account, f"blob service: set {name} to enabled with a number of days")


def _uploads_are_deleted(scenario: Scenario, account: Resource) -> Iterator[Problem]:
    """Uploads and dead letters are deleted in time, and nothing else is."""
    deleted: set[str] = set()
    for each in made(scenario, "Microsoft.Storage/storageAccounts/managementPolicies"):
        for rule in each.properties.get("policy", {}).get("rules", []):
            definition = rule.get("definition", {})
            actions, prefixes = definition.get("actions", {}), definition.get("filters", {}).get("prefixMatch", [""])
            if rule.get("enabled") and "delete" in actions.get("baseBlob", {}):
                deleted |= {*prefixes}
            # An upload URL can take snapshots, and storage deletes no blob that has some.
            if "uploads/" in prefixes and "delete" not in actions.get("snapshot", {}):
                yield at(each, "the rule that deletes uploads leaves their snapshots")
        if lost := deleted - DELETED_IN_TIME:
            yield at(each, f"a lifecycle rule deletes {', '.join(sorted(lost)) or 'everything'}, which is to stay")
    for prefix in sorted(DELETED_IN_TIME - deleted):
        yield at(account, f"no enabled lifecycle rule deletes what is below {prefix}")


def _containers_of_the_code(root: Path) -> set[str]:
    """Containers that functions/storage.py names."""
    found: set[str] = set()
    for file, tree in code.trees(root, "functions"):
        names = code.constants(tree).get("CONTAINERS") if file.name == "storage.py" else None
        found |= {str(name) for name in names} if isinstance(names, tuple) else set()
    return found


def _poison_queues_of_the_code(root: Path) -> set[str]:
    """The queue that functions/process_upload.py has a function for."""
    names = (code.constants(tree).get("POISON_QUEUE") for _, tree in code.trees(root, "functions"))
    return {str(name) for name in names if name}


def _queues(scenario: Scenario, wanted: set[str]) -> Iterator[Problem]:
    queues = made(scenario, "Microsoft.Storage/storageAccounts/queueServices/queues")
    for name in sorted(wanted - {each.name.rpartition("/")[2] for each in queues}):
        yield Problem(
            str(BICEP / "modules/storage.bicep"), 0, f"the code listens to queue {name}, which is not deployed"
        )


def _containers(scenario: Scenario, wanted: set[str]) -> Iterator[Problem]:
    there = {
        each.name.rpartition("/")[2]
        for each in made(scenario, "Microsoft.Storage/storageAccounts/blobServices/containers")
    }
    for name in sorted(wanted - there):
        yield Problem(str(BICEP / "modules/storage.bicep"), 0, f"the code uses container {name}, which is not deployed")
    if not wanted:
        yield Problem("functions/storage.py", 0, "CONTAINERS is not found here, so containers cannot be compared")


def _vault_and_registry(scenario: Scenario) -> Iterator[Problem]:
    for vault in made(scenario, "Microsoft.KeyVault/vaults"):
        if vault.properties.get("enableRbacAuthorization") is not True:
            yield at(vault, "set enableRbacAuthorization to true: rights are given by roles alone")
        if vault.properties.get("enableSoftDelete") is not True:
            yield at(vault, "set enableSoftDelete to true")
    for registry in made(scenario, "Microsoft.ContainerRegistry/registries"):
        if registry.properties.get("adminUserEnabled") is not False:
            yield at(registry, "set adminUserEnabled to false: images are pulled by identity")


def _telemetry_by_identity(scenario: Scenario) -> Iterator[Problem]:
    for component in made(scenario, "Microsoft.Insights/components"):
        if component.properties.get("DisableLocalAuth") is not True:
            yield at(component, f"set DisableLocalAuth to true: else {TELEMETRY} would be a key")
        if not component.properties.get("WorkspaceResourceId"):
            yield at(component, "set WorkspaceResourceId: classic components are gone")


def _role_assignments(scenario: Scenario) -> Iterator[Problem]:
    for each in made(scenario, "Microsoft.Authorization/roleAssignments"):
        over = each.id[: each.id.lower().index("/providers/microsoft.authorization/roleassignments")]
        if not over.startswith(f"{GROUP}/providers/"):
            yield at(each, "a role holds for the whole resource group or more: set scope to the resource it is for")
        role = str(each.properties.get("roleDefinitionId", "")).rpartition("/")[2]
        if role not in ROLES:
            yield at(each, f"role {role or '(none)'} is not among those allowed: {', '.join(sorted(ROLES.values()))}")
        principal = str(each.properties.get("principalId", ""))
        needed = next((roles for who, roles in NEEDED if who.search(principal)), set[str]())
        if role in ROLES and principal and ROLES[role] not in needed:
            yield at(each, f"{principal} has no need of {ROLES[role]}: take it away, or say in NEEDED who needs it")
        if each.properties.get("principalType") not in {"ServicePrincipal", "User", "Group"}:
            yield at(each, "set principalType: without it a new identity may not be found yet")
        if not principal:
            yield at(each, "set principalId")
