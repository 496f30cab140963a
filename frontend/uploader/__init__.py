"""The drop zone: picks files and sends them through the relay, so that the page's server never holds one.

Streamlit's own file uploader keeps whole files in the server's memory. This one leaves them in the browser: the Python
side learns names and sizes, hands out a token for each file that may be sent, and finds in the relay what became of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from frontend.batch import Chosen

KEY = "uploader"

_FOLDER = Path(__file__).parent
_HTML = """
<div class="zone">
  <label>
    <strong></strong>
    <span class="choose">Choose files</span>
    <input type="file" multiple aria-describedby="taken">
    <small id="taken"></small>
  </label>
  <span role="status"></span>
</div>
"""

_zone = st.components.v2.component(
    "tonearm_uploader",
    html=_HTML,
    css=(_FOLDER / "uploader.css").read_text(),
    js=(_FOLDER / "uploader.js").read_text(),
)


@dataclass(frozen=True, slots=True)
class Report:
    """What the browser says: the files it holds, and the tokens whose sending has ended, well or not.

    ``narrow`` is whether it is only as wide as a phone.
    """

    held: tuple[Chosen, ...]
    ended: frozenset[str]
    narrow: bool = False


def report(visit: str) -> Report | None:
    """What the browser said last in this visit; None where it has said nothing yet, or nonsense.

    After the connection was away for long, or the server, it first repeats what it said in another visit.
    """
    state = st.session_state.get(KEY)
    said = state.get("files") if isinstance(state, Mapping) else None
    try:
        return _read(said) if said is not None and said["visit"] == visit else None
    except (KeyError, TypeError, ValueError):
        return None


def drop_zone(
    *,
    visit: str,
    hint: str,
    formats: Sequence[str],
    path: str,
    sending: Mapping[str, int],
    places: Mapping[int, str | None],
    seen: int,
) -> None:
    """Draw it.

    ``visit`` names the visit. ``sending``: by token, the number of the file to be sent to ``path`` and the token;
    what is being sent by a token that is not there is broken off. ``places``: the files to hold, each with the id under
    which the service has it; up to number ``seen`` all others are let go.
    """
    endings = sorted({f".{name}" for name in formats})
    _zone(
        key=KEY,
        data={
            "visit": visit,
            "title": "Drop recordings here",
            "hint": hint,
            "accept": ",".join(["audio/*", *endings]),
            "endings": endings,
            "path": path,
            "sending": [[token, number] for token, number in sending.items()],
            "places": {str(number): place for number, place in places.items()},
            "seen": seen,
            "heard": report(visit) is not None,
        },
        on_files_change=lambda: None,
    )


def _read(said: Any) -> Report:
    held = tuple(
        Chosen(int(number), str(name), int(size_bytes), None if place is None else str(place))
        for number, name, size_bytes, place in said["held"]
    )
    return Report(held, frozenset(str(token) for token in said["ended"]), said.get("narrow") is True)
