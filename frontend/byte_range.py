"""The part of a file that a ``Range`` header asks for (RFC 9110, section 14).

The storage knows only some of what a browser may send: no last bytes (``bytes=-10``), for which Azurite breaks off the
connection.
"""

import re
from collections.abc import Sequence

MAX_HEADER_CHARS = 1000
"""A longer header is ignored: Python reads no number of more than 4,300 digits."""
_UNIT = re.compile(r"bytes=(.*)", re.IGNORECASE)
_SPEC = re.compile(r"(?P<first>[0-9]*)-(?P<last>[0-9]*)")


class UnsatisfiableError(Exception):
    """The file has no such bytes: the answer is 416."""


def requested(headers: Sequence[str], size_bytes: int) -> range | None:
    """Which bytes of a file to send, at least one; None for the whole file.

    A range that is not valid is ignored, as the standard demands; several ranges are, as it allows.

    Args:
        headers: The values of all ``Range`` headers of the request.
        size_bytes: Size of the file.

    Raises:
        UnsatisfiableError: The range is valid, and the file has none of its bytes.
    """
    unit = _UNIT.fullmatch(headers[0]) if len(headers) == 1 and len(headers[0]) <= MAX_HEADER_CHARS else None
    specs = [spec for part in unit[1].split(",") if (spec := part.strip(" \t"))] if unit else []
    spec = _SPEC.fullmatch(specs[0]) if len(specs) == 1 else None
    if spec is None or spec[0] == "-":
        return None
    if not spec["first"]:
        bytes_at_end = min(int(spec["last"]), size_bytes)
        if not bytes_at_end and int(spec["last"]):
            return None  # all of an empty file
        found = range(size_bytes - bytes_at_end, size_bytes)
    else:
        last = int(spec["last"]) if spec["last"] else size_bytes
        if spec["last"] and last < int(spec["first"]):
            return None
        found = range(int(spec["first"]), min(last + 1, size_bytes))
    if not found:
        raise UnsatisfiableError
    return found
