import contextlib
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceExistsError

from local import drop
from tests.conftest import Storage


def test_files_of_the_same_name_do_not_overwrite_each_other() -> None:
    files = [Path("a/x.wav"), Path("b/x.wav"), Path("y.wav"), Path("c/x.wav")]
    assert list(drop.blob_names(files)) == ["x.wav", "x-2.wav", "y.wav", "x-3.wav"]


def test_a_name_that_is_no_text_is_made_one() -> None:
    assert list(drop.blob_names([Path("bad\udcff.wav")])) == ["bad?.wav"]


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"status": "done", "genre": "jazz", "confidence": 0.756}, "a.wav: jazz (0.76)"),
        ({"status": "done", "genre": "jazz", "confidence": 0.3, "uncertain": True}, "a.wav: jazz (0.30, not sure)"),
        (
            {"status": "failed", "problem": {"code": "silent", "detail": "Nothing is heard."}},
            "a.wav: failed (silent): Nothing is heard.",
        ),
    ],
)
def test_a_result_in_one_line(result: dict[str, Any], text: str) -> None:
    assert drop.line("a.wav", result) == text


def test_a_new_drop_takes_the_old_result_away_and_waiting_ends_without_one(azurite: Storage) -> None:
    service = drop.connect(azurite.connection_string)
    results = service.get_container_client("results")
    with contextlib.suppress(ResourceExistsError):
        results.create_container()
    for name in ("old.wav", "other.wav"):
        results.upload_blob(f"{name}.json", b'{"status": "done"}')
    drop.put(service, "old.wav", b"tune")
    assert service.get_blob_client("uploads", "old.wav").download_blob().readall() == b"tune"
    found = list(drop.results(service, ["old.wav", "other.wav"], patience_s=0.5))
    assert found == [("other.wav", {"status": "done"})]
