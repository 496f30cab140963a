"""All policies."""

from collections.abc import Callable, Iterator

from infra.policy import apps, contract, data, events, network, page, release, roles, values, watching
from infra.policy.deployment import Deployment

WHOLE = (values, data, roles, apps, page, events, network, watching, contract)


def policies(environment: str) -> list[Callable[[Deployment], Iterator[str]]]:
    """Those for an environment. A release is no whole deployment, and is looked at for what it leaves alone."""
    return [policy for module in ((release,) if environment == "release" else WHOLE) for policy in module.POLICIES]


def faults(deployment: Deployment) -> Iterator[str]:
    """All that is wrong with an environment."""
    for policy in policies(deployment.name):
        yield from policy(deployment)
