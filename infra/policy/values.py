"""Values that must be there, out of those that Azure takes: most of its enumerations are open strings to the compiler.

Sources: https://learn.microsoft.com/azure/templates/. A resource type that has no row and is
not in `FREE` is reported, so that somebody looks its values up.
"""

import re
from collections.abc import Iterator
from typing import Any

from infra.packages import SITE_PACKAGES
from infra.policy.deployment import Deployment

HEALTH = "/_stcore/health"
ASSERTION = "OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID"
"""In place of a secret: https://learn.microsoft.com/azure/app-service/configure-authentication-provider-aad."""
WINDOWS = {"PT1M", "PT5M", "PT15M", "PT30M", "PT1H", "PT6H", "PT12H", "P1D"}
OPERATORS = {"GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual"}
COUNT = re.compile(r"[1-9]\d*")
TO_1000 = re.compile(r"[1-9]\d{0,2}|1000")
GUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
CLIENT, ISSUER = re.compile(f"{GUID}|"), re.compile(rf"\[format\('\{{0}}\{{1}}/v2\.0', env.*loginEndpoint, '{GUID}'\)]")
# App Service asks port 8000, from outside the container. Nothing is installed at the start.
START = "python -m streamlit run frontend/app.py --server.port 8000 --server.address 0.0.0.0 --server.headless true"
ACCOUNT, SITE, PAGE, FLEX = (
    "Storage/storageAccounts",
    r"Web/sites(/slots)?",
    r"Web/sites(/slots)? app-.*",
    "Web/sites func-.*",
)
SIGN_IN, SETTINGS = rf"{SITE}/config .*/authsettingsV2", rf"{SITE}/config app-.*/appsettings"
SCALE, PLANS = ".functionAppConfig.scaleAndConcurrency", r"Web/serverfarms"
AUTOSCALE, RULES, TOPIC = "Insights/autoscalesettings", ".profiles[].rules[].", "EventGrid/systemTopics"
SUBSCRIPTION, QUERY, METRIC = f"{TOPIC}/eventSubscriptions", "Insights/scheduledQueryRules", "Insights/metricAlerts"
TEST, BUDGET, ENTRA = "Insights/webtests", "Consumption/budgets", ".identityProviders.azureActiveDirectory."
APP_LOGS = {f"AppService{each}Logs" for each in ("Console", "HTTP", "Platform")}

# Resource type and name; a value, a set or a pattern; where it stands: `.x` is properties.x, `[]` each item,
# `*` each value. Only what stands below a list or `*` may be missing.
ROWS: list[tuple[str, Any, str]] = [
    (ACCOUNT, "StorageV2", "kind"),
    (ACCOUNT, {"Standard_LRS", "Standard_ZRS", "Standard_GZRS"}, "sku.name"),
    (ACCOUNT, "Hot", ".accessTier"),
    (ACCOUNT, {"TLS1_2", "TLS1_3"}, ".minimumTlsVersion"),
    (ACCOUNT, False, ".allowSharedKeyAccess .allowBlobPublicAccess .allowCrossTenantReplication"),
    (ACCOUNT, True, ".supportsHttpsTrafficOnly"),
    (ACCOUNT, {"AzureServices", "None"}, ".networkAcls.bypass"),
    (f"{ACCOUNT}/blobServices", True, ".deleteRetentionPolicy.enabled .containerDeleteRetentionPolicy.enabled"),
    (f"{ACCOUNT}/blobServices", COUNT, ".deleteRetentionPolicy.days .containerDeleteRetentionPolicy.days"),
    (f"{ACCOUNT}/blobServices/containers", "None", ".publicAccess"),
    (f"{ACCOUNT}/managementPolicies", True, ".policy.rules[].enabled"),
    (f"{ACCOUNT}/managementPolicies", "Lifecycle", ".policy.rules[].type"),
    (f"{ACCOUNT}/managementPolicies", {"blockBlob", "appendBlob"}, ".policy.rules[].definition.filters.blobTypes[]"),
    ("KeyVault/vaults", {"standard", "premium"}, ".sku.name"),
    ("KeyVault/vaults", "A", ".sku.family"),
    ("KeyVault/vaults", True, ".enableRbacAuthorization .enableSoftDelete .enablePurgeProtection"),
    ("KeyVault/vaults", re.compile(r"[7-9]|[1-8]\d|90"), ".softDeleteRetentionInDays"),
    ("ContainerRegistry/registries", {"Basic", "Standard", "Premium"}, "sku.name"),
    ("ContainerRegistry/registries", False, ".adminUserEnabled .anonymousPullEnabled"),
    (PLANS, True, ".reserved"),  # Linux
    (f"{PLANS} plan-func-.*", "functionapp", "kind"),
    (f"{PLANS} plan-func-.*", "FC1", "sku.name"),
    (f"{PLANS} plan-func-.*", "FlexConsumption", "sku.tier"),
    (f"{PLANS} plan-app-.*", "linux", "kind"),
    (f"{PLANS} plan-app-.*", "P0v3", "sku.name"),
    (f"{PLANS} plan-app-.*", "Premium0V3", "sku.tier"),
    (SITE, "UserAssigned", "identity.type"),
    (SITE, True, ".httpsOnly .siteConfig.http20Enabled"),
    (SITE, "Enabled", ".publicNetworkAccess"),
    (SITE, {"1.2", "1.3"}, ".siteConfig.minTlsVersion .siteConfig.scmMinTlsVersion"),
    (FLEX, "functionapp,linux", "kind"),
    (FLEX, {"name": "python", "version": "3.13"}, ".functionAppConfig.runtime"),
    (FLEX, "blobContainer", ".functionAppConfig.deployment.storage.type"),
    (FLEX, "UserAssignedIdentity", ".functionAppConfig.deployment.storage.authentication.type"),
    (FLEX, {512, 2048, 4096}, f"{SCALE}.instanceMemoryMB"),
    (FLEX, TO_1000, f"{SCALE}.maximumInstanceCount {SCALE}.triggers.http.perInstanceConcurrency"),
    (FLEX, {"blob", "http"}, f"{SCALE}.alwaysReady[].name"),
    (PAGE, "app,linux", "kind"),
    (PAGE, True, ".clientAffinityEnabled .siteConfig.webSocketsEnabled .siteConfig.alwaysOn"),  # sessions stay put
    (PAGE, False, ".siteConfig.remoteDebuggingEnabled"),
    (PAGE, HEALTH, ".siteConfig.healthCheckPath"),
    (PAGE, "PYTHON|3.13", ".siteConfig.linuxFxVersion"),
    (PAGE, START, ".siteConfig.appCommandLine"),
    (PAGE, "Disabled", ".siteConfig.ftpsState"),
    (SIGN_IN, "azureactivedirectory", ".globalValidation.redirectToProvider"),
    (SIGN_IN, [HEALTH], ".globalValidation.excludedPaths"),
    (SIGN_IN, True, ".httpSettings.requireHttps"),
    (SIGN_IN, False, ".login.tokenStore.enabled"),
    (SIGN_IN, ASSERTION, f"{ENTRA}registration.clientSecretSettingName"),
    (SIGN_IN, CLIENT, f"{ENTRA}registration.clientId {ENTRA}validation.allowedAudiences[]"),
    (SIGN_IN, ISSUER, f"{ENTRA}registration.openIdIssuer"),
    (SETTINGS, f"/home/site/wwwroot/{SITE_PACKAGES.as_posix()}", ".PYTHONPATH"),  # where the package is unpacked
    (SETTINGS, "false", ".SCM_DO_BUILD_DURING_DEPLOYMENT"),
    (SETTINGS, {"required", "off"}, ".TONEARM_SIGN_IN"),
    (SETTINGS, {"own", "shared"}, ".TONEARM_HISTORY"),
    (f"{SITE}/basicPublishingCredentialsPolicies", False, ".allow"),
    (AUTOSCALE, "CpuPercentage", f"{RULES}metricTrigger.metricName"),
    (AUTOSCALE, "Average", f"{RULES}metricTrigger.statistic {RULES}metricTrigger.timeAggregation"),
    (AUTOSCALE, WINDOWS, f"{RULES}metricTrigger.timeGrain {RULES}metricTrigger.timeWindow {RULES}scaleAction.cooldown"),
    (AUTOSCALE, OPERATORS, f"{RULES}metricTrigger.operator"),
    (AUTOSCALE, {"Increase", "Decrease"}, f"{RULES}scaleAction.direction"),
    (AUTOSCALE, "ChangeCount", f"{RULES}scaleAction.type"),
    (TOPIC, "Microsoft.Storage.StorageAccounts", ".topicType"),
    (TOPIC, "SystemAssigned", "identity.type"),
    (SUBSCRIPTION, "WebHook", ".destination.endpointType"),
    (SUBSCRIPTION, "EventGridSchema", ".eventDeliverySchema"),
    (SUBSCRIPTION, "/blobServices/default/containers/uploads/", ".filter.subjectBeginsWith"),
    (SUBSCRIPTION, ["Microsoft.Storage.BlobCreated"], ".filter.includedEventTypes"),
    (SUBSCRIPTION, re.compile(r"[1-9]|[12]\d|30"), ".retryPolicy.maxDeliveryAttempts"),
    (SUBSCRIPTION, re.compile(r"[1-9]\d{0,2}|1[0-3]\d\d|14[0-3]\d|1440"), ".retryPolicy.eventTimeToLiveInMinutes"),
    (SUBSCRIPTION, "SystemAssigned", ".deadLetterWithResourceIdentity.identity.type"),
    ("Network/virtualNetworks", re.compile("Microsoft.(App/environments|Web/serverFarms)"),
     ".subnets[].properties.delegations[].properties.serviceName"),
    ("Authorization/roleAssignments", "ServicePrincipal", ".principalType"),
    ("Authorization/locks", "CanNotDelete", ".level"),
    ("OperationalInsights/workspaces", "PerGB2018", ".sku.name"),
    ("OperationalInsights/workspaces", COUNT, ".workspaceCapping.dailyQuotaGb .retentionInDays"),
    ("Insights/components", "web", "kind"),
    ("Insights/components", "LogAnalytics", ".IngestionMode"),
    ("Insights/components", True, ".DisableLocalAuth"),  # its connection string is then an address, not a key
    (f"{QUERY}|{METRIC}", True, ".enabled"),
    (f"{QUERY}|{METRIC}", {0, 1, 2, 3, 4}, ".severity"),
    (f"{QUERY}|{METRIC}", WINDOWS, ".evaluationFrequency .windowSize"),
    (f"{QUERY}|{METRIC} alert-.*", OPERATORS, ".criteria.allOf[].operator"),
    (QUERY, "LogAlert", "kind"),
    (QUERY, "Count", ".criteria.allOf[].timeAggregation"),
    (METRIC, "global", "location"),
    (METRIC, {"Average", "Maximum", "Minimum", "Total"}, ".criteria.allOf[].timeAggregation"),
    (TEST, "standard", "kind .Kind"),
    (TEST, True, ".Enabled"),
    (TEST, {300, 600, 900}, ".Frequency"),
    (TEST, {"emea-gb-db3-azr", "emea-nl-ams-azr", "us-va-ash-azr"}, ".Locations[].Id"),
    (TEST, "GET", ".Request.HttpVerb"),
    (TEST, 200, ".ValidationRules.ExpectedHttpStatusCode"),
    ("Insights/diagnosticSettings", {"AuditEvent", "DeliveryFailures", *APP_LOGS}, ".logs[].category"),
    ("Insights/actionGroups", True, ".enabled"),
    ("Insights/actionGroups", "global", "location"),
    ("Insights/workbooks", "shared", "kind"),
    (BUDGET, "Cost", ".category"),
    (BUDGET, "Monthly", ".timeGrain"),
    (BUDGET, COUNT, ".amount"),
    (BUDGET, True, ".notifications.*.enabled"),
    (BUDGET, OPERATORS, ".notifications.*.operator"),
    (BUDGET, {"Actual", "Forecasted"}, ".notifications.*.thresholdType"),
]  # fmt: skip
FREE = (
    r"Network/private(DnsZones|Endpoints)(/\w+)?|ManagedIdentity/userAssignedIdentities|KeyVault/vaults/secrets|"
    rf"Resources/tags|{ACCOUNT}/queueServices(/queues)?|{SITE}/config"
)
"""Types without such values, or whose values another policy compares."""


def values(deployment: Deployment) -> Iterator[str]:
    """Every value that has a row is there, and one that Azure and this system take."""
    for resource in deployment.resources:
        name = f"{resource.type.removeprefix('Microsoft.')} {resource.name}"
        rows = [row for row in ROWS if re.fullmatch(rf"({row[0]})( .*)?", name)]
        if not rows and not re.fullmatch(rf"({FREE}) .*", name):
            yield f"{resource}: values.py does not know this resource type"
        for _, allowed, paths in rows:
            for path in paths.split():
                way = re.sub(r"^\.", "properties.", path).replace("[]", ".[]").split(".")
                found = list(_found(resource.body, way))
                if not found and not {"[]", "*"} & set(way):
                    yield f"{resource}: say {path}"
                for value in found:
                    if not _fits(value, allowed):
                        yield f"{resource}: {path} is {value!r}; Azure, or this system, takes {allowed}"


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
