"""Policies on what watches over the rest: alerts, availability tests, the budget, and what a flood could cost."""

from collections.abc import Iterator

from infra.policy.deployment import Deployment, strings
from infra.policy.values import TABLES

RULES = ("Microsoft.Insights/scheduledQueryRules", "Microsoft.Insights/metricAlerts")
INSTANCE_MONTH_USD = 137
"""An instance of 2 GB that never rests: 2 GB for 730 h at 0.000026 $ per GB s, the list price of docs/deploy.md."""
FLOOD_OVER_BUDGET = 5
"""A flood's month may cost as many budgets: the alarm comes at 80 % of one, which leaves days to stop it."""


def somebody_is_told(deployment: Deployment) -> Iterator[str]:
    """Every alert reaches the action group, and in prod the group reaches a person."""
    groups = deployment.made("Microsoft.Insights/actionGroups")
    ids = {each.id for each in groups}
    mails = [one.get("emailAddress") for each in groups for one in each.properties.get("emailReceivers", [])]
    if deployment.name in {"prod", "private"} and not any(mails):
        yield "prod must send alerts to somebody: alertEmail"
    for rule in deployment.made(*RULES):
        if not ids & {text for _, text in strings(rule.properties.get("actions"))}:
            yield f"{rule}: name the action group in actions"
    for budget in deployment.made("Microsoft.Consumption/budgets"):
        for name, one in budget.properties["notifications"].items():
            if not ids & set(one.get("contactGroups", [])):
                yield f"{budget}: notification {name} must name the action group in contactGroups"


def everything_is_watched(deployment: Deployment) -> Iterator[str]:
    """The alerts that docs/deploy.md tells what to do for are there, on what is deployed; values.yaml has limits."""
    names = {each.name for each in deployment.made(*RULES)}
    for missing in sorted(each for each in TABLES["alerts"] if not any(name.endswith(f"-{each}") for name in names)):
        yield f"there is no alert {missing}"
    for alert in deployment.made("Microsoft.Insights/metricAlerts"):
        scopes = [deployment.by_id(each) for each in alert.properties.get("scopes", [])]
        kinds = {each.type for each in scopes if each}
        if None in scopes or not scopes:
            yield f"{alert}: what it watches is not deployed"
        for criterion in alert.at("properties.criteria.allOf") or []:
            if criterion.get("metricNamespace") not in kinds:
                yield f"{alert}: {' and '.join(sorted(kinds))} has no metrics {criterion.get('metricNamespace')}"


def availability(deployment: Deployment) -> Iterator[str]:
    """The page, and after a switch the live API, are asked from outside; two failing places raise an alert."""
    tests = deployment.made("Microsoft.Insights/webtests")
    asked = [str(each.at("properties.Request.RequestUrl")) for each in tests]
    for path in ["/_stcore/health", *(["/api/health"] if deployment.name == "prod" else [])]:
        if not any(path in url for url in asked):
            yield f"nothing asks {path} from outside"
    alerts = deployment.made("Microsoft.Insights/metricAlerts")
    for test in tests:
        if test.id not in [each.at("properties.criteria.webTestId") for each in alerts]:
            yield f"{test}: no alert fires when its places get no answer"


def a_flood_is_bounded(deployment: Deployment) -> Iterator[str]:
    """All instances of both colours, never resting, cost some budgets at the most."""
    budgets = [each.properties["amount"] for each in deployment.made("Microsoft.Consumption/budgets")]
    path = "properties.functionAppConfig.scaleAndConcurrency.maximumInstanceCount"
    instances = sum(int(each.at(path) or 1000) for each in deployment.function_apps)
    if not budgets and deployment.name != "open":
        yield "there is no budget"
    if budgets and (bound := instances * INSTANCE_MONTH_USD) > FLOOD_OVER_BUDGET * budgets[0]:
        yield f"{instances} instances could cost {bound} $ a month, with a budget of {budgets[0]}"


POLICIES = (somebody_is_told, everything_is_watched, availability, a_flood_is_bounded)
