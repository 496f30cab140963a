"""Images: both containers, built, and pushed where the environment has a registry."""

import re
import shlex
import shutil
import subprocess

from infra.deploy.azure import az
from infra.deploy.environments import ROOT
from infra.deploy.errors import DeployError

IMAGES = {"tonearm-functions": "function-app", "tonearm-web": "web"}
"""Each image's name, and the folder of its Dockerfile."""

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_REGISTRY = re.compile(r"[a-z0-9]{5,50}")


def images(tag: str, registry: str | None) -> None:
    """Build both images as ``tag``, and push them to the Azure container registry of this name, if one is given."""
    if not _TAG.fullmatch(tag):
        raise DeployError(f"{tag!r} cannot tag an image: letters, digits, dots, dashes and underscores, at most 128.")
    if registry is not None and not _REGISTRY.fullmatch(registry):
        raise DeployError(f"{registry!r} is no registry's name: 5 to 50 small letters and digits, without .azurecr.io.")
    prefix = "" if registry is None else f"{registry}.azurecr.io/"
    for name, folder in IMAGES.items():
        dockerfile = ROOT / "infra" / "containers" / folder / "Dockerfile"
        _docker("build", "--file", str(dockerfile), "--tag", f"{prefix}{name}:{tag}", str(ROOT))
    if registry is not None:
        az("acr", "login", "--name", registry)
        for name in IMAGES:
            _docker("push", f"{prefix}{name}:{tag}")


def _docker(*arguments: str) -> None:
    program = shutil.which("docker")
    if program is None:
        raise DeployError("Docker is not on PATH, and images cannot be built without it. Install it, or use podman's.")
    command = shlex.join(["docker", *arguments])
    print(f"$ {command}", flush=True)
    if subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, check=False).returncode != 0:
        raise DeployError(f"`{command}` failed; what it printed says why.")
