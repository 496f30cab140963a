"""Request bodies and blobs with a ``Content-Encoding`` (RFC 9110, 8.4): gzip and deflate, decoded in bounded memory."""

import itertools
import zlib
from collections.abc import Buffer, Iterable, Iterator

from tonearm.errors import AudioError

_ENCODINGS = ("gzip", "x-gzip", "deflate")
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # zlib then sees in the content which it is
_PIECE_BYTES = 2**20


def decoded(chunks: Iterable[Buffer], encoding: str | None, max_bytes: int) -> Iterator[Buffer]:
    """The content without its encoding, in pieces.

    It stays as it is if it has none, another one, or does not begin as stated: clients state encodings that are not
    there, and the decoder goes by the content.

    Raises:
        AudioError: ``corrupt``, it is broken or cut short; ``too_large``, more than ``max_bytes``.
    """
    if (encoding or "").strip().lower() not in _ENCODINGS:
        yield from chunks
        return
    rest = iter(chunks)
    first = bytes(next(rest, b""))
    if not _begins_encoded(first):
        yield first
        yield from rest
        return
    n_bytes = 0
    decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
    for chunk in itertools.chain([first], rest):
        left = bytes(chunk)
        while left:
            if decoder.eof:  # gzip may have several members
                decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
            try:
                piece = decoder.decompress(left, _PIECE_BYTES)
            except zlib.error:
                raise AudioError("corrupt", "Its Content-Encoding cannot be undone. Send it again.") from None
            left = decoder.unconsumed_tail or decoder.unused_data
            n_bytes += len(piece)
            if n_bytes > max_bytes:
                raise AudioError("too_large", f"Without its Content-Encoding it has more than {max_bytes} bytes.")
            yield piece
    if not decoder.eof:
        raise AudioError("corrupt", "It ends before its Content-Encoding does. Send it again.")


def _begins_encoded(first: bytes) -> bool:
    """Whether it begins as gzip (RFC 1952) or zlib (RFC 1950) does."""
    return first.startswith(b"\x1f\x8b") or (first[:1] == b"\x78" and int.from_bytes(first[:2]) % 31 == 0)
