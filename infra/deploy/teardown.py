"""Teardown: everything of an environment, gone."""

from infra.deploy.azure import az
from infra.deploy.environments import Environment
from infra.deploy.errors import DeployError


def teardown(environment: Environment, confirmation: str | None) -> None:
    """Delete the resource group with all uploads and results in it. ``confirmation`` must be the group's name."""
    if confirmation != environment.group:
        raise DeployError(
            f"This deletes {environment.group} with every upload and result in it. If that is meant, say so: "
            f"python -m infra.deploy teardown --environment {environment.name} --confirm {environment.group}"
        )
    az("group", "delete", "--name", environment.group, "--yes")
    print("Its Key Vault stays deleted for its retention time; provisioning the environment again recovers it.")
