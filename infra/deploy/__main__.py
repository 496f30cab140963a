"""The command line: ``python -m infra.deploy STEP``."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from infra import packages
from infra.deploy import smoke
from infra.deploy.environments import COLOURS, NAMES, ROOT, Colour
from infra.deploy.errors import DeployError
from infra.deploy.provision import bicep, provision, teardown, what_if
from infra.deploy.publish import images, publish_functions, publish_web
from infra.deploy.switch import rollback, switch

DIST = ROOT / "dist"
FUNCTIONS_PACKAGE = DIST / "functions.zip"
WEB_PACKAGE = DIST / "web.zip"


def main(arguments: list[str] | None = None) -> int:
    """Run one step and return the exit code."""
    options = vars(parser().parse_args(arguments))
    step = options.pop("step")  # a function whose parameters are named as the step's options are
    try:
        step(**options)
    except DeployError as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """All steps and their options."""
    whole = argparse.ArgumentParser(prog="python -m infra.deploy", description="Deploys Tonearm to Azure in steps.")
    steps = whole.add_subparsers(metavar="STEP", required=True)
    environment, location, model, colour = (argparse.ArgumentParser(add_help=False) for _ in range(4))
    environment.add_argument("--environment", required=True, choices=NAMES, help="which resource group")
    location.add_argument("--location", default="northeurope", help="of a new resource group (default: %(default)s)")
    default = (ROOT / "models" / "default.txt").read_text().strip()
    model.add_argument("--model-version", default=default, help="the version that must answer (default: %(default)s)")
    colour.add_argument("--colour", choices=COLOURS, help="default: the idle one")

    def add(
        name: str, step: Callable[..., None], text: str, *parents: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        added = steps.add_parser(name, help=text, description=text, parents=parents)
        added.set_defaults(step=step)
        return added

    add("all", _all, "a first deployment or a release: every step including the switch", environment, location, model)
    add("bicep", bicep, "compile and lint the Bicep")
    add("what-if", what_if, "print what provision would change", environment)
    add("provision", provision, "create or update all resources; the live colour stays", environment, location)
    added = add("publish-functions", publish_functions, "put the function package into the idle colour", environment)
    added.add_argument("--package", type=Path, default=FUNCTIONS_PACKAGE)
    added = add("publish-web", publish_web, "put the web package into the staging slot", environment)
    added.add_argument("--package", type=Path, default=WEB_PACKAGE)
    added = add("smoke", _smoke, "test a colour, or any URL, with a clip", colour, model)
    where = added.add_mutually_exclusive_group(required=True)
    where.add_argument("--environment", choices=NAMES, help="which resource group")
    where.add_argument("--url", help="a Tonearm anywhere, as https://host; its key, if any, is $TONEARM_API_KEY")
    add("switch", switch, "make the idle colour live and verify it; undone on failure", environment, colour, model)
    add("verify", smoke.verify, "test what is live: API, upload, page", environment, model)
    added = add("rollback", rollback, "go back to the colour that was live before", environment)
    added.add_argument("--unfinished", action="store_true", help="only undo a switch that did not finish")
    added = add("images", images, "build the container images")
    added.add_argument("--tag", required=True)
    added.add_argument("--registry", help="push to this Azure container registry")
    added = add("teardown", teardown, "delete everything in an environment", environment)
    added.add_argument("--confirm", metavar="GROUP", help="the resource group's name")
    return whole


def _smoke(environment: str | None, url: str | None, colour: Colour | None, model_version: str) -> None:
    if environment is not None:
        smoke.smoke_colour(environment, colour, model_version)
    elif url is not None:
        smoke.smoke(smoke.Service(url.rstrip("/"), os.environ.get("TONEARM_API_KEY")), model_version)


def _all(environment: str, location: str, model_version: str) -> None:
    """Resources before the code that needs them; the idle colour is tested before anyone is sent to it."""
    if packages.main(["--out", str(DIST)]):
        raise DeployError("The packages could not be built; see the output above.")
    provision(environment, location)
    publish_functions(environment, FUNCTIONS_PACKAGE)
    publish_web(environment, WEB_PACKAGE)
    smoke.smoke_colour(environment, None, model_version)
    switch(environment, None, model_version)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("deploy: interrupted")
