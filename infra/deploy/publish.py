"""Publish: the packages, to where nobody is served from yet."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from infra.deploy import http_client
from infra.deploy.azure import az
from infra.deploy.environments import Colour, Environment
from infra.deploy.errors import DeployError
from infra.deploy.resources import SLOT, deployed, site
from infra.deploy.state import read_state, write_state

TRIES = 3
"""A first deployment's roles may not be known to the function app's deployment yet."""

PAUSE_S = 60.0
PATIENCE_S = 900.0
WEB_PATIENCE_S = 600.0

# What the deployment service calls the ends of a deployment.
_SUCCEEDED = 4
_FAILED = {-1: "was cancelled", 3: "failed", 5: "met another deployment", 6: "succeeded in part"}


def publish_functions(environment: Environment, package: Path) -> None:
    """Put the function package into the idle colour's app.

    Straight to the deployment service, and not by `az functionapp deployment`, which has Azure build every Python
    package anew: what was tested here would not be what runs there.
    """
    content = _read(package)
    colour = _use_idle(environment)
    app = deployed(environment).function_apps[colour]
    service = _deployment_service(environment, app)
    token = az("account", "get-access-token", "--query", "accessToken")
    headers = {"Authorization": f"Bearer {token}"}
    print(f"Publishing {package.name} ({len(content) / 2**20:.1f} MiB) to {app}, which is {colour}.", flush=True)
    for left in reversed(range(TRIES)):
        try:
            _publish(service, headers, content)
        except DeployError as error:
            if not left:
                raise DeployError(
                    f"{error}\nLook at {app} in the portal: Deployment, Deployment Center, Logs. A 401 or 403 means"
                    " that you may not publish, or that the app may not write to its deployments container."
                ) from None
            print(f"{error}\nThat can pass, so it is tried again in {PAUSE_S:.0f} s.", flush=True)
            time.sleep(PAUSE_S)
        else:
            return


def publish_web(environment: Environment, package: Path) -> None:
    """Put the web package into the staging slot, and wait until its page can be served."""
    _read(package)
    _use_idle(environment)
    resources = deployed(environment)
    az(
        *("webapp", "deploy", "--resource-group", environment.group, "--name", resources.web_app, "--slot", SLOT),
        *("--src-path", str(package), "--type", "zip", "--clean", "true", "--restart", "true"),
        tries=TRIES,
    )
    http_client.wait_for(
        lambda: http_client.send("GET", f"{resources.staging_url}/_stcore/health"),
        status=200,
        patience_s=WEB_PATIENCE_S,
        hint=f"Look at the slot's log: az webapp log tail -g {environment.group} -n {resources.web_app} --slot {SLOT}",
    )
    print(f"The web page is ready in the slot {SLOT}.", flush=True)


def _use_idle(environment: Environment) -> Colour:
    """The idle colour, which from now on no longer holds the release that was live before."""
    state = read_state(environment).settled(environment)
    if state.previous is not None:
        write_state(environment, replace(state, previous=None))
    return state.idle


def _read(package: Path) -> bytes:
    try:
        return package.read_bytes()
    except OSError:
        raise DeployError(f"{package} cannot be read. `make packages` builds it.") from None


def _deployment_service(environment: Environment, app: str) -> str:
    hosts = [host["name"] for host in site(environment, app)["hostNameSslStates"] if host["hostType"] == "Repository"]
    if len(hosts) != 1:
        raise DeployError(f"{app} has {len(hosts)} deployment addresses; it must have one. Look at it in the portal.")
    return f"https://{hosts[0]}"


def _publish(service: str, headers: dict[str, str], content: bytes) -> None:
    accepted = http_client.send(
        "POST",
        f"{service}/api/publish?RemoteBuild=false&Deployer=tonearm",
        headers={**headers, "Content-Type": "application/zip"},
        body=content,
        timeout_s=PATIENCE_S,
    ).expect(200, 202)
    deadline = time.monotonic() + PATIENCE_S
    while (status := _status(service, headers, accepted)) != _SUCCEEDED:
        if status in _FAILED:
            raise DeployError(f"The deployment {_FAILED[status]}.")
        if time.monotonic() >= deadline:
            raise DeployError(f"The deployment had not ended after {PATIENCE_S:.0f} s.")
        time.sleep(http_client.POLL_S)


def _status(service: str, headers: dict[str, str], accepted: http_client.Answer) -> Any:
    """The deployment's status; None while the service itself is away, which it is when the app restarts."""
    try:
        deployment = json.loads(accepted.body)
    except ValueError:
        deployment = None
    path = deployment if isinstance(deployment, str) and deployment else "latest"
    try:
        answer = http_client.send("GET", f"{service}/api/deployments/{path}", headers=headers)
    except http_client.UnreachableError:
        return None
    return answer.json().get("status") if answer.status == 200 else None
