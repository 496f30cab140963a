"""The environments, their two colours, and which colour is live.

Each environment has two function apps, blue and green: one serves users, the other gets the next release. Tags of the
resource group record which one is live. main.bicep's outputs cannot: a failed deployment has none.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from infra.deploy.azure import az
from infra.deploy.errors import DeployError

ROOT = Path(__file__).parents[2]
BICEP = ROOT / "infra" / "bicep"
NAMES = ("dev", "prod")

Colour = Literal["blue", "green"]
COLOURS: tuple[Colour, ...] = get_args(Colour)
FIRST_COLOUR: Colour = "blue"

LIVE_TAG = "tonearmVerifiedColour"
PREVIOUS_TAG = "tonearmPreviousColour"
SWITCH_TAG = "tonearmSwitch"
_NONE = "none"
_SWAPPED = "-swapped"


@dataclass(frozen=True, slots=True)
class State:
    """The tags of an environment, written together after each part of a switch."""

    live: Colour | None = None
    """The colour last verified as live; None before the first switch."""
    previous: Colour | None = None
    """The idle colour while it still holds the release that was live before; else None."""
    switching_to: Colour | None = None
    """The target of a switch that has begun and is neither finished nor undone."""
    swapped: bool = False
    """Whether that switch has swapped the web app's slots."""

    @property
    def idle(self) -> Colour:
        """The colour that the next release goes to."""
        return "green" if self.live == "blue" else FIRST_COLOUR


def resource_group(environment: str) -> str:
    """The name of the resource group that holds everything of an environment."""
    return f"rg-tonearm-{environment}"


def read_state(environment: str) -> State:
    """Read the tags of an existing environment. Raises DeployError for an unknown value."""
    tags = az("group show", name=resource_group(environment))["tags"] or {}
    live, previous, switching_to = (_colour(environment, tags, tag) for tag in (LIVE_TAG, PREVIOUS_TAG, SWITCH_TAG))
    return State(live, previous, switching_to, swapped=tags.get(SWITCH_TAG, "").endswith(_SWAPPED))


def read_settled_state(environment: str) -> State:
    """:func:`read_state` for steps that change the environment. Raises DeployError while a switch is unfinished."""
    state = read_state(environment)
    if state.switching_to is not None:
        raise DeployError(
            f"A switch of {environment} to {state.switching_to} was begun and not finished. If none is running,"
            f" undo it first: python -m infra.deploy rollback --unfinished --environment {environment}"
        )
    return state


def write_state(environment: str, state: State) -> State:
    """Write all of ``state`` in one call and return it; the group's other tags stay."""
    tags = {
        LIVE_TAG: state.live or _NONE,
        PREVIOUS_TAG: state.previous or _NONE,
        SWITCH_TAG: (state.switching_to or _NONE) + (_SWAPPED if state.swapped else ""),
    }
    group_id = az("group show", name=resource_group(environment))["id"]
    az("tag update", resource_id=group_id, operation="Merge", tags=[f"{tag}={value}" for tag, value in tags.items()])
    return state


def _colour(environment: str, tags: dict[str, str], tag: str) -> Colour | None:
    text = tags.get(tag, _NONE).removesuffix(_SWAPPED)
    if text not in (*COLOURS, _NONE):
        raise DeployError(
            f"The tag {tag} of {resource_group(environment)} is {text!r}; it must be blue, green or {_NONE}. The web"
            f" app's setting TONEARM_API_URL shows which is live: set {LIVE_TAG} to that, the other tags to {_NONE}."
        )
    return next((colour for colour in COLOURS if colour == text), None)
