"""Request bodies and blobs with a ``Content-Encoding`` (RFC 9110, 8.4): gzip and deflate, decoded in bounded memory."""

import zlib
from collections.abc import Buffer, Iterable, Iterator

from tonearm.errors import AudioError

_ENCODINGS = ("gzip", "x-gzip", "deflate")
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # zlib then sees in the content which it is
_PIECE_BYTES = 2**20


def decoded(chunks: Iterable[Buffer], encoding: str | None, max_bytes: int) -> Iterator[Buffer]:
    """The content without its encoding, in pieces; as it is if it has none.

    Raises:
        AudioError: ``unsupported_format``, another encoding; ``corrupt``, not what the encoding says, or cut short;
            ``too_large``, more than ``max_bytes``.
    """
    name = (encoding or "identity").strip().lower()
    if name == "identity":
        yield from chunks
        return
    if name not in _ENCODINGS:
        raise AudioError("unsupported_format", "Its Content-Encoding is not known here. Send it as it is, or as gzip.")
    n_bytes = 0
    decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
    for chunk in chunks:
        rest = bytes(chunk)
        while rest:
            if decoder.eof:  # gzip may have several members
                decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
            try:
                piece = decoder.decompress(rest, _PIECE_BYTES)
            except zlib.error:
                raise AudioError("corrupt", f"It is not {name}, as its Content-Encoding says.") from None
            rest = decoder.unconsumed_tail or decoder.unused_data
            n_bytes += len(piece)
            if n_bytes > max_bytes:
                raise AudioError("too_large", f"Without its Content-Encoding it has more than {max_bytes} bytes.")
            yield piece
    if not decoder.eof:
        raise AudioError("corrupt", f"It ends before its {name} does. Send it again.")
