"""Policy on a release: main.bicep leaves what is live as it is, and prepares what is not."""

from collections.abc import Iterator

from infra.policy.deployment import Deployment, load

LIVE, IDLE = "-blue-", "-green-"
"""Parts of the apps' names: of the scenario, blue is live."""


def nothing_live_changes(deployment: Deployment) -> Iterator[str]:
    """All of a first deployment is there, but for the live app and its plan, and the page's production slot."""
    first = {each.id for each in load("prod").resources if each.type.startswith("Microsoft.Web/")}
    there = {each.id for each in deployment.resources if each.type.startswith("Microsoft.Web/")}
    left = {each for each in first if LIVE in each or ("/sites/app-" in each and "/slots/" not in each)}
    for id_ in sorted(there & left):
        yield f"{id_} is live: a release must not touch it"
    for id_ in sorted(first - left - there):
        yield f"{id_} is not deployed by a release"
    for slot in deployment.pages:
        if IDLE not in str(deployment.config(slot, "appsettings").get("TONEARM_API_URL")):
            yield f"{slot}: the slot must call the app that the release is for"


POLICIES = (nothing_live_changes,)
