"""Opening a recording with FFmpeg (through PyAV), which tells its format from its content; its name does not matter.

Formats that can refer to other files or addresses (playlists, scripts) are not opened.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import av
import av.error
import av.logging
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from tonearm.constants import FORMATS
from tonearm.decoding.section import Section
from tonearm.errors import AudioError

av.logging.set_level(None)  # FFmpeg's messages about malformed files are no use in our logs

# FFmpeg's demuxers that are opened. Those left out are either no audio or may make FFmpeg open what a file names.
DEMUXERS = "aac,ac3,aiff,amr,ape,asf,au,caf,dts,eac3,flac,matroska,mov,mp3,mpc,mpc8,mpegts,ogg,spdif,tta,w64,wav,wv"
DEMUXER_OPTIONS = {
    "format_whitelist": DEMUXERS,
    # One packet tells coded sound inside a WAV from plain samples as well as FFmpeg's 2,500 do, and opens it in well
    # under a millisecond instead of five.
    "max_probe_packets": "1",
    # Plain samples then come in packets of 0.7 s instead of a tenth.
    "max_size": "32768",
    # Bounds on what FFmpeg opens and reads to find the sound, beside the decoder's own.
    "max_streams": "100",
    "probesize": "1000000",
}
# How a file of a known format begins, to tell a broken one ("corrupt") from an unknown one ("unsupported_format").
MAGIC = ((8, b"WAVE"), (0, b"ID3"), (0, b"fLaC"), (0, b"OggS"), (4, b"ftyp"), (0, b"\x1a\x45\xdf\xa3"),
         (0, b"\x30\x26\xb2\x75"), (0, b".snd"), (8, b"AIF"), (0, b"caff"), (0, b"wvpk"), (0, b"\xff\xfb"),
         (0, b"\xff\xf1"))  # fmt: skip
ARCHIVES = (b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
TAR_AT, TAR = 257, b"ustar"
FORMATS_HINT = f"Send {', '.join(FORMATS[:-1])} or {FORMATS[-1]}."
NO_DECODER = f"There is no decoder for its sound track. {FORMATS_HINT}"
PROTECTED = "It is protected against copying (DRM). Use a copy without protection."


def opened(file: BinaryIO | Section, demuxer: str | None) -> InputContainer:
    """The file as FFmpeg opens it, as one of its formats if that is named.

    MP4's edit lists are not followed where they leave nothing of a track, as those do that say that they last for 0 s.

    Raises:
        AudioError: ``empty``, ``unsupported_format``, ``corrupt``.
        MemoryError: FFmpeg ran out of memory.
    """
    file.seek(0)
    head = file.read(TAR_AT + len(TAR))
    if not head:
        raise AudioError("empty", "It has no bytes. Check that the upload was complete.")
    _refuse_archive(head)
    file.seek(0)
    try:
        container = av.open(file, "r", format=demuxer, container_options=DEMUXER_OPTIONS, io_open=_refuse)
        if container.format.name.startswith("mov") and any(
            track.frames and track.duration == 0 for track in container.streams.audio
        ):
            options = DEMUXER_OPTIONS | {"ignore_editlist": "1"}
            container.close()
            file.seek(0)
            container = av.open(file, "r", format=demuxer, container_options=options, io_open=_refuse)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise_memory_error(error)
        _raise_disk_error(error)
        if any(head[at:].startswith(magic) for at, magic in MAGIC):
            raise AudioError(
                "corrupt", "It begins like audio but cannot be opened. Save or download it again."
            ) from None
        raise AudioError("unsupported_format", FORMATS_HINT) from None
    return container


def _refuse_archive(head: bytes) -> None:
    """FFmpeg would look for sound in what an archive holds."""
    if head.startswith(ARCHIVES) or head[TAR_AT:] == TAR:
        raise AudioError("unsupported_format", f"It is an archive, or compressed. Unpack it first. {FORMATS_HINT}")


@contextmanager
def ffmpeg_errors() -> Iterator[None]:
    """Turns those that nobody expects into an AudioError."""
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        raise_memory_error(error)
        _raise_disk_error(error)
        raise AudioError("corrupt", "It is in a form that cannot be decoded. Save or download it again.") from error


def _raise_disk_error(error: Exception) -> None:
    """Raises an error of the file itself, unless it is that FFmpeg looks for a byte before the first."""
    if isinstance(error, OSError) and not isinstance(error, av.error.FFmpegError) and error.errno != errno.EINVAL:
        raise error


def raise_memory_error(error: Exception) -> None:
    """Raises MemoryError if FFmpeg ran out of memory, which need not be the recording's fault."""
    if isinstance(error, MemoryError):
        raise MemoryError("FFmpeg ran out of memory") from error


def _refuse(url: str, _flags: int, _options: dict[str, str]) -> BinaryIO:  # noqa: ARG001 (PyAV's signature)
    """FFmpeg calls this when a file asks for another file or address to be opened: never."""
    raise PermissionError("a recording may not open other files")


def is_encrypted(packet: "Packet[AudioStream]") -> bool:
    """Whether a packet's bytes need a key that no file holds."""
    return packet.has_sidedata("encryption_info")
