"""A part of a file, as a file."""

import io
from typing import BinaryIO


class Section:
    """A file to read: ``head``, and then what is in another from ``start`` to ``end``, by default its own end.

    PyAV asks for no more methods.
    """

    def __init__(self, file: "BinaryIO | Section", start: int, end: int | None = None, *, head: bytes = b"") -> None:
        end = file.seek(0, io.SEEK_END) if end is None else end
        self._file, self._start, self._head, self._at = file, start, head, 0
        self._size = len(head) + end - start
        self.part: tuple[BinaryIO, int, int] | None = None
        """The file, and the bytes of it from the first to that before the second, if there is nothing else."""
        if not head and not isinstance(file, Section):
            self.part = file, start, end
        elif not head and isinstance(file, Section) and file.part is not None:
            whole, offset, _ = file.part
            self.part = whole, offset + start, offset + end

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves there, and tells where that is."""
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def read(self, size: int = -1) -> bytes:
        """At most so many bytes, or all that are left."""
        left = max(0, self._size - self._at)
        n_bytes = left if size < 0 else min(size, left)
        content = self._head[self._at : self._at + n_bytes]
        if len(content) < n_bytes:
            self._file.seek(self._start + max(0, self._at - len(self._head)))
            content += self._file.read(n_bytes - len(content))
        self._at += len(content)
        return content
