"""The deployed resources: main.bicep's outputs, and what Azure reports about a site."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from infra.deploy.azure import az
from infra.deploy.environments import COLOURS, Colour, resource_group
from infra.deploy.errors import DeployError, PendingError

DEPLOYMENT = "main"
"""The name of main.bicep's deployment; later steps read its outputs."""

SLOT = "staging"
_REFERENCES = "/config/configreferences/appsettings"
_REFERENCES_API = "api-version=2022-03-01"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The names and URLs of an environment's resources."""

    function_apps: Mapping[Colour, str]
    function_urls: Mapping[Colour, str]
    web_app: str
    web_url: str
    staging_url: str
    storage_account: str
    vault: str

    @classmethod
    def of(cls, outputs: Mapping[str, Any] | None) -> Self:
        """Read a deployment's outputs. Raises DeployError for a missing one; a failed deployment has none."""

        def value(name: str, *colour: Colour) -> Any:
            found = (outputs or {}).get(name, {}).get("value")
            for key in colour:
                found = (found or {}).get(key)
            if not found:
                raise DeployError(
                    f"The deployment {DEPLOYMENT!r} has no output {'.'.join((name, *colour))}. Run `make deploy`"
                    " again; if that does not help, compare infra/bicep/main.bicep."
                )
            return found

        return cls(
            function_apps={colour: value("functionAppNames", colour) for colour in COLOURS},
            function_urls={colour: value("functionAppUrls", colour) for colour in COLOURS},
            web_app=value("webAppName"),
            web_url=value("webAppUrl"),
            staging_url=value("webAppStagingUrl"),
            storage_account=value("storageAccountName"),
            vault=value("vaultName"),
        )


def deployed(environment: str) -> Resources:
    """What the last deployment of main.bicep created. Raises DeployError if there was none, or it failed."""
    shown = az("deployment group show", resource_group=resource_group(environment), name=DEPLOYMENT)
    return Resources.of(shown["properties"]["outputs"])


def deployment_service_url(environment: str, app: str) -> str:
    """The URL of a function app's deployment service (Kudu). Raises DeployError unless there is exactly one."""
    # Read by `az rest`: `az functionapp show` reports other properties for Flex Consumption.
    properties = az("rest", method="get", url=f"{_site(environment, app)}?api-version=2024-04-01")["properties"]
    hosts = [host["name"] for host in properties["hostNameSslStates"] if host["hostType"] == "Repository"]
    if len(hosts) != 1:
        raise DeployError(f"{app} has {len(hosts)} deployment addresses instead of one. Look at it in the portal.")
    return f"https://{hosts[0]}"


def function_key(environment: str, app: str) -> str:
    """A function app's own key; never print it. Raises DeployError if the app's host has not created one yet."""
    query = "functionKeys.default"
    key = az("functionapp keys list", resource_group=resource_group(environment), name=app, query=query, attempts=3)
    if not isinstance(key, str) or not key:
        raise DeployError(f"{app} has no function key yet: its host has not started. Look at its log stream.")
    return key


def refresh_key_reference(environment: str, web_app: str, slot: str) -> None:
    """Make a slot of the page read its key from Key Vault now; by itself it does so once a day."""
    url = f"{_site(environment, web_app, slot)}{_REFERENCES}/refresh?{_REFERENCES_API}"
    az("rest", method="post", url=url)


def check_key_reference(environment: str, web_app: str, slot: str | None) -> None:
    """Raise PendingError unless the page, or a slot of it, can read its key from Key Vault."""
    url = f"{_site(environment, web_app, slot)}{_REFERENCES}/TONEARM_API_KEY?{_REFERENCES_API}"
    if (status := az("rest", method="get", url=url)["properties"]["status"]) != "Resolved":
        raise PendingError(f"The page cannot read its function key from Key Vault ({status}).")


def page_colour(environment: str, resources: Resources, slot: str | None = None) -> Colour | None:
    """The colour that the page, or a slot of it, calls."""
    command = "webapp config appsettings list" + (f" --slot {slot}" if slot else "")
    query = "[?name=='TONEARM_API_URL'].value | [0]"
    url = az(command, resource_group=resource_group(environment), name=resources.web_app, query=query)
    return next((colour for colour in COLOURS if resources.function_urls[colour] == url), None)


def _site(environment: str, name: str, slot: str | None = None) -> str:
    """A site's path for `az rest`, which fills in the subscription."""
    group = f"/subscriptions/{{subscriptionId}}/resourceGroups/{resource_group(environment)}"
    return f"{group}/providers/Microsoft.Web/sites/{name}" + (f"/slots/{slot}" if slot else "")
