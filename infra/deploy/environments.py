"""The environments, their two colours, and which build each colour holds.

Each environment has two function apps, blue and green: one serves users, the other gets the next release. Tags of the
resource group record which is which. main.bicep's outputs cannot: a failed deployment has none.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from infra.deploy.azure import az
from infra.deploy.errors import DeployError

ROOT = Path(__file__).parents[2]
BICEP = ROOT / "infra" / "bicep"
NAMES = ("dev", "prod")

Colour = Literal["blue", "green"]
COLOURS: tuple[Colour, ...] = get_args(Colour)

NONE = "none"
LIVE_TAG = "tonearmLiveColour"  # main.bicep and events.bicep read it too
BUILD_TAGS: Mapping[Colour, str] = {"blue": "tonearmBlueBuild", "green": "tonearmGreenBuild"}
PREVIOUS_TAG = "tonearmPreviousBuild"
SWITCH_TAG = "tonearmSwitch"
_BEGUN = "begun"


@dataclass(frozen=True, slots=True)
class State:
    """The tags of an environment. Only who holds the lock writes them."""

    live: Colour | None = None
    """The colour last verified as live; None before the first switch."""
    builds: Mapping[Colour, str | None] = field(default_factory=lambda: dict.fromkeys(COLOURS))
    """The build that each colour holds whole: settings, functions and, for the idle one, the slot's page."""
    previous: str | None = None
    """The build that was live before. If the idle colour still holds it, it can be live again."""
    switching: bool = False
    """Whether a switch to the idle colour has begun and is neither finished nor undone."""

    @property
    def idle(self) -> Colour:
        """The colour that the next release goes to."""
        return "green" if self.live == "blue" else "blue"

    @property
    def live_build(self) -> str:
        """The build that serves, or ``none``."""
        return (self.live and self.builds[self.live]) or NONE


def resource_group(environment: str) -> str:
    """The name of the resource group that holds everything of an environment.

    ``$TONEARM_RESOURCE_GROUP`` names another, as when a region has failed, and with it the group.
    """
    return os.environ.get("TONEARM_RESOURCE_GROUP") or f"rg-tonearm-{environment}"


def read_state(environment: str) -> State:
    """Read the tags of an existing environment. Raises DeployError for an unknown colour."""
    tags = az("group show", name=resource_group(environment))["tags"] or {}

    def value(tag: str) -> str | None:
        text: str = tags.get(tag, NONE)
        return None if text == NONE else text

    text = value(LIVE_TAG)
    live = next((colour for colour in COLOURS if colour == text), None)
    if live != text:
        raise DeployError(
            f"The tag {LIVE_TAG} of {resource_group(environment)} is {text!r}; it must be blue, green or {NONE}. The"
            " web app's setting TONEARM_API_URL shows which is live."
        )
    builds = {colour: value(tag) for colour, tag in BUILD_TAGS.items()}
    return State(live, builds, value(PREVIOUS_TAG), switching=value(SWITCH_TAG) is not None)


def write_state(environment: str, state: State) -> State:
    """Write all of ``state`` in one call and return it; the group's other tags stay."""
    values = {
        LIVE_TAG: state.live,
        **{tag: state.builds[colour] for colour, tag in BUILD_TAGS.items()},
        PREVIOUS_TAG: state.previous,
        SWITCH_TAG: _BEGUN if state.switching else None,
    }
    group_id = az("group show", name=resource_group(environment))["id"]
    tags = [f"{tag}={value or NONE}" for tag, value in values.items()]
    az("tag update", resource_id=group_id, operation="Merge", tags=tags)
    return state
