"""Results as files to keep: JSON as the service gave it, and CSV for spreadsheets and scripts.

CSV is UTF-8 with a byte order mark, without which spreadsheets mistake the letters. A file name may be made to be taken
for a formula by them: such text gets a quote in front.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence

from frontend.api_types import Done, Result
from frontend.batch import Entry

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")

Cell = str | float | int | bool | None


def result_json(result: Result) -> bytes:
    """One result as JSON."""
    return json.dumps(result, ensure_ascii=False, indent=1).encode()


def results_json(entries: Iterable[Entry]) -> bytes:
    """Many as a list, a line each: the file's name, its state and reason here, and its result if it has one."""
    rows = [
        {"file": entry.name, "state": entry.state.value, "reason": entry.reason, "result": entry.result}
        for entry in entries
    ]
    # Without an indent: with one it takes ten times as long, and this is made at each drawing of the page.
    return f"[{',\n'.join(json.dumps(row, ensure_ascii=False) for row in rows)}]\n".encode()


def result_csv(result: Done) -> bytes:
    """One result as CSV: a line for the whole recording, for each model alone, and for each stretch of time."""
    whole = {"start_s": 0.0, "end_s": result["audio"]["duration_s"]}
    rows: list[Mapping[str, Cell]] = [
        {"part": "whole", **whole, **_answer(result["genre"], result["probabilities"])},
        *(
            {"part": name, **whole, **_answer(answer["genre"], answer["probabilities"])}
            for name, answer in result["models"].items()
        ),
        *(
            {
                "part": "stretch",
                "start_s": each["start_s"],
                "end_s": each["end_s"],
                **_answer(each["genre"], each["probabilities"]),
            }
            for each in result["segments"]
        ),
    ]
    return _csv(rows, list(rows[0]))


def results_csv(entries: Sequence[Entry], genres: Sequence[str]) -> bytes:
    """Many as CSV, a line a file; ``genres`` are the columns of probabilities."""
    columns = (
        *("file", "state", "reason", "genre", "confidence", "uncertain", "svm", "vgg19", "duration_s", "codec"),
        *("sample_rate_hz", "channels", *genres, "model_version", "created_at", "id"),
    )
    return _csv([_row(entry) for entry in entries], columns)


def _row(entry: Entry) -> dict[str, Cell]:
    row: dict[str, Cell] = {
        "file": entry.name,
        "state": entry.state.value,
        "reason": entry.reason,
        "id": entry.result_id,
    }
    result = entry.result
    if result is None:
        return row
    row |= {"model_version": result["model_version"], "created_at": result["created_at"]}
    if result["status"] == "failed":
        return row
    audio = result["audio"]
    return {
        **row,
        **{name: result["models"][name]["genre"] for name in ("svm", "vgg19")},
        "genre": result["genre"],
        "confidence": result["confidence"],
        "uncertain": result["uncertain"],
        "duration_s": audio["duration_s"],
        "codec": audio["codec"],
        "sample_rate_hz": audio["sample_rate_hz"],
        "channels": audio["channels"],
        **result["probabilities"],
    }


def _answer(genre: str, shares: Mapping[str, float]) -> dict[str, Cell]:
    return {"genre": genre, "probability": shares[genre], **shares}


def _csv(rows: Iterable[Mapping[str, Cell]], columns: Sequence[str]) -> bytes:
    text = io.StringIO(newline="")
    lines = csv.writer(text)
    lines.writerow(columns)
    lines.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def _cell(value: Cell) -> Cell:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_SIGNS) else value
