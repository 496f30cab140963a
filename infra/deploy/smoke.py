"""Smoke tests: whether a function app classifies, before and after it is live."""

import json
import time
from dataclasses import dataclass
from functools import cache, partial
from typing import Any
from urllib.parse import quote, urlsplit

from infra.deploy import http_client
from infra.deploy.azure import az
from infra.deploy.environments import Colour, read_state, resource_group
from infra.deploy.errors import DeployError
from infra.deploy.resources import Resources, check_key_reference, deployed, function_key, page_colour
from tonearm import sample_clip

clip = cache(partial(sample_clip.wav, channels=2))
"""The clip to classify, in stereo, so that a decoder process reads it; it takes a second to compute."""

_PENDING = frozenset({202, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Service:
    """A running Tonearm: its URL and its key."""

    url: str
    key: str | None

    def request(
        self, method: str, path: str, body: bytes | None = None, kind: str = "audio/wav"
    ) -> http_client.Response:
        """Send one request to the API. ``kind`` is the body's media type."""
        headers = {"content-type": kind} | ({"x-functions-key": self.key} if self.key else {})
        return http_client.send(method, f"{self.url}/api/{path}", headers=headers, body=body)


def smoke_colour(environment: str, colour: Colour | None, model_version: str | None) -> None:
    """:func:`smoke` on a colour of the environment, by default the idle one."""
    colour = colour or read_state(environment).idle
    smoke(_service(environment, deployed(environment), colour), model_version)


def smoke(service: Service, model_version: str | None) -> None:
    """Check the health, the model version, the classification of a clip, and an upload URL.

    Nothing is uploaded: the live colour would process it. Raises DeployError for the first thing that is wrong.
    """
    http_client.wait_until_up(
        f"{service.url}/api/health",
        hint="checks.storage and checks.models in the answer say what is missing; the app's log says why.",
    )
    version = service.request("GET", "model").expect(200).json().get("version")
    if model_version is not None and version != model_version:
        raise DeployError(f"{service.url} answers with the models {version}, and {model_version} was expected.")
    result = service.request("POST", "classify", clip()).expect(200).json()
    _check_done(service, result)
    _new_upload(service)
    print(f"{service.url} works: models {version}, genre of the sample clip: {result['genre']}.", flush=True)


def verify(environment: str, model_version: str | None, colour: Colour | None = None) -> None:
    """Check :func:`smoke` on a colour, by default the live one, an upload and its result, and :func:`page`.

    Raises DeployError for the first thing that is wrong, and if nothing is live.
    """
    colour = colour or read_state(environment).live
    if colour is None:
        raise DeployError(f"Nothing is live in {environment} yet. `make deploy` deploys it.")
    resources = deployed(environment)
    service = _service(environment, resources, colour)
    smoke(service, model_version)
    group, account = resource_group(environment), resources.storage_account
    if az("storage account show", resource_group=group, name=account, query="publicNetworkAccess") == "Disabled":
        print("Storage is private: an upload can be tested from inside its network only, so this check is left out.")
    else:
        upload(service)
    page(environment, resources, colour)


def page(environment: str, resources: Resources, colour: Colour, slot: str | None = None) -> None:
    """Check that the page, or the one in a slot, is up, calls ``colour`` and has its key. Raises DeployError."""
    url = resources.staging_url if slot else resources.web_url
    group, app = resource_group(environment), resources.web_app
    log = f"az webapp log tail -g {group} -n {app}" + (f" --slot {slot}" if slot else "")
    http_client.wait_until_up(f"{url}/_stcore/health", hint=f"Look at the page's log: {log}")
    if (found := page_colour(environment, resources, slot)) != colour:
        raise DeployError(f"The page at {url} calls {found or 'none of the function apps'} instead of {colour}.")
    http_client.wait_for(
        lambda: check_key_reference(environment, app, slot),
        hint="Its identity needs the role Key Vault Secrets User on the vault, and the vault needs the key's secret.",
    )
    print(f"The page is up at {url}, calls {colour} and has its key.", flush=True)


def upload(service: Service, storage: tuple[str, str] = ("", "")) -> None:
    """Upload a clip by an upload URL and wait for its result. Raises DeployError if there is none in time.

    Args:
        service: which Tonearm.
        storage: how its upload URLs begin, and how they must begin from here.
    """
    new = _new_upload(service)
    url = new["upload_url"].replace(*storage, 1)
    http_client.send("PUT", url, headers=new["upload_headers"], body=clip()).expect(201)
    started_s = time.monotonic()
    result = http_client.wait_for(
        lambda: service.request("GET", f"results/{quote(new['id'])}").expect(200, pending=_PENDING),
        hint="Look at the event subscription's metrics (delivered, failed, dead-lettered) and at the app's log.",
    ).json()
    _check_done(service, result)
    print(f"The result of an upload came after {time.monotonic() - started_s:.0f} s: {result['genre']}.", flush=True)


def _service(environment: str, resources: Resources, colour: Colour) -> Service:
    return Service(resources.function_urls[colour], function_key(environment, resources.function_apps[colour]))


def _check_done(service: Service, result: dict[str, Any]) -> None:
    if result.get("status") != "done":
        problem = result.get("problem") or {}
        raise DeployError(f"{service.url} could not classify the clip: {problem.get('detail') or result.get('status')}")


def _new_upload(service: Service) -> dict[str, Any]:
    """The API's answer to ``POST /api/uploads``: ``id``, ``upload_url``, ``upload_headers``."""
    body = json.dumps({"filename": "deployment.wav"}).encode()
    answer = service.request("POST", "uploads", body, "application/json").expect(201).json()
    address = urlsplit(str(answer.get("upload_url")))
    if "/uploads/" not in address.path or "sig=" not in address.query:
        raise DeployError(
            f"{service.url} answered without a signed upload URL. Compare the storage account and the roles of the"
            " function app with main.bicep."
        )
    return answer
