"""Policies on the apps: two colours on Flex Consumption, which takes less than other plans do, and their identities."""

import re
from collections.abc import Iterator

from infra.policy.deployment import Deployment, Resource, identities, refers_to
from infra.policy.values import TABLES

COLOURS = ["blue", "green"]
HOST_ID_CHARS = 32
"""The host goes by as many of an app's name; two apps that share them share their locks and keys."""
HOST, DATA = "AzureWebJobsStorage", "TonearmData"
"""The connections: of the host, and of the triggers and the code."""


def every_site(deployment: Deployment) -> Iterator[str]:
    """A plan that is deployed, an identity, and no passwords."""
    for site in deployment.sites:
        if deployment.by_id(site.properties.get("serverFarmId")) is None:
            yield f"{site}: its plan is not deployed"
        if not identities(site):
            yield f"{site}: give it an identity"
        policies = deployment.below(site, "basicPublishingCredentialsPolicies")
        missing = {"scm"} if site in deployment.function_apps else {"scm", "ftp"}  # Flex Consumption has no FTP
        for name in missing - {each.name.rpartition("/")[2] for each in policies}:
            yield f"{site}: deploy basicPublishingCredentialsPolicies {name}"


def two_colours(deployment: Deployment) -> Iterator[str]:
    """Blue and green, which share no plan, no package container and no host id, and scale alike."""
    apps = deployment.function_apps
    if sorted(str(each.at("tags.colour")) for each in apps) != COLOURS:
        yield f"there must be a function app for each of {', '.join(COLOURS)}"
    for what, values in (
        (f"the first {HOST_ID_CHARS} characters of their names", [each.name[:HOST_ID_CHARS] for each in apps]),
        ("their plans", [each.properties.get("serverFarmId") for each in apps]),
        ("the containers of their packages", [_package_container(each) for each in apps]),
    ):
        if len(set(values)) != len(values):
            yield f"the function apps are the same in {what}"
    # A switch must change no app: an update of a site ends or drains what it runs.
    if len({str(each.at("properties.functionAppConfig.scaleAndConcurrency")) for each in apps}) > 1:
        yield "the colours scale differently: a switch would have to update an app under traffic"


def flex_takes_it(deployment: Deployment) -> Iterator[str]:
    """Nothing that Flex Consumption does not have; instances within what it gives."""
    for app in deployment.function_apps:
        properties = [*app.properties, *app.properties.get("siteConfig", {})]
        wrong = [name for name in properties if name.lower() in TABLES["not_on_flex"]]
        wrong += [name for name in app.properties["functionAppConfig"] if name in TABLES["not_in_function_app_config"]]
        settings = deployment.config(app, "appsettings")
        wrong += [name for name in settings if re.fullmatch(TABLES["settings_not_on_flex"], name)]
        yield from (f"{app}: {name} is not for Flex Consumption: take it out" for name in wrong)
        scale = app.at("properties.functionAppConfig.scaleAndConcurrency") or {}
        ready = {each["name"]: each["instanceCount"] for each in scale.get("alwaysReady", [])}
        if not ready.get("blob"):
            yield f"{app}: alwaysReady needs an instance of group blob, or the listener for uploads never starts"
        if sum(ready.values()) > scale.get("maximumInstanceCount", 0):
            yield f"{app}: alwaysReady holds more instances than maximumInstanceCount"


def package(deployment: Deployment) -> Iterator[str]:
    """An app's code is read from a container that is there, with an identity that the app has."""
    for app in deployment.function_apps:
        storage = app.at("properties.functionAppConfig.deployment.storage") or {}
        account = deployment.account_of(_package_container(app))
        if not refers_to(storage.get("value"), account, r"primaryEndpoints\.blob"):
            yield f"{app}: its package's container {_package_container(app)!r} is not deployed there"
        if storage.get("authentication", {}).get("userAssignedIdentityResourceId") not in identities(app):
            yield f"{app}: its package must be read with an identity that the app has"


def _package_container(app: Resource) -> str:
    value = str(app.at("properties.functionAppConfig.deployment.storage.value"))
    return value.rstrip("')]").rpartition("'")[2]


def identity_settings(deployment: Deployment) -> Iterator[str]:
    """Storage and telemetry are reached with the app's own identity, and with no key."""
    accounts = {HOST: deployment.account_of("deployments-blue"), DATA: deployment.account_of("uploads")}
    insights = next(iter(deployment.made("Microsoft.Insights/components")), None)
    for app in deployment.function_apps:
        settings = deployment.config(app, "appsettings")
        identity = deployment.by_id(next(iter(identities(app)), ""))
        telemetry = settings.get("APPLICATIONINSIGHTS_AUTHENTICATION_STRING")
        wanted = [
            (f"{connection}__{each}ServiceUri", account, rf"primaryEndpoints\.{each}")
            for connection, account in accounts.items()
            for each in (("blob", "queue", "table") if connection == HOST else ("blob", "queue"))
        ]
        wanted += [(f"{connection}__clientId", identity, "clientId") for connection in accounts]
        wanted += [("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", identity, "clientId")]
        wanted += [("APPLICATIONINSIGHTS_CONNECTION_STRING", insights, "ConnectionString")]
        for name, resource, property_ in wanted:
            if not refers_to(settings.get(name), resource, property_):
                yield f"{app}: {name} must be {property_} of {resource}, not {settings.get(name)}"
        if "ClientId={0};Authorization=AAD'" not in str(telemetry):
            yield f"{app}: APPLICATIONINSIGHTS_AUTHENTICATION_STRING must be ClientId=…;Authorization=AAD"


POLICIES = (every_site, two_colours, flex_takes_it, package, identity_settings)
