"""Tables of outcomes: answers, time and memory of each format or kind."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.hostile.runner import Outcome


@dataclass
class Row:
    """Outcomes of one format or one kind."""

    name: str
    cases: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    slowest: Outcome | None = None
    largest: Outcome | None = None
    decoders_mb: float = 0.0
    ended: int = 0
    seconds: float = 0.0

    def add(self, outcome: Outcome) -> None:
        self.cases += 1
        self.seconds += outcome.seconds
        self.codes[outcome.code] = self.codes.get(outcome.code, 0) + 1
        self.slowest = outcome if self.slowest is None or outcome.seconds > self.slowest.seconds else self.slowest
        self.largest = outcome if self.largest is None or outcome.own_mb > self.largest.own_mb else self.largest
        self.decoders_mb = max(self.decoders_mb, outcome.decoders_mb)
        self.ended += outcome.ended


HEAD = (
    f"{'':24} {'cases':>7} {'in all':>9} {'slowest':>9} {'of':18} {'own MB':>7} {'of':18}"
    f" {'decoders MB':>11} {'ended':>6}  answers"
)


def text(row: Row) -> str:
    """The row as a line under ``HEAD``."""
    assert row.slowest
    assert row.largest
    codes = ", ".join(f"{code} {n:,}" for code, n in sorted(row.codes.items(), key=lambda each: -each[1]))
    slowest, largest = row.slowest, row.largest
    return (
        f"{row.name:24} {row.cases:7,} {row.seconds:7.1f} s {slowest.seconds:7.2f} s {slowest.case.name:18}"
        f" {largest.own_mb:7.0f} {largest.case.name:18} {row.decoders_mb:11.0f} {row.ended:6,}  {codes}"
    )


def rows(outcomes: Iterable[Outcome], *, by_kind: bool = False) -> list[Row]:
    """One row for each format, or for each kind of each."""
    found: dict[str, Row] = {}
    for outcome in outcomes:
        name = f"{outcome.case.format}/{outcome.case.kind}" if by_kind else outcome.case.format
        found.setdefault(name, Row(name)).add(outcome)
    return list(found.values())
