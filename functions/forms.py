"""The one file in a ``multipart/form-data`` body (RFC 7578), found in bounded time whatever the body holds.

Werkzeug's parser takes minutes and gigabytes for some forms of 60 MiB, and `req.files` opens a temporary file for each
part, though nothing is stored here. This one looks once at each byte of a content, and at few bytes of anything else.
"""

import re
from collections.abc import Iterator

from functions.problems import ProblemError

MAX_PARTS = 8
_MAX_HEADER_BYTES = 16 * 1024
_ADVICE = "Send one file in each request, as `curl -F file=@clip.mp3` does, or the audio itself as the body."
# A part's header begins with what follows the boundary in its line: nothing, or spaces.
_DISPOSITION = re.compile(r"\A[ \t]*\r?\n(?:.*\n)*?content-disposition[ \t]*:(.*)", re.IGNORECASE)
_FOLD = re.compile(r"\r?\n[ \t]+")
# Browsers leave a backslash in a file's name as it is, so it escapes nothing.
_QUOTED = re.compile(r'"[^"]*"')
_FILENAME = re.compile(r";\s*filename\*?\s*=", re.IGNORECASE)


def only_file(body: bytes, boundary: str) -> bytes:
    """The content of the one file in a form.

    Raises:
        ProblemError: ``bad_request``, the form is not well formed or does not hold one file.
    """
    try:
        files = list(_files(body, boundary.encode("ascii")))
    except ValueError:
        fault = f"The multipart/form-data body is not well formed or has more than {MAX_PARTS} parts."
        raise ProblemError("bad_request", f"{fault} {_ADVICE}") from None
    if len(files) != 1:
        raise ProblemError("bad_request", f"The form holds {len(files)} files. {_ADVICE}")
    return body[files[0]]


def _files(body: bytes, boundary: bytes) -> Iterator[slice]:
    """Where the files are. Raises ValueError if the form is not well formed."""
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
        is_file = _is_file(body[start:header_end].decode())
        content_start = header_end + 2 * len(line_end)
        content_end = body.index(line_end + delimiter, content_start)
        if is_file:
            yield slice(content_start, content_end)
        start = content_end + len(line_end + delimiter)
    raise ValueError("more parts than are read")


def _is_file(header: str) -> bool:
    """Whether a part is a file. Raises ValueError if its header does not say."""
    if found := _DISPOSITION.search(_FOLD.sub(" ", header)):
        return bool(_FILENAME.search(_QUOTED.sub("", found[1])))
    raise ValueError("no Content-Disposition")
