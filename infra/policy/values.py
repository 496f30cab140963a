"""Values that must be there, out of those that Azure takes: most of its enumerations are open strings to the compiler.

A key is a pattern of resource type and name; below it stand paths (``[]`` is each item, ``*`` each value) with what may
stand there: one value, a set, or a pattern. Sources: https://learn.microsoft.com/azure/templates/. A resource that no
key knows is reported, so that somebody looks its values up.
"""

import re
from collections.abc import Iterator
from typing import Any

from infra.packages import SITE_PACKAGES
from infra.policy.deployment import Deployment

FLEX_PLAN, PAGE_PLAN = ("FC1", "FlexConsumption"), ("P0v3", "Premium0V3")
HEALTH = "/_stcore/health"
ASSERTION = "OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID"
"""In place of a secret: https://learn.microsoft.com/azure/app-service/configure-authentication-provider-aad."""
SWITCH, ACCESS, TLS = {"Enabled", "Disabled"}, {"Allow", "Deny"}, {"1.2", "1.3"}
WINDOWS = {"PT1M", "PT5M", "PT15M", "PT30M", "PT1H", "PT6H", "PT12H", "P1D"}
OPERATORS = {"GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual"}
COUNT = re.compile(r"[1-9]\d*")
GUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
CLIENT, ISSUER = re.compile(f"{GUID}|"), re.compile(rf"\[format\('\{{0}}\{{1}}/v2\.0', env.*loginEndpoint, '{GUID}'\)]")

PASSWORDS = {"properties.allow": False}
SITE = {
    "properties.httpsOnly": True,
    "properties.publicNetworkAccess": SWITCH,
    "identity.type": "UserAssigned",
    "properties.siteConfig.http20Enabled": True,
    "properties.siteConfig.minTlsVersion": TLS,
    "properties.siteConfig.scmMinTlsVersion": TLS,
}
SCALE = "properties.functionAppConfig.scaleAndConcurrency"
FLEX = {
    "kind": "functionapp,linux",
    "properties.functionAppConfig.runtime": {"name": "python", "version": "3.13"},
    "properties.functionAppConfig.deployment.storage.type": "blobContainer",
    "properties.functionAppConfig.deployment.storage.authentication.type": "UserAssignedIdentity",
    f"{SCALE}.instanceMemoryMB": {512, 2048, 4096},
    f"{SCALE}.maximumInstanceCount": re.compile(r"[1-9]\d{0,2}|1000"),
    f"{SCALE}.alwaysReady[].name": {"blob", "http"},
    f"{SCALE}.triggers.http.perInstanceConcurrency": re.compile(r"[1-9]\d{0,2}|1000"),
}
PAGE = {
    "kind": "app,linux",
    "properties.clientAffinityEnabled": True,  # a session lives in one instance
    "properties.siteConfig.webSocketsEnabled": True,
    "properties.siteConfig.alwaysOn": True,
    "properties.siteConfig.remoteDebuggingEnabled": False,
    "properties.siteConfig.healthCheckPath": HEALTH,
    "properties.siteConfig.linuxFxVersion": "PYTHON|3.13",
    "properties.siteConfig.ftpsState": "Disabled",
    # App Service asks port 8000, from outside the container. Nothing is installed at the start.
    "properties.siteConfig.appCommandLine": re.compile(
        r"python -m streamlit run frontend/app.py --server.port 8000 --server.address 0\.0\.0\.0 --server.headless \w+"
    ),
}
ENTRA = "properties.identityProviders.azureActiveDirectory"
SIGN_IN = {
    "properties.globalValidation.redirectToProvider": "azureactivedirectory",
    "properties.globalValidation.excludedPaths[]": HEALTH,
    "properties.globalValidation.unauthenticatedClientAction": {"RedirectToLoginPage", "AllowAnonymous"},
    "properties.httpSettings.requireHttps": True,
    "properties.login.tokenStore.enabled": False,
    f"{ENTRA}.registration.clientSecretSettingName": ASSERTION,
    f"{ENTRA}.registration.clientId": CLIENT,
    f"{ENTRA}.validation.allowedAudiences[]": CLIENT,
    f"{ENTRA}.registration.openIdIssuer": ISSUER,
}
PAGE_SETTINGS = {
    "properties.PYTHONPATH": f"/home/site/wwwroot/{SITE_PACKAGES.as_posix()}",  # where the package is unpacked
    "properties.SCM_DO_BUILD_DURING_DEPLOYMENT": "false",
    "properties.TONEARM_SIGN_IN": {"required", "off"},
    "properties.TONEARM_HISTORY": {"own", "shared"},
}
RULES = "properties.profiles[].rules[]"
ALERT = {
    "properties.enabled": True,
    "properties.severity": {0, 1, 2, 3, 4},
    "properties.evaluationFrequency": WINDOWS,
    "properties.windowSize": WINDOWS,
}

VALUES: dict[str, dict[str, Any]] = {
    r"Storage/storageAccounts": {
        "kind": "StorageV2",
        "sku.name": {"Standard_LRS", "Standard_ZRS", "Standard_GZRS"},
        "properties.accessTier": "Hot",
        "properties.minimumTlsVersion": {"TLS1_2", "TLS1_3"},
        "properties.allowSharedKeyAccess": False,
        "properties.allowBlobPublicAccess": False,
        "properties.allowCrossTenantReplication": False,
        "properties.supportsHttpsTrafficOnly": True,
        "properties.publicNetworkAccess": SWITCH,
        "properties.networkAcls.defaultAction": ACCESS,
        "properties.networkAcls.bypass": {"AzureServices", "None"},
    },
    r"Storage/storageAccounts/blobServices": {
        "properties.deleteRetentionPolicy.enabled": True,
        "properties.deleteRetentionPolicy.days": COUNT,
        "properties.containerDeleteRetentionPolicy.enabled": True,
        "properties.containerDeleteRetentionPolicy.days": COUNT,
    },
    r"Storage/storageAccounts/blobServices/containers": {"properties.publicAccess": "None"},
    r"Storage/storageAccounts/managementPolicies": {
        "properties.policy.rules[].enabled": True,
        "properties.policy.rules[].type": "Lifecycle",
        "properties.policy.rules[].definition.filters.blobTypes[]": {"blockBlob", "appendBlob"},
    },
    r"KeyVault/vaults": {
        "properties.sku": {"family": "A", "name": "standard"},
        "properties.enableRbacAuthorization": True,
        "properties.enableSoftDelete": True,
        "properties.enablePurgeProtection": True,
        "properties.softDeleteRetentionInDays": re.compile(r"[7-9]|[1-8]\d|90"),
        "properties.publicNetworkAccess": SWITCH,
        "properties.networkAcls.defaultAction": ACCESS,
    },
    r"ContainerRegistry/registries": {
        "sku.name": {"Basic", "Standard", "Premium"},
        "properties.adminUserEnabled": False,
        "properties.anonymousPullEnabled": False,
    },
    r"Web/serverfarms plan-func-.*": dict(zip(("sku.name", "sku.tier"), FLEX_PLAN, strict=True))
    | {"kind": "functionapp"},
    r"Web/serverfarms plan-app-.*": dict(zip(("sku.name", "sku.tier"), PAGE_PLAN, strict=True)) | {"kind": "linux"},
    r"Web/serverfarms": {"properties.reserved": True},  # Linux
    r"Web/sites(/slots)?": SITE,
    r"Web/sites func-.*": FLEX,
    r"Web/sites(/slots)? app-.*": PAGE,
    r"Web/sites(/slots)?/config .*/authsettingsV2": SIGN_IN,
    r"Web/sites(/slots)?/config app-.*/appsettings": PAGE_SETTINGS,
    r"Web/sites(/slots)?/basicPublishingCredentialsPolicies": PASSWORDS,
    r"Insights/autoscalesettings": {
        f"{RULES}.metricTrigger.metricName": "CpuPercentage",
        f"{RULES}.metricTrigger.timeGrain": "PT1M",
        f"{RULES}.metricTrigger.timeWindow": {"PT5M", "PT10M", "PT15M", "PT30M"},
        f"{RULES}.metricTrigger.statistic": "Average",
        f"{RULES}.metricTrigger.timeAggregation": "Average",
        f"{RULES}.metricTrigger.operator": OPERATORS,
        f"{RULES}.scaleAction.direction": {"Increase", "Decrease"},
        f"{RULES}.scaleAction.type": "ChangeCount",
        f"{RULES}.scaleAction.cooldown": {"PT5M", "PT10M", "PT15M", "PT30M"},
    },
    r"EventGrid/systemTopics": {
        "properties.topicType": "Microsoft.Storage.StorageAccounts",
        "identity.type": "SystemAssigned",
    },
    r"EventGrid/systemTopics/eventSubscriptions": {
        "properties.destination.endpointType": "WebHook",
        "properties.eventDeliverySchema": "EventGridSchema",
        "properties.filter.subjectBeginsWith": "/blobServices/default/containers/uploads/",
        "properties.filter.includedEventTypes[]": "Microsoft.Storage.BlobCreated",
        "properties.retryPolicy.maxDeliveryAttempts": re.compile(r"[1-9]|[12]\d|30"),
        "properties.retryPolicy.eventTimeToLiveInMinutes": re.compile(r"[1-9]\d{0,2}|1[0-3]\d\d|14[0-3]\d|1440"),
        "properties.deadLetterWithResourceIdentity.identity.type": "SystemAssigned",
        "properties.deadLetterWithResourceIdentity.deadLetterDestination.endpointType": "StorageBlob",
    },
    r"Network/virtualNetworks": {
        "properties.subnets[].properties.delegations[].properties.serviceName": {
            "Microsoft.App/environments",
            "Microsoft.Web/serverFarms",
        },
    },
    r"Authorization/roleAssignments": {"properties.principalType": "ServicePrincipal"},
    r"Authorization/locks": {"properties.level": "CanNotDelete"},
    r"OperationalInsights/workspaces": {
        "properties.sku.name": "PerGB2018",
        "properties.workspaceCapping.dailyQuotaGb": COUNT,
        "properties.retentionInDays": COUNT,
    },
    r"Insights/components": {
        "kind": "web",
        "properties.IngestionMode": "LogAnalytics",
        "properties.DisableLocalAuth": True,  # its connection string is then an address, not a key
    },
    r"Insights/scheduledQueryRules": ALERT
    | {
        "kind": "LogAlert",
        "properties.criteria.allOf[].operator": OPERATORS,
        "properties.criteria.allOf[].timeAggregation": "Count",
    },
    r"Insights/metricAlerts": ALERT | {"location": "global"},
    r"Insights/metricAlerts alert-.*": {
        "properties.criteria.allOf[].operator": OPERATORS,
        "properties.criteria.allOf[].timeAggregation": {"Average", "Maximum", "Minimum", "Total"},
    },
    r"Insights/webtests": {
        "kind": "standard",
        "properties.Kind": "standard",
        "properties.Enabled": True,
        "properties.Frequency": {300, 600, 900},
        "properties.Locations[].Id": {"emea-gb-db3-azr", "emea-nl-ams-azr", "us-va-ash-azr"},
        "properties.Request.HttpVerb": "GET",
        "properties.ValidationRules.ExpectedHttpStatusCode": 200,
    },
    r"Insights/diagnosticSettings": {
        "properties.logs[].category": {"AuditEvent", "DeliveryFailures"}
        | {f"AppService{each}Logs" for each in ("Console", "HTTP", "Platform")},
    },
    r"Insights/actionGroups": {"location": "global", "properties.enabled": True},
    r"Insights/workbooks": {"kind": "shared"},
    r"Consumption/budgets": {
        "properties.category": "Cost",
        "properties.timeGrain": "Monthly",
        "properties.amount": COUNT,
        "properties.notifications.*.enabled": True,
        "properties.notifications.*.operator": OPERATORS,
        "properties.notifications.*.thresholdType": {"Actual", "Forecasted"},
    },
    # without such values, or compared by another policy
    r"Network/private(DnsZones|Endpoints)(/\w+)?|ManagedIdentity/userAssignedIdentities|KeyVault/vaults/secrets|"
    r"Resources/tags|Storage/storageAccounts/queueServices(/queues)?|Web/sites(/slots)?/config": {},
}


def values(deployment: Deployment) -> Iterator[str]:
    """Every value that has a row is there, and one that Azure and this system take."""
    for resource in deployment.resources:
        rows = [
            row
            for key, paths in VALUES.items()
            if re.fullmatch(rf"Microsoft\.({key})( .*)?", f"{resource.type} {resource.name}")
            for row in [("", None), *paths.items()]
        ]
        if not rows:
            yield f"{resource}: values.py does not know this resource type"
        for path, allowed in rows:
            found = list(_found(resource.body, path.replace("[]", ".[]").split("."))) if path else []
            if path and not found and "[]" not in path:
                yield f"{resource}: say {path}"
            for value in found:
                if not _fits(value, allowed):
                    known = allowed.pattern if isinstance(allowed, re.Pattern) else allowed
                    yield f"{resource}: {path} is {value!r}; Azure, or this system, takes {known}"


def _fits(value: Any, allowed: Any) -> bool:
    if isinstance(allowed, re.Pattern):
        return bool(allowed.fullmatch(str(value)))
    return value in allowed if isinstance(allowed, set) else bool(value == allowed)


def _found(node: Any, way: list[str]) -> Iterator[Any]:
    if not way:
        yield node
    elif way[0] in {"[]", "*"}:
        for each in node if isinstance(node, list) else node.values() if isinstance(node, dict) else []:
            yield from _found(each, way[1:])
    elif isinstance(node, dict) and way[0] in node:
        yield from _found(node[way[0]], way[1:])


POLICIES = (values,)
