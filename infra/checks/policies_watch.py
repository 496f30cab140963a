"""Rules of ours for what watches over the rest: alerts, the budget, the workbook, and the queries in them."""

import json
import re
from collections.abc import Collection, Iterator

from infra.checks.deployed import at, made
from infra.checks.problem import Problem
from infra.checks.scenarios import Scenario
from infra.checks.values import Resource

METRICS = {
    "Microsoft.EventGrid/systemTopics": {"DeadLetteredCount", "DeliveryAttemptFailCount"},
    "Microsoft.Storage/storageAccounts/queueServices": {"QueueMessageCount"},
    "Microsoft.Web/sites": {"Http5xx", "HttpResponseTime"},
}
"""Metrics by the type of resource that has them: an alert on another name would be silent for ever."""

_NAMES = re.compile(r"\bName\s*(?:==|=~|in~?)\s*([^|\n]*)")
_EVENTS = re.compile(r"(?:\bhas(?:_any)?\b|Entry\.event\)\s*==)\s*([^|\n]*)")
_QUOTED = re.compile(r"'([^']*)'")


def _alerts_tell_somebody(scenario: Scenario) -> Iterator[Problem]:
    groups = {each.id for each in made(scenario, "Microsoft.Insights/actionGroups")}
    for each in made(scenario, "Microsoft.Insights/scheduledQueryRules"):
        if not groups & {*each.properties.get("actions", {}).get("actionGroups", [])}:
            yield at(each, "this alert tells nobody: name the action group in actions")
    for each in made(scenario, "Microsoft.Insights/metricAlerts"):
        if not groups & {one.get("actionGroupId") for one in each.properties.get("actions", [])}:
            yield at(each, "this alert tells nobody: name the action group in actions")
        yield from _metrics(scenario, each)
    for each in made(scenario, "Microsoft.Consumption/budgets"):
        for name, one in each.properties.get("notifications", {}).items():
            if not groups & {*one.get("contactGroups", [])}:
                yield at(each, f"notification {name} tells nobody: name the action group in contactGroups")


def _metrics(scenario: Scenario, alert: Resource) -> Iterator[Problem]:
    """What is measured exists at what is watched."""
    if alert.body.get("location") != "global":
        yield at(alert, "set location to global: alerts on metrics have no other")
    kinds = {each.type for each in scenario.resources if each.id in alert.properties.get("scopes", [])}
    for criterion in alert.properties.get("criteria", {}).get("allOf", []):
        namespace, metric = criterion.get("metricNamespace", ""), criterion.get("metricName", "")
        if namespace not in kinds:
            yield at(alert, f"metricNamespace {namespace} is not that of what it watches: {', '.join(sorted(kinds))}")
        elif metric not in METRICS.get(namespace, set()):
            known = ", ".join(sorted(METRICS.get(namespace, {"none"})))
            yield at(alert, f"{namespace} has no metric {metric} that is known here; known: {known}")


def queries(scenario: Scenario, functions: Collection[str], logged: Collection[str]) -> Iterator[Problem]:
    """The queries of alerts and workbook name functions that there are, and log entries that the code writes."""
    for each, query in [*_of_alerts(scenario), *_of_workbooks(scenario)]:
        for kind, pattern, known in (("function", _NAMES, functions), ("log entry", _EVENTS, logged)):
            for place in pattern.findall(query):
                for name in _QUOTED.findall(place):
                    if name not in known:
                        yield at(each, f"a query asks for {kind} {name!r}, which the code does not have")
    for each in made(scenario, "Microsoft.Insights/workbooks"):
        if not [*_of_workbooks(scenario)]:
            yield at(each, "serializedData must be a workbook's JSON, with queries in it")


def _of_alerts(scenario: Scenario) -> Iterator[tuple[Resource, str]]:
    for each in made(scenario, "Microsoft.Insights/scheduledQueryRules"):
        for criterion in each.properties.get("criteria", {}).get("allOf", []):
            yield each, str(criterion.get("query", ""))


def _of_workbooks(scenario: Scenario) -> Iterator[tuple[Resource, str]]:
    for each in made(scenario, "Microsoft.Insights/workbooks"):
        try:
            items = json.loads(each.properties.get("serializedData", ""))["items"]
        except (ValueError, KeyError, TypeError):
            return
        for item in items:
            if query := item.get("content", {}).get("query"):
                yield each, query


RULES = (_alerts_tell_somebody,)
