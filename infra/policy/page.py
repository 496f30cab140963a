"""Policies on the web page: who may see what, whom it asks with which key, and a slot that is swapped."""

import re
from collections.abc import Iterator

from infra.deploy.resources import SLOT
from infra.packages import SITE_PACKAGES
from infra.policy.deployment import Deployment, Resource, identities, refers_to

ASSERTION = "OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID"
"""In place of a secret: https://learn.microsoft.com/azure/app-service/configure-authentication-provider-aad."""


def there_is_a_slot(deployment: Deployment) -> Iterator[str]:
    """One web app, with the slot that infra.deploy publishes to; a first deployment makes them alike."""
    names = [each.name for each in deployment.pages]
    if len(names) != 2 or names[1] != f"{names[0]}/{SLOT}":
        yield f"there must be one web app with one slot, {SLOT}, not {names}"
        return
    app, slot = deployment.pages
    if deployment.config(app, "appsettings").get("PYTHONPATH") != f"/home/site/wwwroot/{SITE_PACKAGES}":
        yield f"{app}: PYTHONPATH must be where the package is unpacked"
    if slot.properties != app.properties:
        yield f"{slot}: it differs from the app: a swap would change more than the code"
    for name in ("appsettings", "authsettingsV2"):
        one, other = (deployment.config(each, name) for each in (app, slot))
        differing = {each for each in one.keys() | other.keys() if one.get(each) != other.get(each)}
        if differing:
            yield f"{slot}: {name} {', '.join(sorted(differing))} differ from the app's"


def visitors_sign_in(deployment: Deployment) -> Iterator[str]:
    """App Service asks who a visitor is, on page and slot alike; the page is told whether it does.

    Where it does not, a client can send the identity headers itself, so the page must know not to read them.
    """
    wanted = deployment.name != "open"
    for site in deployment.pages:
        settings = deployment.config(site, "appsettings")
        found = Resource("", "", "", deployment.config(site, "authsettingsV2"))
        asked = [found.at("platform.enabled"), found.at("globalValidation.requireAuthentication")]
        asked += [found.at("identityProviders.azureActiveDirectory.enabled")]
        asked += [found.at("globalValidation.unauthenticatedClientAction") == "RedirectToLoginPage"]
        if asked != [wanted] * 4 or (settings.get("TONEARM_SIGN_IN") == "required") != wanted:
            yield f"{site}: sign-in must be {wanted} in authsettingsV2 ({asked}) and in TONEARM_SIGN_IN"
        if wanted and settings.get("TONEARM_HISTORY") != "own":
            yield f"{site}: by default a visitor sees only what is his own"
        client = found.at("identityProviders.azureActiveDirectory.registration.clientId")
        audiences = found.at("identityProviders.azureActiveDirectory.validation.allowedAudiences")
        if audiences != [client] or bool(client) != wanted:
            yield f"{site}: tokens must be for the app registration {client}, not for {audiences}"
        identity = deployment.by_id(next(iter(identities(site)), ""))
        if not refers_to(settings.get(ASSERTION), identity, "clientId"):
            yield f"{site}: {ASSERTION} must be the client id of its identity: there is no client secret"
        sticky = deployment.config(deployment.pages[0], "slotConfigNames").get("appSettingNames", [])
        if ASSERTION not in sticky:
            yield f"{site}: {ASSERTION} must not be swapped: name it in slotConfigNames"


def page_asks_a_colour(deployment: Deployment) -> Iterator[str]:
    """The page calls a function app with that app's key out of the vault."""
    vault = next(iter(deployment.made("Microsoft.KeyVault/vaults")), None)
    for site in deployment.pages:
        settings = deployment.config(site, "appsettings")
        url, key = str(settings.get("TONEARM_API_URL")), str(settings.get("TONEARM_API_KEY"))
        asked = next((each for each in deployment.function_apps if refers_to(url, each, "defaultHostName")), None)
        colour = asked.at("tags.colour") if asked else None
        if asked is None or "https://" not in url:
            yield f"{site}: TONEARM_API_URL must be the https address of a function app, not {url}"
        pattern = (
            rf".*@Microsoft\.KeyVault\(SecretUri=\{{0}}\)', .*secrets/function-key-\{{1}}', .*vaultUri, '{colour}'\).*"
        )
        if not re.fullmatch(pattern, key) or not refers_to(key, vault, "vaultUri"):
            yield f"{site}: TONEARM_API_KEY must refer to the vault's secret function-key-{colour}, not {key}"
        if site.properties.get("keyVaultReferenceIdentity") not in identities(site):
            yield f"{site}: keyVaultReferenceIdentity must be an identity that the site has"
    for secret in deployment.made("Microsoft.KeyVault/vaults/secrets"):
        apps = [
            each for each in deployment.function_apps if secret.name.endswith(f"function-key-{each.at('tags.colour')}")
        ]
        if not apps or f"{apps[0].id}/host/default', " not in str(secret.properties.get("value")):
            yield f"{secret}: it must hold the key of the function app of its colour"


def instances(deployment: Deployment) -> Iterator[str]:
    """The page's instances are counted by CPU, both ways, between bounds that make sense."""
    plans = {each.properties.get("serverFarmId") for each in deployment.pages}
    scaling = deployment.made("Microsoft.Insights/autoscalesettings")
    found = [each for each in scaling if each.properties.get("targetResourceUri") in plans]
    if not found:
        yield "no autoscale setting counts the page's instances"
    for profile in [profile for each in found for profile in each.properties["profiles"]]:
        least, usual, most = (int(profile["capacity"].get(name, 0)) for name in ("minimum", "default", "maximum"))
        if not 1 <= least <= usual <= most:
            yield f"instances: at least {least}, usually {usual}, at most {most} cannot be"
        if {rule["scaleAction"]["direction"] for rule in profile["rules"]} != {"Increase", "Decrease"}:
            yield "autoscale needs a rule that adds instances and one that takes them away"


POLICIES = (there_is_a_slot, visitors_sign_in, page_asks_a_colour, instances)
