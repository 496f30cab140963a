"""Rules of ours for the apps: what holds for every site, and the two function apps on Flex Consumption."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from infra.checks.deployed import at, identities, is_function_app, made, may, missing, principal, settings_of, sites
from infra.checks.problem import Problem
from infra.checks.scenarios import Scenario
from infra.checks.values import Resource

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
TELEMETRY_IDENTITY = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING"
USER_ASSIGNED = "Microsoft.ManagedIdentity/userAssignedIdentities"
BLOB_SOURCE = "TONEARM_BLOB_SOURCE"
MEMORY_MB = {512, 2048, 4096}
MOST_AT_ONCE = 1000
"""HTTP requests that Flex Consumption gives an instance at the most."""
HOST_ROLES = (
    ("blobs, locks and keys", {"b7e6dc6d-f1e8-4753-8033-0f276bb0955b"}),
    ("queues", {"974c5e8b-45b9-4653-ba55-5f855dd0fb88"}),
)
"""What the Functions host asks for on its storage. The first lets the code sign upload URLs too."""
METRICS_PUBLISHER = {"3913510d-42f4-4e42-8a64-420c390055eb"}


def _every_site(scenario: Scenario) -> Iterator[Problem]:
    for site in sites(scenario):
        yield from _runs_on_linux(scenario, site)
        config = site.properties.get("siteConfig", {})
        if not identities(site):
            yield at(site, "give it an identity, UserAssigned with the identity's id")
        if site.properties.get("httpsOnly") is not True:
            yield at(site, "set httpsOnly to true")
        for name in ("minTlsVersion", "scmMinTlsVersion"):
            if config.get(name) not in {"1.2", "1.3"}:
                yield at(site, f"set siteConfig.{name} to 1.2 or newer")
        if config.get("ftpsState") != "Disabled":
            yield at(site, "set siteConfig.ftpsState to Disabled")
        for each in ("scm", "ftp"):
            if not _passwords_are_off(scenario, site, each):
                yield at(site, f"deploy its basicPublishingCredentialsPolicies {each} with allow: false")


def _runs_on_linux(scenario: Scenario, site: Resource) -> Iterator[Problem]:
    wanted = "functionapp,linux" if is_function_app(site) else "app,linux"
    if site.body.get("kind") != wanted:
        yield at(site, f"set kind to {wanted}")
    plan = next((each for each in scenario.resources if each.id == site.properties.get("serverFarmId")), None)
    if plan is None or plan.properties.get("reserved") is not True:
        yield at(plan or site, "its plan must be deployed with reserved: true, which means Linux")


def _passwords_are_off(scenario: Scenario, site: Resource, name: str) -> bool:
    wanted = f"{site.id}/basicPublishingCredentialsPolicies/{name}".lower()
    return any(each.id.lower() == wanted and each.properties.get("allow") is False for each in scenario.resources)


def _function_apps(scenario: Scenario) -> Iterator[Problem]:
    apps = [site for site in sites(scenario) if is_function_app(site)]
    if len(apps) != COLOURS:
        yield missing(f"{len(apps)} function apps are deployed; there must be two, blue and green")
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
            yield missing(f"the function apps are the same in {what}; they must differ")


def _flex_plan(scenario: Scenario, app: Resource) -> Iterator[Problem]:
    plan = next((each for each in scenario.resources if each.id == app.properties.get("serverFarmId")), None)
    sku = plan.body.get("sku", {}) if plan else {}
    if plan is None or sku.get("name") != "FC1" or sku.get("tier") != "FlexConsumption":
        yield at(plan or app, "the plan must be FC1 of tier FlexConsumption")


def _flex_config(app: Resource) -> Iterator[Problem]:
    config = app.properties.get("functionAppConfig", {})
    if config.get("runtime") != {"name": "python", "version": PYTHON}:
        yield at(app, f"functionAppConfig.runtime must be python {PYTHON}")
    scale = config.get("scaleAndConcurrency", {})
    if scale.get("instanceMemoryMB") not in MEMORY_MB:
        yield at(app, f"instanceMemoryMB must be one of {sorted(MEMORY_MB)}")
    ready = {each.get("name"): each.get("instanceCount", 0) for each in scale.get("alwaysReady", [])}
    if not ready.get("blob"):
        yield at(app, "alwaysReady must hold an instance for group blob, or the listener for uploads never starts")
    if unknown := ready.keys() - {"blob", "http", "durable"}:
        yield at(app, f"alwaysReady: {', '.join(sorted(unknown))} is no group that this app has")
    if sum(ready.values()) > scale.get("maximumInstanceCount", 0):
        yield at(app, "alwaysReady holds more instances than maximumInstanceCount")
    at_once = scale.get("triggers", {}).get("http", {}).get("perInstanceConcurrency", 1)
    if not isinstance(at_once, int) or not 1 <= at_once <= MOST_AT_ONCE:
        yield at(app, f"triggers.http.perInstanceConcurrency must be between 1 and {MOST_AT_ONCE}")
    site_config = app.properties.get("siteConfig", {})
    for name in ("linuxFxVersion", "alwaysOn", "appCommandLine"):
        if name in site_config:
            yield at(app, f"siteConfig.{name} is not for Flex Consumption: take it out")


def _package_url(app: Resource) -> str:
    storage = app.properties.get("functionAppConfig", {}).get("deployment", {}).get("storage", {})
    return str(storage.get("value"))


def _package(scenario: Scenario, app: Resource) -> Iterator[Problem]:
    """Where the app's code lies: in a container that is there, read with the app's identity."""
    storage = app.properties.get("functionAppConfig", {}).get("deployment", {}).get("storage", {})
    authentication = storage.get("authentication", {})
    if storage.get("type") != "blobContainer":
        yield at(app, "functionAppConfig.deployment.storage must be of type blobContainer")
    identity = authentication.get("userAssignedIdentityResourceId")
    by_its_own = authentication.get("type") == "UserAssignedIdentity" and identity in identities(app)
    if not by_its_own and authentication.get("type") != "SystemAssignedIdentity":
        yield at(app, "functionAppConfig.deployment.storage must be read with an identity that the app has")
    container = urlsplit(str(storage.get("value"))).path.strip("/")
    containers = made(scenario, "Microsoft.Storage/storageAccounts/blobServices/containers")
    if not any(each.name.endswith(f"/{container}") for each in containers):
        yield at(app, f"its package goes to container {container!r}, which is not deployed")


def _function_settings(scenario: Scenario, app: Resource) -> Iterator[Problem]:
    settings, said_by = settings_of(scenario, app)
    for name in sorted(settings.keys() & FORBIDDEN_ON_FLEX):
        yield at(said_by, f"take {name} out: Flex Consumption sets it or refuses it")
    if settings.get(BLOB_SOURCE) != "EventGrid":
        yield at(said_by, f"set {BLOB_SOURCE} to EventGrid: Flex Consumption has no other source of blobs")
    for name, value in settings.items():
        if not isinstance(value, str):
            yield at(said_by, f"setting {name} must be a string, not {value!r}")
    for fault in _identity_settings(app, settings):
        yield at(said_by, fault)
    yield from _host_roles(scenario, app, settings)


def _identity_settings(app: Resource, settings: dict[str, Any]) -> Iterator[str]:
    """Storage and telemetry are reached with the app's own identity, and with no key."""
    if STORAGE in settings:
        yield f"take {STORAGE} out: storage is reached with an identity, by {STORAGE}__…"
    for name in IDENTITY_SETTINGS:
        if not settings.get(name):
            yield f"set {name}: the host needs it beside the others"
    if settings.get(f"{STORAGE}__credential") != "managedidentity":
        yield f"set {STORAGE}__credential to managedidentity"
    client_id = settings.get(f"{STORAGE}__clientId")
    if client_id not in {f"⟦{USER_ASSIGNED}|{one.rpartition('/')[2]}|clientId⟧" for one in identities(app)}:
        yield f"{STORAGE}__clientId must be the client id of the app's own identity"
    if settings.get(TELEMETRY_IDENTITY) != f"ClientId={client_id};Authorization=AAD":
        yield f"{TELEMETRY_IDENTITY} must be ClientId=…;Authorization=AAD with the same client id"


def _host_roles(scenario: Scenario, app: Resource, settings: dict[str, Any]) -> Iterator[Problem]:
    """The app's identity may do on storage and telemetry what the host does with it."""
    account = str(settings.get(f"{STORAGE}__blobServiceUri")).removeprefix("https://").partition(".")[0]
    needed = [(f"{what} of storage", roles, "Microsoft.Storage/storageAccounts") for what, roles in HOST_ROLES]
    needed.append(("telemetry", METRICS_PUBLISHER, "Microsoft.Insights/components"))
    for what, roles, kind in needed:
        storage = kind == "Microsoft.Storage/storageAccounts"
        places = [each.id for each in made(scenario, kind) if not storage or each.name == account]
        if not any(may(scenario, principal(one), roles, place) for one in identities(app) for place in places):
            yield at(app, f"no role lets its identity use {what}")


RULES = (_every_site, _function_apps)
