"""Rules of ours for the apps: the two function apps on Flex Consumption, the web app, and the events' way to them."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from infra.checks.problem import Problem
from infra.checks.scenarios import BICEP, Scenario
from infra.checks.values import Resource, is_runtime, is_secret

PYTHON = "3.13"
COLOURS = 2
HOST_ID_CHARS = 32
"""Of an app's name, what the Functions host goes by: apps that share storage must differ in it."""

FORBIDDEN_ON_FLEX = {
    "ENABLE_ORYX_BUILD",
    "FUNCTIONS_EXTENSION_VERSION",
    "FUNCTIONS_MAX_HTTP_CONCURRENCY",
    "FUNCTIONS_WORKER_DYNAMIC_CONCURRENCY_ENABLED",
    "FUNCTIONS_WORKER_PROCESS_COUNT",
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_WORKER_RUNTIME_VERSION",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
    "WEBSITE_CONTENTOVERVNET",
    "WEBSITE_CONTENTSHARE",
    "WEBSITE_DNS_SERVER",
    "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT",
    "WEBSITE_NODE_DEFAULT_VERSION",
    "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE_SKIP_CONTENTSHARE_VALIDATION",
    "WEBSITE_VNET_ROUTE_ALL",
}
"""Settings that Flex Consumption refuses or that mislead it; functionAppConfig says what they used to."""
STORAGE = "AzureWebJobsStorage"
IDENTITY_SETTINGS = (f"{STORAGE}__blobServiceUri", f"{STORAGE}__queueServiceUri", f"{STORAGE}__clientId")
BLOB_SOURCE = "TONEARM_BLOB_SOURCE"
MEMORY_MB = {512, 2048, 4096}
COMPLETED_BY = {"PutBlob", "PutBlockList", "CopyBlob", "FlushWithClose"}
"""The calls that complete a blob, as Event Grid names them."""
UPLOADS = "/blobServices/default/containers/uploads/"
HEALTH = "/_stcore/health"
SECRETS_USER = {"4633458b-17de-408a-b874-0445c86b69e6"}
BLOB_WRITERS = {"b7e6dc6d-f1e8-4753-8033-0f276bb0955b", "ba92f5b4-2d11-453d-a403-e96b0029c9fe"}
"""Roles by which blobs can be written."""
HOST_ROLES = (
    ("blobs, locks and keys", {"b7e6dc6d-f1e8-4753-8033-0f276bb0955b"}),
    ("queues", {"974c5e8b-45b9-4653-ba55-5f855dd0fb88"}),
)
"""What the Functions host asks for on its storage. The first lets the code sign upload URLs too."""
METRICS_PUBLISHER = {"3913510d-42f4-4e42-8a64-420c390055eb"}


def settings_of(scenario: Scenario, site: Resource) -> tuple[dict[str, Any], Resource]:
    """A site's app settings, and the resource that says them: the site itself or its ``config/appsettings``."""
    listed = site.properties.get("siteConfig", {}).get("appSettings", [])
    found = {each["name"]: each.get("value") for each in listed}
    said_by = site
    for each in scenario.resources:
        if each.id.lower() == f"{site.id}/config/appsettings".lower() and not each.existing:
            found |= each.properties
            said_by = each
    return found, said_by


def sites(scenario: Scenario) -> list[Resource]:
    """All apps and slots that are deployed."""
    kinds = ("Microsoft.Web/sites", "Microsoft.Web/sites/slots")
    return [each for each in scenario.resources if not each.existing and any(map(each.is_a, kinds))]


def is_function_app(site: Resource) -> bool:
    """Whether it is one of the function apps."""
    return "functionapp" in str(site.body.get("kind", ""))


def _may(scenario: Scenario, principal: str, roles: set[str], over: str) -> bool:
    """Whether one of ``roles`` is given at the resource ``over`` or above it, to whom ``principal`` is a part of."""
    return any(
        each.is_a("Microsoft.Authorization/roleAssignments")
        and f"{over}/".startswith(each.id.partition("providers/Microsoft.Authorization/")[0])
        and str(each.properties.get("roleDefinitionId")).rpartition("/")[2] in roles
        and principal in str(each.properties.get("principalId"))
        for each in scenario.resources
    )


def _principal(identity: str) -> str:
    """What the principal id of a user-assigned identity is called until Azure tells it."""
    return f"|{identity.rpartition('/')[2]}|principalId"


def _at(resource: Resource, text: str) -> Problem:
    return Problem(resource.path, resource.line, f"{resource.symbol}: {text}")


def _main(text: str) -> Problem:
    return Problem(str(BICEP / "main.bicep"), 0, text)


def _every_site(scenario: Scenario) -> Iterator[Problem]:
    for site in sites(scenario):
        config = site.properties.get("siteConfig", {})
        if not _identities(site):
            yield _at(site, "give it an identity, UserAssigned with the identity's id")
        if site.properties.get("httpsOnly") is not True:
            yield _at(site, "set httpsOnly to true")
        for name in ("minTlsVersion", "scmMinTlsVersion"):
            if config.get(name) not in {"1.2", "1.3"}:
                yield _at(site, f"set siteConfig.{name} to 1.2 or newer")
        if config.get("ftpsState") != "Disabled":
            yield _at(site, "set siteConfig.ftpsState to Disabled")
        for each in ("scm", "ftp"):
            if not _passwords_are_off(scenario, site, each):
                yield _at(site, f"deploy its basicPublishingCredentialsPolicies {each} with allow: false")


def _identities(site: Resource) -> list[str]:
    identity = site.body.get("identity", {})
    assigned = list(identity.get("userAssignedIdentities", {})) if "UserAssigned" in identity.get("type", "") else []
    return assigned + (["system"] if "SystemAssigned" in identity.get("type", "") else [])


def _passwords_are_off(scenario: Scenario, site: Resource, name: str) -> bool:
    wanted = f"{site.id}/basicPublishingCredentialsPolicies/{name}".lower()
    return any(each.id.lower() == wanted and each.properties.get("allow") is False for each in scenario.resources)


def _function_apps(scenario: Scenario) -> Iterator[Problem]:
    apps = [site for site in sites(scenario) if is_function_app(site)]
    if len(apps) != COLOURS:
        yield _main(f"{len(apps)} function apps are deployed; there must be two, blue and green")
    for app in apps:
        yield from _flex_plan(scenario, app)
        yield from _flex_config(app)
        yield from _package(scenario, app)
        yield from _function_settings(scenario, app)
    for what, of in (
        (f"the first {HOST_ID_CHARS} characters of their names", [app.name.lower()[:HOST_ID_CHARS] for app in apps]),
        ("their plans", [str(app.properties.get("serverFarmId")) for app in apps]),
        ("the containers of their packages", [_package_url(app) for app in apps]),
    ):
        if len(set(of)) != len(of):
            yield _main(f"the function apps are the same in {what}; they must differ")


def _flex_plan(scenario: Scenario, app: Resource) -> Iterator[Problem]:
    plan = next((each for each in scenario.resources if each.id == app.properties.get("serverFarmId")), None)
    sku = plan.body.get("sku", {}) if plan else {}
    if plan is None or sku.get("name") != "FC1" or sku.get("tier") != "FlexConsumption":
        yield _at(plan or app, "the plan must be FC1 of tier FlexConsumption")
    elif plan.properties.get("reserved") is not True:
        yield _at(plan, "set reserved to true: Flex Consumption is Linux")


def _flex_config(app: Resource) -> Iterator[Problem]:
    config = app.properties.get("functionAppConfig", {})
    if config.get("runtime") != {"name": "python", "version": PYTHON}:
        yield _at(app, f"functionAppConfig.runtime must be python {PYTHON}")
    scale = config.get("scaleAndConcurrency", {})
    if scale.get("instanceMemoryMB") not in MEMORY_MB:
        yield _at(app, f"instanceMemoryMB must be one of {sorted(MEMORY_MB)}")
    ready = {each.get("name"): each.get("instanceCount", 0) for each in scale.get("alwaysReady", [])}
    if not ready.get("blob"):
        yield _at(app, "alwaysReady must hold an instance for group blob, or the listener for uploads never starts")
    if unknown := ready.keys() - {"blob", "http", "durable"}:
        yield _at(app, f"alwaysReady: {', '.join(sorted(unknown))} is no group that this app has")
    if sum(ready.values()) > scale.get("maximumInstanceCount", 0):
        yield _at(app, "alwaysReady holds more instances than maximumInstanceCount")
    site_config = app.properties.get("siteConfig", {})
    for name in ("linuxFxVersion", "alwaysOn", "appCommandLine"):
        if name in site_config:
            yield _at(app, f"siteConfig.{name} is not for Flex Consumption: take it out")


def _package_url(app: Resource) -> str:
    storage = app.properties.get("functionAppConfig", {}).get("deployment", {}).get("storage", {})
    return str(storage.get("value"))


def _package(scenario: Scenario, app: Resource) -> Iterator[Problem]:
    """Where the app's code lies: in a container that is there, read with the app's identity."""
    storage = app.properties.get("functionAppConfig", {}).get("deployment", {}).get("storage", {})
    authentication = storage.get("authentication", {})
    if storage.get("type") != "blobContainer":
        yield _at(app, "functionAppConfig.deployment.storage must be of type blobContainer")
    identity = authentication.get("userAssignedIdentityResourceId")
    by_its_own = authentication.get("type") == "UserAssignedIdentity" and identity in _identities(app)
    if not by_its_own and authentication.get("type") != "SystemAssignedIdentity":
        yield _at(app, "functionAppConfig.deployment.storage must be read with an identity that the app has")
    container = urlsplit(str(storage.get("value"))).path.strip("/")
    made = {each.name for each in scenario.resources if each.type.endswith("/containers") and not each.existing}
    if not any(name.endswith(f"/{container}") for name in made):
        yield _at(app, f"its package goes to container {container!r}, which is not deployed")


def _function_settings(scenario: Scenario, app: Resource) -> Iterator[Problem]:
    settings, said_by = settings_of(scenario, app)
    for name in sorted(settings.keys() & FORBIDDEN_ON_FLEX):
        yield _at(said_by, f"take {name} out: Flex Consumption sets it or refuses it")
    if STORAGE in settings:
        yield _at(said_by, f"take {STORAGE} out: storage is reached with an identity, by {STORAGE}__…")
    for name in IDENTITY_SETTINGS:
        if not settings.get(name):
            yield _at(said_by, f"set {name}: the host needs it beside the others")
    if settings.get(f"{STORAGE}__credential") != "managedidentity":
        yield _at(said_by, f"set {STORAGE}__credential to managedidentity")
    if settings.get(BLOB_SOURCE) != "EventGrid":
        yield _at(said_by, f"set {BLOB_SOURCE} to EventGrid: Flex Consumption has no other source of blobs")
    yield from _host_roles(scenario, app, settings)
    for name, value in settings.items():
        if not isinstance(value, str):
            yield _at(said_by, f"setting {name} must be a string, not {value!r}")


def _host_roles(scenario: Scenario, app: Resource, settings: dict[str, Any]) -> Iterator[Problem]:
    """The app's identity may do on storage and telemetry what the host does with it."""
    account = str(settings.get(f"{STORAGE}__blobServiceUri")).removeprefix("https://").partition(".")[0]
    needed = [(f"{what} of storage", roles, "Microsoft.Storage/storageAccounts") for what, roles in HOST_ROLES]
    if "APPLICATIONINSIGHTS_AUTHENTICATION_STRING" in settings:
        needed.append(("telemetry", METRICS_PUBLISHER, "Microsoft.Insights/components"))
    for what, roles, kind in needed:
        over = [each for each in scenario.resources if each.is_a(kind) and not each.existing]
        places = [each.id for each in over if kind != "Microsoft.Storage/storageAccounts" or each.name == account]
        if not any(_may(scenario, _principal(one), roles, place) for one in _identities(app) for place in places):
            yield _at(app, f"no role lets its identity use {what}")


def _web_app(scenario: Scenario) -> Iterator[Problem]:
    pages = [site for site in sites(scenario) if not is_function_app(site)]
    app = next((site for site in pages if site.is_a("Microsoft.Web/sites")), None)
    if app is None:
        yield _main("no web app is deployed")
        return
    if not any(site.is_a("Microsoft.Web/sites/slots") for site in pages):
        yield _at(app, "it has no slot: a new version is started in one before it is swapped")
    plan = app.properties.get("serverFarmId")
    scaled = [each for each in scenario.resources if each.is_a("Microsoft.Insights/autoscalesettings")]
    if not any(each.properties.get("targetResourceUri") == plan and each.properties.get("enabled") for each in scaled):
        yield _at(app, "no enabled autoscale setting counts its plan's instances")
    live_settings, _ = settings_of(scenario, app)
    for site in pages:
        config = site.properties.get("siteConfig", {})
        for name, value in (
            ("webSocketsEnabled", True),
            ("alwaysOn", True),
            ("healthCheckPath", HEALTH),
            ("linuxFxVersion", f"PYTHON|{PYTHON}"),
        ):
            if config.get(name) != value:
                yield _at(site, f"set siteConfig.{name} to {value!r}")
        if site.properties.get("clientAffinityEnabled") is not True:
            yield _at(site, "set clientAffinityEnabled to true: a session lives in one instance")
        command = str(config.get("appCommandLine", ""))
        if "streamlit run frontend/app.py" not in command or "pip install" in command:
            yield _at(site, "appCommandLine must run streamlit on frontend/app.py, and install nothing")
        settings, said_by = settings_of(scenario, site)
        yield from _page_settings(scenario, site, settings, said_by)
        if settings != live_settings:
            yield _at(said_by, "the slot's settings differ from the app's: a swap would change more than the code")


def _page_settings(
    scenario: Scenario, site: Resource, settings: dict[str, Any], said_by: Resource
) -> Iterator[Problem]:
    """The page calls the live function app with the key that events.bicep puts into the vault."""
    live = _live_app(scenario)
    if live is not None and settings.get("TONEARM_API_URL") != f"https://{live.name}.azurewebsites.net":
        yield _at(said_by, f"TONEARM_API_URL is {settings.get('TONEARM_API_URL')}, but the live app is {live.name}")
    reference = re.fullmatch(
        r"@Microsoft\.KeyVault\(SecretUri=https://([^./]+)\.vault\.azure\.net/secrets/([^/)]+)/?\)",
        str(settings.get("TONEARM_API_KEY", "")),
    )
    if reference is None:
        yield _at(said_by, "TONEARM_API_KEY must refer to Key Vault: @Microsoft.KeyVault(SecretUri=…/secrets/name)")
        return
    vault, secret = reference.groups()
    secrets = [each for each in scenario.resources if each.is_a("Microsoft.KeyVault/vaults/secrets")]
    made = next((each for each in secrets if each.name == f"{vault}/{secret}"), None)
    if made is None:
        yield _at(said_by, f"TONEARM_API_KEY refers to secret {secret} of vault {vault}, which nothing deploys")
    elif live is not None and f"/sites/{live.name}/" not in str(made.properties.get("value")):
        yield _at(made, f"the page reads this key to call {live.name}, but it is the key of another app")
    identity = site.properties.get("keyVaultReferenceIdentity")
    if identity not in _identities(site):
        yield _at(site, "keyVaultReferenceIdentity must be an identity that the site has")
    elif not _may(scenario, _principal(identity), SECRETS_USER, made.id if made else ""):
        yield _at(site, f"no role lets it read secrets of vault {vault}")


def _live_app(scenario: Scenario) -> Resource | None:
    """The function app of the live colour, which both entry points tell."""
    colour = scenario.outputs.get("liveColour", ("",))[0]
    apps = [site for site in sites(scenario) if is_function_app(site)]
    return next((app for app in apps if f"-{colour}-" in app.name), None)


def events(scenario: Scenario, functions: dict[str, str]) -> Iterator[Problem]:
    """The one subscription: to the live app, for completed uploads only, with a place for what cannot be delivered."""
    kind = "Microsoft.EventGrid/systemTopics/eventSubscriptions"
    found = [each for each in scenario.resources if each.is_a(kind) and not each.existing]
    if len(found) != 1:
        yield Problem(str(BICEP / "events.bicep"), 0, f"{len(found)} event subscriptions are deployed, not one")
    for each in found:
        yield from _webhook(scenario, each, functions)
        yield from _filters(each)
        yield from _dead_letters(scenario, each)


def in_events_only(scenario: Scenario) -> Iterator[Problem]:
    """A subscription's webhook must answer when it is made: it comes after the code, so never with main.bicep."""
    for each in scenario.from_main:
        if each.is_a("Microsoft.EventGrid/systemTopics/eventSubscriptions") or _has_secret(each.body):
            yield _at(each, "it needs the code to be there: deploy it by events.bicep")


def _has_secret(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_has_secret, value.values() if isinstance(value, dict) else value))
    return is_secret(value)


def _webhook(scenario: Scenario, each: Resource, functions: dict[str, str]) -> Iterator[Problem]:
    destination = each.properties.get("destination", {})
    url = urlsplit(str(destination.get("properties", {}).get("endpointUrl", "")))
    query = parse_qs(url.query)
    if destination.get("endpointType") != "WebHook" or url.path != "/runtime/webhooks/blobs":
        yield _at(each, "the destination must be a WebHook to /runtime/webhooks/blobs of the function app")
        return
    live = _live_app(scenario)
    if live is not None and url.netloc != f"{live.name}.azurewebsites.net":
        yield _at(each, f"events go to {url.netloc}, but the live app is {live.name}")
    name = query.get("functionName", [""])[0].removeprefix("Host.Functions.")
    if functions.get(name) != "blob_trigger":
        yield _at(each, f"the webhook names function {name!r}, which the code does not declare with a blob trigger")
    key = query.get("code", [""])[0]
    if not is_secret(key) or ".systemKeys.blobs_extension" not in key or "/host/default" not in key:
        yield _at(each, "code must be the host's system key blobs_extension, by listKeys")
    if live is not None and is_runtime(key) and f"/sites/{live.name}/" not in key:
        yield _at(each, f"code is the key of another app than {live.name}")


def _filters(each: Resource) -> Iterator[Problem]:
    chosen = each.properties.get("filter", {})
    if chosen.get("subjectBeginsWith") != UPLOADS:
        yield _at(each, f"filter.subjectBeginsWith must be {UPLOADS}")
    if chosen.get("includedEventTypes") != ["Microsoft.Storage.BlobCreated"]:
        yield _at(each, "filter.includedEventTypes must be Microsoft.Storage.BlobCreated alone")
    calls = [one for one in chosen.get("advancedFilters", []) if one.get("key") == "data.api"]
    if len(calls) != 1 or calls[0].get("operatorType") != "StringIn" or set(calls[0]["values"]) != COMPLETED_BY:
        yield _at(each, f"filter data.api must be StringIn {', '.join(sorted(COMPLETED_BY))}")


def _dead_letters(scenario: Scenario, each: Resource) -> Iterator[Problem]:
    letters = each.properties.get("deadLetterWithResourceIdentity", {})
    place = letters.get("deadLetterDestination", {}).get("properties", {})
    container = f"{place.get('resourceId')}/blobServices/default/containers/{place.get('blobContainerName')}"
    if not letters.get("identity", {}).get("type") or container not in {
        one.id for one in scenario.resources if not one.existing
    }:
        yield _at(each, "deadLetterWithResourceIdentity must name an identity and a container that is deployed")
        return
    topic = each.id.partition("/eventSubscriptions/")[0]
    assigned = letters["identity"].get("userAssignedIdentity")
    if not _may(scenario, _principal(assigned) if assigned else f"{topic} identity", BLOB_WRITERS, container):
        yield _at(each, f"no role lets the topic write dead letters to {place['blobContainerName']}")
    retry = each.properties.get("retryPolicy", {})
    if not retry.get("maxDeliveryAttempts") or not retry.get("eventTimeToLiveInMinutes"):
        yield _at(each, "retryPolicy must say maxDeliveryAttempts and eventTimeToLiveInMinutes")


RULES = (_every_site, _function_apps, _web_app, in_events_only)
