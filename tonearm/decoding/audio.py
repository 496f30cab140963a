"""Decoding: whatever FFmpeg reads becomes float32 mono at 22,050 Hz, a window at a time, so that memory is bounded.

FFmpeg (through PyAV) tells a file's format from its content; its name does not matter. Channels become one, then soxr
converts the rate. Formats that can refer to other files or addresses (playlists, scripts) are not opened. Arrays and
plain WAV files are read without FFmpeg. Everything else that strangers send is decoded in a process of its own
(`tonearm.decoding.decoder_pool`).
"""

import io
import itertools
import math
import numbers
import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import av
import av.error
import av.logging
import numpy as np
import soxr
from av.audio.frame import AudioFrame, format_dtypes
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from numpy.typing import ArrayLike, NDArray

from tonearm.classification import Audio, Stated
from tonearm.constants import (
    FORMATS,
    MIN_DURATION_S,
    MIN_SAMPLES,
    SAMPLE_RATE_HZ,
    SILENCE_PEAK,
    WINDOW_S,
    WINDOW_SAMPLES,
    WINDOW_SLACK_SAMPLES,
)
from tonearm.decoding.ffmpeg_graph import GraphError, joined_frames
from tonearm.decoding.mixdown import mixed, unit
from tonearm.decoding.ogg_links import links
from tonearm.decoding.section import Section
from tonearm.decoding.wav_repairs import repaired
from tonearm.errors import AudioError
from tonearm.types import Samples

av.logging.set_level(None)  # FFmpeg's messages about malformed files are no use in our logs

AudioSource = str | Path | bytes | BinaryIO | tuple[ArrayLike, float]

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
FLOAT_CODECS = "pcm_f"
# How a file of a known format begins, to tell a broken one ("corrupt") from an unknown one ("unsupported_format").
MAGIC = ((8, b"WAVE"), (0, b"ID3"), (0, b"fLaC"), (0, b"OggS"), (4, b"ftyp"), (0, b"\x1a\x45\xdf\xa3"),
         (0, b"\x30\x26\xb2\x75"), (0, b".snd"), (8, b"AIF"), (0, b"caff"), (0, b"wvpk"), (0, b"\xff\xfb"),
         (0, b"\xff\xf1"))  # fmt: skip
ARCHIVES = (b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
FORMATS_HINT = f"Send {', '.join(FORMATS[:-1])} or {FORMATS[-1]}."
NO_DECODER = f"There is no decoder for its sound track. {FORMATS_HINT}"
TAGS = (b"APETAGEX", b"ID3", b"TAG", b"LYRICSBEGIN")
"""How tags begin that stand behind the sound of MP3 and AAC files."""
PADDING = b"\0 \r\n"
TAG_BLOCK_BYTES = 4_096
# These containers state no length; FFmpeg's is a guess from the first frames, on which nothing may be refused.
GUESSED_LENGTH = {"mp3", "aac", "ac3", "dts", "eac3", "spdif"}
LEAST_BYTES_PER_S = 500
"""Hardly any music has fewer: a longer duration that a file states is not believed."""
LOW_FREQUENCY = {"LFE", "LFE2"}
MIN_FILM_CHANNELS = 3
MOST_CHANNELS = 64
MOST_TRACKS = 8
SCANNED_S = 300
"""So many sound tracks of a file are looked at, and so much of each, to find one that sounds."""
MAX_VALUES_PER_S = 192_000
"""Of the longest recording allowed: two channels at 96,000 Hz. More channels or a higher rate must be shorter."""
LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 1_000, 768_000
HIGHEST_LEVEL = 1e4  # full scale is 1; infinities and NaN are above it too
BLOCK_SAMPLES = 2**20
HELD_VALUES = 2**18
WAV_HEAD_BYTES = 4_096
WAV_PLAIN_BYTES = 44


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the recording that the models look at as one.

    Attributes:
        start_s: from here on the samples are new; those before were in the window before already (the last window
            reaches back so as to have the full length).
        end_s: where the samples end.
        samples: shape (n,), float32, at 22,050 Hz.
    """

    start_s: float
    end_s: float
    samples: Samples

    @property
    def first_s(self) -> float:
        """Where the samples begin, in seconds of the recording."""
        return self.end_s - len(self.samples) / SAMPLE_RATE_HZ

    @property
    def silent(self) -> bool:
        """Whether nothing swings by more than -80 dB of full scale (a constant is silence too)."""
        first_second = self.samples[:SAMPLE_RATE_HZ]  # decides for most music, in a thirtieth of the time
        return bool(np.ptp(first_second) < 2 * SILENCE_PEAK and np.ptp(self.samples) < 2 * SILENCE_PEAK)


class _Layout(NamedTuple):
    rate_hz: int
    channels: int


class AudioReader:
    """Decodes one recording as a stream.

    Args:
        source: as for :meth:`Classifier.classify`.
        max_duration_s: longer recordings are refused with ``too_long``, at once where the file states its length,
            else when that much has been decoded. Those of more than 192,000 values for each of these seconds, all
            channels together, are refused with ``too_complex``.

    Iterating :meth:`windows` raises :class:`~tonearm.errors.AudioError`; :meth:`facts` is complete after it.

    Raises:
        OSError: if the file cannot be opened.
        TypeError: if the source or its samples are of another type.
        ValueError: if samples or sample rate are out of range.
    """

    def __init__(self, source: AudioSource, *, max_duration_s: float | None = None) -> None:
        self._array = _array(source) if isinstance(source, tuple) else None
        self._file = io.BytesIO() if isinstance(source, tuple) else open_source(source)
        self._readable: BinaryIO | Section = self._file  # by FFmpeg
        self._unit = np.float32(1)  # of floats
        self._owned = self._file is not source
        self._max_duration_s = math.inf if max_duration_s is None else max_duration_s
        self._source: Iterator[tuple[_Layout, Samples]] | None = None
        self._stated = Stated("", 0, 0, 0.0)
        self._stated_s = 0.0  # 0 where the format states no length
        self._layout: _Layout | None = None
        self._decoded_s = 0.0
        self._reached_s = 0.0  # by the frames' times, which a live recording's pauses are in
        self._values = 0
        self._track: int | None = None
        self._packets = 0
        self._bad_packets = 0
        self._bad_values = False

    def open(self) -> Stated:
        """What the recording states. :meth:`windows` calls it, unless it has been called before.

        Raises:
            AudioError: if the recording cannot be opened, or states more than is allowed.
        """
        if self._array is not None:
            samples, rate_hz = self._array
            self._state("array", _Layout(rate_hz, samples.shape[1]), len(samples) / rate_hz)
            self._source = self._from_array(samples, rate_hz)
        elif plain := plain_wav(self._file):
            rate_hz, start, n_samples = plain
            self._state("pcm_s16le", _Layout(rate_hz, 1), n_samples / rate_hz)
            self._source = self._from_plain_wav(rate_hz, start, n_samples)
        else:
            self._readable, demuxer = repaired(self._file)
            first, *others = links(self._file) or [(0, 0)]
            if others:
                self._readable = Section(self._file, *first)
            container = _container(self._readable, demuxer)
            with _ffmpeg_errors():
                stream = self._sounding_stream(container)
                context = stream.codec_context
                layout = _Layout(context.sample_rate, context.channels)
                guess_s = _believed_s(container, (container.duration or 0) / av.time_base)
                stated_s = 0.0 if others else _stated_s(container, stream)
                self._state(context.codec.canonical_name, layout, stated_s, guess_s)
                if context.codec.canonical_name.startswith(FLOAT_CODECS):
                    self._unit = unit(self._float_values(container, stream))
            self._source = itertools.chain(self._from_ffmpeg(container, stream), self._from_links(others))
        return self._stated

    def windows(self) -> Iterator[Window]:
        """The recording in windows of 30 s.

        A rest of less than 3 s joins the window before it; a longer one becomes a last window that reaches back to
        be 30 s long. A recording shorter than 30 s is one window.

        Raises:
            AudioError: if the recording cannot be decoded, is too short or too long.
        """
        pieces: list[Samples] = []
        emitted = 0  # samples that windows have covered
        fresh = 0  # samples at the end of the pieces that no window has covered
        for block in self._blocks():
            pieces.append(block)
            fresh += len(block)
            if fresh < WINDOW_SAMPLES + WINDOW_SLACK_SAMPLES:
                continue
            held = np.concatenate(pieces)
            while fresh >= WINDOW_SAMPLES + WINDOW_SLACK_SAMPLES:
                start = len(held) - fresh
                yield _window(held[start : start + WINDOW_SAMPLES], emitted, emitted + WINDOW_SAMPLES)
                emitted += WINDOW_SAMPLES
                fresh -= WINDOW_SAMPLES
            pieces = [held[-(fresh + WINDOW_SAMPLES) :]]
        if emitted + fresh < MIN_SAMPLES:
            raise self._too_little(emitted + fresh)
        if fresh:
            held = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
            yield _window(held[-max(fresh, WINDOW_SAMPLES) :], emitted, emitted + fresh)

    def facts(self) -> Audio:
        """What was decoded: duration, codec, and the rate and channels that the source begins with.

        Raises:
            ValueError: before the windows have been read.
        """
        if self._layout is None:
            raise ValueError("facts() is for after the windows have been read")
        # A length that is stated and not reached means that the end is missing; a tenth is left for inexact writers.
        short = max(self._decoded_s, self._reached_s) < 0.9 * self._stated_s - 0.5
        return Audio(
            duration_s=round(self._decoded_s, 3),
            sample_rate_hz=self._layout.rate_hz,
            channels=self._layout.channels,
            codec=self._stated.codec,
            analysed_s=round(self._decoded_s, 3),
            damaged=self._bad_packets > 0 or self._bad_values or short,
            track=self._track,
        )

    def _blocks(self) -> Iterator[Samples]:
        """Mono blocks at 22,050 Hz."""
        try:
            if self._source is None:
                self.open()
            for layout, blocks in itertools.groupby(self._source or (), key=lambda block: block[0]):
                self._layout = self._layout or layout
                resampler = None
                if layout.rate_hz != SAMPLE_RATE_HZ:
                    resampler = soxr.ResampleStream(layout.rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32")
                for _, mono in blocks:
                    self._decoded_s += len(mono) / layout.rate_hz
                    self._values += len(mono) * layout.channels
                    self._check(self._decoded_s, self._values)
                    yield mono if resampler is None else resampler.resample_chunk(mono)
                if resampler is not None:
                    yield resampler.resample_chunk(np.empty(0, np.float32), last=True)
        finally:
            if self._owned:
                self._file.close()

    def _from_array(self, samples: NDArray[Any], rate_hz: int) -> Iterator[tuple[_Layout, Samples]]:
        """Samples of shape (n, channels)."""
        layout = _Layout(rate_hz, samples.shape[1])
        if samples.dtype.kind == "f":
            self._unit = unit([samples])
        block_samples = _block_samples(rate_hz)
        for first in range(0, len(samples), block_samples):
            yield layout, self._mono(list(samples[first : first + block_samples].T))

    def _from_plain_wav(self, rate_hz: int, start: int, n_samples: int) -> Iterator[tuple[_Layout, Samples]]:
        layout = _Layout(rate_hz, 1)
        self._file.seek(start)
        block_samples = _block_samples(rate_hz)
        for first in range(0, n_samples, block_samples):
            content = self._file.read(2 * min(block_samples, n_samples - first))
            yield layout, _scaled(np.frombuffer(content, "<i2"), self._unit)

    def _from_ffmpeg(self, container: InputContainer, stream: AudioStream) -> Iterator[tuple[_Layout, Samples]]:
        begin_s = float((stream.start_time or 0) * (stream.time_base or 0))
        # A browser's recording that was paused; elsewhere a gap is damage.
        pauses = container.format.name.startswith("matroska")
        with container, _ffmpeg_errors():
            done = 0
            try:
                for frame in joined_frames(self._readable, container, stream, DEMUXER_OPTIONS):
                    for readable in _readable(frame):
                        mono = self._mono(_channels(readable))
                        self._reached_s = (readable.time or 0) - begin_s if pauses else 0.0
                        yield _layout(readable), mono
                        done += len(mono)
                return
            except GraphError:
                pass
            # From the start again, by packets; those that are broken can then be left out and counted.
            for frames in _alike(self._frames(container, stream)):
                channels = zip(*map(_channels, frames), strict=True)
                mono = self._mono([np.concatenate(parts) for parts in channels])
                self._reached_s = (frames[-1].time or 0) - begin_s if pauses else 0.0
                if done < len(mono):
                    yield _layout(frames[0]), mono[done:]
                done = max(0, done - len(mono))

    def _sounding_stream(self, container: InputContainer) -> AudioStream:
        """The sound track; of several the first that sounds, by their own order of precedence.

        Raises:
            AudioError: if there is none, or none that can be decoded.
        """
        tracks = [each for each in container.streams.audio if each.codec_context is not None]
        if len(tracks) < 2:
            return _audio_stream(container)
        best = container.streams.best("audio")
        tracks.sort(
            key=lambda track: (_is_secondary(track), not track.disposition & Disposition.default, track != best)
        )
        chosen = next((track for track in tracks[:MOST_TRACKS] if self._sounds(container, track)), tracks[0])
        self._track = container.streams.audio.index(chosen) + 1
        return chosen

    def _sounds(self, container: InputContainer, track: AudioStream) -> bool:
        """Whether there is a second of sound in the first minutes of a track."""
        heard_s = read_s = 0.0
        with suppress(GraphError):
            for frame in joined_frames(self._readable, container, track, DEMUXER_OPTIONS):
                for readable in _readable(frame):
                    mono = mixed([_scaled(channel, self._unit) for channel in _channels(readable)])
                    length_s = len(mono) / max(1, frame.sample_rate)
                    read_s += length_s
                    heard_s += length_s * bool(np.ptp(mono) >= 2 * SILENCE_PEAK)
                if heard_s >= MIN_DURATION_S or read_s > SCANNED_S:
                    break
        return heard_s >= MIN_DURATION_S

    def _from_links(self, others: list[tuple[int, int]]) -> Iterator[tuple[_Layout, Samples]]:
        """A chained Ogg's links after the first. One that cannot be decoded is damage."""
        for start, end in others:
            self._readable = Section(self._file, start, end)
            try:
                container = _container(self._readable, None)
                with _ffmpeg_errors():
                    stream = _audio_stream(container)
                yield from self._from_ffmpeg(container, stream)
            except AudioError as error:
                if error.code in ("too_long", "too_complex"):
                    raise
                self._bad_packets += 1

    def _float_values(self, container: InputContainer, stream: AudioStream) -> Iterator[NDArray[Any]]:
        """The values of each frame's channels, shape (n,), up to a frame that cannot be decoded."""
        with suppress(GraphError):
            for frame in joined_frames(self._readable, container, stream, DEMUXER_OPTIONS):
                for readable in _readable(frame):
                    yield from _channels(readable)

    def _frames(self, container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
        """Every frame that decodes; those that do not are counted and left out."""
        sound_ends = 0  # the first byte after the last packet that decoded
        bad_since = 0  # packets after it that did not
        for packet in self._whole_packets(container, stream):
            self._packets += 1
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                _raise_memory_error(error)
                bad_since += 1
                n_bad = self._bad_packets + bad_since
                if n_bad > 50 and n_bad > self._packets / 2:
                    raise AudioError("corrupt", "More than half of it is broken. Save or download it again.") from None
                continue
            except ValueError:  # PyAV's own, where FFmpeg's decoder will not open
                raise AudioError("unsupported_format", NO_DECODER) from None
            if packet.size:
                self._bad_packets += bad_since
                bad_since, sound_ends = 0, (packet.pos or 0) + packet.size
            for frame in frames:
                if isinstance(frame, AudioFrame) and frame.samples:
                    yield from _readable(frame)
        if bad_since and not _only_tags(self._readable, sound_ends):
            self._bad_packets += bad_since

    def _whole_packets(self, container: InputContainer, stream: AudioStream) -> "Iterator[Packet[AudioStream]]":
        """Every packet up to one that cannot be read, which is counted."""
        try:
            yield from container.demux(stream)
        except av.error.FFmpegError as error:  # not every OSError: a disk that fails is no fault of the recording
            _raise_memory_error(error)
            self._bad_packets += 1

    def _state(self, codec: str, layout: _Layout, stated_s: float, guess_s: float = 0.0) -> None:
        """Notes what the file states about itself, and refuses what states too much."""
        self._stated = Stated(codec, *layout, stated_s or guess_s)
        self._stated_s = stated_s
        # A tenth is left for inexact writers; what is decoded is counted exactly.
        self._check(stated_s / 1.1, stated_s / 1.1 * layout.rate_hz * layout.channels)

    def _check(self, duration_s: float, n_values: float) -> None:
        """Enforces both limits on length."""
        longest_s = self._max_duration_s
        if duration_s > longest_s:
            detail = f"It lasts longer than the {longest_s:g} s allowed here."
            raise AudioError("too_long", f"{detail} Send a part of it, or use an upload.")
        if n_values > longest_s * MAX_VALUES_PER_S:
            detail = f"It has more than {longest_s * MAX_VALUES_PER_S:.0f} sample values, all channels together."
            raise AudioError("too_complex", f"{detail} Save it with fewer channels or at a lower rate.")

    def _mono(self, channels: list[NDArray[Any]]) -> Samples:
        """Channels' values, shape (n,) each, as one channel, float32 with full scale 1.

        Values that no recording has become silence, so that one of them does not spoil a window.
        """
        mono = mixed([_scaled(channel, self._unit) for channel in channels])
        level = np.abs(mono)
        if level.max() <= HIGHEST_LEVEL:  # false for NaN
            return mono
        self._bad_values = True
        return np.where(level <= HIGHEST_LEVEL, mono, np.float32(0))

    def _too_little(self, n_samples: int) -> AudioError:
        if n_samples == 0:
            return AudioError("corrupt", "Nothing in it can be decoded. Save or download the file again.")
        if self._bad_packets or self._stated_s > MIN_DURATION_S:
            return AudioError("corrupt", "Less than a second of it can be decoded. Save or download the file again.")
        return AudioError(
            "too_short",
            f"It lasts {n_samples / SAMPLE_RATE_HZ:.4g} s; at least {MIN_DURATION_S:g} s is needed, 30 s is best.",
        )


def plain_wav(file: BinaryIO) -> tuple[int, int, int] | None:
    """Where the samples of a plain WAV file are: 16 bits, mono, without a gap to the end of the file.

    FFmpeg takes 4 ms for 30 s of such a file, an eighth of the answer. Whatever is unusual is left to it, as is a
    second channel: film sound travels in such files as if it were plain samples, which FFmpeg notices.

    Returns:
        Sample rate in Hz, the samples' first byte, and their number; None for any other file.
    """
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(WAV_HEAD_BYTES)
    if len(head) < WAV_PLAIN_BYTES:
        return None
    rate_hz: int = struct.unpack_from("<I", head, 24)[0]
    form = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate_hz, 2 * rate_hz & 0xFFFF_FFFF, 2, 16)
    start = WAV_PLAIN_BYTES
    if head.startswith(b"LIST", start - 8):  # what FFmpeg writes between format and samples; it needs 4 bytes
        n_bytes = struct.unpack_from("<I", head, start - 4)[0]
        start += 8 + n_bytes + n_bytes % 2 if n_bytes >= 4 else 0
    n_bytes = size - start
    samples = b"data" + struct.pack("<I", max(n_bytes, 0) & 0xFFFF_FFFF)
    plain = head.startswith(b"RIFF") and head.startswith(form, 8) and head.startswith(samples, start - 8)
    allowed = LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ and n_bytes > 0 and n_bytes % 2 == 0
    return (rate_hz, start, n_bytes // 2) if plain and allowed else None


def open_source(source: Any) -> BinaryIO:
    """The source as an open file, of a pipe a copy. Raises OSError, and TypeError for a source of another type."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if isinstance(source, str | Path):
        file = Path(source).open("rb")  # noqa: SIM115 (whoever opened the source closes it)
        if file.seekable():
            return file
        with file:
            return _copied(file)
    if not hasattr(source, "read") or isinstance(source, io.TextIOBase):
        raise TypeError(
            "the source must be a path, bytes, an open binary file or (samples, sample_rate_hz),"
            f" and not {type(source).__name__}"
        )
    return _copied(source) if isinstance(source, io.IOBase) and not source.seekable() else cast("BinaryIO", source)


def _copied(pipe: Any) -> BinaryIO:
    copy = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 (whoever opened the source closes it)
    shutil.copyfileobj(pipe, copy)
    copy.seek(0)
    return copy


def _array(source: tuple[Any, ...]) -> tuple[NDArray[Any], int]:
    """Checked samples, as shape (n, channels), and their rate. Raises TypeError and ValueError."""
    if len(source) != 2:
        raise TypeError(f"the source must be (samples, sample_rate_hz), and not a tuple of {len(source)}")
    samples, rate_hz = np.asarray(source[0]), source[1]
    if samples.dtype.kind not in "fiu":
        raise TypeError(f"samples must be floats or integers, and not {samples.dtype}")
    if samples.ndim not in (1, 2) or 0 in samples.shape or samples[0].size > MOST_CHANNELS:
        raise ValueError(
            f"samples must have shape (n,) or (n, channels) with at most {MOST_CHANNELS} channels, not {samples.shape}"
        )
    if isinstance(rate_hz, bool) or not isinstance(rate_hz, numbers.Real):
        raise TypeError(f"sample_rate_hz must be a number, and not {type(rate_hz).__name__}")
    rate = float(rate_hz)
    if not LOWEST_RATE_HZ <= rate <= HIGHEST_RATE_HZ or not rate.is_integer():
        raise ValueError(f"sample_rate_hz must be a whole number from {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ}")
    return samples.reshape(len(samples), -1), int(rate)


def _block_samples(rate_hz: int) -> int:
    """As few as make a window: at a low rate they become many at 22,050 Hz."""
    return min(BLOCK_SAMPLES, int(WINDOW_S) * rate_hz)


def _window(samples: Samples, start: int, end: int) -> Window:
    return Window(start / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ, samples)


def _container(file: BinaryIO | Section, demuxer: str | None) -> InputContainer:
    file.seek(0)
    head = file.read(16)
    if not head:
        raise AudioError("empty", "It has no bytes. Check that the upload was complete.")
    _refuse_archive(head)
    file.seek(0)
    try:
        return av.open(file, "r", format=demuxer, container_options=DEMUXER_OPTIONS, io_open=_refuse)
    except (av.error.FFmpegError, ValueError) as error:
        _raise_memory_error(error)
        if any(head[at:].startswith(magic) for at, magic in MAGIC):
            raise AudioError(
                "corrupt", "It begins like audio but cannot be opened. Save or download it again."
            ) from None
        raise AudioError("unsupported_format", FORMATS_HINT) from None


def _refuse_archive(head: bytes) -> None:
    """FFmpeg would look for sound in what an archive holds."""
    if head.startswith(ARCHIVES):
        raise AudioError("unsupported_format", f"It is an archive, or compressed. Unpack it first. {FORMATS_HINT}")


@contextmanager
def _ffmpeg_errors() -> Iterator[None]:
    """Turns those that nobody expects into an AudioError."""
    try:
        yield
    except av.error.FFmpegError as error:
        _raise_memory_error(error)
        raise AudioError("corrupt", "It is in a form that cannot be decoded. Save or download it again.") from error


def _raise_memory_error(error: Exception) -> None:
    """Raises MemoryError if FFmpeg ran out of memory, which need not be the recording's fault."""
    if isinstance(error, MemoryError):
        raise MemoryError("FFmpeg ran out of memory") from error


def _only_tags(file: BinaryIO | Section, start: int) -> bool:
    """Whether nothing but tags and padding is in a file from a byte on."""
    file.seek(start)
    while block := file.read(TAG_BLOCK_BYTES):
        if rest := block.lstrip(PADDING):
            return (rest + file.read(TAG_BLOCK_BYTES)).startswith(TAGS)
    return True


def _refuse(url: str, _flags: int, _options: dict[str, str]) -> BinaryIO:  # noqa: ARG001 (PyAV's signature)
    """FFmpeg calls this when a file asks for another file or address to be opened: never."""
    raise PermissionError("a recording may not open other files")


def _audio_stream(container: InputContainer) -> AudioStream:
    if not container.streams.audio:
        raise AudioError("no_audio_stream", "It can be opened, but there is no sound track in it.")
    stream = container.streams.best("audio") or container.streams.audio[0]
    if not isinstance(stream, AudioStream) or stream.codec_context is None:
        raise AudioError("unsupported_format", NO_DECODER)
    return stream


def _is_secondary(track: AudioStream) -> bool:
    """Whether a track is a commentary, or meant for people who do not see or hear well."""
    secondary = Disposition.comment | Disposition.visual_impaired | Disposition.hearing_impaired
    return bool(track.disposition & secondary)


def _stated_s(container: InputContainer, stream: AudioStream) -> float:
    """The sound's length as the file states it, in seconds; 0 if it states none, or more than its bytes can hold.

    The container's own length may be that of its video. It may count from zero where the sound begins later.
    """
    if container.format.name in GUESSED_LENGTH:
        return 0.0
    stated_s = begin_s = 0.0
    if stream.duration and stream.time_base:
        stated_s = float(stream.duration * stream.time_base)
        begin_s = float((stream.start_time or 0) * stream.time_base)
    elif container.duration and len(container.streams) == 1:
        stated_s = container.duration / av.time_base
        begin_s = (container.start_time or 0) / av.time_base
    if 0 < begin_s < stated_s:
        stated_s -= begin_s
    return _believed_s(container, stated_s)


def _believed_s(container: InputContainer, stated_s: float) -> float:
    """A duration, or 0 if the file's bytes cannot hold it."""
    return stated_s if stated_s * LEAST_BYTES_PER_S <= (container.size or 0) else 0.0


def _readable(frame: AudioFrame) -> list[AudioFrame]:
    """The frame in a form that PyAV can hand out: it knows no 64-bit integers and loses count at 8 planes."""
    many_planes = frame.format.is_planar and frame.layout.nb_channels >= 8
    if not many_planes and frame.format.name not in ("s64", "s64p"):
        return [frame]
    return AudioResampler(format="flt").resample(frame)


def _alike(frames: Iterator[AudioFrame]) -> Iterator[list[AudioFrame]]:
    """Consecutive frames of the same form, some seconds of them at a time: single ones take longer to mix."""
    for _, same in itertools.groupby(frames, key=lambda frame: (_layout(frame), frame.format.name)):
        held: list[AudioFrame] = []
        n_values = 0
        for frame in same:
            held.append(frame)
            n_values += frame.samples * frame.layout.nb_channels
            if n_values >= HELD_VALUES:
                yield held
                held, n_values = [], 0
        if held:
            yield held


def _layout(frame: AudioFrame) -> _Layout:
    if not LOWEST_RATE_HZ <= frame.sample_rate <= HIGHEST_RATE_HZ:
        raise AudioError(
            "unsupported_format",
            f"Its sample rate of {frame.sample_rate} Hz is outside {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ} Hz.",
        )
    return _Layout(frame.sample_rate, frame.layout.nb_channels)


def _channels(frame: AudioFrame) -> list[NDArray[Any]]:
    """Each channel's values, shape (n,), straight from FFmpeg's memory, without the copy that `to_ndarray` makes."""
    dtype = np.dtype(format_dtypes[frame.format.name])
    n_channels = frame.layout.nb_channels
    if frame.format.is_packed:
        packed = np.frombuffer(frame.planes[0], dtype, frame.samples * n_channels)
        channels = [packed[first::n_channels] for first in range(n_channels)]
    else:
        channels = [np.frombuffer(plane, dtype, frame.samples) for plane in frame.planes]
    if n_channels < MIN_FILM_CHANNELS:
        return channels
    # As in film sound's usual mix (ITU-R BS.775), without the channel of low-frequency effects.
    full = [at for at, channel in enumerate(frame.layout.channels) if channel.name not in LOW_FREQUENCY]
    return [channels[at] for at in full] if len(full) > 1 else channels


def _scaled(values: NDArray[Any], float_unit: np.float32) -> Samples:
    """A copy of the values, shape (n,), as float32 with full scale 1."""
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold is silenced later
        samples = values.astype(np.float32)
        if float_unit != 1:
            samples *= float_unit
    bits = 8 * values.dtype.itemsize
    if values.dtype.kind == "u":
        samples -= np.float32(2 ** (bits - 1))
    if values.dtype.kind in "iu":
        samples *= np.float32(0.5 ** (bits - 1))
    return samples
