"""A recording's frames packet by packet, so that broken packets can be left out and counted."""

from collections.abc import Iterator
from typing import BinaryIO

import av.error
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from tonearm.decoding.container import only_tags, raise_memory_error
from tonearm.decoding.frames import readable
from tonearm.decoding.section import Section
from tonearm.decoding.tracks import NO_DECODER, PROTECTED, is_encrypted
from tonearm.errors import AudioError


class PacketDecoder:
    """Decodes a track; ``n_bad`` counts what could not be."""

    def __init__(self, file: BinaryIO | Section, container: InputContainer, stream: AudioStream) -> None:
        self._file, self._container, self._stream = file, container, stream
        self.n_bad = 0

    def frames(self) -> Iterator[AudioFrame]:
        """Every frame that decodes; those that do not are counted and left out."""
        sound_ends = 0  # the first byte after the last packet that decoded
        bad_since = 0  # packets after it that did not
        for n_packets, packet in enumerate(self._packets(), 1):
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                raise_memory_error(error)
                if is_encrypted(packet):
                    raise AudioError("unsupported_format", PROTECTED) from None
                bad_since += 1
                n_bad = self.n_bad + bad_since
                if n_bad > 50 and n_bad > n_packets / 2:
                    raise AudioError("corrupt", "More than half of it is broken. Save or download it again.") from None
                continue
            except ValueError:  # PyAV's own, where FFmpeg's decoder will not open
                raise AudioError("unsupported_format", NO_DECODER) from None
            if packet.size:
                self.n_bad += bad_since
                bad_since, sound_ends = 0, (packet.pos or 0) + packet.size
            for frame in frames:
                if isinstance(frame, AudioFrame) and frame.samples:
                    yield from readable(frame)
        if bad_since and not only_tags(self._file, sound_ends):
            self.n_bad += bad_since

    def _packets(self) -> "Iterator[Packet[AudioStream]]":
        """Every packet up to one that cannot be read, which is counted."""
        try:
            yield from self._container.demux(self._stream)
        except av.error.FFmpegError as error:  # not every OSError: a disk that fails is no fault of the recording
            raise_memory_error(error)
            self.n_bad += 1
