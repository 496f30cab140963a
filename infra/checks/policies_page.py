"""Rules of ours for the web page: Streamlit on App Service."""

import re
from collections.abc import Iterator
from typing import Any

from infra.checks.deployed import (
    at,
    identities,
    is_function_app,
    live_app,
    made,
    may,
    missing,
    principal,
    settings_of,
    sites,
)
from infra.checks.policies_apps import PYTHON
from infra.checks.problem import Problem
from infra.checks.scenarios import Scenario
from infra.checks.values import Resource
from infra.deploy.resources import SLOT
from infra.packages import SITE_PACKAGES

COMMAND = ("streamlit run frontend/app.py", "--server.port 8000", "--server.address 0.0.0.0")
"""What the start command must say: App Service asks port 8000, from outside the container."""
SITE_CONFIG = {
    "webSocketsEnabled": True,
    "alwaysOn": True,
    "healthCheckPath": "/_stcore/health",
    "linuxFxVersion": f"PYTHON|{PYTHON}",
}
SETTINGS = {
    "PYTHONPATH": f"/home/site/wwwroot/{SITE_PACKAGES.as_posix()}",  # where the package is unpacked
    "SCM_DO_BUILD_DURING_DEPLOYMENT": "false",
}
TIERS = {"Standard", "Premium", "PremiumV2", "PremiumV3", "Premium0V3", "PremiumV4", "Premium0V4"}
"""Of App Service plans, those with slots and autoscale."""
CPU = "CpuPercentage"
SECRETS_USER = {"4633458b-17de-408a-b874-0445c86b69e6"}


def _web_app(scenario: Scenario) -> Iterator[Problem]:
    pages = [site for site in sites(scenario) if not is_function_app(site)]
    app = next((site for site in pages if site.is_a("Microsoft.Web/sites")), None)
    if app is None:
        yield missing("no web app is deployed")
        return
    if not any(site.is_a("Microsoft.Web/sites/slots") and site.name == f"{app.name}/{SLOT}" for site in pages):
        yield at(app, f"it has no slot {SLOT}: a new version is started in one before it is swapped")
    yield from _plan(scenario, app)
    live_settings, _ = settings_of(scenario, app)
    for site in pages:
        config = site.properties.get("siteConfig", {})
        for name, value in SITE_CONFIG.items():
            if config.get(name) != value:
                yield at(site, f"set siteConfig.{name} to {value!r}")
        if site.properties.get("clientAffinityEnabled") is not True:
            yield at(site, "set clientAffinityEnabled to true: a session lives in one instance")
        command = str(config.get("appCommandLine", ""))
        if not all(part in command for part in COMMAND) or "pip install" in command:
            yield at(site, f"appCommandLine must say {', '.join(COMMAND)}, and install nothing")
        if site.properties.get("virtualNetworkSubnetId") and config.get("vnetRouteAllEnabled") is not True:
            yield at(
                site, "set siteConfig.vnetRouteAllEnabled to true: else the closed vault cannot be asked for the key"
            )
        settings, said_by = settings_of(scenario, site)
        yield from _page_settings(scenario, site, settings, said_by)
        if settings != live_settings:
            yield at(said_by, "the slot's settings differ from the app's: a swap would change more than the code")


def _plan(scenario: Scenario, app: Resource) -> Iterator[Problem]:
    """Its plan has slots and autoscale, and the autoscale makes sense."""
    plan = next((each for each in scenario.resources if each.id == app.properties.get("serverFarmId")), app)
    if plan.body.get("sku", {}).get("tier") not in TIERS:
        yield at(plan, f"slots and autoscale take a plan of tier {', '.join(sorted(TIERS))}")
    scaled = [
        each
        for each in made(scenario, "Microsoft.Insights/autoscalesettings")
        if each.properties.get("targetResourceUri") == plan.id and each.properties.get("enabled")
    ]
    if not scaled:
        yield at(app, "no enabled autoscale setting counts its plan's instances")
    for each in scaled:
        for profile in each.properties.get("profiles", []):
            try:
                least, usual, most = (int(profile["capacity"][name]) for name in ("minimum", "default", "maximum"))
            except (KeyError, TypeError, ValueError):
                yield at(each, "capacity must say minimum, default and maximum, each a number")
                continue
            if not 1 <= least <= usual <= most:
                yield at(each, f"instances: at least {least}, usually {usual}, at most {most} cannot be")
            rules = profile.get("rules", [])
            if {rule.get("scaleAction", {}).get("direction") for rule in rules} != {"Increase", "Decrease"}:
                yield at(each, "it needs a rule that adds instances and one that takes them away")
            if any(rule.get("metricTrigger", {}).get("metricName") != CPU for rule in rules):
                yield at(each, f"metricName must be {CPU}, as plans call it")


def _page_settings(
    scenario: Scenario, site: Resource, settings: dict[str, Any], said_by: Resource
) -> Iterator[Problem]:
    """The page calls the live function app with the key that events.bicep puts into the vault."""
    live = live_app(scenario)
    if live is not None and settings.get("TONEARM_API_URL") != f"https://{live.name}.azurewebsites.net":
        yield at(said_by, f"TONEARM_API_URL is {settings.get('TONEARM_API_URL')}, but the live app is {live.name}")
    for name, value in SETTINGS.items():
        if settings.get(name) != value:
            yield at(said_by, f"set {name} to {value}")
    reference = re.fullmatch(
        r"@Microsoft\.KeyVault\(SecretUri=https://([^./]+)\.vault\.azure\.net/secrets/([^/)]+)/?\)",
        str(settings.get("TONEARM_API_KEY", "")),
    )
    if reference is None:
        yield at(said_by, "TONEARM_API_KEY must refer to Key Vault: @Microsoft.KeyVault(SecretUri=…/secrets/name)")
        return
    vault, secret = reference.groups()
    secrets = made(scenario, "Microsoft.KeyVault/vaults/secrets")
    kept = next((each for each in secrets if each.name == f"{vault}/{secret}"), None)
    if kept is None:
        yield at(said_by, f"TONEARM_API_KEY refers to secret {secret} of vault {vault}, which nothing deploys")
    elif live is not None and f"/sites/{live.name}/" not in str(kept.properties.get("value")):
        yield at(kept, f"the page reads this key to call {live.name}, but it is the key of another app")
    identity = site.properties.get("keyVaultReferenceIdentity")
    if identity not in identities(site):
        yield at(site, "keyVaultReferenceIdentity must be an identity that the site has")
    elif not may(scenario, principal(identity), SECRETS_USER, kept.id if kept else ""):
        yield at(site, f"no role lets it read secrets of vault {vault}")


RULES = (_web_app,)
