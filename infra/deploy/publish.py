"""Publish the packages to the idle colour and the page's slot."""

import time
from pathlib import Path

from infra.deploy import http_client
from infra.deploy.azure import az
from infra.deploy.environments import ROOT, Colour, resource_group
from infra.deploy.errors import DeployError, PendingError
from infra.deploy.provision import FUNCTION_KEY
from infra.deploy.resources import SLOT, Resources, deployment_service_url, refresh_key_reference

DIST = ROOT / "dist"
FUNCTIONS_PACKAGE = DIST / "functions.zip"
WEB_PACKAGE = DIST / "web.zip"

ATTEMPTS = 3  # a first deployment's roles may not be in effect yet
RETRY_DELAY_S = 60.0
TIMEOUT_S = 900.0

# Kudu's deployment statuses.
_SUCCEEDED = 4
_FAILED = {-1: "was cancelled", 3: "failed", 5: "conflicted with another deployment", 6: "succeeded in part"}


def read_package(package: Path) -> bytes:
    """The package's bytes. Raises DeployError if there is none."""
    try:
        return package.read_bytes()
    except OSError:
        raise DeployError(f"{package} cannot be read. `make packages` builds it.") from None


def publish_functions(environment: str, resources: Resources, colour: Colour, content: bytes) -> None:
    """Put the function package into a colour's app, and its key into the vault, where the page reads it.

    It goes to the deployment service directly: `az functionapp deployment` has Azure build Python packages anew, so
    another build than the tested one would run. Raises DeployError if every attempt fails.
    """
    app = resources.function_apps[colour]
    service = deployment_service_url(environment, app)
    token = az("account get-access-token", query="accessToken")
    print(f"Publishing the functions ({len(content) / 2**20:.1f} MiB) to {app}, which is {colour}.", flush=True)
    for attempts_left in reversed(range(ATTEMPTS)):
        try:
            _publish(service, {"Authorization": f"Bearer {token}"}, content)
            break
        except DeployError as error:
            if not attempts_left:
                raise DeployError(
                    f"{error}\nLook at {app} in the portal: Deployment, Deployment Center, Logs. 401 or 403 means that"
                    " you may not publish, or that the app may not write to its deployments container."
                ) from None
            print(f"{error}\nTrying again in {RETRY_DELAY_S:.0f} s.", flush=True)
            time.sleep(RETRY_DELAY_S)
    store_key(environment, resources, colour)


def store_key(environment: str, resources: Resources, colour: Colour) -> None:
    """Put a colour's function key, which its host has made, into the vault."""
    az(
        "deployment group create",
        resource_group=resource_group(environment),
        name="function-key",
        template_file=str(FUNCTION_KEY),
        parameters=[
            f"vaultName={resources.vault}",
            f"functionAppName={resources.function_apps[colour]}",
            f"colour={colour}",
        ],
        attempts=ATTEMPTS,  # the host may still be starting
    )


def publish_web(environment: str, resources: Resources, package: Path) -> None:
    """Put the web package into the slot, and have the slot read its function key."""
    command = f"webapp deploy --slot {SLOT} --type zip --clean true --restart true"
    group, app = resource_group(environment), resources.web_app
    az(command, resource_group=group, name=app, src_path=str(package), attempts=ATTEMPTS)
    refresh_key_reference(environment, app, SLOT)


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
