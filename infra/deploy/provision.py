"""Create, update and delete an environment's resources with Bicep."""

from typing import Any

from infra.deploy.azure import az
from infra.deploy.environments import BICEP, FIRST_COLOUR, Colour, Environment, read_settled_state, read_state
from infra.deploy.errors import DeployError
from infra.deploy.resources import DEPLOYMENT, Resources

MAIN = BICEP / "main.bicep"
EVENTS = BICEP / "events.bicep"


def provision(environment: Environment, location: str) -> None:
    """Create or update every resource of main.bicep; ``location`` is for a new group. The live colour stays live."""
    if not az("group exists", name=environment.group):
        _create(environment, location)
    deploy_main(environment, read_settled_state(environment).live or FIRST_COLOUR)


def what_if(environment: Environment) -> None:
    """Print what :func:`provision` would change."""
    if not az("group exists", name=environment.group):
        print(f"{environment.group} does not exist: everything would be new.")
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


def deploy_main(environment: Environment, live: Colour) -> Resources:
    """Deploy main.bicep with ``live`` as the colour that the web app calls and that keeps instances ready."""
    deployment = _run_main(f"deployment group create --name {DEPLOYMENT}", environment, live)
    return Resources.of(deployment["properties"]["outputs"])


def teardown(environment: Environment, confirm: str | None) -> None:
    """Delete the resource group and its data. Raises DeployError if ``confirm`` is not the group's name."""
    if confirm != environment.group:
        raise DeployError(
            f"This deletes {environment.group} with every upload and result in it. To confirm, run: "
            f"python -m infra.deploy teardown --environment {environment.name} --confirm {environment.group}"
        )
    az("group delete --yes", name=environment.group)
    print("Its Key Vault stays recoverable for its retention time; provisioning the environment again recovers it.")


def _run_main(command: str, environment: Environment, live: Colour) -> Any:
    parameters = [f"@{BICEP / environment.name}.parameters.json", f"liveColour={live}"]
    return az(command, resource_group=environment.group, template_file=str(MAIN), parameters=parameters)


def _create(environment: Environment, location: str) -> None:
    # Only for a new group: creating it again would remove the tags that hold the state.
    tags = ["system=tonearm", f"environment={environment.name}"]
    az("group create", name=environment.group, location=location, tags=tags)
    # A deleted vault keeps its name for its retention time, and a new group of this name needs the same vault name.
    group = f"/resourceGroups/{environment.group}/"
    query = f"[?contains(properties.vaultId, '{group}')].{{name: name, location: properties.location}}"
    for vault in az("keyvault list-deleted", resource_type="vault", query=query):
        az("keyvault recover", name=vault["name"], location=vault["location"])
