"""Very many cases, one after another, on several cores, and what must hold for each of them."""

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from tests.audio_samples import encode, music
from tests.hostile.cases import Case
from tests.hostile.runner import Outcome, Runner, Way
from tests.hostile.table import HEAD, rows, text
from tonearm.errors import AUDIO_ERROR_CODES

# Of the process that serves everybody, above what it has at rest.
OWN_MB = 150.0
ANSWER_S = 60.0
HANG_S = 600.0  # where no answer is timed
ORDINARY_S = 5.0  # `make hostile` measures it more exactly
ORDINARY_EVERY = 200
PROGRESS_S = 10.0
CODES = frozenset(("ok", *AUDIO_ERROR_CODES))
_ORDINARY = Case("mutated", 0)


def faults(outcome: Outcome, *, timed: bool = True) -> list[str]:
    """What this answer breaks of what must hold; if it is not ``timed``, it may take as long as it likes."""
    found = []
    if outcome.code not in CODES:
        found.append(f"{outcome.code} is no answer")
    if timed and outcome.seconds > ANSWER_S:
        found.append(f"the answer took {outcome.seconds:.1f} s")
    if outcome.own_mb > OWN_MB:
        found.append(f"{outcome.own_mb:.0f} MB in the process that serves everybody")
    return found


class Fuzz:
    """Reads cases in ``jobs`` children.

    Args:
        timed: slow answers are faults too. A test on a busy machine measures no speed.

    After `run`, ``broken`` has the name of each case that broke something, and what.
    """

    def __init__(self, jobs: int, *, by: Way = "decoders", timed: bool = True) -> None:
        self._jobs, self._by, self._timed = jobs, by, timed
        self.broken: dict[str, list[str]] = {}

    def run(self, cases: Sequence[Case]) -> Iterator[Outcome]:
        """Every case's outcome, as they come."""
        waiting: SimpleQueue[Case | None] = SimpleQueue()
        for case in (*cases, *[None] * self._jobs):
            waiting.put(case)
        done: SimpleQueue[Outcome | BaseException | None] = SimpleQueue()
        with tempfile.TemporaryDirectory() as name:
            clip = Path(name, "clip.mp3")
            clip.write_bytes(encode("mp3", music(5)))
            for _ in range(self._jobs):
                Thread(target=self._work, args=(clip, waiting, done), daemon=True).start()
            running = self._jobs
            while running:
                outcome = done.get()
                if isinstance(outcome, BaseException):
                    raise outcome
                if outcome is None:
                    running -= 1
                else:
                    yield outcome

    def _work(
        self, clip: Path, waiting: SimpleQueue[Case | None], done: SimpleQueue[Outcome | BaseException | None]
    ) -> None:
        try:
            with Runner(ANSWER_S if self._timed else HANG_S, by=self._by) as runner:
                expected = runner.read(clip, _ORDINARY).checksum
                number = 0
                while case := waiting.get():
                    outcome = runner.run(case)
                    found = faults(outcome, timed=self._timed)
                    number += 1
                    if number % ORDINARY_EVERY == 0 or outcome.ended:
                        found += self._after(runner, clip, expected)
                    if found:
                        self.broken[case.name] = found
                    done.put(outcome)
        except BaseException as error:
            done.put(error)
        else:
            done.put(None)

    def _after(self, runner: Runner, clip: Path, expected: int) -> list[str]:
        """What is wrong with an ordinary clip that is read after a case."""
        ordinary = runner.read(clip, _ORDINARY)
        if ordinary.code != "ok" or ordinary.checksum != expected:
            return [f"the next ordinary clip was {ordinary.code}" + ", and other sound" * (ordinary.code == "ok")]
        late = self._timed and ordinary.seconds > ORDINARY_S
        return [f"the next ordinary clip took {ordinary.seconds:.1f} s"] if late else []


def report(cases: Sequence[Case], *, jobs: int, by_kind: bool = False, by: Way = "decoders") -> bool:
    """Run, print the table and what broke. Returns whether nothing did."""
    start_s = time.monotonic()
    fuzz = Fuzz(jobs, by=by)
    table = rows(_with_progress(fuzz.run(cases), len(cases)), by_kind=by_kind)
    print(HEAD)
    for row in sorted(table, key=lambda row: row.name):
        print(text(row))
    minutes = (time.monotonic() - start_s) / 60
    print(f"{len(cases):,} cases in {minutes:.1f} minutes with {jobs} jobs; {len(fuzz.broken)} broke something")
    for name, found in fuzz.broken.items():
        print(f"  {name}: {'; '.join(found)}")
    return not fuzz.broken


def _with_progress(outcomes: Iterator[Outcome], n: int) -> Iterator[Outcome]:
    start_s = reported_s = time.monotonic()
    for number, outcome in enumerate(outcomes, 1):
        yield outcome
        if time.monotonic() - reported_s > PROGRESS_S:
            reported_s = time.monotonic()
            rate = number / (reported_s - start_s)
            print(f"{number:,} of {n:,}, {rate:.0f} a second, last {outcome.case.name}", file=sys.stderr, flush=True)
