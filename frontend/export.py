"""Results as files: JSON as the service answered, and CSV for spreadsheets and scripts.

CSV is UTF-8 with a byte order mark, without which spreadsheets misread letters.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from frontend import palette
from frontend.api_types import Classification, ModelAnswer, Result, model_answers
from frontend.batch import Entry

# As in tonearm/terminal.py: controls and what reverses or hides text; and where a formula may begin, for spreadsheets
# that take ";" for the end of a cell, and quotes with it.
UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\udc80-\udc9f]"
)
FORMULA = re.compile(r"""^(?=;)|(?:^|(?<=;))(?="|[\s"\u200c\u200d]*[=+\-@＝＋－＠])""")
# Those of the command line's CSV (tonearm/cli.py).
COLUMNS = (
    *("file", "status", "genre", "confidence", "uncertain", "uncertain_because", *palette.COLOURS),
    *("svm", "vgg19", "audioset", "music", "duration_s", "codec", "sample_rate_hz", "channels", "track", "damaged"),
    *("problem_code", "reason", "model_version", "created_at", "id"),
)


def result_json(result: Result) -> bytes:
    """One result as JSON."""
    return json.dumps(result, ensure_ascii=False, indent=1).encode()


def results_json(entries: Iterable[Entry]) -> bytes:
    """Many results as a JSON list with a line for each file: its name, state, reason and result."""
    rows = [
        {"file": entry.name, "state": entry.state.value, "reason": entry.reason, "result": entry.result}
        for entry in entries
    ]
    # An indent would take ten times as long, and this runs at each run of the page.
    return f"[{',\n'.join(json.dumps(row, ensure_ascii=False) for row in rows)}]\n".encode()


def result_csv(result: Classification) -> bytes:
    """One result as CSV: a line for the whole recording, one for each model, and one for each segment."""
    end_s = result["audio"]["duration_s"]
    parts: list[tuple[str, float, float, ModelAnswer]] = [
        ("whole", 0.0, end_s, result),
        *((name, 0.0, end_s, answer) for name, answer in model_answers(result).items()),
        *(("segment", segment["start_s"], segment["end_s"], segment) for segment in result["segments"]),
    ]
    columns = ("part", "start_s", "end_s", "genre", "probability")
    rows = [
        dict(zip(columns, (*part, answer["genre"], answer["probabilities"][answer["genre"]]), strict=True))
        | answer["probabilities"]
        for *part, answer in parts
    ]
    return _csv(rows, [*columns, *result["probabilities"]])


def results_csv(entries: Iterable[Entry]) -> bytes:
    """Many results as CSV, a line for each file."""
    return _csv([_row(entry) for entry in entries], COLUMNS)


def safe_cell[T](value: T) -> T | str:
    """``value``; a text without controls, and with a quote before each place where a formula may begin.

    File names are untrusted.
    """
    return FORMULA.sub("'", UNSEEN.sub("\N{REPLACEMENT CHARACTER}", value)) if isinstance(value, str) else value


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else safe_cell(value)


def _row(entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = {**(entry.result or {})}
    if entry.result and entry.result["status"] == "failed":
        row["problem_code"] = entry.result["problem"]["code"]
    if result := entry.classification:
        models = {name: answer["genre"] for name, answer in model_answers(result).items()}
        row |= {**result["audio"], **models, **result["probabilities"]}
        row["uncertain_because"] = " ".join(result.get("uncertain_because", []))
    return row | {"file": entry.name, "status": entry.state.value, "reason": entry.explanation, "id": entry.result_id}


def _csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> bytes:
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, columns, extrasaction="ignore")
    table.writeheader()
    table.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode("utf-8-sig")
