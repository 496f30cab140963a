"""The order of a release: nothing is switched that was not tried, and prod is not touched before dev holds."""

from collections.abc import Iterator

from infra.checks.pipeline_tree import Branch, Items, Node, Reader, Text, branches
from infra.deploy.environments import NAMES

COMMAND = "python -m infra.deploy "
PREPARED_BY = ["provision", "publish-functions", "publish-web", "smoke"]
"""The steps that nobody notices, in this order."""
SWITCHED_BY = ["switch", "rollback --unfinished"]
LOOK_ONLY = "tonearm-what-if"
"""The service connection that may only look: code that nobody has reviewed runs with it."""
FORK = "variables['System.PullRequest.IsFork']"


def check_release(reader: Reader, whole: Branch) -> None:
    """Note what is wrong with the stages of the expanded pipeline."""
    stages = [stage for stage in _branches_of(whole.get("stages")) if "stage" in stage]
    for stage in stages:
        for step, environment, where in _steps(stage):
            _check_connection(reader, where, step, environment)
        if "dependsOn" not in stage:
            _check_forks(reader, stage)
    before = ""
    for environment in NAMES:
        before = _check_environment(reader, whole, stages, environment, before)


def _check_environment(reader: Reader, whole: Branch, stages: list[Branch], environment: str, before: str) -> str:
    """One environment's two stages; the name of the second, for which the next environment waits."""
    own = {
        kind: [stage for stage in stages if any(step == kind and to == environment for step, to, _ in _steps(stage))]
        for kind in (PREPARED_BY[0], SWITCHED_BY[0])
    }
    if any(len(found) != 1 for found in own.values()):
        reader.note(whole, f"{environment} must be provisioned in one stage, and switched in another.")
        return before
    (prepare,), (switch,) = own.values()
    for stage, wanted in ((prepare, PREPARED_BY), (switch, SWITCHED_BY)):
        found = [step for step, _, _ in _steps(stage)]
        if found != wanted:
            reader.note(stage, f"{stage['stage']} must run {', '.join(wanted)}, in this order, not {', '.join(found)}.")
    if switch.get("dependsOn") != prepare["stage"]:
        reader.note(switch, f"{switch['stage']} must depend on {prepare['stage']}, which tries what is switched to.")
    if before and prepare.get("dependsOn") != before:
        reader.note(prepare, f"{prepare['stage']} must depend on {before}: what fails there must not come here.")
    if any("environment" in each for each in branches(prepare)):
        reader.note(prepare, f"{prepare['stage']} must use no environment: the approval is for the switch.")
    if not any(
        each.get("environment") == f"tonearm-{environment}" for each in branches(switch) if "deployment" in each
    ):
        reader.note(switch, f"Give the switch `environment: tonearm-{environment}`, which has the approval.")
    if not any("failure" in each for each in branches(switch)):
        reader.note(switch, "A switch that is cut off must be taken back: add `on: failure:`.")
    return str(switch["stage"])


def _check_connection(reader: Reader, where: Branch, step: str, environment: str) -> None:
    wanted = LOOK_ONLY if step == "what-if" else f"tonearm-{environment}"
    if where.get("azureSubscription") != wanted:
        reader.note(where, f"`{step}` of {environment} must sign in by {wanted}, not {where.get('azureSubscription')}.")


def _check_forks(reader: Reader, stage: Branch) -> None:
    """What runs for a pull request before anybody has read it must not sign in for a fork."""
    for job in _branches_of(stage.get("jobs")):
        signs_in = any("azureSubscription" in each for each in branches(job))
        if signs_in and FORK not in (job.text("condition") or ""):
            reader.note(
                job, f"This job signs in to Azure for a fork's pull request too: ask for {FORK} in a condition."
            )


def _steps(stage: Branch) -> Iterator[tuple[str, str, Branch]]:
    """The steps of infra.deploy on an environment: which step, which environment, and the task's inputs."""
    for each in branches(stage):
        script = each.text("inlineScript") or Text()
        step, _, environment = script.removeprefix(COMMAND).partition(" --environment ")
        if script.startswith(COMMAND) and environment:
            yield step, environment, each


def _branches_of(node: Node | None) -> list[Branch]:
    return [each for each in node if isinstance(each, Branch)] if isinstance(node, Items) else []
