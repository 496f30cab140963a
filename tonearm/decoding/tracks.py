"""Which of a file's tracks is heard, and how long the file says that it is."""

import itertools
from contextlib import suppress
from typing import BinaryIO

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition

from tonearm.constants import MIN_DURATION_S, SILENCE_PEAK
from tonearm.decoding.container import NO_DECODER, PROTECTED, is_encrypted
from tonearm.decoding.frames import channels_of, scaled
from tonearm.decoding.mixdown import mixed
from tonearm.decoding.packets import scanned
from tonearm.decoding.section import Section
from tonearm.errors import AudioError

SCANNED_S = (300, 3_600)
"""So much of each sound track is looked at, and more if none sounds."""
MOST_SCANNED_S = 3_600.0
"""Of all tracks together."""
FAINT_PEAK = 5e-4
"""-66 dB of full scale."""
PROTECTED_TAGS = {"drms", "enca", "aavd"}
"""Of iTunes, of common encryption (ISO/IEC 23001-7), and of Audible."""
ASF_PROTECTION = (  # the two Content Encryption Objects
    bytes.fromhex("fbb31122 23bdd211 b4b700a0 c955fc6e"),
    bytes.fromhex("14e68a29 2226174c b935dae0 7ee9289c"),
)
ASF_SIZE_AT, MOST_ASF_HEAD_BYTES = 16, 2**24
# These containers state no length; FFmpeg's is a guess from the first frames, on which nothing may be refused.
GUESSED_LENGTH = {"mp3", "aac", "ac3", "dts", "eac3", "spdif"}
LEAST_BYTES_PER_S, LEAST_LOSSLESS_BYTES_PER_S = 500, 8_000
"""Hardly any music has fewer: a longer duration that a file states is not believed."""
LOSSLESS = {"flac", "alac", "tta", "wavpack", "ape"}


def sounding_track(file: BinaryIO | Section, container: InputContainer) -> tuple[AudioStream, int | None]:
    """The sound track, and of several its number from 1: the first that sounds, by their own order of precedence.

    Those that are protected or have no decoder do not count. A commentary is heard where no other track sounds as loud
    in its first minutes.

    Raises:
        AudioError: if there is none, or none that can be decoded, or it is protected.
    """
    tracks = [each for each in container.streams.audio if each.codec_context is not None]
    if clear := [track for track in tracks if not _is_protected(file, container, track)]:
        chosen = _chosen(file, container, clear)
    elif tracks:
        raise AudioError("unsupported_format", PROTECTED)
    else:
        chosen = first_track(container)
    several = len(container.streams.audio) > 1
    return chosen, container.streams.audio.index(chosen) + 1 if several else None


def _chosen(file: BinaryIO | Section, container: InputContainer, tracks: list[AudioStream]) -> AudioStream:
    """The first of one or more tracks that sounds, or the first."""
    if len(tracks) == 1:
        return tracks[0]
    best = container.streams.best("audio")
    tracks = sorted(
        tracks, key=lambda track: (_is_secondary(track), not track.disposition & Disposition.default, track != best)
    )
    left_s = MOST_SCANNED_S
    # What is faint, as an open microphone is, is a sound only where nothing is louder.
    for level, most_s, secondary in itertools.product((FAINT_PEAK, SILENCE_PEAK), SCANNED_S, (False, True)):
        for track in tracks:
            if _is_secondary(track) == secondary and left_s > 0:
                sounds, read_s = _sounds(file, container, track, level, min(most_s, left_s))
                left_s -= read_s
                if sounds:
                    return track
    return tracks[0]


def _is_protected(file: BinaryIO | Section, container: InputContainer, track: AudioStream) -> bool:
    """Whether FFmpeg would decode it as noise, without a word."""
    protected = "enc_key_id" in track.metadata
    if container.format.name == "asf":
        at = file.tell()
        file.seek(ASF_SIZE_AT)
        n_bytes = int.from_bytes(file.read(8), "little")
        head = file.read(min(n_bytes, MOST_ASF_HEAD_BYTES))
        file.seek(at)
        protected = any(identifier in head for identifier in ASF_PROTECTION)
    elif container.format.name.startswith("mov"):
        first = next(container.demux(track), None)
        container.seek(-(2**40), stream=track)
        with suppress(UnicodeDecodeError):  # a tag is any four bytes
            protected = track.codec_context.codec_tag in PROTECTED_TAGS
        protected = protected or (first is not None and is_encrypted(first))
    return protected


def _sounds(
    file: BinaryIO | Section, container: InputContainer, track: AudioStream, level: float, most_s: float
) -> tuple[bool, float]:
    """Whether there is a second of sound of this level in the first so many seconds of a track; how many were read."""
    heard_s = read_s = 0.0
    for frame in scanned(file, container, track):
        mono = mixed([scaled(channel) for channel in channels_of(frame)])
        length_s = len(mono) / max(1, frame.sample_rate)
        read_s += length_s
        heard_s += length_s * bool(np.ptp(mono) >= 2 * level)
        if heard_s >= MIN_DURATION_S or read_s > most_s:
            break
    return heard_s >= MIN_DURATION_S, read_s


def _is_secondary(track: AudioStream) -> bool:
    """Whether a track is a commentary, or meant for people who do not see or hear well."""
    secondary = Disposition.comment | Disposition.visual_impaired | Disposition.hearing_impaired
    return bool(track.disposition & secondary)


def first_track(container: InputContainer) -> AudioStream:
    """The sound track that FFmpeg thinks best. Raises AudioError if there is none, or none that can be decoded."""
    if not container.streams.audio:
        raise AudioError("no_audio_stream", "It can be opened, but there is no sound track in it.")
    stream = container.streams.best("audio") or container.streams.audio[0]
    if not isinstance(stream, AudioStream) or stream.codec_context is None:
        raise AudioError("unsupported_format", NO_DECODER)
    return stream


def stated_duration_s(container: InputContainer, stream: AudioStream) -> float:
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
    return believed_s(container, stream, stated_s)


def believed_s(container: InputContainer, stream: AudioStream, stated_s: float) -> float:
    """A duration, or 0 if the file's bytes cannot hold it."""
    least = LEAST_LOSSLESS_BYTES_PER_S if stream.codec_context.codec.canonical_name in LOSSLESS else LEAST_BYTES_PER_S
    return stated_s if stated_s * least <= (container.size or 0) else 0.0
