"""Rules of ours for the events' way to the live function app."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from infra.checks.deployed import at, live_app, made, may, principal
from infra.checks.problem import Problem
from infra.checks.scenarios import BICEP, Scenario
from infra.checks.values import Resource, is_runtime, is_secret

COMPLETED_BY = {"PutBlob", "PutBlockList", "CopyBlob", "FlushWithClose"}
"""The calls that complete a blob, as Event Grid names them."""
UPLOADS = "/blobServices/default/containers/uploads/"
STORAGE_TOPIC = "Microsoft.Storage.StorageAccounts"
BLOB_WRITERS = {"b7e6dc6d-f1e8-4753-8033-0f276bb0955b", "ba92f5b4-2d11-453d-a403-e96b0029c9fe"}
"""Roles by which blobs can be written."""
RETRY = {"maxDeliveryAttempts": 30, "eventTimeToLiveInMinutes": 1440}
"""The most that Event Grid takes."""


def events(scenario: Scenario, functions: dict[str, str]) -> Iterator[Problem]:
    """The one subscription: to the live app, for completed uploads only, with a place for what cannot be delivered."""
    for topic in made(scenario, "Microsoft.EventGrid/systemTopics"):
        if str(topic.properties.get("topicType")).lower() != STORAGE_TOPIC.lower():
            yield at(topic, f"topicType must be {STORAGE_TOPIC}")
    found = list(made(scenario, "Microsoft.EventGrid/systemTopics/eventSubscriptions"))
    if len(found) != 1:
        yield Problem(str(BICEP / "events.bicep"), 0, f"{len(found)} event subscriptions are deployed, not one")
    for each in found:
        yield from _webhook(scenario, each, functions)
        yield from _filters(each)
        yield from _dead_letters(scenario, each)
        yield from _retry(each)


def _in_events_only(scenario: Scenario) -> Iterator[Problem]:
    """A subscription's webhook must answer when it is made: it comes after the code, so never with main.bicep."""
    for each in scenario.from_main:
        if each.is_a("Microsoft.EventGrid/systemTopics/eventSubscriptions") or _has_secret(each.body):
            yield at(each, "it needs the code to be there: deploy it by events.bicep")


def _has_secret(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_has_secret, value.values() if isinstance(value, dict) else value))
    return is_secret(value)


def _webhook(scenario: Scenario, each: Resource, functions: dict[str, str]) -> Iterator[Problem]:
    destination = each.properties.get("destination", {})
    url = urlsplit(str(destination.get("properties", {}).get("endpointUrl", "")))
    query = parse_qs(url.query)
    if destination.get("endpointType") != "WebHook" or url.path != "/runtime/webhooks/blobs":
        yield at(each, "the destination must be a WebHook to /runtime/webhooks/blobs of the function app")
        return
    live = live_app(scenario)
    if live is not None and url.netloc != f"{live.name}.azurewebsites.net":
        yield at(each, f"events go to {url.netloc}, but the live app is {live.name}")
    name = query.get("functionName", [""])[0].removeprefix("Host.Functions.")
    if functions.get(name) != "blob_trigger":
        yield at(each, f"the webhook names function {name!r}, which the code does not declare with a blob trigger")
    key = query.get("code", [""])[0]
    if not is_secret(key) or ".systemKeys.blobs_extension" not in key or "/host/default" not in key:
        yield at(each, "code must be the host's system key blobs_extension, by listKeys")
    if live is not None and is_runtime(key) and f"/sites/{live.name}/" not in key:
        yield at(each, f"code is the key of another app than {live.name}")


def _filters(each: Resource) -> Iterator[Problem]:
    chosen = each.properties.get("filter", {})
    if chosen.get("subjectBeginsWith") != UPLOADS:
        yield at(each, f"filter.subjectBeginsWith must be {UPLOADS}")
    if chosen.get("includedEventTypes") != ["Microsoft.Storage.BlobCreated"]:
        yield at(each, "filter.includedEventTypes must be Microsoft.Storage.BlobCreated alone")
    calls = [one for one in chosen.get("advancedFilters", []) if one.get("key") == "data.api"]
    if len(calls) != 1 or calls[0].get("operatorType") != "StringIn" or set(calls[0]["values"]) != COMPLETED_BY:
        yield at(each, f"filter data.api must be StringIn {', '.join(sorted(COMPLETED_BY))}")


def _dead_letters(scenario: Scenario, each: Resource) -> Iterator[Problem]:
    letters = each.properties.get("deadLetterWithResourceIdentity", {})
    place = letters.get("deadLetterDestination", {}).get("properties", {})
    container = f"{place.get('resourceId')}/blobServices/default/containers/{place.get('blobContainerName')}"
    if not letters.get("identity", {}).get("type") or container not in {
        one.id for one in scenario.resources if not one.existing
    }:
        yield at(each, "deadLetterWithResourceIdentity must name an identity and a container that is deployed")
        return
    topic = each.id.partition("/eventSubscriptions/")[0]
    assigned = letters["identity"].get("userAssignedIdentity")
    if not may(scenario, principal(assigned) if assigned else f"{topic} identity", BLOB_WRITERS, container):
        yield at(each, f"no role lets the topic write dead letters to {place['blobContainerName']}")


def _retry(each: Resource) -> Iterator[Problem]:
    retry = each.properties.get("retryPolicy", {})
    for name, most in RETRY.items():
        if not isinstance(retry.get(name), int) or not 1 <= retry[name] <= most:
            yield at(each, f"retryPolicy must say {name}, between 1 and {most}")


RULES = (_in_events_only,)
