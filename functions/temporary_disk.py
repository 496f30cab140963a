"""The temporary disk, on which large uploads are kept while they are classified.

An instance of Azure has 0.8 GB of it, and takes four uploads of up to 512 MiB. So only some run at once, by their size.
Others leave their lane and try again: they wait for no thread, and no thread waits for them.
"""

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import BinaryIO, cast

MAX_BYTES = 640 * 2**20
"""Of all files together; one file alone may have more."""
SPARE_BYTES = 64 * 2**20
"""Of the disk, for everything else."""
STARVED_S = 30
"""After this long, a file that waits for room lets no other one pass. Until then those that fit do."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What an OSError says when a disk is full."""


class TemporaryDisk:
    """Gives room to files. Threads may share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._files: dict[BinaryIO, int] = {}  # with the bytes that each will have
        self._waiting: dict[object, float] = {}  # since when, in the order of arrival

    @contextmanager
    def file(self, size_bytes: int, who: object) -> Iterator[BinaryIO]:
        """An empty file for ``size_bytes``, or more if there is room.

        Args:
            size_bytes: how large it probably will be.
            who: the same for each try, so that who has waited long comes first; it must be given to `leave`.

        Raises:
            OSError: one of FULL, at once: there is no room yet. Otherwise what the disk raises.
        """
        with self._lock:
            if not self._has_room(size_bytes, who):
                self._waiting.setdefault(who, time.monotonic())
                raise OSError(errno.ENOSPC, "Other uploads take the temporary disk.")
            self._waiting.pop(who, None)
            file = cast("BinaryIO", tempfile.TemporaryFile(prefix="tonearm-"))  # noqa: SIM115 - closed below
            self._files[file] = size_bytes
        try:
            yield file
        finally:
            with self._lock:
                del self._files[file]
            file.close()

    def leave(self, who: object) -> None:
        """Wait no longer."""
        with self._lock:
            self._waiting.pop(who, None)

    def _has_room(self, size_bytes: int, who: object) -> bool:
        first, since_s = next(iter(self._waiting.items()), (who, 0.0))
        if first is not who and time.monotonic() - since_s > STARVED_S:
            return False
        if not self._files:
            return True
        written = {file: os.fstat(file.fileno()).st_size for file in self._files}
        to_come_bytes = sum(max(size - written[file], 0) for file, size in self._files.items())
        free_bytes = shutil.disk_usage(tempfile.gettempdir()).free - to_come_bytes
        all_bytes = sum(written.values()) + to_come_bytes + size_bytes
        return all_bytes <= MAX_BYTES and size_bytes + SPARE_BYTES <= free_bytes
