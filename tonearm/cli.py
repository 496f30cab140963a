"""``tonearm classify FILE|FOLDER…`` and ``tonearm sample FILE.wav``: the command line, for people and for scripts."""

import argparse
import csv
import errno
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from tonearm.classification import Classification, Failure, Mode, ModelAnswer, Problem, Result, UncertainReason
from tonearm.constants import ENDINGS, GENRES
from tonearm.errors import AudioError, DecoderError, ModelError
from tonearm.terminal import csv_cell, discard_stdout, printable

if TYPE_CHECKING:
    from tonearm.classifier import Classifier

ALL_CLASSIFIED = 0
SOME_FAILED = 1
CANNOT_START = 2
OUTPUT_FAILED = 3
INTERRUPTED = 130
READER_GONE = 141  # what a shell reports of a program that SIGPIPE ended

# Those of the web page's CSV too (frontend/export.py).
CSV_COLUMNS = (
    *("file", "status", "genre", "confidence", "uncertain", "uncertain_because", *GENRES),
    *("svm", "vgg19", "audioset", "music", "duration_s", "codec", "sample_rate_hz", "channels", "track", "damaged"),
    *("problem_code", "reason", "model_version", "created_at", "id"),
)
STDIN = Path("-")
MAX_NAME_COLUMNS = 60
MOST_CERTAIN = 0.995

MAX_SHOWN_PARTS = 10

MODELS = {"svm": "SVM", "vgg19": "VGG19", "audioset": "AudioSet network"}
# As on the web page (frontend/text.py).
REASONS: dict[UncertainReason, str] = {
    "low_confidence": "no genre stands out",
    "unlike_training": "unlike the training data",
    "not_music": "may be no music",
    "mixed": "clear parts of different genres",
}

EPILOG = """\
Folders are searched through for audio by their files' extensions; hidden files and folders are left out. Files that
are named are always tried, whatever their extension.

No music at hand? `tonearm sample clip.wav` writes some. Collections to try: GTZAN, on which the models were trained, is
on Kaggle ("GTZAN Dataset - Music Genre Classification"); FMA is at https://github.com/mdeff/fma.

exit status: 0 all classified, 1 some failed, 2 wrong usage, no audio found or no model, 3 the output cannot be written,
130 interrupted
"""

Writer = Callable[[Path, Result], None]
"""Writes one file's result to standard output."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status. ``arguments`` are the process's own by default."""
    if sys.stdout is None:
        return _complain("the output cannot be written: it is closed", OUTPUT_FAILED)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names that are no text in the locale's encoding come out as the bytes they are, and do not end the run.
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    try:
        try:
            options = _parser().parse_args(arguments)
            return int(options.run(options))
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        discard_stdout()
        return READER_GONE
    except OSError as error:
        if error.filename is not None:  # not of the output, which is open already
            raise
        discard_stdout()
        return _complain(f"the output cannot be written: {error.strerror}", OUTPUT_FAILED)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End with a message, which quotes arguments: with ``*`` for arguments, these are names of files."""
        super().error(printable(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="tonearm", description="Names the genre of a recording.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('tonearm')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    classify = commands.add_parser(
        "classify",
        help="classify files, or all audio in folders",
        description="Names the genre of each recording, one line each, as they are done.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    classify.set_defaults(run=_classify)
    classify.add_argument("paths", nargs="+", type=Path, metavar="FILE|FOLDER|-")
    form = classify.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON result a line")
    form.add_argument("--csv", action="store_true", help="comma-separated, with a header")
    classify.add_argument("--fast", action="store_true", help="less time, a little less accurate; see docs/cli.md")
    classify.add_argument("--model", type=Path, metavar="DIR", help="a model folder other than the default one")
    sample = commands.add_parser(
        "sample",
        help="write a piece of made-up music to try the other commands with",
        description="Writes 12 s of made-up rock music as a WAV file.",
    )
    sample.set_defaults(run=_sample)
    sample.add_argument("file", type=Path, metavar="FILE.wav")
    return parser


def _sample(options: argparse.Namespace) -> int:
    from tonearm import sample_clip

    try:
        options.file.write_bytes(sample_clip.wav())
    except OSError as error:
        return _cannot_start(f"{options.file} cannot be written: {error.strerror}")
    program = "tonearm" if shutil.which("tonearm") else os.path.relpath(sys.argv[0])
    print(printable(f"Wrote {options.file}. Try: {program} classify {options.file}"))
    return ALL_CLASSIFIED


def _classify(options: argparse.Namespace) -> int:
    files = list(dict.fromkeys(audio_files(options.paths)))
    if not files:
        return _cannot_start("no audio found in the folders given")
    # Imported here: it takes a second, which --help and typing errors need not wait for.
    from tonearm.classifier import Classifier
    from tonearm.decoding.decoder_pool import POOL

    try:
        POOL.start(1)  # it starts while the models load
        mode: Mode = "fast" if options.fast else "accurate"
        classifier = Classifier.load(options.model, mode=mode, threads=_cpu_count())
    except ModelError as error:
        return _cannot_start(str(error))

    write = _json_lines() if options.json else _csv() if options.csv else _table(files)
    show_progress = len(files) > 1 and sys.stderr.isatty()
    status = ALL_CLASSIFIED
    for number, file in enumerate(files, 1):
        try:
            if show_progress:
                _show(f"{number}/{len(files)} {printable(str(file))}")
            result = classify_file(classifier, file)
        finally:
            if show_progress:
                _show("")
        if result.status == "failed":
            status = SOME_FAILED
        write(file, result)
        sys.stdout.flush()
    return status


def _cpu_count() -> int:
    """Processors that this process may use; `os.process_cpu_count` is not in Python 3.11."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cannot_start(reason: str) -> int:
    return _complain(reason, CANNOT_START)


def _complain(reason: str, status: int) -> int:
    with suppress(OSError):  # where there is no room for the output, there may be none for this
        print(printable(f"tonearm: {reason}"), file=sys.stderr)
    return status


def audio_files(paths: Sequence[Path]) -> Iterator[Path]:
    """The files named, and the audio under the folders named, by extension, in order of name, without hidden ones.

    Links to folders are followed, and each folder is looked through once. A folder that cannot be read comes as a file
    would, so that it fails like one and is not skipped without a word.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        unreadable: list[OSError] = []
        seen: set[tuple[int, int]] = set()
        for folder, subfolders, names in os.walk(path, onerror=unreadable.append, followlinks=True):
            facts = Path(folder).stat()
            if (facts.st_dev, facts.st_ino) in seen:
                subfolders.clear()
                continue
            seen.add((facts.st_dev, facts.st_ino))
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            for file in (Path(folder, name) for name in sorted(names)):
                if not file.name.startswith(".") and file.suffix.lower() in ENDINGS and not _is_special(file):
                    yield file
        yield from (Path(error.filename) for error in unreadable)


def _is_special(file: Path) -> bool:
    """Whether it is a pipe, a socket or a device, from which nothing may ever come."""
    return file.exists() and not file.is_file()


def classify_file(classifier: "Classifier", file: Path) -> Result:
    """The result for ``file``, whose id is its path as given; ``-`` is standard input.

    A file that cannot be read fails as ``unreadable``.
    """
    try:
        return classifier.classify(_stdin() if file == STDIN else file, result_id=str(file))
    except (AudioError, DecoderError) as error:
        problem = Problem(code=error.code, title=error.title, detail=getattr(error, "detail", str(error)))
    except OSError as error:
        advice = " Check the path and its permissions." if file != STDIN else ""
        detail = f"{error.strerror or 'It cannot be opened'}.{advice}"
        if error.errno == errno.ENOSPC:
            detail = f"{tempfile.gettempdir()} is full, where a pipe is kept. Set TMPDIR to another folder."
        problem = Problem(code="unreadable", title="The file cannot be read", detail=detail)
    return Failure(id=str(file), problem=problem, model_version=classifier.model_version)


def _stdin() -> BinaryIO:
    """Raises OSError if it is closed."""
    if sys.stdin is None:
        raise OSError(errno.EBADF, "Standard input is closed")
    return sys.stdin.buffer


def _table(files: Sequence[Path]) -> Writer:
    """For people: aligned columns."""
    name_columns = min(max(len(printable(str(file))) for file in files), MAX_NAME_COLUMNS)

    def line(name: str, genre: str, confidence: str, *rest: str) -> None:
        print(f"{name:<{name_columns}}  {genre:<9}  {confidence:<10}  {'  '.join(rest)}".rstrip())

    def write(file: Path, result: Result) -> None:
        if isinstance(result, Classification):
            confidence = "not sure" if result.uncertain else _percent(result.confidence)
            line(
                printable(str(file)), result.genre, confidence, f"{_clock(result.audio.duration_s):<8}", _notes(result)
            )
        else:
            problem = result.problem
            line(printable(str(file)), "failed", problem.code, printable(f"{problem.title}. {problem.detail}"))

    line("file", "genre", "confidence", "duration", "notes")
    return write


def _notes(result: Classification) -> str:
    """Why the answer is uncertain, what each model says where they disagree, and what is unusual about the file."""
    answers = _models(result)
    disagree = len({answer.genre for answer in answers.values()}) > 1
    said = [f"{MODELS[name]} {answer.genre}" for name, answer in answers.items()] if disagree else []
    track = f"track {result.audio.track}" if (result.audio.track or 1) > 1 else ""
    damage = "damaged: parts of it could not be decoded" if result.audio.damaged else ""
    return "; ".join(filter(None, [_doubt(result), ", ".join(said), track, damage]))


def _doubt(result: Classification) -> str:
    """Why the answer is uncertain, in words; of a mixed recording first its parts. Empty if it is not."""
    names = ["Hip-hop" if part.genre == "hiphop" else part.genre.capitalize() for part in result.parts]
    if len(names) > MAX_SHOWN_PARTS:
        names[MAX_SHOWN_PARTS - 1 : -1] = ["…"]
    mixture = f"{' → '.join(names)} ({len(result.parts)} parts)" if names else ""
    implied = {"low_confidence", "mixed"} if names else set()
    reasons = ", ".join(REASONS[each] for each in result.uncertain_because if each not in implied)
    return "; ".join(filter(None, [mixture, reasons]))


def _models(result: Classification) -> dict[str, ModelAnswer]:
    """The answers of the models that were run."""
    return {name: answer for name in MODELS if (answer := getattr(result.models, name)) is not None}


def _json_lines() -> Writer:
    """For programs: each line the result that the API gives, with its ``file``."""
    return lambda file, result: print(json.dumps({"file": str(file), **asdict(result)}, allow_nan=False))


def _csv() -> Writer:
    """For spreadsheets: one row a file. The reason is why it failed or is uncertain; a failed one has no figures."""
    table = csv.DictWriter(sys.stdout, CSV_COLUMNS, lineterminator="\n", extrasaction="ignore")
    table.writeheader()

    def write(file: Path, result: Result) -> None:
        row: dict[str, Any] = {**asdict(result), "file": str(file)}
        if isinstance(result, Classification):
            answers = {name: answer.genre for name, answer in _models(result).items()}
            row |= {**row["audio"], **answers, **row["probabilities"]}
            row |= {"uncertain_because": " ".join(result.uncertain_because), "reason": _doubt(result)}
        else:
            problem = result.problem
            row |= {"problem_code": problem.code, "reason": f"{problem.title}. {problem.detail}"}
        table.writerow({name: _cell(value) for name, value in row.items()})

    return write


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else csv_cell(value) if isinstance(value, str) else value


def _show(progress: str) -> None:
    """One line on the terminal that says which of many files is being worked on, in place of the one before."""
    sys.stderr.write("\r\x1b[K" + progress[: shutil.get_terminal_size().columns - 1])
    sys.stderr.flush()


def _percent(share: float) -> str:
    """Whole per cents, but never the certainty that rounding would make of 99.6%."""
    return f"{share:.0%}" if share < MOST_CERTAIN else ">99%"


def _clock(seconds: float) -> str:
    """A duration as people write it: 0:30, 1:02:05."""
    minutes, whole_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole_s:02}" if hours else f"{minutes}:{whole_s:02}"


if __name__ == "__main__":
    sys.exit(main())
