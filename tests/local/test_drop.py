import contextlib
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceExistsError

from functions import result_store
from local import azurite, drop
from tests.conftest import Storage


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("x.wav", "x.wav"),
        ("../a/x.wav", "a/x.wav"),
        ("/b/x.wav", "b/x.wav"),
        ("\udcff.wav", "?.wav"),
        ("a\x01/\x0b\x85.wav", "a?/??.wav"),
        ("\ufffe\uffff😀.wav", "??😀.wav"),
    ],
)
def test_a_file_keeps_its_path(path: str, name: str) -> None:
    assert drop.blob_name(Path(path)) == name


def test_names_have_what_ids_may_have() -> None:
    """`local` does not import `functions`, so the rule stands twice."""
    assert drop.NOT_IN_NAMES == result_store.NOT_IN_NAMES


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


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AZURITE_BLOB_PORT", "1"),
        ("AZURITE_BLOB_PORT", "tenthousand"),
        (azurite.VARIABLE, azurite.connection_string([1, 1, 1])),
    ],
)
def test_where_storage_was_looked_for_is_said(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(azurite.VARIABLE, raising=False)
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr("sys.argv", ["drop", __file__])
    assert drop.main() == 2
    printed = capsys.readouterr().err
    assert variable in printed
    assert azurite.ACCOUNT_KEY not in printed
