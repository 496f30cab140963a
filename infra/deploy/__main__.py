"""The command line: ``python -m infra.deploy STEP``."""

import argparse
import os
import re
import sys
import time
from collections.abc import Callable
from functools import partial

from infra import packages
from infra.deploy import smoke
from infra.deploy.containers import containers, images
from infra.deploy.environments import COLOURS, NAMES, NONE, ROOT, Colour
from infra.deploy.errors import DeployError
from infra.deploy.provision import teardown, what_if
from infra.deploy.publish import DIST
from infra.deploy.release import release, rollback, switch, undo_unfinished


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
    environment, location, model, build, live = (argparse.ArgumentParser(add_help=False) for _ in range(5))
    environment.add_argument("--environment", required=True, choices=NAMES, help="which resource group")
    location.add_argument("--location", default="northeurope", help="of a new resource group (default: %(default)s)")
    default = (ROOT / "models" / "default.txt").read_text().strip()
    model.add_argument("--model-version", default=default, help="the version that must answer (default: %(default)s)")
    build.add_argument("--build", required=True, type=_build, help="the build's id, which tells releases apart")
    live.add_argument("--expect-live", metavar="BUILD", help="refuse if another build than this one is live")

    def add(
        name: str, step: Callable[..., object], text: str, *parents: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        added = steps.add_parser(name, help=text, description=text, parents=parents)
        added.set_defaults(step=step)
        return added

    added = add("all", _all, "build, what-if, release: a first deployment or the next", environment, location, model)
    added.add_argument("--yes", action="store_true", help="do not ask before a change of prod")
    add("what-if", what_if, "print what a release would change", environment)
    every = (environment, location, build, model, live)
    add("release", release, "prepare and switch under one lock", *every)
    text = "bring resources, settings and packages to the idle colour and the slot, and test them there"
    add("prepare", partial(release, prepare_only=True), text, *every)
    text = "make the idle colour live, if it holds this build, and verify it; undone on failure"
    add("switch", switch, text, environment, build, model)
    added = add("smoke", _smoke, "test a colour, or any URL, with a clip", model)
    added.add_argument("--colour", choices=COLOURS, help="default: the idle one")
    where = added.add_mutually_exclusive_group(required=True)
    where.add_argument("--environment", choices=NAMES, help="which resource group")
    where.add_argument("--url", help="a Tonearm anywhere, as https://host; its key, if any, is $TONEARM_API_KEY")
    add("verify", smoke.verify, "test what is live: API, upload, page", environment, model)
    added = add("rollback", _rollback, "go back to the release that was live before", environment)
    added.add_argument("--unfinished", action="store_true", help="only undo a switch that did not end, and unlock")
    added.add_argument("--build", type=_build, help="with --unfinished: only if no other build holds the lock")
    added = add("images", images, "build the container images")
    added.add_argument("--tag", required=True)
    added.add_argument("--registry", help="push to this Azure container registry")
    add("containers", containers, "start the compose file, test what it serves, and remove it again", model)
    added = add("teardown", teardown, "delete everything in an environment", environment)
    added.add_argument("--confirm", metavar="GROUP", help="the resource group's name")
    return whole


def _build(text: str) -> str:
    if text == NONE or not re.fullmatch(r"[\w.-]{1,64}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no build's id: up to 64 letters, digits and ._-")
    return text


def _own_build() -> str:
    """The id of a release that no pipeline makes."""
    return time.strftime("manual-%Y%m%dT%H%M%SZ", time.gmtime())


def _smoke(environment: str | None, url: str | None, colour: Colour | None, model_version: str) -> None:
    if environment is not None:
        smoke.smoke_colour(environment, colour, model_version)
    elif url is not None:
        smoke.smoke(smoke.Service(url.rstrip("/"), os.environ.get("TONEARM_API_KEY")), model_version)


def _rollback(environment: str, unfinished: bool, build: str | None) -> None:
    if unfinished:
        undo_unfinished(environment, build or _own_build(), by_force=build is None)
    else:
        rollback(environment, build or _own_build())


def _all(environment: str, location: str, model_version: str, yes: bool) -> None:
    """What the pipeline does, on this machine; for prod the question takes the place of the approval."""
    if packages.main(["--out", str(DIST)]):
        raise DeployError("The packages could not be built; see the output above.")
    live = what_if(environment)
    if environment == "prod" and not yes and input("Make these changes? Type prod: ") != "prod":
        raise DeployError("Nothing was changed.")
    release(environment, location, _own_build(), model_version, live)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("deploy: interrupted")
