"""What the drop zone says, as the page reads it."""

from typing import Any

import pytest
import streamlit as st

from frontend import uploader
from frontend.batch import BrowserFile


class TestReport:
    @pytest.fixture
    def says(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        state: dict[str, Any] = {}
        monkeypatch.setattr(st, "session_state", state)
        return state

    def test_what_is_held_and_what_has_ended(self, says: dict[str, Any]) -> None:
        says["uploader"] = {
            "files": {"visit": "v", "held": [[1, "a.wav", 7, None], [2, "b.wav", 0, "x/b.wav"]], "ended": ["t"]}
        }
        assert uploader.report("v") == uploader.Report(
            (BrowserFile(1, "a.wav", 7), BrowserFile(2, "b.wav", 0, "x/b.wav")), frozenset({"t"})
        )

    @pytest.mark.parametrize("state", [None, {}, {"files": None}])
    def test_nothing_yet(self, says: dict[str, Any], state: object) -> None:
        says["uploader"] = state
        assert uploader.report("v") is None

    @pytest.mark.parametrize(
        "files",
        [
            *("x", 7, [], {}, {"visit": "v"}),
            {"visit": "v", "held": 7, "ended": []},
            {"visit": "v", "held": [[1]], "ended": []},
            {"visit": "v", "held": [["x", "a", 1, None]], "ended": []},
            {"visit": "another", "held": [], "ended": []},
        ],
    )
    def test_nonsense(self, says: dict[str, Any], files: object) -> None:
        says["uploader"] = {"files": files}
        assert uploader.report("v") is None
