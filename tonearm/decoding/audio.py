"""Decoding: whatever FFmpeg reads becomes float32 mono at 22,050 Hz, a window at a time, so that memory is bounded.

Channels become one, then soxr converts the rate. Arrays and plain WAV files are read without FFmpeg. Everything else
that strangers send is decoded in a process of its own (`tonearm.decoding.decoder_pool`).
"""

import io
import itertools
import math
import numbers
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import av
import numpy as np
import soxr
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import ArrayLike, NDArray

from tonearm.classification import Audio, Stated
from tonearm.constants import (
    MIN_DURATION_S,
    MIN_SAMPLES,
    SAMPLE_RATE_HZ,
    SILENCE_PEAK,
    WINDOW_S,
    WINDOW_SAMPLES,
    WINDOW_SLACK_SAMPLES,
)
from tonearm.decoding.container import ffmpeg_errors, opened
from tonearm.decoding.ffmpeg_graph import GraphError, joined_frames
from tonearm.decoding.frames import (
    HIGHEST_RATE_HZ,
    LOWEST_RATE_HZ,
    Layout,
    alike,
    channels_of,
    layout_of,
    readable,
    scaled,
)
from tonearm.decoding.mixdown import mixed, unit
from tonearm.decoding.ogg_links import links
from tonearm.decoding.packets import PacketDecoder, scanned
from tonearm.decoding.repairs import repaired
from tonearm.decoding.section import Section
from tonearm.decoding.tracks import believed_s, sounding_track, stated_duration_s
from tonearm.errors import AudioError
from tonearm.types import Samples

AudioSource = str | Path | bytes | BinaryIO | tuple[ArrayLike, float]

FLOAT_CODECS = "pcm_f"
MOST_CHANNELS = 64
MAX_VALUES_PER_S = 192_000
"""Of the longest recording allowed: two channels at 96,000 Hz. More channels or a higher rate must be shorter."""
MOST_CONSTANT = 0.05
"""Share of the power. Recordings have under a fiftieth."""
HIGHEST_LEVEL = 1e4  # full scale is 1; infinities and NaN are above it too
BLOCK_SAMPLES = 2**20
MOST_PIPE_BYTES, PIECE_BYTES = 2**30, 2**20
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
        self._source: Iterator[tuple[Layout, Samples]] | None = None
        self._stated = Stated("", 0, 0, 0.0)
        self._stated_s = 0.0  # 0 where the format states no length
        self._layout: Layout | None = None
        self._decoded_s = 0.0
        self._reached_s = 0.0  # by the frames' times, which a live recording's pauses are in
        self._values = 0
        self._track: int | None = None
        self._bad_packets = 0
        self._bad_values = False

    def open(self) -> Stated:
        """What the recording states. :meth:`windows` calls it, unless it has been called before.

        Raises:
            AudioError: if the recording cannot be opened, or states more than is allowed.
        """
        if self._array is not None:
            samples, rate_hz = self._array
            self._state("array", Layout(rate_hz, samples.shape[1]), len(samples) / rate_hz)
            self._source = self._from_array(samples, rate_hz)
        elif plain := plain_wav(self._file):
            rate_hz, start, n_samples = plain
            self._state("pcm_s16le", Layout(rate_hz, 1), n_samples / rate_hz)
            self._source = self._from_plain_wav(rate_hz, start, n_samples)
        else:
            whole, demuxer = repaired(self._file)
            self._readable = whole
            first, *others = links(whole) or [(0, 0)]
            if others or first[0]:
                self._readable = Section(whole, *first)
                self._bad_packets += first[0] > 0  # it begins in the middle of a stream
            container = opened(self._readable, demuxer)
            with ffmpeg_errors():
                stream, self._track = sounding_track(self._readable, container)
                context = stream.codec_context
                layout = Layout(context.sample_rate, context.channels)
                guess_s = believed_s(container, stream, (container.duration or 0) / av.time_base)
                stated_s = 0.0 if others else stated_duration_s(container, stream)
                self._state(context.codec.canonical_name, layout, stated_s, guess_s)
                if context.codec.canonical_name.startswith(FLOAT_CODECS):
                    frames = scanned(self._readable, container, stream)
                    self._unit = unit(values for frame in frames for values in channels_of(frame))
            self._source = itertools.chain(self._from_ffmpeg(container, stream), self._from_links(whole, others))
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
        # FLAC's is exact.
        least_s = self._stated_s - 0.1 if self._stated.codec == "flac" else 0.9 * self._stated_s - 0.5
        short = max(self._decoded_s, self._reached_s) < least_s
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

    def _from_array(self, samples: NDArray[Any], rate_hz: int) -> Iterator[tuple[Layout, Samples]]:
        """Samples of shape (n, channels)."""
        layout = Layout(rate_hz, samples.shape[1])
        if samples.dtype.kind == "f":
            self._unit = unit([samples])
        block_samples = _block_samples(rate_hz)
        for first in range(0, len(samples), block_samples):
            yield layout, self._mono(list(samples[first : first + block_samples].T))

    def _from_plain_wav(self, rate_hz: int, start: int, n_samples: int) -> Iterator[tuple[Layout, Samples]]:
        layout = Layout(rate_hz, 1)
        self._file.seek(start)
        block_samples = _block_samples(rate_hz)
        for first in range(0, n_samples, block_samples):
            content = self._file.read(2 * min(block_samples, n_samples - first))
            yield layout, scaled(np.frombuffer(content, "<i2"), self._unit)

    def _from_ffmpeg(self, container: InputContainer, stream: AudioStream) -> Iterator[tuple[Layout, Samples]]:
        begin_s = float((stream.start_time or 0) * (stream.time_base or 0))
        # A browser's recording that was paused; elsewhere a gap is damage.
        pauses = container.format.name.startswith("matroska")
        with container, ffmpeg_errors():
            done = 0
            try:
                for frame in joined_frames(self._readable, container, stream):
                    for each in readable(frame):
                        mono = self._mono(channels_of(each))
                        self._reached_s = (each.time or 0) - begin_s if pauses else 0.0
                        yield layout_of(each), mono
                        done += len(mono)
                return
            except GraphError:
                pass
            packets = PacketDecoder(self._readable, container, stream)
            # From the start again, by packets; those that are broken can then be left out and counted.
            try:
                for frames in alike(packets.frames()):
                    channels = zip(*map(channels_of, frames), strict=True)
                    mono = self._mono([np.concatenate(parts) for parts in channels])
                    self._reached_s = (frames[-1].time or 0) - begin_s if pauses else 0.0
                    if done < len(mono):
                        yield layout_of(frames[0]), mono[done:]
                    done = max(0, done - len(mono))
            finally:
                self._bad_packets += packets.n_bad

    def _from_links(self, whole: BinaryIO | Section, others: list[tuple[int, int]]) -> Iterator[tuple[Layout, Samples]]:
        """A chained Ogg's links after the first. One that cannot be decoded is damage."""
        for start, end in others:
            self._readable = Section(whole, start, end)
            try:
                container = opened(self._readable, None)
                with ffmpeg_errors():
                    stream, _ = sounding_track(self._readable, container)
                yield from self._from_ffmpeg(container, stream)
            except AudioError as error:
                if error.code in ("too_long", "too_complex"):
                    raise
                self._bad_packets += 1

    def _state(self, codec: str, layout: Layout, stated_s: float, guess_s: float = 0.0) -> None:
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
        mono = mixed([scaled(channel, self._unit) for channel in channels])
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
    """What a pipe brings. Raises AudioError ``too_large``, and OSError."""
    copy = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 (whoever opened the source closes it)
    while chunk := pipe.read(PIECE_BYTES):
        if copy.tell() + len(chunk) > MOST_PIPE_BYTES:
            raise AudioError("too_large", f"A pipe may bring {MOST_PIPE_BYTES} bytes. Save it as a file.")
        copy.write(chunk)
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
    """Without its constant part where that has much of the power: it would be the loudest tone there is."""
    mean = samples.mean()
    if mean * mean > MOST_CONSTANT * (np.dot(samples, samples) / len(samples)):
        samples = samples - mean
    return Window(start / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ, samples)
