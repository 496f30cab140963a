"""A release: prepare the idle colour, make it live and verify it, and undo that if it fails.

Preparing sets everything that the release needs in the idle colour's app and in the page's slot, whose settings move
with it when it is swapped. So a switch only redirects the events and swaps the slot; no app under traffic is updated,
and going back brings back code and settings alike.
"""

from contextlib import suppress
from dataclasses import replace

from infra.deploy.azure import az
from infra.deploy.environments import NONE, Colour, State, resource_group, write_state
from infra.deploy.errors import DeployError
from infra.deploy.lock import break_lock, lockable, locked
from infra.deploy.provision import EVENTS, create_group, deploy_main
from infra.deploy.publish import FUNCTIONS_PACKAGE, WEB_PACKAGE, publish_functions, publish_web, read_package
from infra.deploy.resources import SLOT, deployed, page_colour
from infra.deploy.smoke import page, smoke_colour, verify


def release(
    environment: str,
    location: str,
    build: str,
    model_version: str | None,
    expect_live: str | None,
    *,
    prepare_only: bool = False,
) -> None:
    """Bring resources, settings and packages of ``build`` to the idle colour and the slot, test and switch to them.

    With ``prepare_only``, :func:`switch` is left for later. Raises DeployError if a step fails, or if not
    ``expect_live`` is live: the build that a what-if was compared with.
    """
    fresh = not lockable(environment)
    if fresh:
        # There is not even a place for the lock. Of two first deployments at once Azure refuses the second: both have
        # one name.
        create_group(environment, location)
        deploy_main(environment, None)
    with locked(environment, build) as before:
        state = before
        if expect_live not in (None, state.live_build):
            raise DeployError(
                f"Live in {environment} is the build {state.live_build}. What was looked at was a change of"
                f" {expect_live}: begin again with the what-if."
            )
        functions, colour = read_package(FUNCTIONS_PACKAGE), state.idle
        read_package(WEB_PACKAGE)
        # From now on the idle colour holds no release that could be switched to.
        state = write_state(environment, replace(state, builds={**state.builds, colour: None}))
        resources = deployed(environment) if fresh else deploy_main(environment, state.live)
        publish_functions(environment, resources, colour, functions)
        publish_web(environment, resources, WEB_PACKAGE)
        smoke_colour(environment, colour, model_version)
        page(environment, resources, colour, SLOT)
        state = write_state(environment, replace(state, builds={**state.builds, colour: build}))
        print(f"{colour} of {environment} holds the build {build}.", flush=True)
        if not prepare_only:
            _switch(environment, state, model_version)


def switch(environment: str, build: str, model_version: str | None) -> None:
    """Make the idle colour live and verify it. Raises DeployError unless it holds ``build``, tested.

    Raises DeployError if the switch fails; what was live is then live again, or the message says how to make it so.
    """
    with locked(environment, build) as state:
        if state.builds[state.idle] != build:
            raise DeployError(
                f"The idle {state.idle} of {environment} holds the build {state.builds[state.idle] or NONE}, not"
                f" {build}; live is {state.live_build}. Prepare {build} again to release it."
            )
        _switch(environment, state, model_version)


def rollback(environment: str, build: str) -> None:
    """Switch to the release that was live before. Raises DeployError if the idle colour no longer holds it."""
    with locked(environment, build) as state:
        if state.previous is None or state.builds[state.idle] != state.previous:
            raise DeployError(
                f"There is nothing to go back to in {environment}: the idle {state.idle} holds no release that"
                " was live before. Check out the commit to go back to, and run `make deploy` there."
            )
        _switch(environment, state, None)


def undo_unfinished(environment: str, build: str, *, by_force: bool) -> None:
    """Undo a switch that did not end, as when the agent stopped, and free the lock.

    Raises DeployError if another build holds the lock, unless ``by_force``.
    """
    if by_force:
        with suppress(DeployError):  # nobody holds it
            break_lock(environment)
    with locked(environment, build, unfinished=True) as state:
        if not state.switching:
            print(f"No switch of {environment} is unfinished.")
            return
        _undo(environment, state)
        print(f"The switch to {state.idle} is undone; live is {state.live or 'nothing'}.", flush=True)


def _switch(environment: str, state: State, model_version: str | None) -> None:
    target = state.idle
    state = write_state(environment, replace(state, switching=True))
    try:
        _direct_events(environment, target)
        _swap_slots(environment)
        verify(environment, model_version, target)
    except (DeployError, KeyboardInterrupt) as error:
        print(f"The switch to {target} failed and is being undone: {error or 'interrupted'}", flush=True)
        try:
            _undo(environment, state)
        except DeployError as second:
            raise DeployError(
                f"The switch to {target} failed: {error}\nUndoing it failed as well: {second}\n"
                f"Then run: python -m infra.deploy rollback --unfinished --environment {environment}"
            ) from None
        now = f"{state.live} is live again" if state.live else "nothing was live before, and nothing is now"
        raise DeployError(f"The switch to {target} failed; {now}. {error}") from None
    previous = state.builds[state.live] if state.live else None
    write_state(environment, State(live=target, builds=state.builds, previous=previous))
    print(f"{target} is live in {environment}: build {state.builds[target]}.", flush=True)


def _undo(environment: str, state: State) -> None:
    """Make ``state.live`` serve again. What was done is read off the page, so a second attempt undoes nothing twice."""
    if state.live is not None:
        if page_colour(environment, deployed(environment)) != state.live:
            _swap_slots(environment)
        _direct_events(environment, state.live)
        verify(environment, None, state.live)
    write_state(environment, replace(state, switching=False))


def _direct_events(environment: str, colour: Colour) -> None:
    """Send the events of uploads to ``colour``. Nothing is lost: each colour processes what it got until then."""
    az(
        "deployment group create",
        resource_group=resource_group(environment),
        name="events",
        template_file=str(EVENTS),
        parameters=[f"environmentName={environment}", f"liveColour={colour}"],
        attempts=3,  # Event Grid asks the colour for a handshake, and its host may be scaled to zero
    )


def _swap_slots(environment: str) -> None:
    command = "webapp deployment slot swap --target-slot production"
    az(command, resource_group=resource_group(environment), name=deployed(environment).web_app, slot=SLOT)
