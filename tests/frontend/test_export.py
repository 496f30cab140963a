import csv
import io
import json
import unicodedata
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend import export
from frontend.api_types import Result
from frontend.batch import Entry
from tests.frontend.fakes import GENRES, classification, failure, three_models
from tonearm import cli
from tonearm.classification import Audio, Genre, ModelAnswer, Models, Part, UncertainReason
from tonearm.classification import Classification as ServiceClassification
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


@pytest.mark.parametrize("entries", [[], [entry("a.mp3", classification())], [entry("a.wav", failure())]])
def test_the_command_lines_csv_has_the_same_columns(entries: list[Entry]) -> None:
    content = export.results_csv(entries).decode("utf-8-sig")
    assert tuple(content.splitlines()[0].split(",")) == cli.CSV_COLUMNS


PARTS = [Part(start_s=30 * n, end_s=30 * n + 30, genre=genre) for n, genre in enumerate(["jazz", "hiphop"] * 6)]


@pytest.mark.parametrize(
    ("doubt", "reason"),
    [
        ({}, ""),
        ({"uncertain_because": get_args(UncertainReason)}, None),
        ({"uncertain_because": ["low_confidence", "mixed"], "parts": PARTS[:3]}, "Jazz → Hip-hop → Jazz (3 parts)"),
        ({"uncertain_because": get_args(UncertainReason), "parts": PARTS}, None),
        ({"uncertain_because": ["not_music"]}, "may be no music"),
    ],
)
def test_the_command_lines_csv_has_the_same_cells(
    doubt: dict[str, Any], reason: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = ModelAnswer(genre="jazz", probabilities=dict.fromkeys(get_args(Genre), 0.1))
    result = ServiceClassification(
        **{"uncertain": bool(doubt), "genre": "jazz", "confidence": 0.1, "probabilities": answer.probabilities} | doubt,
        id="a\tb.mp3",
        models=Models(svm=answer, vgg19=None),
        segments=[],
        audio=Audio(duration_s=90.5, sample_rate_hz=8000, channels=2, codec="mp3", analysed_s=1, damaged=True, track=2),
        model_version="1",
        mode="accurate",
        timings_ms={},
    )
    cli._csv()(Path("a\tb.mp3"), result)
    (printed,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    (row,) = rows(export.results_csv([entry("a\tb.mp3", json.loads(result.to_json()))]))
    assert row == printed
    assert (row["track"], row["file"]) == ("2", "a\ufffdb.mp3")
    assert row["uncertain_because"] == " ".join(result.uncertain_because)
    assert reason is None or row["reason"] == reason


def test_many_results_as_json() -> None:
    rows = json.loads(export.results_json([entry("a.mp3", classification()), entry("c.ogg")]))
    assert rows[0]["result"] == classification()
    assert rows[1] == {"file": "c.ogg", "state": "waiting", "reason": None, "result": None}


@pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
def test_a_name_is_no_formula(sign: str) -> None:
    name = f'{sign}cmd|" /C calc"!A0.mp3'
    (row,) = rows(export.results_csv([entry(name)]))
    assert row["file"] == f"'{name}"


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("x;=1+1.mp3", "x;'=1+1.mp3"),
        (";=1+1.mp3", "';'=1+1.mp3"),
        ("x;\t =1+1.mp3", "x;\ufffd =1+1.mp3"),
        ("\t=1+1.mp3", "\ufffd=1+1.mp3"),
        ("\r\n=1+1.mp3", "\ufffd\ufffd=1+1.mp3"),
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
    text = export.results_csv([entry(name, classification(id=name))]).decode("utf-8-sig")
    assert [len(row) for row in csv.reader(io.StringIO(text, newline=""))] == [len(cli.CSV_COLUMNS)] * 2
    for separator in ",;\t":
        cells = [cell for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) for cell in row]
        assert [cell for cell in cells if cell.lstrip(' "\u200d')[:1] in set("=+-@＝＋")] == []
    assert {sign for sign in text.replace("\r\n", "") if unicodedata.category(sign) == "Cc"} == set()
    assert not any(unicodedata.bidirectional(sign) in DIRECTIONS for sign in text)


@given(NAMES)
def test_the_command_line_writes_the_same_cells(name: str) -> None:
    assert export.safe_cell(name) == csv_cell(name)


def test_names_with_quotes_commas_and_line_breaks_stay_in_their_cell() -> None:
    (row,) = rows(export.results_csv([entry('a "b", c\n=d.mp3')]))
    assert row["file"] == 'a "b", c\ufffd=d.mp3'
