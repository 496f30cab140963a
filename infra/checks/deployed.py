"""Questions that the policies ask of what is deployed."""

from typing import Any

from infra.checks.problem import Problem
from infra.checks.scenarios import BICEP, Scenario
from infra.checks.values import Resource


def at(resource: Resource, text: str) -> Problem:
    """A problem with a resource, where it is declared."""
    return Problem(resource.path, resource.line, f"{resource.symbol}: {text}")


def missing(text: str) -> Problem:
    """A problem with what nobody has declared."""
    return Problem(str(BICEP / "main.bicep"), 0, text)


def made(scenario: Scenario, resource_type: str) -> list[Resource]:
    """Resources of a type that are made, not only looked up."""
    return scenario.made.get(resource_type.lower(), [])


def sites(scenario: Scenario) -> list[Resource]:
    """All apps and slots that are deployed."""
    return [*made(scenario, "Microsoft.Web/sites"), *made(scenario, "Microsoft.Web/sites/slots")]


def is_function_app(site: Resource) -> bool:
    """Whether it is one of the function apps."""
    return "functionapp" in str(site.body.get("kind", ""))


def settings_of(scenario: Scenario, site: Resource) -> tuple[dict[str, Any], Resource]:
    """A site's app settings, and the resource that says them: the site itself or its ``config/appsettings``."""
    listed = site.properties.get("siteConfig", {}).get("appSettings", [])
    found = {each["name"]: each.get("value") for each in listed}
    said_by = site
    for each in made(scenario, f"{site.type}/config"):
        if each.id.lower() == f"{site.id}/config/appsettings".lower():
            found |= each.properties
            said_by = each
    return found, said_by


def identities(site: Resource) -> list[str]:
    """Resource ids of the identities that a site has."""
    identity = site.body.get("identity", {})
    assigned = list(identity.get("userAssignedIdentities", {})) if "UserAssigned" in identity.get("type", "") else []
    return assigned + (["system"] if "SystemAssigned" in identity.get("type", "") else [])


def principal(identity: str) -> str:
    """What the principal id of a user-assigned identity is called until Azure tells it."""
    return f"|{identity.rpartition('/')[2]}|principalId"


def may(scenario: Scenario, principal: str, roles: set[str], over: str) -> bool:
    """Whether one of ``roles`` is given at the resource ``over`` or above it, to whom ``principal`` is a part of."""
    return any(
        f"{over}/".startswith(each.id.partition("providers/Microsoft.Authorization/")[0])
        and str(each.properties.get("roleDefinitionId")).rpartition("/")[2] in roles
        and principal in str(each.properties.get("principalId"))
        for each in made(scenario, "Microsoft.Authorization/roleAssignments")
    )


def live_app(scenario: Scenario) -> Resource | None:
    """The function app of the live colour, which both entry points tell."""
    colour = scenario.outputs.get("liveColour", ("",))[0]
    apps = [site for site in sites(scenario) if is_function_app(site)]
    return next((app for app in apps if f"-{colour}-" in app.name), None)
