"""Create, update, compare and delete an environment's resources with Bicep."""

import json
import os
from collections.abc import Iterator
from typing import Any

from infra.deploy.azure import az
from infra.deploy.environments import BICEP, NONE, Colour, read_state, resource_group
from infra.deploy.errors import DeployError
from infra.deploy.resources import DEPLOYMENT, Resources

MAIN = BICEP / "main.bicep"
EVENTS = BICEP / "events.bicep"
FUNCTION_KEY = BICEP / "modules" / "function-key.bicep"

_SHORT_CIRCUITED = "NestedDeploymentShortCircuited"
_LONGEST_VALUE = 200


def create_group(environment: str, location: str) -> None:
    """Create the resource group if there is none. Another time would remove the tags that hold the state."""
    if az("group exists", name=resource_group(environment)):
        return
    tags = ["system=tonearm", f"environment={environment}"]
    az("group create", name=resource_group(environment), location=location, tags=tags)
    # A deleted vault keeps its name for its retention time, and a new group of this name needs the same vault name.
    query = f"[?contains(properties.vaultId, '/resourceGroups/{resource_group(environment)}/')]"
    for vault in az("keyvault list-deleted", resource_type="vault", query=query):
        az("keyvault recover", name=vault["name"], location=vault["properties"]["location"])


def deploy_main(environment: str, live: Colour | None) -> Resources:
    """Deploy main.bicep, which leaves the app of the colour ``live`` and the page's production slot as they are."""
    deployment = _run_main(f"deployment group create --name {DEPLOYMENT}", environment, live)
    return Resources.of(deployment["properties"]["outputs"])


def what_if(environment: str) -> str:
    """Print what a release would change; return the build that is live, or ``none``."""
    if az("group exists", name=resource_group(environment)):
        state = read_state(environment)
        # The default validation level needs permission to write; pull requests have permission to read.
        command = "deployment group what-if --no-pretty-print --validation-level ProviderNoRbac"
        for line in _report(_run_main(command, environment, state.live)):
            print(line)
        live = state.live_build
    else:
        print(f"{resource_group(environment)} does not exist: everything would be new.")
        live = NONE
    print(f"Live in {environment} is the build {live}. Its function app and page stay as they are until the switch.")
    if os.environ.get("TF_BUILD"):  # for the stage after the approval
        print(f"##vso[task.setvariable variable=live;isOutput=true]{live}")
    return live


def teardown(environment: str, confirm: str | None) -> None:
    """Delete the resource group and its data. Raises DeployError if ``confirm`` is not the group's name."""
    if confirm != resource_group(environment):
        raise DeployError(
            f"This deletes {resource_group(environment)} with every upload and result in it. To confirm, run: "
            f"python -m infra.deploy teardown --environment {environment} --confirm {resource_group(environment)}"
        )
    az("group delete --yes", name=resource_group(environment))
    print("Its Key Vault stays recoverable for its retention time; deploying the environment again recovers it.")


def _run_main(command: str, environment: str, live: Colour | None) -> Any:
    # The file names its template, main.bicep.
    parameters = [str(BICEP / f"{environment}.bicepparam"), f"liveColour={live or NONE}"]
    return az(command, resource_group=resource_group(environment), parameters=parameters)


def _report(answer: dict[str, Any]) -> Iterator[str]:
    """The lines of a what-if: changed resources with their properties, then what Azure could not look into."""
    changes = answer["changes"]
    potential = answer.get("potentialChanges") or []
    for change in [*changes, *potential]:
        if (kind := change["changeType"]) in ("NoChange", "Ignore"):
            continue
        perhaps = " (perhaps)" if change in potential else ""
        yield f"{kind:>11}  {change['resourceId'].partition('/providers/')[2]}{perhaps}"
        if reason := change.get("unsupportedReason"):
            yield f"{'':13}{reason}"
        yield from _properties(change.get("delta") or [], "")
    diagnostics = answer.get("diagnostics") or []
    for each in diagnostics:
        if each["code"] == _SHORT_CIRCUITED:
            module = each["target"].rpartition("/")[2]
            yield f"  Not looked into: the module {module}, whose parameters are not known before the deployment."
        else:
            yield f"  {each['level']} {each['code']}: {each['target']}: {each['message']}"
    yield f"{len(changes)} resources compared, {len(potential)} more perhaps, {len(diagnostics)} diagnostics."


def _properties(delta: list[dict[str, Any]], parent: str) -> Iterator[str]:
    for each in delta:
        path = f"{parent}.{each['path']}".lstrip(".")
        if children := each.get("children"):
            yield from _properties(children, path)
        else:
            before, after = (json.dumps(each.get(side))[:_LONGEST_VALUE] for side in ("before", "after"))
            yield f"{'':13}{each['propertyChangeType']} {path}: {before} -> {after}"
