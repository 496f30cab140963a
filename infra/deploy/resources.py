"""What main.bicep has made: its outputs, and what Azure says of a site."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from infra.deploy.azure import az
from infra.deploy.environments import COLOURS, Colour, Environment
from infra.deploy.errors import DeployError

DEPLOYMENT = "main"
"""The name of main.bicep's deployment, whose outputs later steps ask for."""

SLOT = "staging"
_SITES_API = "2024-04-01"
_REFERENCES_API = "2022-03-01"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,58}[a-z0-9]")
_URL = re.compile(r"https://[a-z0-9.-]+|http://127\.0\.0\.1:\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The names that main.bicep gave. They go into addresses and commands, so they are checked."""

    function_apps: Mapping[Colour, str]
    function_urls: Mapping[Colour, str]
    web_app: str
    web_url: str
    staging_url: str
    storage_account: str

    @classmethod
    def of(cls, outputs: Mapping[str, Any] | None) -> Self:
        """From a deployment's outputs. Raises DeployError for one that is missing or not of its form."""
        names = _Outputs(outputs or {})
        return cls(
            function_apps={colour: names.checked(_NAME, "functionAppNames", colour) for colour in COLOURS},
            function_urls={colour: names.checked(_URL, "functionAppUrls", colour) for colour in COLOURS},
            web_app=names.checked(_NAME, "webAppName"),
            web_url=names.checked(_URL, "webAppUrl"),
            staging_url=names.checked(_URL, "webAppStagingUrl"),
            storage_account=names.checked(_NAME, "storageAccountName"),
        )


class _Outputs:
    def __init__(self, outputs: Mapping[str, Any]) -> None:
        self._outputs = outputs

    def checked(self, form: re.Pattern[str], name: str, key: str | None = None) -> str:
        value = self._outputs.get(name, {}).get("value")
        if key is not None:
            value = value.get(key) if isinstance(value, dict) else None
        what = name if key is None else f"{name}.{key}"
        if value is None:
            raise DeployError(
                f"The deployment {DEPLOYMENT!r} has no output {what}. "
                "Run `python -m infra.deploy provision` again; if that is no help, compare infra/bicep/main.bicep."
            )
        if not isinstance(value, str) or not form.fullmatch(value):
            raise DeployError(f"The output {what} of the deployment {DEPLOYMENT!r} is {value!r}, which is no name.")
        return value


def deployed(environment: Environment) -> Resources:
    """What the last deployment of main.bicep made. Raises DeployError when there was none, or it failed."""
    shown = az("deployment", "group", "show", "--resource-group", environment.group, "--name", DEPLOYMENT)
    return Resources.of(shown["properties"]["outputs"])


def site_id(environment: Environment, name: str, slot: str | None = None) -> str:
    """The path of a site, or of a slot of it, for `az rest`, which puts the subscription in."""
    path = f"/subscriptions/{{subscriptionId}}/resourceGroups/{environment.group}/providers/Microsoft.Web/sites/{name}"
    return path if slot is None else f"{path}/slots/{slot}"


def site(environment: Environment, name: str) -> dict[str, Any]:
    """The properties of a site. (`az functionapp show` gives them another form for Flex Consumption.)"""
    url = f"{site_id(environment, name)}?api-version={_SITES_API}"
    properties: dict[str, Any] = az("rest", "--method", "get", "--url", url)["properties"]
    return properties


def function_key(environment: Environment, app: str) -> str:
    """A function app's own key, never to be printed. Raises DeployError when its host has not made it yet."""
    key = az(
        *("functionapp", "keys", "list", "--resource-group", environment.group, "--name", app),
        *("--query", "functionKeys.default"),
        tries=3,
    )
    if not isinstance(key, str) or not key:
        raise DeployError(f"{app} has no function key yet: its host has not started. Look at its log stream.")
    return key


def refresh_key_reference(environment: Environment, web_app: str) -> None:
    """Make the web app and its slot fetch the key from Key Vault now; by themselves they do so once a day."""
    for slot in (None, SLOT):
        path = f"{site_id(environment, web_app, slot)}/config/configreferences/appsettings/refresh"
        az("rest", "--method", "post", "--url", f"{path}?api-version={_REFERENCES_API}")


def key_reference_status(environment: Environment, web_app: str) -> str:
    """What became of the web app's reference to its key: ``Resolved`` when all is well."""
    path = f"{site_id(environment, web_app)}/config/configreferences/appsettings/TONEARM_API_KEY"
    shown = az("rest", "--method", "get", "--url", f"{path}?api-version={_REFERENCES_API}")
    return str(shown["properties"]["status"])
