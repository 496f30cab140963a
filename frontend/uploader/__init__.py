"""The drop zone. It holds the chosen files in the browser and sends them through the upload proxy.

Streamlit's own file uploader holds whole files in the server's memory. Here Python gets names and sizes, and hands out
a token for each file to be sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from frontend.api_types import Limits
from frontend.batch import Batch, BrowserFile
from frontend.text import accepted

KEY = "uploader"

_FOLDER = Path(__file__).parent
_HTML = """
<div class="zone">
  <label>
    <strong>Drop recordings here</strong>
    <span class="choose">Choose files</span>
    <input type="file" multiple aria-describedby="accepted">
    <small id="accepted"></small>
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
    """What the browser reports: the files it holds, and the tokens whose upload has ended, with or without success."""

    held: tuple[BrowserFile, ...]
    ended: frozenset[str]


def report(visit: str) -> Report | None:
    """The browser's last report in this visit; None where there is none yet, or a malformed one.

    After a long disconnection the browser first repeats the report of an earlier visit, which is ignored.
    """
    state = st.session_state.get(KEY)
    message = state.get("files") if isinstance(state, Mapping) else None
    try:
        if message is None or message["visit"] != visit:
            return None
        held = tuple(
            BrowserFile(int(number), str(name), int(size_bytes), None if result_id is None else str(result_id))
            for number, name, size_bytes, result_id in message["held"]
        )
        return Report(held, frozenset(str(token) for token in message["ended"]))
    except (KeyError, TypeError, ValueError):
        return None


def drop_zone(*, visit: str, limits: Limits | None, path: str, sending: Mapping[str, int], batch: Batch) -> None:
    """Draw the drop zone.

    Args:
        visit: The id of the visit.
        limits: What the service accepts; None while that is not known.
        path: Where a file is sent, followed by its token.
        sending: The numbers of the files to send, by token. Uploads of other tokens are aborted.
        batch: The files to hold.
    """
    endings = limits["endings"] if limits else []
    files = [entry for entry in batch.entries if entry.source is None]
    _zone(
        key=KEY,
        data={
            "visit": visit,
            "hint": accepted(limits) if limits else "The accepted formats and sizes are not known yet.",
            "accept": ",".join(["audio/*", *endings]),
            "endings": endings,
            "path": path,
            "sending": [[token, number] for token, number in sending.items()],
            "stored": {str(entry.number): entry.result_id if entry.stored else None for entry in files},
            "lastNumber": batch.last_number,
            "reported": report(visit) is not None,
        },
        on_files_change=lambda: None,
    )
