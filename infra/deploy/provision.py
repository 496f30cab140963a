"""Provision: the resource group, and all that main.bicep describes in it."""

from infra.deploy.azure import az
from infra.deploy.environments import BICEP, Colour, Environment
from infra.deploy.resources import DEPLOYMENT, Resources
from infra.deploy.state import State, read_state

MAIN = BICEP / "main.bicep"
EVENTS = BICEP / "events.bicep"


def provision(environment: Environment, location: str) -> Resources:
    """Bring the environment to what the Bicep says. The live colour stays live: this switches nothing.

    ``location`` is where a resource group is made that is not there yet.
    """
    if not exists(environment):
        _create(environment, location)
    return deploy_main(environment, _live_or_first(read_state(environment).settled(environment)))


def what_if(environment: Environment) -> None:
    """Print what :func:`provision` would change, and change nothing."""
    if not exists(environment):
        print(f"{environment.group} is not there yet: all of it would be new.")
        return
    live = _live_or_first(read_state(environment))
    changes = az(
        *("deployment", "group", "what-if", "--resource-group", environment.group, "--no-pretty-print"),
        # Otherwise it asks for the right to write all of it, and pull requests are looked at with a right to read.
        *("--validation-level", "ProviderNoRbac"),
        *_template(environment, live),
    )["changes"]
    for change in changes:
        print(f"{change['changeType']:>10}  {change['resourceId'].partition('/providers/')[2]}")
    print(f"{len(changes)} resources looked at.")


def bicep() -> None:
    """Compile and lint both entry points, which takes in every module. Needs `az`, but no sign-in."""
    for template in (MAIN, EVENTS):
        az("bicep", "build", "--file", str(template), "--stdout")
        az("bicep", "lint", "--file", str(template))


def deploy_main(environment: Environment, live: Colour) -> Resources:
    """Deploy main.bicep with ``live`` as the colour that the web app asks and that keeps instances ready."""
    made = az(
        *("deployment", "group", "create", "--resource-group", environment.group, "--name", DEPLOYMENT),
        *_template(environment, live),
    )
    return Resources.of(made["properties"]["outputs"])


def exists(environment: Environment) -> bool:
    """Whether the resource group is there."""
    return bool(az("group", "exists", "--name", environment.group))


def _template(environment: Environment, live: Colour) -> list[str]:
    return [
        *("--template-file", str(MAIN)),
        *("--parameters", f"@{environment.parameters_file}"),
        *("--parameters", f"liveColour={live}"),
    ]


def _create(environment: Environment, location: str) -> None:
    # Only when it is not there: creating it again would take our tags away.
    tags = ["system=tonearm", f"environment={environment.name}"]
    az("group", "create", "--name", environment.group, "--location", location, "--tags", *tags)
    # A vault stays for a while after its group's end and holds its name, which is the same in a new group of this name.
    group = f"/resourceGroups/{environment.group}/"
    query = f"[?contains(properties.vaultId, '{group}')].{{name: name, location: properties.location}}"
    for vault in az("keyvault", "list-deleted", "--resource-type", "vault", "--query", query):
        az("keyvault", "recover", "--name", vault["name"], "--location", vault["location"])


def _live_or_first(state: State) -> Colour:
    return state.live or state.idle
