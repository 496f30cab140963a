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

from infra.policy.compiler import Compiler, CompilerError
from infra.policy.deployment import BICEP, ENVIRONMENTS, parse, snapshot_path
from infra.policy.everything import POLICIES
from tests.infra.conftest import needs_compiler

ALERTS = "modules/alerts.bicep"
AVAILABILITY = "modules/availability.bicep"
BUDGET = "modules/budget.bicep"
EVENTS = "modules/event-subscription.bicep"
FUNCTION_APP = "modules/function-app.bicep"
MONITORING = "modules/monitoring.bicep"
NETWORK = "modules/network.bicep"
PACKAGES = "modules/packages.bicep"
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
    (PACKAGES, "name: 'Standard_LRS'", "name: 'Standard_LSR'"),
    (VAULT, "family: 'A'", "family: 'B'"),
    (FUNCTION_APP, "name: 'FC1'", "name: 'FC9'"),
    (FUNCTION_APP, "tier: 'FlexConsumption'", "tier: 'FlexConsumtion'"),
    (WEB, "name: 'P0v3'", "name: 'P0v9'"),
    (WEB, "minTlsVersion: '1.2'", "minTlsVersion: '1.1'"),
    (WEB, "ftpsState: 'Disabled'", "ftpsState: 'Off'"),
    # runtime and version
    (FUNCTION_APP, "name: 'python'", "name: 'pyton'"),
    (FUNCTION_APP, "version: '3.13'", "version: '3.99'"),
    (WEB, "linuxFxVersion: 'PYTHON|3.13'", "linuxFxVersion: 'PYTHON|3.31'"),
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

# The compiler takes these too, and they are no plain values: a policy catches what is predicted.
TAKEN = [
    (SHARED, "'974c5e8b-45b9-4653-ba55-5f855dd0fb88'", "'queue-contributor'"),  # no GUID
    (SHARED, "'4633458b-17de-408a-b874-0445c86b69e6'", "'00482a5a-887f-4fb3-b363-3b7fe8e74483'"),  # administrator
    (ROLES, "  roleIds.storageQueueDataContributor\n", ""),  # missing role
    (ROLES, "  scope: vault\n", "  scope: account\n"),
    (FUNCTION_APP, "      http20Enabled: true", "      ftpsState: 'Disabled'\n      http20Enabled: true"),
    (FUNCTION_APP, "TONEARM_MODE: mode", "TONEARM_MODE: account.listKeys().keys[0].value"),  # key in a setting
    (FUNCTION_APP, "TONEARM_MODE: mode", "TONEARM_MODUS: mode"),
    (FUNCTION_APP, "    TONEARM_MODEL: modelVersion\n", ""),
    (FUNCTION_APP, "${packages.properties", "${account.properties"),
    (MAIN, "var deadLetterContainer = 'event-dead-letters'", "var deadLetterContainer = 'dead-letters'"),
    (STORAGE, "  'results'\n", "  'result'\n"),  # container
    (STORAGE, "'webjobs-blobtrigger-poison'", "'webjobs-blobtrigger-poisoned'"),  # queue
    (STORAGE, "{ name: 'uploads', days: uploadRetentionDays", "{ name: 'uploads', days: 400"),
    (STORAGE, "var restoreDays = 6", "var restoreDays = 7"),
    (STORAGE, "concat(retentionRules, [versionRule])", "retentionRules"),
    (STORAGE, "privateNetworking ? 'Disabled' : 'Enabled'", "'Enabled'"),  # public network
    (NETWORK, "type: storageType, target: packageAccountName", "type: storageType, target: storageAccountName"),
    (EVENTS, "Host.Functions.answer_upload", "Host.Functions.classify_upload"),
    (EVENTS, "systemKeys.blobs_extension", "masterKey"),
    (MAIN, "url: urls[liveColour]", "url: urls[slotColour]"),
    (MAIN, "function-key-${liveColour}", "function-key-blau"),
    (MAIN, "deploymentContainer: 'deployments-green'", "deploymentContainer: 'deployments-blue'"),
    (MAIN, "resourceGroup().?tags ?? {}", "{}"),
    (MAIN, "= 'sttonearm${", "= 'st-tonearm${"),
    (WEB, "    enabled: signIn\n  }\n  globalValidation", "    enabled: false\n  }\n  globalValidation"),
    (WEB, "TONEARM_SIGN_IN: signIn ? 'required' : 'off'", "TONEARM_SIGN_IN: 'required'"),
    (WEB, "properties: authentication\n}\n\nresource stagingScm", "properties: {}\n}\n\nresource stagingScm"),
    (WEB, "identity.properties.clientId", "clientId"),
    (ALERTS, "answer_poisoned", "answer_poison"),
    (ALERTS, "'DeadLetteredCount'", "'DeadLetterCount'"),
    (ALERTS, "name: 'log-cap'", "name: 'log'"),
    (OWNER, "AND ${each.source}[Microsoft.Authorization/roleAssignments:PrincipalType]", "OR true //"),
    (OWNER, "if (deleteLock)", "if (!deleteLock)"),
    ("prod.bicepparam", "param maximumInstanceCount = 8", "param maximumInstanceCount = 100"),
    ("prod.bicepparam", "param monthlyBudget = 500", "param monthlyBudget = 0"),
    ("scenarios/prod.bicepparam", "param alertEmail = 'operator@example.com'", "param alertEmail = ''"),
]


type Mutant = tuple[str, str, str]


def faults(**texts: str) -> set[str]:
    """What the policies find in the environments that these snapshots belong to; the others are as committed."""
    found: set[str] = set()
    for name, scenarios in ENVIRONMENTS.items():
        if texts.keys() & set(scenarios):
            deployment = parse(name, *(texts.get(each) or snapshot_path(each).read_text() for each in scenarios))
            found |= {fault for policy in POLICIES.values() for fault in policy(deployment)}
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
    _, old, new = mutant
    mutated = {
        name: text.replace(as_json(old), as_json(new)) for name, text in committed().items() if as_json(old) in text
    }
    assert mutated, f"{as_json(old)} is in no snapshot"
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


@needs_compiler
def test_the_compiler_lets_the_values_pass(compiler: Compiler, broken: Callable[..., Path]) -> None:
    mutants = list({(file, old): (file, old, new) for file, old, new in VALUES}.values())
    copy = broken(*mutants)
    parameters = [copy / "scenarios" / f"{name}.bicepparam" for name in ("prod", "private", "events", "owner")]
    assert [finding for file in parameters for finding in compiler.findings(file)] == []
    predicted = "".join(map(compiler.snapshot, parameters))
    assert [new for _, _, new in mutants if as_json(new) not in predicted] == []


@needs_compiler
@pytest.mark.parametrize("mutant", REPORTED, ids=case)
def test_an_error_is_reported(mutant: Mutant, compiler: Compiler, broken: Callable[..., Path]) -> None:
    name = "events" if mutant[0] == EVENTS else "prod"
    assert compiler.findings(broken(mutant) / "scenarios" / f"{name}.bicepparam")


@needs_compiler
@pytest.mark.parametrize("mutant", TAKEN, ids=case)
def test_an_error_is_caught_in_what_is_predicted(
    mutant: Mutant, compiler: Compiler, broken: Callable[..., Path]
) -> None:
    name = {OWNER: "owner", EVENTS: "events", NETWORK: "private"}.get(mutant[0], "prod")
    name = "private" if "privateNetworking" in mutant[1] else "open" if mutant[2].endswith("'required'") else name
    try:
        predicted = compiler.snapshot(broken(mutant) / "scenarios" / f"{name}.bicepparam")
    except CompilerError:  # fail() in main.bicep, when a value is missing that a person gives
        return
    assert faults(**{name: predicted}) - known()
