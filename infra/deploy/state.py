"""Which colour is live, kept as tags of the resource group.

Not main.bicep's outputs, which a deployment that failed has none of, and not its own tag (what it was last deployed
with): these say which colour was last *verified* as the live one, whether the other still holds what was live before,
and whether a switch was begun since. All are written in one call.
"""

from dataclasses import dataclass, replace
from typing import Self

from infra.deploy.azure import az
from infra.deploy.environments import COLOURS, FIRST_COLOUR, Colour, Environment, other
from infra.deploy.errors import DeployError

LIVE_TAG = "tonearmVerifiedColour"
PREVIOUS_TAG = "tonearmPreviousColour"
SWITCH_TAG = "tonearmSwitch"
_NONE = "none"
_SWAPPED = "-swapped"


@dataclass(frozen=True, slots=True)
class State:
    """What the tags say."""

    live: Colour | None = None
    """None: nothing has been switched to yet."""
    previous: Colour | None = None
    """The idle colour while it holds the release that was live before; None if it is empty or holds a newer one."""
    switching_to: Colour | None = None
    """The colour of a switch that was begun and neither finished nor undone."""
    swapped: bool = False
    """Whether that switch has swapped the web app's slots."""

    @property
    def idle(self) -> Colour:
        """The colour that the next release goes to."""
        return FIRST_COLOUR if self.live is None else other(self.live)

    def settled(self, environment: Environment) -> Self:
        """The state itself. Raises DeployError if a switch is unfinished: which colour is live is then not sure."""
        if self.switching_to is not None:
            raise DeployError(
                f"A switch of {environment.name} to {self.switching_to} was begun and not finished. If none is running,"
                f" undo it first: python -m infra.deploy rollback --unfinished --environment {environment.name}"
            )
        return self

    def finished(self) -> "State":
        """After a switch that was verified."""
        return State(live=self.switching_to, previous=self.live)

    def undone(self) -> Self:
        """After a switch that was taken back."""
        return replace(self, switching_to=None, swapped=False)


def read_state(environment: Environment) -> State:
    """The state of an environment that is there. Raises DeployError for tags that somebody else has written."""
    tags = az("group", "show", "--name", environment.group)["tags"] or {}
    switching = tags.get(SWITCH_TAG, _NONE)
    return State(
        live=_colour(environment, LIVE_TAG, tags.get(LIVE_TAG, _NONE)),
        previous=_colour(environment, PREVIOUS_TAG, tags.get(PREVIOUS_TAG, _NONE)),
        switching_to=_colour(environment, SWITCH_TAG, switching.removesuffix(_SWAPPED)),
        swapped=switching.endswith(_SWAPPED),
    )


def write_state(environment: Environment, state: State) -> State:
    """Write all of ``state`` at once, and return it; the group's other tags stay."""
    group_id = az("group", "show", "--name", environment.group)["id"]
    switching = (state.switching_to or _NONE) + (_SWAPPED if state.swapped else "")
    tags = [
        f"{LIVE_TAG}={state.live or _NONE}",
        f"{PREVIOUS_TAG}={state.previous or _NONE}",
        f"{SWITCH_TAG}={switching}",
    ]
    az("tag", "update", "--resource-id", group_id, "--operation", "Merge", "--tags", *tags)
    return state


def _colour(environment: Environment, tag: str, text: str) -> Colour | None:
    if text == _NONE:
        return None
    for colour in COLOURS:
        if text == colour:
            return colour
    raise DeployError(
        f"The tag {tag} of {environment.group} is {text!r}; it must be {' or '.join(COLOURS)} or {_NONE}. "
        f"What is live is in the web app's setting TONEARM_API_URL: set {LIVE_TAG} to that and the others to {_NONE}."
    )
