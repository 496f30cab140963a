"""Switch: make the other colour live, prove it, and go back if it does not hold."""

from dataclasses import replace

from infra.deploy.azure import az
from infra.deploy.environments import Colour, Environment
from infra.deploy.errors import DeployError
from infra.deploy.provision import EVENTS, deploy_main
from infra.deploy.resources import SLOT, deployed, refresh_key_reference
from infra.deploy.smoke import verify_colour
from infra.deploy.state import State, read_state, write_state

EVENTS_DEPLOYMENT = "events"
EVENTS_TRIES = 3
"""Event Grid asks the new colour for a handshake, and its host may have gone to sleep."""


def switch(environment: Environment, colour: Colour | None, model_version: str | None) -> None:
    """Make ``colour``, by default the idle one, live, and verify it; on failure what was live is live again."""
    state = read_state(environment).settled(environment)
    target = colour or state.idle
    if target == state.live:
        raise DeployError(f"{target} is live in {environment.name} already; there is nothing to switch.")
    state = write_state(environment, replace(state, switching_to=target))
    try:
        _go_live(environment, target)
        _swap(environment)
        state = replace(state, swapped=True)
        write_state(environment, state)
        verify_colour(environment, target, model_version)
    except (DeployError, KeyboardInterrupt) as error:
        print(f"The switch to {target} failed and is taken back: {error or 'interrupted'}", flush=True)
        try:
            _undo(environment, state)
        except DeployError as second:
            raise DeployError(
                f"The switch to {target} failed: {error}\nTaking it back failed as well: {second}\n"
                f"Then run: python -m infra.deploy rollback --unfinished --environment {environment.name}"
            ) from None
        was = f"{state.live} is live again" if state.live else "nothing was live before, and nothing is now"
        raise DeployError(f"The switch to {target} failed; {was}. {error}") from None
    write_state(environment, state.finished())
    print(f"{target} is live in {environment.name}.", flush=True)


def rollback(environment: Environment) -> None:
    """Make the colour live that was so before the last release: the same switch, the other way."""
    state = read_state(environment).settled(environment)
    if state.previous is None:
        raise DeployError(
            f"There is nothing to go back to in {environment.name}: the idle {state.idle} holds no release that"
            " was live before. Check out the commit to go back to, and run `make deploy` there."
        )
    switch(environment, state.previous, None)


def undo_unfinished(environment: Environment) -> None:
    """Take back a switch that was begun and not finished, as when its machine died. Does nothing if there is none."""
    state = read_state(environment)
    if state.switching_to is None:
        print(f"No switch of {environment.name} is unfinished.")
        return
    _undo(environment, state)
    print(f"The switch to {state.switching_to} is taken back; live is {state.live or 'nothing'}.", flush=True)


def _undo(environment: Environment, state: State) -> None:
    if state.swapped:
        _swap(environment)
        # at once, so that a second attempt does not swap a second time
        state = write_state(environment, replace(state, swapped=False))
    if state.live is not None:
        _go_live(environment, state.live)
        verify_colour(environment, state.live, None)
    write_state(environment, state.undone())


def _go_live(environment: Environment, colour: Colour) -> None:
    """Send the events and then the web app to ``colour``.

    In this order, as events.bicep puts the colour's key into the vault, where main.bicep has the web app look for it.
    In between nobody misses anything: each colour reads and answers what came by way of the other.
    """
    az(
        *("deployment", "group", "create", "--resource-group", environment.group, "--name", EVENTS_DEPLOYMENT),
        *("--template-file", str(EVENTS)),
        *("--parameters", f"environmentName={environment.name}", "--parameters", f"liveColour={colour}"),
        tries=EVENTS_TRIES,
    )
    refresh_key_reference(environment, deploy_main(environment, colour).web_app)


def _swap(environment: Environment) -> None:
    az(
        *("webapp", "deployment", "slot", "swap", "--resource-group", environment.group),
        *("--name", deployed(environment).web_app, "--slot", SLOT, "--target-slot", "production"),
    )
