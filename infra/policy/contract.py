"""Policies that hold the cloud to the code: settings, containers, queues, functions, routes, log entries, outputs."""

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

from infra.deploy.errors import DeployError
from infra.deploy.resources import Resources
from infra.policy import code
from infra.policy.deployment import ROOT, Deployment, strings
from infra.policy.events import FUNCTION
from infra.policy.values import TABLES

BY_THE_PLATFORM = re.compile(
    r"APPLICATIONINSIGHTS_\w+|AzureWebJobsStorage__\w+|TonearmData__\w+|PYTHONPATH|SCM_\w+|OVERRIDE_USE_MI_\w+"
)
"""Settings that not our code but the host, the SDKs or App Service read."""
DOCUMENT = "docs/deploy.md"
QUERIES = ("Microsoft.Insights/scheduledQueryRules", "Microsoft.Insights/workbooks")
_TABLES = re.compile(r"\A\s*(\w+)|\((\w+)(?= \|)|true (\w+)")
_NAMES = re.compile(r"\bName\s*(?:==|=~|in~?)\s*([^|\n]*)")
_EVENTS = re.compile(r"(?:\bhas(?:_any)?\b|Entry\.event\)\s*==)\s*([^|\n]*)")


def settings(deployment: Deployment) -> Iterator[str]:
    """What the code reads is set, what is set is read by somebody, and all of it is in the document's tables."""
    rows = [line for line in (ROOT / DOCUMENT).read_text().splitlines() if line.startswith("|")]
    documented = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    for site in deployment.sites:
        folder = "functions" if site in deployment.function_apps else "frontend"
        read, found = code.settings_read(folder), deployment.config(site, "appsettings")
        if "AzureWebJobsStorage" in found:
            yield f"{site}: AzureWebJobsStorage is a connection string with a key, for one machine only"
        for name in sorted(read - found.keys()):
            yield f"{site}: the code of {folder} reads {name}, which is not set"
        for name in sorted(found.keys() - read):
            if not BY_THE_PLATFORM.fullmatch(name):
                yield f"{site}: nothing in {folder} reads {name}"
        for name in sorted(found.keys() - documented):
            yield f"{site}: {name} is in no table of {DOCUMENT}"
        for name, value in found.items():
            if not isinstance(value, str):
                yield f"{site}: setting {name} must be a string, not {value!r}"


def containers_and_queues(deployment: Deployment) -> Iterator[str]:
    """What the code names is made in the account of uploads."""
    account, named = deployment.account_of("uploads"), code.constants("functions")
    containers, queue = named.get("CONTAINERS"), named.get("POISON_QUEUE")
    for kind, wanted in (("blobServices/containers", containers), ("queueServices/queues", (queue,))):
        there = {each.name.rpartition("/")[2] for each in (deployment.below(account, kind) if account else [])}
        for name in wanted if isinstance(wanted, tuple) else (None,):
            if name not in there:
                yield f"the code uses {name} of {kind}, which is not deployed"


def functions_and_routes(deployment: Deployment) -> Iterator[str]:
    """What the webhook and availability tests ask for is there."""
    if code.triggers().get(FUNCTION) != "blob_trigger":
        yield f"the code has no blob trigger {FUNCTION}"
    for test in deployment.made("Microsoft.Insights/webtests"):
        for path in re.findall(r"/api/[\w/]+", str(test.at("properties.Request.RequestUrl"))):
            if path not in code.routes():
                yield f"{test}: the code has no route {path}"


def queries(deployment: Deployment) -> Iterator[str]:
    """Queries of alerts and of the workbook name functions that there are, and log entries that the code writes."""
    functions, logged, from_workbook = code.triggers().keys(), code.events_logged(), False
    for rule in deployment.made(*QUERIES):
        for path, query in strings(_content(rule.properties)):
            from_workbook |= path.endswith(".query") and rule.type == QUERIES[1]
            tables = set(filter(None, chain(*_TABLES.findall(query)))) if path.endswith(".query") else set()
            yield from (f"{rule}: there is no table {each}" for each in tables - {"union", *TABLES["log_tables"]})
            for kind, pattern, known in (("function", _NAMES, functions), ("log entry", _EVENTS, logged)):
                places = pattern.findall(query) if path.endswith(".query") else []
                for name in (name for place in places for name in re.findall(r"'([^']*)'", place)):
                    if name not in known:
                        yield f"{rule}: the code has no {kind} {name!r}"
    if not from_workbook:
        yield "the workbook must be JSON with queries in it"


def _content(properties: dict[str, Any]) -> Any:
    try:
        return json.loads(properties["serializedData"]) if "serializedData" in properties else properties
    except ValueError:
        return {}


def outputs(deployment: Deployment) -> Iterator[str]:
    """infra.deploy finds the outputs that it goes by."""
    values = {name: {"value": _as_deployed(value)} for name, value in deployment.outputs.items()}
    try:
        Resources.of(values)
    except DeployError as error:
        yield f"infra.deploy: {str(error).partition('. ')[0]}"


def _as_deployed(value: Any) -> Any:
    """An object by colour in place of the expression for one."""
    by_colour = isinstance(value, str) and value.startswith("[createObject(")
    return dict.fromkeys(re.findall(r"'(blue|green)', ", value), "https://sample") if by_colour else value


POLICIES = (settings, containers_and_queues, functions_and_routes, queries, outputs)
