"""Policies on what holds data and keys: retention, restoring, and what nobody may read or delete."""

import re
from collections.abc import Iterator
from typing import Any

from infra.policy.deployment import Deployment, strings

ACCOUNTS = "Microsoft.Storage/storageAccounts"
SECRET_PLACES = {
    "Microsoft.KeyVault/vaults/secrets": "properties.value",
    "Microsoft.EventGrid/systemTopics/eventSubscriptions": "properties.destination.properties.endpointUrl",
}
"""Where a key may stand: a secret's value, and the webhook's address, which Event Grid does not show."""
TELEMETRY = "properties.APPLICATIONINSIGHTS_CONNECTION_STRING"
"""The one connection string that may be a setting: the component takes no keys, so it is an address."""
KEY = re.compile(
    r"AccountKey=|SharedAccessKey=|SharedAccessSignature|DefaultEndpointsProtocol=|[?&]sig=|\blist\w*\(|\.key[s\d]\b"
)
CONNECTION_STRING = re.compile(r"connection_?string|instrumentationkey", re.IGNORECASE)
TAGGED = re.compile(r"Microsoft\.(?!Authorization|Consumption|Resources)\w+/\w+(/slots)?")


def host_and_packages_lie_apart(deployment: Deployment) -> Iterator[str]:
    """What the host and a release write is in another account than people's data; apps.py compares the connections."""
    data = deployment.account_of("uploads")
    for container in ("deployments-blue", "deployments-green"):
        if (account := deployment.account_of(container)) is None or account is data:
            yield f"{container} must be in an account of its own, apart from uploads"


def retention(deployment: Deployment) -> Iterator[str]:
    """What the settings say is deleted in time is, after those days, and nothing else is."""
    rules = _rules(deployment)
    found = {prefix: str(days) for rule in rules for prefix, days in _deleted(rule)}
    for app in deployment.function_apps:
        settings = deployment.config(app, "appsettings")
        uploads, results = (settings.get(f"TONEARM_{each}_RETENTION_DAYS") for each in ("UPLOAD", "RESULT"))
        wanted = {"uploads/": uploads, "event-dead-letters/": "30"}
        wanted |= {} if results == "0" else {"results/": results, "feedback/": results}
        if found != wanted:
            yield f"{app}: lifecycle rules delete {found}, and the settings say {wanted}"
    for rule in rules:
        actions = rule["definition"]["actions"]
        # An upload URL can take snapshots, and storage deletes no blob that has some.
        if "baseBlob" in actions and "delete" not in actions.get("snapshot", {}):
            yield f"lifecycle rule {rule['name']} leaves snapshots, which keep their blobs from being deleted"


def _rules(deployment: Deployment) -> list[dict[str, Any]]:
    policies = deployment.made(f"{ACCOUNTS}/managementPolicies")
    return [rule for each in policies for rule in each.at("properties.policy.rules") or []]


def _deleted(rule: dict[str, Any]) -> Iterator[tuple[str, int]]:
    days = rule["definition"]["actions"].get("baseBlob", {}).get("delete", {}).get("daysAfterModificationGreaterThan")
    for prefix in rule["definition"]["filters"].get("prefixMatch", ["everything"]) if days is not None else ():
        yield prefix, days


def restoring(deployment: Deployment) -> Iterator[str]:
    """Point-in-time restore has what Azure asks of it, is on in prod, and its versions are deleted again."""
    account = deployment.account_of("uploads")
    for service in deployment.below(account, "blobServices") if account else []:
        on = service.at("properties.restorePolicy.enabled")
        if deployment.name == "prod" and on is not True:
            yield f"{service}: prod needs restorePolicy"
        if not on == service.at("properties.isVersioningEnabled") == service.at("properties.changeFeed.enabled"):
            yield f"{service}: restorePolicy, isVersioningEnabled and changeFeed go together"
        if on and not service.at("properties.restorePolicy.days") < service.at("properties.deleteRetentionPolicy.days"):
            yield f"{service}: restorePolicy.days must be less than those of deleteRetentionPolicy"
        if on and not any("version" in rule["definition"]["actions"] for rule in _rules(deployment)):
            yield f"{service}: no lifecycle rule deletes old versions: what people erased would stay"


def no_keys(deployment: Deployment) -> Iterator[str]:
    """No key or connection string in a property or an output."""
    for resource in deployment.resources:
        for path, text in strings(resource.body):
            if path == SECRET_PLACES.get(resource.type):
                continue
            if KEY.search(text):
                yield f"{resource}: {path} holds a key; put it into Key Vault and refer to that"
            elif text.startswith("[") and CONNECTION_STRING.search(text) and path != TELEMETRY:
                yield f"{resource}: {path} holds a connection string; use an identity"
    for path, text in strings(deployment.outputs):
        if KEY.search(text) or CONNECTION_STRING.search(text):
            yield f"output {path} shows a key to all who see deployments"


def ids_and_tags(deployment: Deployment) -> Iterator[str]:
    """Nothing comes twice; every resource says whose it is. values.yaml has what names may be."""
    wanted = ["system", "environment", *(["owner", "cost-centre"] if deployment.name == "prod" else [])]
    seen: set[str] = set()
    for resource in deployment.resources:
        if resource.id.lower() in seen:
            yield f"{resource} is deployed twice"
        seen.add(resource.id.lower())
        tagged = TAGGED.fullmatch(resource.type) and not resource.type.endswith("diagnosticSettings")
        tags = str(resource.at("tags"))  # perhaps an expression
        missing = [each for each in wanted if not re.search(f"'{each}'[:,]", tags)]
        if tagged and missing:
            yield f"{resource}: give it the tags {', '.join(missing)}"
    for group in deployment.made("Microsoft.Resources/tags"):
        text = str(group.properties.get("tags"))
        if "union(coalesce(resourceGroup().tags" not in text or "tonearmBudgetStart" not in text:
            yield f"{group}: keep the group's other tags by union(); infra.deploy has its state there"


def cannot_be_deleted(deployment: Deployment) -> Iterator[str]:
    """In prod, people's data and the vault have locks."""
    locks = deployment.made("Microsoft.Authorization/locks")
    locked = {each.id.partition("/providers/Microsoft.Authorization/")[0] for each in locks}
    for each in [deployment.account_of("uploads"), *deployment.made("Microsoft.KeyVault/vaults")]:
        if deployment.name == "prod" and (each is None or each.id not in locked):
            yield f"{each or 'the account of uploads'}: prod needs a lock on it"


POLICIES = (host_and_packages_lie_apart, retention, restoring, no_keys, ids_and_tags, cannot_be_deleted)
