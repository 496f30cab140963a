"""Policy on a release: main.bicep leaves what is live as it is, and prepares what is not."""

from collections.abc import Iterator

from infra.policy.deployment import Deployment, load

LIVE, IDLE = "-blue-", "-green-"
"""Parts of the apps' names: of the scenario, blue is live."""


def nothing_live_changes(deployment: Deployment) -> Iterator[str]:
    """All of a first deployment is there, but for the live app, its plan and the live page's settings."""
    first = {each.id for each in load("prod").resources if each.type.startswith("Microsoft.Web/")}
    there = {each.id for each in deployment.resources if each.type.startswith("Microsoft.Web/")}
    left = {each for each in first if LIVE in each or (each.endswith("/config/appsettings") and "/slots/" not in each)}
    left -= {each for each in left if IDLE in each}
    for id_ in sorted(there & left):
        yield f"{id_} is live: a release must not touch it"
    for id_ in sorted(first - left - there):
        yield f"{id_} is not deployed by a release"
    for page in deployment.pages:
        live = not page.type.endswith("/slots")
        for name in ("linuxFxVersion", "appCommandLine"):
            if (page.at(f"properties.siteConfig.{name}") is None) != live:
                yield f"{page}: {name} moves with a swap; a release sets the slot's"
        if not live and IDLE not in str(deployment.config(page, "appsettings").get("TONEARM_API_URL")):
            yield f"{page}: the slot must call the app that the release is for"


POLICIES = (nothing_live_changes,)
