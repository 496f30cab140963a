"""The container images, and the whole system in containers."""

import os
import secrets
import shlex
import subprocess
from collections.abc import Mapping

from infra.deploy import http_client
from infra.deploy.azure import az
from infra.deploy.environments import ROOT
from infra.deploy.errors import DeployError
from infra.deploy.smoke import Service, smoke, upload

IMAGES = {"tonearm-functions": "function-app", "tonearm-web": "web"}  # name → folder of the Dockerfile
COMPOSE_FILE = ROOT / "infra" / "containers" / "compose.yaml"
API_URL, PAGE_URL = "http://127.0.0.1:7071", "http://127.0.0.1:8501"
# Its upload URLs name the storage as containers know it.
STORAGE = ("http://azurite:10000", "http://127.0.0.1:10000")


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


def containers(model_version: str | None) -> None:
    """Start the compose file, wait for its health checks, test API, upload and page, and remove all of it again.

    Raises DeployError for the first thing that is wrong, after the containers' logs.
    """
    key = secrets.token_hex(24)
    environment = {"TONEARM_FUNCTION_KEY": key, "TONEARM_MASTER_KEY": secrets.token_hex(24)}
    # A project of its own, whose data may be removed.
    compose = ("compose", "--project-name", "tonearm-check", "--file", str(COMPOSE_FILE))
    try:
        _docker(*compose, "up", "--build", "--detach", "--wait", "--wait-timeout", "600", environment=environment)
        service = Service(API_URL, key)
        smoke(service, model_version)
        upload(service, STORAGE)
        http_client.wait_until_up(f"{PAGE_URL}/_stcore/health", hint="See the log of the container `web`.")
    except DeployError:
        _docker(*compose, "logs", "--no-color", environment=environment)
        raise
    finally:
        _docker(*compose, "down", "--volumes", environment=environment)


def _docker(*arguments: str, environment: Mapping[str, str] | None = None) -> None:
    command = shlex.join(["docker", *arguments])
    print(f"$ {command}", flush=True)
    try:
        subprocess.run(
            ["docker", *arguments], stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})}, check=True
        )
    except FileNotFoundError:
        raise DeployError("Docker is not on PATH. Install it, or podman with its `docker` command.") from None
    except subprocess.CalledProcessError:
        raise DeployError(f"`{command}` failed; see its output above.") from None
