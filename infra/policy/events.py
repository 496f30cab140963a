"""Policies on the events' way to the live function app, which events.bicep makes."""

from collections.abc import Iterator

from infra.policy.deployment import Deployment, Resource

FUNCTION = "answer_upload"
ADDRESS = f"https://{{0}}/runtime/webhooks/blobs?functionName=Host.Functions.{FUNCTION}&code={{1}}'"


def topic(deployment: Deployment) -> Iterator[str]:
    """The topic has the events of the account with uploads."""
    account = deployment.account_of("uploads")
    sources = [each.properties.get("source") for each in deployment.made("Microsoft.EventGrid/systemTopics")]
    if account is None or sources != [account.id]:
        yield f"there must be one topic, of the account with uploads, not of {sources}"


def subscription(deployment: Deployment) -> Iterator[str]:
    """One subscription: completed uploads go to a function app, and what cannot be delivered to a container."""
    found = deployment.made("Microsoft.EventGrid/systemTopics/eventSubscriptions")
    if len(found) != (deployment.name == "prod"):  # main.bicep comes before the code that must answer, so has none
        yield f"{len(found)} event subscriptions: events.bicep makes one, main.bicep none"
    for each in found:
        yield from (f"{each}: {fault}" for fault in _faults(deployment, each))


def _faults(deployment: Deployment, each: Resource) -> Iterator[str]:
    url = str(each.at("properties.destination.properties.endpointUrl"))
    apps = [app for app in deployment.function_apps if f"reference('{app.id}'" in url]
    if ADDRESS not in url:
        yield f"the address must be {ADDRESS}"
    if (
        len(apps) != 1
        or f"listKeys('{apps[0].id}/host/default', " not in url
        or ".systemKeys.blobs_extension)" not in url
    ):
        yield "address and code must be of one function app: its host's system key blobs_extension"
    letters = each.at("properties.deadLetterWithResourceIdentity.deadLetterDestination.properties") or {}
    account = deployment.by_id(letters.get("resourceId"))
    if account is None or deployment.account_of(str(letters.get("blobContainerName"))) != account:
        yield "dead letters must go to a container that is deployed"


POLICIES = (topic, subscription)
