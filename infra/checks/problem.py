"""What a check finds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something wrong in a file: where it is and what to do."""

    path: str
    """Relative to the root checked."""
    line: int
    """From 1; 0: the file as a whole."""
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"
