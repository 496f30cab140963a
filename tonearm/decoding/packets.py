"""A recording's frames packet by packet, so that broken packets can be left out and counted."""

from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

import av.error
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from tonearm.decoding.container import NO_DECODER, PROTECTED, is_encrypted, opened, raise_memory_error
from tonearm.decoding.ffmpeg_graph import GraphError, joined_frames
from tonearm.decoding.frames import readable
from tonearm.decoding.section import Section
from tonearm.decoding.tags import after_tags, only_tags
from tonearm.errors import AudioError


class PacketDecoder:
    """Decodes a track; ``n_bad`` counts what could not be."""

    def __init__(self, file: BinaryIO | Section, container: InputContainer, stream: AudioStream) -> None:
        self._file, self._container, self._stream = file, container, stream
        self.n_bad = 0
        self._bad_since = 0  # packets that did not decode after the last one that did
        self._sound_ends = self._tags_end = 0  # the first bytes after that one, and after tags that stand there

    def frames(self) -> Iterator[AudioFrame]:
        """Every frame that decodes; those that do not are counted and left out."""
        for n_packets, packet in enumerate(self._packets(), 1):
            if packet.pos is not None and packet.size and packet.pos < self._tags_end:
                continue
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                raise_memory_error(error)
                self._count_bad(packet, n_packets)
                continue
            except ValueError:  # PyAV's own, where FFmpeg's decoder will not open
                raise AudioError("unsupported_format", NO_DECODER) from None
            if packet.size:
                self.n_bad += self._bad_since
                self._bad_since, self._sound_ends = 0, (packet.pos or 0) + packet.size
            for frame in frames:
                if isinstance(frame, AudioFrame) and frame.samples:
                    yield from readable(frame)
        if self._bad_since and not only_tags(self._file, self._sound_ends):
            self.n_bad += self._bad_since

    def _count_bad(self, packet: "Packet[AudioStream]", n_packets: int) -> None:
        """Note a packet that did not decode. Raises AudioError if it is protected, or most of them did not."""
        if is_encrypted(packet):
            raise AudioError("unsupported_format", PROTECTED)
        if not self._bad_since:
            at = self._file.tell()
            end = after_tags(self._file, self._sound_ends)
            self._file.seek(at)  # FFmpeg reads on
            self._tags_end = end if end > self._sound_ends else 0
        if packet.pos is not None and packet.pos < self._tags_end:
            return
        self._bad_since += 1
        n_bad = self.n_bad + self._bad_since
        if n_bad > 50 and n_bad > n_packets / 2:
            raise AudioError("corrupt", "More than half of it is broken. Save or download it again.")

    def _packets(self) -> "Iterator[Packet[AudioStream]]":
        """Every packet up to one that cannot be read, which is counted."""
        try:
            yield from self._container.demux(self._stream)
        except av.error.FFmpegError as error:  # not every OSError: a disk that fails is no fault of the recording
            raise_memory_error(error)
            self.n_bad += 1


def scanned(file: BinaryIO | Section, container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """The frames of a track, to look at: some may come twice. Container and file stay where they are.

    It ends where a file is broken beyond what `PacketDecoder` takes.
    """
    with suppress(GraphError):
        for frame in joined_frames(file, container, stream):
            yield from readable(frame)
        return
    at = file.tell()
    try:
        with suppress(AudioError), opened(file, container.format.name.partition(",")[0]) as again:
            track = again.streams[stream.index]
            if isinstance(track, AudioStream):
                yield from PacketDecoder(file, again, track).frames()
    finally:
        file.seek(at)
