"""Seeded errors in the Bicep: each is caught, by a policy or by the compiler.

The compiler lets `VALUES` pass, as they are values of open strings and numbers, or choices. They are put into the
committed snapshots, so that they are judged without a compiler too; where there is one, also into the Bicep.
"""

import re
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from infra.policy import everything
from infra.policy.compiler import Compiler
from infra.policy.deployment import BICEP, ENVIRONMENTS, parse, snapshot_path

ALERTS = "modules/alerts.bicep"
AVAILABILITY = "modules/availability.bicep"
BUDGET = "modules/budget.bicep"
EVENTS = "modules/event-subscription.bicep"
FUNCTION_APP = "modules/function-app.bicep"
MONITORING = "modules/monitoring.bicep"
NETWORK = "modules/network.bicep"
HOST = "modules/host-storage.bicep"
ROLES = "modules/roles.bicep"
SHARED = "modules/shared.bicep"
STORAGE = "modules/storage.bicep"
TOPIC = "modules/event-topic.bicep"
VAULT = "modules/vault.bicep"
WEB = "modules/web-app.bicep"
MAIN, OWNER = "main.bicep", "owner.bicep"

# Bicep file, what stands there, what stands there instead. A snapshot has the same property as JSON.
VALUES = [
    # SKU, tier, kind, TLS
    (STORAGE, "kind: 'StorageV2'", "kind: 'StorageV3'"),
    (STORAGE, "minimumTlsVersion: 'TLS1_2'", "minimumTlsVersion: 'TLS1_22'"),
    (STORAGE, "minimumTlsVersion: 'TLS1_2'", "minimumTlsVersion: 'TLS1_1'"),
    (VAULT, "family: 'A'", "family: 'B'"),
    (FUNCTION_APP, "name: 'FC1'", "name: 'FC9'"),
    (FUNCTION_APP, "tier: 'FlexConsumption'", "tier: 'FlexConsumtion'"),
    (WEB, "name: 'P0v3'", "name: 'P0v9'"),
    (WEB, "minTlsVersion: '1.2'", "minTlsVersion: '1.1'"),
    (WEB, "ftpsState: 'Disabled'", "ftpsState: 'Off'"),
    # runtime and version
    (FUNCTION_APP, "name: 'python'", "name: 'pyton'"),
    (FUNCTION_APP, "version: '3.13'", "version: '3.99'"),
    (WEB, "webSocketsEnabled: true", "webSocketsEnabled: false"),
    # event types, durations, severities, metrics, address ranges
    (EVENTS, "'Microsoft.Storage.BlobCreated'", "'Microsoft.Storage.BlobMade'"),
    (EVENTS, "maxDeliveryAttempts: 30", "maxDeliveryAttempts: 31"),
    (TOPIC, "topicType: 'Microsoft.Storage.StorageAccounts'", "topicType: 'Microsoft.Storage.Accounts'"),
    (ALERTS, "evaluationFrequency: 'PT5M'", "evaluationFrequency: '5 minutes'"),
    (ALERTS, "windowSize: 'PT15M'", "windowSize: 'PT7M'"),
    (AVAILABILITY, "severity: 1", "severity: 9"),
    (AVAILABILITY, "Frequency: 900", "Frequency: 60"),
    (AVAILABILITY, "Id: 'emea-nl-ams-azr'", "Id: 'emea-nl-amsterdam'"),
    (BUDGET, "timeGrain: 'Monthly'", "timeGrain: 'Monthy'"),
    (BUDGET, "thresholdType: 'Forecasted'", "thresholdType: 'Forecast'"),
    (NETWORK, "addressPrefix: '10.20.0.128/27'", "addressPrefix: '10.0.0.0/99'"),
    (NETWORK, "addressPrefix: '10.20.0.128/27'", "addressPrefix: '10.20.0.64/27'"),
    (NETWORK, "serviceName: 'Microsoft.App/environments'", "serviceName: 'Microsoft.App/environment'"),
    (WEB, "cooldown: 'PT15M'", "cooldown: '15m'"),
    (WEB, "metricName: 'CpuPercentage'", "metricName: 'CPU'"),
    # what is open, or can be lost
    (STORAGE, "allowSharedKeyAccess: false", "allowSharedKeyAccess: true"),
    (STORAGE, "allowBlobPublicAccess: false", "allowBlobPublicAccess: true"),
    (STORAGE, "publicAccess: 'None'", "publicAccess: 'Blob'"),
    (VAULT, "enablePurgeProtection: true", "enablePurgeProtection: false"),
    (VAULT, "enableRbacAuthorization: true", "enableRbacAuthorization: false"),
    (WEB, "httpsOnly: true", "httpsOnly: false"),
    (WEB, "allow: false", "allow: true"),
    (MONITORING, "DisableLocalAuth: true", "DisableLocalAuth: false"),
    (OWNER, "level: 'CanNotDelete'", "level: 'ReadOnlyy'"),
    (OWNER, "conditionVersion: '2.0'", "conditionVersion: '1.0'"),
    (WEB, "redirectToProvider: 'azureactivedirectory'", "redirectToProvider: 'entra'"),
    (WEB, "requireHttps: true", "requireHttps: false"),
    # contract with the code
    (FUNCTION_APP, "TONEARM_BLOB_SOURCE: 'EventGrid'", "TONEARM_BLOB_SOURCE: 'LogsAndContainerScan'"),
    (FUNCTION_APP, "AzureWebJobsStorage__credential: 'managedidentity'", "AzureWebJobsStorage__credential: 'key'"),
    (WEB, "healthCheckPath: '/_stcore/health'", "healthCheckPath: '/health'"),
    (WEB, "SCM_DO_BUILD_DURING_DEPLOYMENT: 'false'", "SCM_DO_BUILD_DURING_DEPLOYMENT: 'true'"),
]

# The compiler reports these.
REPORTED = [
    (EVENTS, "endpointType: 'WebHook'", "endpointType: 'Webhook'"),  # closed enumeration
    (STORAGE, "allowSharedKeyAccess:", "allowSharedKeyAcces:"),  # misspelt property
    (STORAGE, "storageAccounts@2025-06-01' =", "storageAccount@2025-06-01' ="),  # resource type
    (STORAGE, "storageAccounts@2025-06-01' =", "storageAccounts@2025-06-31' ="),  # API version
    (FUNCTION_APP, "httpsOnly: true", "httpsOnly: 'yes'"),  # wrong type
    (MAIN, "    mode: mode\n", ""),  # missing parameter
    (MAIN, "modules/vault.bicep", "modules/vaults.bicep"),  # missing module
    (MAIN, "string = storageAccountName", "string = storageAccountsName"),  # unknown name
    ("prod.bicepparam", "param storageSku = 'Standard_ZRS'", "param storageSku = 'Standard_RAGRS'"),
    ("prod.bicepparam", "param uploadRetentionDays = 7", "param uploadRetentionDays = 0"),
    ("prod.bicepparam", "param maximumInstanceCount", "param maximumInstances"),
]

# The compiler takes these too, no plain values: in a scenario's prediction a policy finds what stands last.
# fmt: off
TAKEN = [
    ("prod", SHARED, "'974c5e8b-45b9-4653-ba55-5f855dd0fb88'", "'queue-contributor'", "'queue-contributor' is no role"),
    ("prod", SHARED, "'4633458b-17de-408a-b874-0445c86b69e6'", "'00482a5a-887f-4fb3-b363-3b7fe8e74483'",
     "4483' is no role"),
    ("prod", ROLES, "  scope: vault\n", "  scope: account\n", "no assignment lets …-web"),
    ("prod", ROLES, "  roleIds.storageTableDataContributor\n", "", "as Storage Table Data Contributor"),
    ("prod", FUNCTION_APP, "      http20Enabled: true", "      ftpsState: 'Disabled'\n      http20Enabled: true",
     "ftpsState is not for"),
    ("prod", FUNCTION_APP, "TONEARM_MODE: mode", "TONEARM_MODE: account.listKeys().keys[0].value",
     "TONEARM_MODE holds a key"),
    ("prod", FUNCTION_APP, "TONEARM_MODE: mode", "TONEARM_MODUS: mode", "nothing in functions reads TONEARM_MODUS"),
    ("prod", FUNCTION_APP, "    TONEARM_MODEL: modelVersion\n", "", "reads TONEARM_MODEL, which is not set"),
    ("prod", FUNCTION_APP, "${host.properties", "${account.properties", "its package's container"),
    ("prod", MAIN, "var deadLetterContainer = 'event-dead-letters'", "var deadLetterContainer = 'dead-letters'",
     "dead letters must"),
    ("prod", STORAGE, "  'results'\n", "  'result'\n", "the code uses results of blobServices"),
    ("prod", STORAGE, "'webjobs-blobtrigger-poison'", "'webjobs-blobtrigger-poisoned'", "uses webjobs-"),
    ("prod", STORAGE, "{ name: 'uploads', days: uploadRetentionDays", "{ name: 'uploads', days: 400",
     "'uploads/': '400'"),
    ("prod", STORAGE, "var restoreDays = 6", "var restoreDays = 7", "restorePolicy.days must be less"),
    ("prod", STORAGE, "concat(retentionRules, [versionRule])", "retentionRules", "deletes old versions"),
    ("private", STORAGE, "privateNetworking ? 'Disabled' : 'Enabled'", "'Enabled'", "not ('Enabled', 'Deny')"),
    ("private", NETWORK, "type: storageType, target: hostAccountName",
     "type: storageType, target: storageAccountName",
     "no private endpoint leads to blob"),
    ("events", EVENTS, "Host.Functions.answer_upload", "Host.Functions.classify_upload", "the address must be"),
    ("events", EVENTS, "systemKeys.blobs_extension", "masterKey", "its host's system key blobs_extension"),
    ("prod", MAIN, "apiUrl: urls[idleColour]", "apiUrl: 'https://example.com'", "TONEARM_API_URL must be"),
    ("prod", MAIN, "function-key-${idleColour}", "function-key-blau", "the vault's secret function-key-blue, not"),
    ("release", MAIN, "'modules/function-app.bicep' = if (liveColour != 'blue')", "'modules/function-app.bicep' =",
     "blue-6ncfmd is live"),
    ("release", MAIN, "var idleColour = liveColour == 'blue' ? 'green' : 'blue'", "var idleColour = 'blue'",
     "the slot must"),
    ("release", WEB, "'Microsoft.Web/sites/config@2025-03-01' = if (nothingLive) {",
     "'Microsoft.Web/sites/config@2025-03-01' = {",
     "config/appsettings is live"),
    ("release", WEB, "nothingLive ? startCommand : null", "startCommand", "appCommandLine moves with a swap"),
    ("prod", MAIN, "deploymentContainer: 'deployments-green'", "deploymentContainer: 'deployments-blue'",
     "the same in"),
    ("prod", MAIN, "resourceGroup().?tags ?? {}", "{}", "keep the group's other tags by union()"),
    ("prod", MAIN, "= 'sttonearm${", "= 'st-tonearm${", "is no name for it: [a-z0-9]{3,24}"),
    ("prod", WEB, "    enabled: signIn\n  }\n  globalValidation", "    enabled: false\n  }\n  globalValidation",
     "authsettingsV2 ([False"),
    ("open", WEB, "TONEARM_SIGN_IN: signIn ? 'required' : 'off'", "TONEARM_SIGN_IN: 'required'", "TONEARM_SIGN_IN"),
    ("prod", WEB, "properties: authentication\n}\n\nresource stagingScm", "properties: {}\n}\n\nresource stagingScm",
     "globalValidation, httpSettings"),
    ("prod", WEB, "identity.properties.clientId", "clientId", "there is no client secret"),
    ("prod", ALERTS, "answer_poisoned", "answer_poison", "the code has no function 'answer_poison'"),
    ("prod", ALERTS, "'DeadLetteredCount'", "'DeadLetterCount'", "has no metric Microsoft.EventGrid"),
    ("prod", ALERTS, "name: 'log-cap'", "name: 'log'", "there is no alert log-cap"),
    ("owner", OWNER, "AND ${each.source}[Microsoft.Authorization/roleAssignments:PrincipalType]", "OR true //",
     "nothing of PrincipalType"),
    ("owner", OWNER, "'b24988ac-6180-42a0-ab88-20f7382dd24c'", "'8e3af657-a8ff-443c-a75c-2fe8c4bcb635'",
     "b635' is no role"),
    ("owner", OWNER, "if (deleteLock)", "if (!deleteLock)", "prod needs a lock on it"),
    ("prod", "prod.bicepparam", "param maximumInstanceCount = 8", "param maximumInstanceCount = 100", "200 instances"),
    ("prod", "prod.bicepparam", "param monthlyBudget = 500", "param monthlyBudget = 0", "there is no budget"),
]
# fmt: on

type Mutant = tuple[str, str, str]


def faults(**texts: str) -> set[str]:
    """What the policies find in the environments that these snapshots belong to; the others are as committed."""
    found: set[str] = set()
    for name, scenarios in ENVIRONMENTS.items():
        if texts.keys() & set(scenarios):
            deployment = parse(name, *(texts.get(each) or snapshot_path(each).read_text() for each in scenarios))
            found |= set(everything.faults(deployment))
    return found


@cache
def committed() -> dict[str, str]:
    return {name: snapshot_path(name).read_text() for names in ENVIRONMENTS.values() for name in names}


@cache
def known() -> set[str]:
    """What is found without an error; test_policies.py says that it is nothing."""
    return faults(**committed())


def as_json(assignment: str) -> str:
    """A property with a plain value, as a snapshot has it."""
    return re.sub(r"^(\w+): ", r'"\1": ', assignment).replace("'", '"')


def case(mutant: Mutant) -> str:
    file, old, new = mutant
    return f"{Path(file).stem}: {old.strip()[:40]} to {new.strip()[:40]}"


@pytest.mark.parametrize("mutant", VALUES, ids=case)
def test_a_value_is_caught_in_the_snapshots(mutant: Mutant) -> None:
    old, new = map(as_json, mutant[1:])
    mutated = {name: text.replace(old, new) for name, text in committed().items() if old in text}
    assert mutated, f"{old} is in no snapshot"
    assert faults(**mutated) - known()


@pytest.fixture
def broken(tmp_path: Path) -> Callable[..., Path]:
    """Breaks a copy of the Bicep."""
    shutil.copy(BICEP.parent / "bicepconfig.json", tmp_path)
    copy = shutil.copytree(BICEP, tmp_path / "bicep", ignore=shutil.ignore_patterns("*.snapshot.json"))

    def break_(*mutants: Mutant) -> Path:
        for name, old, new in mutants:
            file = copy / name
            assert old in file.read_text(), f"{old} is not in {name}"
            file.write_text(file.read_text().replace(old, new))
        return copy

    return break_


def test_the_compiler_lets_the_values_pass(compiler: Compiler, broken: Callable[..., Path]) -> None:
    mutants = list({(file, old): (file, old, new) for file, old, new in VALUES}.values())
    copy = broken(*mutants)
    parameters = [copy / "scenarios" / f"{name}.bicepparam" for name in ("prod", "private", "events", "owner")]
    assert [finding for file in parameters for finding in compiler.findings(file)] == []
    predicted = "".join(map(compiler.snapshot, parameters))
    assert [new for _, _, new in mutants if as_json(new) not in predicted] == []


@pytest.mark.parametrize("mutant", REPORTED, ids=case)
def test_an_error_is_reported(mutant: Mutant, compiler: Compiler, broken: Callable[..., Path]) -> None:
    name = "events" if mutant[0] == EVENTS else "prod"
    assert compiler.findings(broken(mutant) / "scenarios" / f"{name}.bicepparam")


def batches() -> list[tuple[str, list[tuple[str, ...]]]]:
    """`TAKEN` by scenario, and so that no file is broken twice at a time: a prediction takes half a second."""
    found: dict[tuple[str, int], list[tuple[str, ...]]] = {}
    for index, (scenario, *mutant) in enumerate(TAKEN):
        turn = sum(each[:2] == TAKEN[index][:2] for each in TAKEN[:index])
        found.setdefault((scenario, turn), []).append(tuple(mutant))
    return [(scenario, mutants) for (scenario, _), mutants in found.items()]


@pytest.mark.parametrize(("scenario", "mutants"), batches())
def test_errors_are_caught_in_what_is_predicted(
    scenario: str, mutants: list[tuple[str, ...]], compiler: Compiler, broken: Callable[..., Path]
) -> None:
    copy = broken(*(mutant[:3] for mutant in mutants))
    found = faults(**{scenario: compiler.snapshot(copy / "scenarios" / f"{scenario}.bicepparam")}) - known()
    assert [mutant for mutant in mutants if not any(mutant[3] in fault for fault in found)] == [], found
