"""Make the other colour live, verify it, and undo the switch if it fails."""

from dataclasses import replace

from infra.deploy.azure import az
from infra.deploy.environments import Colour, State, read_settled_state, read_state, resource_group, write_state
from infra.deploy.errors import DeployError
from infra.deploy.provision import EVENTS, deploy_main
from infra.deploy.resources import SLOT, deployed, refresh_key_reference
from infra.deploy.smoke import verify


def switch(environment: str, colour: Colour | None, model_version: str | None) -> None:
    """Make ``colour``, by default the idle one, live and verify it.

    Raises DeployError if that fails; what was live is then live again, or the message says how to make it so.
    """
    state = read_settled_state(environment)
    target = colour or state.idle
    if target == state.live:
        raise DeployError(f"{target} is live in {environment} already; there is nothing to switch.")
    state = write_state(environment, replace(state, switching_to=target))
    try:
        _go_live(environment, target)
        _swap_slots(environment)
        state = replace(state, swapped=True)
        write_state(environment, state)
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
    write_state(environment, State(live=target, previous=state.live))
    print(f"{target} is live in {environment}.", flush=True)


def rollback(environment: str, unfinished: bool) -> None:
    """Switch to the release that was live before. Raises DeployError if the idle colour no longer holds it.

    With ``unfinished``, only undo a switch that was begun and not finished, as when the pipeline agent stopped.
    """
    state = read_state(environment) if unfinished else read_settled_state(environment)
    if state.switching_to is not None:
        _undo(environment, state)
        print(f"The switch to {state.switching_to} is undone; live is {state.live or 'nothing'}.", flush=True)
    elif unfinished:
        print(f"No switch of {environment} is unfinished.")
    elif state.previous is not None:
        switch(environment, state.previous, None)
    else:
        raise DeployError(
            f"There is nothing to go back to in {environment}: the idle {state.idle} holds no release that"
            " was live before. Check out the commit to go back to, and run `make deploy` there."
        )


def _undo(environment: str, state: State) -> None:
    if state.swapped:
        _swap_slots(environment)
        # Written at once, so that a second attempt does not swap a second time.
        state = write_state(environment, replace(state, swapped=False))
    if state.live is not None:
        _go_live(environment, state.live)
        verify(environment, None, state.live)
    write_state(environment, replace(state, switching_to=None, swapped=False))


def _go_live(environment: str, colour: Colour) -> None:
    """Direct the events, then the web app, to ``colour``.

    events.bicep puts the colour's key into the vault, where main.bicep has the web app read it. In between nothing is
    lost: each colour processes what came in through the other.
    """
    az(
        "deployment group create",
        resource_group=resource_group(environment),
        name="events",
        template_file=str(EVENTS),
        parameters=[f"environmentName={environment}", f"liveColour={colour}"],
        attempts=3,  # Event Grid asks the new colour for a handshake, and its host may be scaled to zero
    )
    refresh_key_reference(environment, deploy_main(environment, colour).web_app)


def _swap_slots(environment: str) -> None:
    command = "webapp deployment slot swap --target-slot production"
    az(command, resource_group=resource_group(environment), name=deployed(environment).web_app, slot=SLOT)
