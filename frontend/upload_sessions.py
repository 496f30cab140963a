"""What the relay's tokens stand for: uploads that the browser may send, and recordings that it may play.

The page's runs and the server's routes are threads of one process and share these.
"""

import secrets
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from time import monotonic as now_s

from frontend.api import Recording, Upload
from frontend.background import late

PLAYABLE_FOR = timedelta(hours=12)
"""How long after a page was last drawn its player can be used."""


class Stage(StrEnum):
    """How far an upload has come."""

    OFFERED = "offered"
    MOVING = "moving"
    STORED = "stored"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


@dataclass(slots=True, eq=False)
class Transfer:
    """One file's way to the storage; ``reason`` is the sentence for the person at the page where it failed."""

    upload: Upload
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    stage: Stage = Stage.OFFERED
    reason: str | None = None
    total_bytes: int = 0
    moved_bytes: int = 0
    handed_s: float | None = None
    """Since when the storage has had something to take or to answer, by the monotonic clock; None while it is the
    browser that is waited for."""

    @property
    def slow(self) -> bool:
        """Whether the storage takes so long that whoever waits should be told."""
        return self.stage is Stage.MOVING and self.handed_s is not None and late(self.handed_s)

    @property
    def share(self) -> float:
        """How much has been passed on, 0 to 1."""
        return self.moved_bytes / self.total_bytes if self.total_bytes else 0.0

    @property
    def startable(self) -> bool:
        """Whether a file may be sent now: until one arrived whole, and while the storage takes it."""
        return self.stage in (Stage.OFFERED, Stage.FAILED) and datetime.now(UTC) < self.upload.expires

    def start(self, total_bytes: int) -> None:
        """A file of this size begins to come in."""
        self.stage, self.reason = Stage.MOVING, None
        self.total_bytes, self.moved_bytes = total_bytes, 0
        self.handed_s = now_s()

    def end(self, reason: str | None) -> None:
        """It arrived whole, or failed for this reason."""
        if self.stage is not Stage.WITHDRAWN:
            self.stage, self.reason = (Stage.FAILED, reason) if reason else (Stage.STORED, None)

    def withdraw(self) -> None:
        """Nothing is wanted any more; what is on its way is broken off, and what has arrived stays."""
        if self.stage is not Stage.STORED:
            self.stage = Stage.WITHDRAWN


class Transfers:
    """The uploads on offer, by token."""

    def __init__(self) -> None:
        self._by_token: dict[str, Transfer] = {}
        self._lock = threading.Lock()

    def offer(self, upload: Upload) -> Transfer:
        """A token for ``upload``, good until the storage has one file or would take none any more."""
        transfer = Transfer(upload)
        with self._lock:
            self._by_token = {
                token: each for token, each in self._by_token.items() if each.startable or each.stage is Stage.MOVING
            }
            self._by_token[transfer.token] = transfer
        return transfer

    def find(self, token: str) -> Transfer | None:
        """The upload that may be sent now by this token; None for a token unknown, used or expired."""
        transfer = self._by_token.get(token)
        return transfer if transfer is not None and transfer.startable else None


@dataclass(slots=True, eq=False)
class Player:
    """One recording that a page plays, by a URL that is replaced when it expires."""

    recording: Recording
    until: datetime
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def readable(self) -> bool:
        """Whether its URL can still be used."""
        return datetime.now(UTC) < self.recording.expires


class Players:
    """The recordings that pages play, by token and by result."""

    def __init__(self) -> None:
        self._by_token: dict[str, Player] = {}
        self._by_id: dict[str, Player] = {}
        self._lock = threading.Lock()

    def of(self, result_id: str) -> Player | None:
        """The player of a result if it has one that can be used as it is; its time begins anew."""
        player = self._by_id.get(result_id)
        if player is None or not player.readable:
            return None
        player.until = datetime.now(UTC) + PLAYABLE_FOR
        return player

    def add(self, recording: Recording) -> Player:
        """A player for a recording; the result's old one keeps its token and gets this recording's URL."""
        now = datetime.now(UTC)
        with self._lock:
            kept = [each for each in self._by_token.values() if now < each.until]
            self._by_token = {each.token: each for each in kept}
            self._by_id = {each.recording.id: each for each in kept}
            player = self._by_id.get(recording.id)
            if player is None:
                player = Player(recording, now + PLAYABLE_FOR)
            player.recording, player.until = recording, now + PLAYABLE_FOR
            self._by_token[player.token] = self._by_id[recording.id] = player
        return player

    def find(self, token: str) -> Player | None:
        """The player of this token; None for one unknown or expired."""
        player = self._by_token.get(token)
        return player if player is not None and datetime.now(UTC) < player.until else None
