"""The command line: ``python -m infra.deploy STEP``. What each step does is in the module of its name."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from infra.deploy import provision, publish, smoke, switch
from infra.deploy.environments import COLOURS, NAMES, ROOT, Environment
from infra.deploy.errors import DeployError
from infra.deploy.images import images
from infra.deploy.teardown import teardown

KEY_VARIABLE = "TONEARM_API_KEY"
LOCATION = "northeurope"
DIST = ROOT / "dist"
FUNCTIONS_PACKAGE = DIST / "functions.zip"
WEB_PACKAGE = DIST / "web.zip"

Step = Callable[[argparse.Namespace], None]


def main(arguments: list[str] | None = None) -> int:
    """Run one step; the exit code."""
    options = parser().parse_args(arguments)
    step: Step = options.step
    try:
        step(options)
    except DeployError as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """All steps and their options."""
    whole = argparse.ArgumentParser(prog="python -m infra.deploy", description="Puts Tonearm on Azure, step by step.")
    steps = whole.add_subparsers(metavar="STEP", required=True)

    def add(name: str, step: Step, text: str, *, environment: bool = True) -> argparse.ArgumentParser:
        added = steps.add_parser(name, help=text, description=text)
        added.set_defaults(step=step)
        if environment:
            added.add_argument("--environment", required=True, choices=NAMES, help="which resource group")
        return added

    added = add("all", _all, "a first deployment or a release: all of the steps from the packages to the switch")
    _add_location(added)
    _add_model_version(added)

    add("bicep", lambda _: provision.bicep(), "compile and lint the Bicep", environment=False)
    add("what-if", lambda options: provision.what_if(_environment(options)), "print what provision would change")
    added = add("provision", _provision, "make or update everything in the resource group; switches nothing")
    _add_location(added)

    added = add("publish-functions", _publish_functions, "put the function package into the idle colour")
    added.add_argument("--package", type=Path, default=FUNCTIONS_PACKAGE)
    added = add("publish-web", _publish_web, "put the web package into the staging slot")
    added.add_argument("--package", type=Path, default=WEB_PACKAGE)

    added = add("smoke", _smoke, "try a colour, or any address, with a clip", environment=False)
    where = added.add_mutually_exclusive_group(required=True)
    where.add_argument("--environment", choices=NAMES, help="which resource group")
    where.add_argument("--url", help=f"a Tonearm anywhere, as https://host; its key, if any, is ${KEY_VARIABLE}")
    added.add_argument("--colour", choices=COLOURS, help="default: the idle one")
    _add_model_version(added)

    added = add("switch", _switch, "make the idle colour live and verify it; taken back if it does not hold")
    added.add_argument("--colour", choices=COLOURS, help="default: the idle one")
    _add_model_version(added)
    added = add("verify", _verify, "try what is live: API, upload, page")
    _add_model_version(added)
    added = add("rollback", _rollback, "go back to the colour that was live before")
    added.add_argument("--unfinished", action="store_true", help="only take back a switch that did not finish")

    added = add("images", lambda options: images(options.tag, options.registry), "build the images", environment=False)
    added.add_argument("--tag", required=True)
    added.add_argument("--registry", help="push to this Azure container registry")
    added = add("teardown", _teardown, "delete everything of an environment")
    added.add_argument("--confirm", metavar="GROUP", help="the resource group's name")
    return whole


def _add_location(step: argparse.ArgumentParser) -> None:
    step.add_argument("--location", default=LOCATION, help=f"region of a new resource group (default: {LOCATION})")


def _add_model_version(step: argparse.ArgumentParser) -> None:
    step.add_argument("--model-version", help="the version that must answer; default: what models/default.txt names")


def _environment(options: argparse.Namespace) -> Environment:
    return Environment(options.environment)


def _model_version(options: argparse.Namespace) -> str:
    version: str = options.model_version or (ROOT / "models" / "default.txt").read_text().strip()
    return version


def _provision(options: argparse.Namespace) -> None:
    provision.provision(_environment(options), options.location)


def _publish_functions(options: argparse.Namespace) -> None:
    publish.publish_functions(_environment(options), options.package)


def _publish_web(options: argparse.Namespace) -> None:
    publish.publish_web(_environment(options), options.package)


def _smoke(options: argparse.Namespace) -> None:
    if options.url is not None:
        service = smoke.Service(options.url.rstrip("/"), os.environ.get(KEY_VARIABLE))
        smoke.smoke(service, _model_version(options))
    else:
        smoke.smoke_colour(_environment(options), options.colour, _model_version(options))


def _switch(options: argparse.Namespace) -> None:
    switch.switch(_environment(options), options.colour, _model_version(options))


def _verify(options: argparse.Namespace) -> None:
    smoke.verify(_environment(options), _model_version(options))


def _rollback(options: argparse.Namespace) -> None:
    if options.unfinished:
        switch.undo_unfinished(_environment(options))
    else:
        switch.rollback(_environment(options))


def _teardown(options: argparse.Namespace) -> None:
    teardown(_environment(options), options.confirm)


def _all(options: argparse.Namespace) -> None:
    """The order: what is there before what runs on it, the idle colour tried before anybody is sent to it."""
    environment, model_version = _environment(options), _model_version(options)
    _build_packages()
    provision.provision(environment, options.location)
    publish.publish_functions(environment, FUNCTIONS_PACKAGE)
    publish.publish_web(environment, WEB_PACKAGE)
    smoke.smoke_colour(environment, None, model_version)
    switch.switch(environment, None, model_version)


def _build_packages() -> None:
    if subprocess.run([sys.executable, "-m", "infra.packages", "--out", str(DIST)], cwd=ROOT, check=False).returncode:
        raise DeployError("The packages could not be built; what was printed above says why.")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("deploy: stopped by hand")
