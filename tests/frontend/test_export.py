import csv
import io
import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend import export
from frontend.api_types import Result
from frontend.batch import Entry
from tests.frontend.fakes import GENRES, classification, failure, three_models
from tonearm import cli
from tonearm.terminal import csv_cell

DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
"""Classes of the characters that change the direction of a text."""


def rows(content: bytes) -> list[dict[str, str]]:
    assert content.startswith(b"\xef\xbb\xbf"), "spreadsheets would mistake the letters"
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def entry(name: str, result: Result | None = None, **changes: Any) -> Entry:
    made = Entry(1, name, 1000, **changes)
    if result is not None:
        made.result_id = result["id"]
        made.finish(result)
    return made


def test_one_result_as_json_is_the_services_document() -> None:
    assert json.loads(export.result_json(classification())) == classification()


def test_one_result_as_csv_has_the_whole_the_models_and_the_segments() -> None:
    result = classification()
    whole, svm, vgg19, *segments = rows(export.result_csv(result))
    assert [each["part"] for each in (whole, svm, vgg19)] == ["whole", "svm", "vgg19"]
    assert (whole["genre"], float(whole["probability"]), float(whole["end_s"])) == ("jazz", 0.92, 90.0)
    assert (svm["genre"], float(svm["blues"])) == ("blues", 0.55)
    assert len(segments) == len(result["segments"])
    last = segments[-1]
    assert (last["start_s"], last["end_s"], last["genre"], last["hiphop"]) == ("75.0", "90.0", "hiphop", "0.44")
    assert all(sum(float(each[genre]) for genre in GENRES) == pytest.approx(1, abs=1e-4) for each in segments)


def test_many_results_as_csv_are_a_line_a_file() -> None:
    entries = [entry("a.mp3", classification()), entry("b.wav", failure()), entry("c.ogg")]
    done, failed, waiting = rows(export.results_csv(entries))
    assert (done["file"], done["status"], done["genre"], done["confidence"]) == ("a.mp3", "done", "jazz", "0.92")
    assert (done["svm"], done["vgg19"], done["jazz"], done["codec"]) == ("blues", "jazz", "0.92", "mp3")
    assert (failed["status"], failed["genre"], failed["problem_code"]) == ("failed", "", "too_short")
    assert failed["reason"] == "The recording is too short. It lasts 0.3 s."
    assert (waiting["status"], waiting["id"], waiting["jazz"]) == ("waiting", "", "")


def test_three_models_and_one_that_was_not_run() -> None:
    result = three_models(uncertain_because=["low_confidence", "not_music"])
    assert [row["part"] for row in rows(export.result_csv(result))][:4] == ["whole", "svm", "audioset", "segment"]
    (row,) = rows(export.results_csv([entry("a.mp3", result)]))
    assert (row["svm"], row["vgg19"], row["audioset"]) == ("blues", "", "rock")
    assert (row["music"], row["uncertain_because"]) == ("0.83", "low_confidence not_music")
    assert (row["uncertain"], row["damaged"]) == ("false", "false")


def test_the_command_lines_csv_has_the_same_columns() -> None:
    content = export.results_csv([entry("a.mp3", classification())]).decode("utf-8-sig")
    assert tuple(content.splitlines()[0].split(",")) == cli.CSV_COLUMNS


def test_many_results_as_json() -> None:
    rows = json.loads(export.results_json([entry("a.mp3", classification()), entry("c.ogg")]))
    assert rows[0]["result"] == classification()
    assert rows[1] == {"file": "c.ogg", "state": "waiting", "reason": None, "result": None}


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r"])
def test_a_name_is_no_formula(sign: str) -> None:
    name = f'{sign}cmd|" /C calc"!A0.mp3'
    (row,) = rows(export.results_csv([entry(name)]))
    assert row["file"] == f"'{name}"


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("x;=1+1.mp3", "x;'=1+1.mp3"),
        (";=1+1.mp3", "';'=1+1.mp3"),
        ("x;\t =1+1.mp3", "x;'\t' =1+1.mp3"),
        ('x;"=1+1.mp3', "x;'\"=1+1.mp3"),
        ("  =1+1.mp3", "'  =1+1.mp3"),
        ("\N{FULLWIDTH EQUALS SIGN}1+1.mp3", "'\N{FULLWIDTH EQUALS SIGN}1+1.mp3"),
        ("\x1b[31m\x9b31m.mp3", "\ufffd[31m\ufffd31m.mp3"),
        ("a\u202e3pm.exe", "a\ufffd3pm.exe"),
        ("\ufeff=1", "\ufffd=1"),
        ("01 - Song; live.mp3", "01 - Song; live.mp3"),
    ],
)
def test_names_that_deceive_spreadsheets_and_terminals(name: str, cell: str) -> None:
    assert export.safe_cell(name) == cell
    (row,) = rows(export.results_csv([entry(name)]))
    assert row["file"] == cell


NAMES = st.text(st.sampled_from("=+-@＝＋;,\t\r\n\"' a\x1b\x9b\u202e\u200d\ufeff"), max_size=12) | st.text()


@given(NAMES)
def test_no_name_is_a_formula_by_any_separator(name: str) -> None:
    result = classification() | {"id": name.replace("\r", "").replace("\n", "")}  # ids have no line breaks
    text = export.results_csv([entry(name, result)]).decode("utf-8-sig")
    for separator in ",;\t":
        cells = [cell for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) for cell in row]
        assert [cell for cell in cells if cell.lstrip(' "\t\r\n\u200d')[:1] in set("=+-@＝＋")] == []
    assert {sign for sign in text if unicodedata.category(sign) == "Cc"} <= set("\t\r\n")
    assert not any(unicodedata.bidirectional(sign) in DIRECTIONS for sign in text)


@given(NAMES)
def test_the_command_line_writes_the_same_cells(name: str) -> None:
    assert export.safe_cell(name) == csv_cell(name)


def test_names_with_quotes_commas_and_line_breaks_stay_in_their_cell() -> None:
    name = 'a "b", c\n=d.mp3'
    (row,) = rows(export.results_csv([entry(name)]))
    assert row["file"] == name
