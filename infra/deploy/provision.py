"""Create, update and delete an environment's resources with Bicep."""

from typing import Any

from infra.deploy.azure import az
from infra.deploy.environments import BICEP, FIRST_COLOUR, Colour, read_settled_state, read_state, resource_group
from infra.deploy.errors import DeployError
from infra.deploy.resources import DEPLOYMENT, Resources

MAIN = BICEP / "main.bicep"
EVENTS = BICEP / "events.bicep"


def provision(environment: str, location: str) -> None:
    """Create or update every resource of main.bicep; ``location`` is for a new group. The live colour stays live."""
    if not az("group exists", name=resource_group(environment)):
        # Only for a new group: creating it again would remove the tags that hold the state.
        tags = ["system=tonearm", f"environment={environment}"]
        az("group create", name=resource_group(environment), location=location, tags=tags)
        _recover_vault(environment)
    deploy_main(environment, read_settled_state(environment).live or FIRST_COLOUR)


def what_if(environment: str) -> None:
    """Print what :func:`provision` would change."""
    if not az("group exists", name=resource_group(environment)):
        print(f"{resource_group(environment)} does not exist: everything would be new.")
        return
    # The default validation level needs permission to write; pull requests have permission to read.
    command = "deployment group what-if --no-pretty-print --validation-level ProviderNoRbac"
    changes = _run_main(command, environment, read_state(environment).live or FIRST_COLOUR)["changes"]
    for change in changes:
        print(f"{change['changeType']:>10}  {change['resourceId'].partition('/providers/')[2]}")
    print(f"{len(changes)} resources compared.")


def bicep() -> None:
    """Compile and lint both entry points and so every module. Needs `az`, but no sign-in."""
    for template in (MAIN, EVENTS):
        az("bicep build --stdout", file=str(template))
        az("bicep lint", file=str(template))


def deploy_main(environment: str, live: Colour) -> Resources:
    """Deploy main.bicep with ``live`` as the colour that the web app calls and that keeps instances ready."""
    deployment = _run_main(f"deployment group create --name {DEPLOYMENT}", environment, live)
    return Resources.of(deployment["properties"]["outputs"])


def teardown(environment: str, confirm: str | None) -> None:
    """Delete the resource group and its data. Raises DeployError if ``confirm`` is not the group's name."""
    if confirm != resource_group(environment):
        raise DeployError(
            f"This deletes {resource_group(environment)} with every upload and result in it. To confirm, run: "
            f"python -m infra.deploy teardown --environment {environment} --confirm {resource_group(environment)}"
        )
    az("group delete --yes", name=resource_group(environment))
    print("Its Key Vault stays recoverable for its retention time; provisioning the environment again recovers it.")


def _run_main(command: str, environment: str, live: Colour) -> Any:
    parameters = [f"{BICEP / environment}.bicepparam", f"liveColour={live}"]
    return az(command, resource_group=resource_group(environment), template_file=str(MAIN), parameters=parameters)


def _recover_vault(environment: str) -> None:
    # A deleted vault keeps its name for its retention time, and a new group of this name needs the same vault name.
    group = f"/resourceGroups/{resource_group(environment)}/"
    query = f"[?contains(properties.vaultId, '{group}')].{{name: name, location: properties.location}}"
    for vault in az("keyvault list-deleted", resource_type="vault", query=query):
        az("keyvault recover", name=vault["name"], location=vault["location"])
