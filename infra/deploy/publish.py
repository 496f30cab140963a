"""Publish the packages to the idle colour and the staging slot, and build the container images."""

import shlex
import subprocess
import time
from dataclasses import replace
from pathlib import Path

from infra.deploy import http_client
from infra.deploy.azure import az
from infra.deploy.environments import ROOT, Colour, read_settled_state, resource_group, write_state
from infra.deploy.errors import DeployError, PendingError
from infra.deploy.resources import SLOT, deployed, deployment_service_url

ATTEMPTS = 3  # a first deployment's roles may not be in effect yet
RETRY_DELAY_S = 60.0
TIMEOUT_S = 900.0

IMAGES = {"tonearm-functions": "function-app", "tonearm-web": "web"}  # name → folder of the Dockerfile
# Kudu's deployment statuses.
_SUCCEEDED = 4
_FAILED = {-1: "was cancelled", 3: "failed", 5: "conflicted with another deployment", 6: "succeeded in part"}


def publish_functions(environment: str, package: Path) -> None:
    """Put the function package into the idle colour's app.

    It goes to the deployment service directly: `az functionapp deployment` has Azure build Python packages anew, so
    another build than the tested one would run. Raises DeployError if every attempt fails.
    """
    content = _read(package)
    colour = _use_idle(environment)
    app = deployed(environment).function_apps[colour]
    service = deployment_service_url(environment, app)
    token = az("account get-access-token", query="accessToken")
    print(f"Publishing {package.name} ({len(content) / 2**20:.1f} MiB) to {app}, which is {colour}.", flush=True)
    for attempts_left in reversed(range(ATTEMPTS)):
        try:
            _publish(service, {"Authorization": f"Bearer {token}"}, content)
        except DeployError as error:
            if not attempts_left:
                raise DeployError(
                    f"{error}\nLook at {app} in the portal: Deployment, Deployment Center, Logs. 401 or 403 means that"
                    " you may not publish, or that the app may not write to its deployments container."
                ) from None
            print(f"{error}\nTrying again in {RETRY_DELAY_S:.0f} s.", flush=True)
            time.sleep(RETRY_DELAY_S)
        else:
            return


def publish_web(environment: str, package: Path) -> None:
    """Put the web package into the staging slot. Raises DeployError if the page does not start."""
    _read(package)
    _use_idle(environment)
    resources = deployed(environment)
    command = f"webapp deploy --slot {SLOT} --type zip --clean true --restart true"
    group, app = resource_group(environment), resources.web_app
    az(command, resource_group=group, name=app, src_path=str(package), attempts=ATTEMPTS)
    http_client.wait_until_up(
        f"{resources.staging_url}/_stcore/health",
        hint=f"Look at the slot's log: az webapp log tail -g {group} -n {app} --slot {SLOT}",
    )
    print(f"The web page is ready in the slot {SLOT}.", flush=True)


def images(tag: str, registry: str | None) -> None:
    """Build both images as ``tag``; push them if an Azure container registry is named. Raises DeployError."""
    prefix = ""
    if registry is not None:
        az("acr login", name=registry)
        prefix = f"{registry}.azurecr.io/"
    for name, folder in IMAGES.items():
        dockerfile = ROOT / "infra" / "containers" / folder / "Dockerfile"
        _docker("build", "--file", str(dockerfile), "--tag", f"{prefix}{name}:{tag}", str(ROOT))
    if registry is not None:
        for name in IMAGES:
            _docker("push", f"{prefix}{name}:{tag}")


def _use_idle(environment: str) -> Colour:
    """The idle colour; from now on it no longer holds the release that was live before."""
    state = read_settled_state(environment)
    if state.previous is not None:
        write_state(environment, replace(state, previous=None))
    return state.idle


def _read(package: Path) -> bytes:
    try:
        return package.read_bytes()
    except OSError:
        raise DeployError(f"{package} cannot be read. `make packages` builds it.") from None


def _publish(service: str, headers: dict[str, str], content: bytes) -> None:
    accepted = http_client.send(
        "POST",
        f"{service}/api/publish?RemoteBuild=false&Deployer=tonearm",
        headers={**headers, "Content-Type": "application/zip"},
        body=content,
        timeout_s=TIMEOUT_S,
    ).expect(200, 202)
    deployment = accepted.body.decode().strip().strip('"') or "latest"  # a JSON string

    def check() -> None:
        # Any other status is pending: the service restarts together with the app.
        response = http_client.send("GET", f"{service}/api/deployments/{deployment}", headers=headers)
        status = response.expect(200, pending=http_client.ANY_STATUS).json().get("status")
        if status in _FAILED:
            raise DeployError(f"The deployment {_FAILED[status]}.")
        if status != _SUCCEEDED:
            raise PendingError("The deployment has not ended.")

    http_client.wait_for(check, timeout_s=TIMEOUT_S)


def _docker(*arguments: str) -> None:
    command = shlex.join(["docker", *arguments])
    print(f"$ {command}", flush=True)
    try:
        subprocess.run(["docker", *arguments], stdin=subprocess.DEVNULL, check=True)
    except FileNotFoundError:
        raise DeployError("Docker is not on PATH. Install it, or podman with its `docker` command.") from None
    except subprocess.CalledProcessError:
        raise DeployError(f"`{command}` failed; see its output above.") from None
