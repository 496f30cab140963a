"""Smoke: whether a function app really classifies, before and after it is live."""

import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from infra.deploy import clip, http_client
from infra.deploy.azure import az
from infra.deploy.environments import Colour, Environment
from infra.deploy.errors import DeployError
from infra.deploy.resources import Resources, deployed, function_key, key_reference_status
from infra.deploy.state import read_state

START_PATIENCE_S = 600.0
"""For an app that has just been published to: its instance is new, and its roles may be too."""

RESULT_PATIENCE_S = 300.0
KEY_PATIENCE_S = 300.0
UPLOAD_NAME = "deployment.wav"
_PENDING = frozenset({202, 429, 500, 502, 503, 504})
_TICKET_HINT = "The storage account or the roles of the function app are not as main.bicep has them."


@dataclass(frozen=True, slots=True)
class Service:
    """A running Tonearm: its address and its key."""

    url: str
    key: str | None

    def ask(self, method: str, path: str, body: bytes | None = None) -> http_client.Answer:
        """One request to the API."""
        headers = {"x-functions-key": self.key} if self.key else {}
        return http_client.send(method, f"{self.url}/api/{path}", headers=headers, body=body)


def smoke_colour(environment: Environment, colour: Colour | None, model_version: str | None) -> None:
    """:func:`smoke` on a colour of the environment, by default the idle one."""
    state = read_state(environment)
    smoke(_service(environment, deployed(environment), colour or state.idle), model_version)


def smoke(service: Service, model_version: str | None) -> None:
    """Health, the models' version, a clip classified, an upload ticket. Raises DeployError at the first that is wrong.

    Nothing is uploaded: the upload would be the live colour's to answer, and say nothing of this one.
    """
    http_client.wait_for(
        lambda: service.ask("GET", "health"),
        status=200,
        patience_s=START_PATIENCE_S,
        hint="checks.storage and checks.models in the answer say what is missing; the app's log says why.",
    )
    found = service.ask("GET", "model").expect(200).json().get("version")
    if model_version is not None and found != model_version:
        raise DeployError(f"{service.url} answers with the models {found}, and {model_version} was expected.")
    result = service.ask("POST", "classify", clip.wav()).expect(200).json()
    _check_done(service, result)
    _ticket(service)
    print(f"{service.url} is well: models {found}, a clip was called {result['genre']}.", flush=True)


def verify(environment: Environment, model_version: str | None) -> None:
    """Whether the live colour and the web app serve: all of :func:`smoke`, an upload answered, the page, its key."""
    live = read_state(environment).live
    if live is None:
        raise DeployError(f"Nothing is live in {environment.name} yet. `make deploy` makes it so.")
    verify_colour(environment, live, model_version)


def verify_colour(environment: Environment, colour: Colour, model_version: str | None) -> None:
    """:func:`verify` for a colour that has just been switched to."""
    resources = deployed(environment)
    service = _service(environment, resources, colour)
    smoke(service, model_version)
    if _storage_is_private(environment, resources):
        print("Storage is private, so an upload can be tried from inside its network only; that is left out here.")
    else:
        upload(service)
    _verify_web(environment, resources)


def upload(service: Service) -> None:
    """Put a clip into storage by a ticket and wait for its result. Raises DeployError if none comes."""
    ticket = _ticket(service)
    http_client.send("PUT", ticket["upload_url"], headers=ticket["upload_headers"], body=clip.wav()).expect(201)
    started_s = time.monotonic()
    result = http_client.wait_for(
        lambda: service.ask("GET", f"results/{quote(ticket['id'])}"),
        status=200,
        patience_s=RESULT_PATIENCE_S,
        passing=_PENDING,
        hint="Look at the event subscription's metrics (delivered, failed, dead-lettered) and at the app's log.",
    ).json()
    _check_done(service, result)
    print(f"An upload was answered after {time.monotonic() - started_s:.0f} s: {result['genre']}.", flush=True)


def _service(environment: Environment, resources: Resources, colour: Colour) -> Service:
    return Service(resources.function_urls[colour], function_key(environment, resources.function_apps[colour]))


def _check_done(service: Service, result: dict[str, Any]) -> None:
    if result.get("status") != "done":
        problem = result.get("problem") or {}
        raise DeployError(f"{service.url} could not classify the clip: {problem.get('detail') or result.get('status')}")


def _ticket(service: Service) -> dict[str, Any]:
    request = json.dumps({"filename": UPLOAD_NAME}).encode()
    ticket = service.ask("POST", "uploads", request).expect(201).json()
    address = urlsplit(str(ticket.get("upload_url")))
    if "/uploads/" not in address.path or "sig=" not in address.query:
        raise DeployError(f"{service.url} gave a ticket without a signed upload URL. {_TICKET_HINT}")
    return ticket


def _storage_is_private(environment: Environment, resources: Resources) -> bool:
    access = az(
        *("storage", "account", "show", "--resource-group", environment.group),
        *("--name", resources.storage_account, "--query", "publicNetworkAccess"),
    )
    return bool(access == "Disabled")


def _verify_web(environment: Environment, resources: Resources) -> None:
    http_client.wait_for(
        lambda: http_client.send("GET", f"{resources.web_url}/_stcore/health"),
        status=200,
        patience_s=START_PATIENCE_S,
        hint=f"Look at the page's log: az webapp log tail -g {environment.group} -n {resources.web_app}",
    )
    deadline = time.monotonic() + KEY_PATIENCE_S
    while (status := key_reference_status(environment, resources.web_app)) != "Resolved":
        if time.monotonic() >= deadline:
            raise DeployError(
                f"The web app cannot read its function key from Key Vault ({status}). "
                "Its identity needs the role Key Vault Secrets User on the vault, and the vault the key's secret."
            )
        time.sleep(http_client.POLL_S)
    print(f"The page is up at {resources.web_url} and has its key.", flush=True)
