"""The order of a release: a what-if, the approval, then the change; and prod is not touched before dev holds."""

from collections.abc import Iterator

from infra.checks.pipeline_tree import Branch, Items, Node, Reader, Text, branches
from infra.deploy.environments import NAMES

COMMAND = "python -m infra.deploy "
PLANNED_BY = ["what-if"]
BUILD = "--build $(Build.BuildId)"
RELEASED_BY = [f"release {BUILD} --expect-live $(live)", f"rollback --unfinished {BUILD}"]
"""In one stage, as the environment's lock is a stage's."""
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
    if whole.get("lockBehavior") != "sequential":
        reader.note(whole, "Set lockBehavior: sequential; by default only the latest of the releases that wait runs.")
    before = ""
    for environment in NAMES:
        before = _check_environment(reader, whole, stages, environment, before)


def _check_environment(reader: Reader, whole: Branch, stages: list[Branch], environment: str, before: str) -> str:
    """One environment's two stages; the name of the second, for which the next environment waits."""
    own = [stage for stage in stages if any(to == environment for _, to, _ in _steps(stage)) and "dependsOn" in stage]
    if len(own) != 2:
        reader.note(whole, f"{environment} must have two stages: its what-if, and its release.")
        return before
    plan, release = own
    for stage, wanted in ((plan, PLANNED_BY), (release, RELEASED_BY)):
        found = [step for step, _, _ in _steps(stage)]
        if found != wanted:
            reader.note(stage, f"{stage['stage']} must run {', '.join(wanted)}, in this order, not {', '.join(found)}.")
    if release.get("dependsOn") != plan["stage"]:
        reader.note(release, f"{release['stage']} must depend on {plan['stage']}, which says what it changes.")
    if before and plan.get("dependsOn") != before:
        reader.note(plan, f"{plan['stage']} must depend on {before}: what fails there must not come here.")
    jobs = _branches_of(release.get("jobs"))
    if [job.get("environment") for job in jobs if "deployment" in job] != [f"tonearm-{environment}"]:
        reader.note(release, f"Release by a deployment of `environment: tonearm-{environment}`, which has the checks.")
    if not any("'Failed', 'Canceled'" in (job.text("condition") or "") for job in jobs):
        reader.note(release, "A release that is cut off must be undone, also when its run is cancelled.")
    return str(release["stage"])


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
