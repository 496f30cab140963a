"""The one file in a ``multipart/form-data`` body (RFC 7578), found in bounded time whatever the body holds.

Werkzeug's parser takes minutes and gigabytes for some forms of 60 MiB, and `req.files` opens a temporary file for each
part, though nothing is stored here. This one looks once at each byte of a content, and at few bytes of anything else.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from functions.problems import ProblemError

MAX_PARTS = 8
_MAX_HEADER_BYTES = 16 * 1024
_ADVICE = "Send one file in each request, as `curl -F file=@clip.mp3` does, or the audio itself as the body."
# A part's header begins with what follows the boundary in its line: nothing, or spaces.
_DISPOSITION = re.compile(r"\A[ \t]*\r?\n(?:.*\n)*?content-disposition[ \t]*:(.*)", re.IGNORECASE)
_FOLD = re.compile(r"\r?\n[ \t]+")
# Browsers leave a backslash in a file's name as it is, so it escapes nothing.
_QUOTED = re.compile(r'"[^"]*"')
_NAMED = re.compile(r""";\s*name\s*=\s*(?:"file"|file)\s*(?:;|$)""", re.IGNORECASE)
_FILENAME = re.compile(r";\s*filename\*?\s*=", re.IGNORECASE)


class _Part(NamedTuple):
    """Where a part's content is, and whether its header says that it is a file, or at least the field ``file``."""

    content: slice
    is_file: bool
    is_named: bool


def only_file(body: bytes, boundary: str) -> bytes:
    """The content of the one file in a form.

    File inputs that were left empty do not count. A field ``file`` without a file's name will do.

    Raises:
        ProblemError: ``bad_request``, the form is not well formed or does not hold one file.
    """
    try:
        parts = list(_parts(body, boundary.encode("ascii")))
    except ValueError:
        fault = f"The multipart/form-data body is not well formed or has more than {MAX_PARTS} parts."
        raise ProblemError("bad_request", f"{fault} {_ADVICE}") from None
    files = [part for part in parts if part.is_file] or [part for part in parts if part.is_named]
    files = [part for part in files if part.content.stop > part.content.start] or files[:1]
    if len(files) != 1:
        raise ProblemError("bad_request", f"The form holds {len(files)} files. {_ADVICE}")
    return body[files[0].content]


def _parts(body: bytes, boundary: bytes) -> Iterator[_Part]:
    """The form's parts. Raises ValueError if the form is not well formed."""
    if not boundary:
        raise ValueError("no boundary")
    delimiter = b"--" + boundary
    start = 0 if body.startswith(delimiter) else body.index(b"\n" + delimiter, 0, _MAX_HEADER_BYTES) + 1
    start += len(delimiter)
    # Some programs end their lines with LF alone.
    first_line_end = body.index(b"\n", start)
    line_end = b"\r\n" if body[first_line_end - 1] == ord("\r") else b"\n"
    for _ in range(MAX_PARTS + 1):
        if body.startswith(b"--", start):
            return
        header_end = body.index(2 * line_end, start, start + _MAX_HEADER_BYTES)
        # Names may be in any encoding; what is looked for is ASCII.
        is_file, is_named = _facts(body[start:header_end].decode("latin-1"))
        content_start = header_end + 2 * len(line_end)
        content_end = body.index(line_end + delimiter, content_start)
        yield _Part(slice(content_start, content_end), is_file, is_named)
        start = content_end + len(line_end + delimiter)
    raise ValueError("more parts than are read")


def _facts(header: str) -> tuple[bool, bool]:
    """Whether a part is a file, and whether it is called so. Raises ValueError if its header does not say."""
    if found := _DISPOSITION.search(_FOLD.sub(" ", header)):
        return bool(_FILENAME.search(_QUOTED.sub("", found[1]))), bool(_NAMED.search(found[1]))
    raise ValueError("no Content-Disposition")
