"""The lock of an environment: one release at a time, from whichever machine.

It is a lease of the container of uploads. Azure grants one to one holder, which tags cannot do: they have no
compare-and-set. A container's lease only keeps the container from being deleted
(https://learn.microsoft.com/rest/api/storageservices/lease-container). By the management API it needs no role on the
data and no way into a private network.
"""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from infra.deploy.azure import az
from infra.deploy.environments import State, read_state, resource_group
from infra.deploy.errors import DeployError

CONTAINER = "uploads"
_INFINITE = -1  # a release takes longer than the longest other lease, a minute


def lockable(environment: str) -> bool:
    """Whether the environment has the container that is leased. Without it nothing can be live."""
    if not az("group exists", name=resource_group(environment)) or (account := _account(environment)) is None:
        return False
    return bool(az("storage container-rm exists", storage_account=account, name=CONTAINER)["exists"])


@contextmanager
def locked(environment: str, build: str, *, unfinished: bool = False) -> Iterator[State]:
    """Hold the lock as ``build`` and yield the state; the same build may take over a lock that it left behind.

    Raises DeployError if another build holds it, and after a switch that did not end unless ``unfinished``.
    """
    own = str(uuid.uuid5(uuid.NAMESPACE_OID, build))
    try:
        _lease(environment, action="Acquire", proposedLeaseId=own, leaseDuration=_INFINITE)
    except DeployError as error:
        hint = f"Another release of {environment} is running, or was cut off. {_hint(environment)}"
        raise DeployError(f"{error}\n{hint}") from None
    try:
        state = read_state(environment)
        if state.switching and not unfinished:
            raise DeployError(f"A switch of {environment} to {state.idle} did not end. {_hint(environment)}")
        yield state
    finally:
        _lease(environment, action="Release", leaseId=own)


def break_lock(environment: str) -> None:
    """Take the lock from whoever holds it. Raises DeployError if nobody does."""
    _lease(environment, action="Break", breakPeriod=0)


def _lease(environment: str, **request: str | int) -> None:
    account = _account(environment)
    if account is None:
        raise DeployError(f"{resource_group(environment)} has no storage yet. `make deploy` deploys it.")
    container = f"{account}/blobServices/default/containers/{CONTAINER}"
    az("rest --method post", url=f"{container}/lease?api-version=2025-06-01", body=json.dumps(request))


def _account(environment: str) -> str | None:
    """The resource id of the account that has the uploads. Outputs do not help: a failed deployment has none."""
    query = f"[?starts_with(name, 'sttonearm{environment}')].id | [0]"
    account: str | None = az("storage account list", resource_group=resource_group(environment), query=query)
    return account


def _hint(environment: str) -> str:
    return f"If none runs: python -m infra.deploy rollback --unfinished --environment {environment}"
