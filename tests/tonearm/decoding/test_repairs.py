"""Files that FFmpeg reads wrongly: each gives what the plain file gives, and FFmpeg alone still does not."""

import io
import struct

import av
import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

from tests.audio_samples import RATE_HZ, encode, music
from tests.tonearm.decoding.reading import answer, likeness
from tonearm.constants import SAMPLE_RATE_HZ
from tonearm.decoding import audio, repairs
from tonearm.decoding.repairs import repaired
from tonearm.decoding.section import Section

X = np.stack([music(3), music(3, seed=1)], axis=1)
MEAN = X.mean(axis=1)


def chunk(name: bytes, content: bytes, order: str = "<") -> bytes:
    return name + struct.pack(f"{order}I", len(content)) + content + bytes(len(content) % 2)


def wav(bits: int, data: bytes, *, tag: int = 1, valid_bits: int | None = None, order: str = "<") -> bytes:
    frame_bytes = 2 * bits // 8
    form = struct.pack(
        f"{order}HHIIHH", 0xFFFE if valid_bits else tag, 2, RATE_HZ, RATE_HZ * frame_bytes, frame_bytes, bits
    )
    if valid_bits:
        guid = struct.pack(f"{order}H", tag) + bytes.fromhex("000000001000800000aa00389b71")
        form += struct.pack(f"{order}HHI", 22, valid_bits, 3) + guid
    body = b"WAVE" + chunk(b"fmt ", form, order) + chunk(b"LIST", b"INFO", order) + chunk(b"data", data, order)
    return (b"RIFX" if order == ">" else b"RIFF") + struct.pack(f"{order}I", len(body)) + body


def integers(bits: int, order: str = "<") -> bytes:
    values = np.round(X * 2.0 ** (bits - 1)).astype(np.int64)
    if bits == 8:
        return (values + 128).astype(np.uint8).tobytes()
    n_bytes = bits // 8
    little = values.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :n_bytes]
    return (little if order == "<" else little[:, ::-1]).tobytes()


def id3(n_bytes: int) -> bytes:
    return b"ID3\x03\0\0" + bytes((n_bytes >> shift) & 127 for shift in (21, 14, 7, 0)) + b"\x55" * n_bytes


def s16() -> bytes:
    return wav(16, integers(16))


def unpadded(bits: int = 16) -> bytes:
    """With a chunk of odd length in front of the samples, and no padding byte."""
    return wav(bits, integers(bits)).replace(b"LIST\4\0\0\0INFO", b"LIST\5\0\0\0INFO!")


def aiff(n_frames: int, n_bytes: int) -> bytes:
    """An AIFF that states these lengths, as one that was written to a pipe."""
    whole = encode("aiff", MEAN)
    common, sound = whole.index(b"COMM"), whole.index(b"SSND")
    made = bytearray(whole)
    struct.pack_into(">I", made, 4, n_bytes)
    struct.pack_into(">I", made, common + 10, n_frames)
    struct.pack_into(">I", made, sound + 4, n_bytes)
    return bytes(made)


def spdif() -> bytes:
    """AC-3 as it travels over S/PDIF at 48,000 Hz: PyAV cannot encode DTS."""
    made = io.BytesIO()
    with av.open(made, "w", format="spdif") as container:
        stream = container.add_stream("ac3", rate=48_000)
        stream.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(np.repeat(music(3, 48_000), 2)[None], format="flt", layout="stereo")
        frame.sample_rate = 48_000
        resampler = av.AudioResampler(stream.format, stream.layout, 48_000, frame_size=stream.codec_context.frame_size)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return made.getvalue()


REPAIRED = {
    "padding in front": lambda: bytes(2_000_000) + s16(),
    "ID3 in front": lambda: id3(20_000) + s16(),
    "ID3 in front of a format that is not plain": lambda: id3(9) + encode("wav", X[:, 0], codec="adpcm_ms"),
    "no padding byte": unpadded,
    "no padding byte, 24 bits": lambda: unpadded(24),
    "an AIFF of length 0": lambda: aiff(0, 0),
    "an AIFF of any length": lambda: aiff(2**32 - 1, 2**32 - 1),
    "24 bits in 32": lambda: wav(32, integers(32), valid_bits=24),
    **{f"RIFX, {bits} bits": lambda bits=bits: wav(bits, integers(bits, ">"), order=">") for bits in (16, 24, 32)},
    "RIFX, 24 bits in 32": lambda: wav(32, integers(32, ">"), valid_bits=24, order=">"),
    "RIFX, floats": lambda: wav(32, X.astype(">f4").tobytes(), tag=3, order=">"),
    "RIFX, ID3 in front": lambda: id3(500) + wav(16, integers(16, ">"), order=">"),
}
RIGHT_ALREADY = {
    "20 bits in 24": lambda: wav(24, integers(24), valid_bits=20),
    "12 bits in 16": lambda: wav(16, integers(16), valid_bits=12),
    "RIFX, 8 bits": lambda: wav(8, integers(8, ">"), order=">"),
}


@pytest.mark.parametrize("name", [*REPAIRED, *RIGHT_ALREADY])
def test_it_is_what_the_plain_file_is(name: str) -> None:
    code, samples, facts = answer((REPAIRED | RIGHT_ALREADY)[name]())
    assert not code
    assert samples is not None
    assert facts is not None
    assert (facts.damaged, facts.sample_rate_hz, facts.duration_s) == (False, RATE_HZ, pytest.approx(3, abs=0.05))
    if "not plain" in name:
        assert likeness(samples, X[:, 0]) > 0.97
    else:
        np.testing.assert_allclose(samples, MEAN, atol=1 / 100 if "8 bits" in name else 1e-4)


@pytest.mark.parametrize("lead_s", [0.0, 0.05, 0.3, 1.0, 9.0])
def test_coded_sound_in_samples_is_decoded(lead_s: float) -> None:
    data = bytes(4 * round(48_000 * lead_s)) + spdif()
    body = b"WAVE" + chunk(b"fmt ", struct.pack("<HHIIHH", 1, 2, 48_000, 192_000, 4, 16)) + chunk(b"data", data)
    code, samples, facts = answer(b"RIFF" + struct.pack("<I", len(body)) + body)
    assert not code
    assert samples is not None
    assert facts is not None
    assert (facts.codec, facts.damaged) == ("ac3", False)
    assert likeness(samples, soxr.resample(music(3, 48_000), 48_000, SAMPLE_RATE_HZ)) > 0.97


@pytest.mark.parametrize("name", REPAIRED)
def test_ffmpeg_alone_still_reads_it_wrongly(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "repaired", lambda file: (file, None))
    _, samples, _ = answer(REPAIRED[name]())
    assert samples is None or len(samples) != len(MEAN) or np.abs(samples - MEAN).max() > 0.01


def test_ordinary_files_are_left_alone() -> None:
    others = [make() for make in RIGHT_ALREADY.values()]
    for content in (
        *others,
        s16(),
        wav(24, integers(24)),
        wav(16, bytes(90_000)),
        encode("mp3", X[:, 0], 44_100),
        encode("aiff", X[:, 0]),
        b"",
        b"RIFF",
    ):
        file = io.BytesIO(content)
        assert repaired(file) == (file, None)


@given(st.binary(max_size=40), st.binary(max_size=60), st.data())
def test_a_section_is_a_file(head: bytes, content: bytes, data: st.DataObject) -> None:
    start, end = sorted((data.draw(st.integers(0, len(content))), data.draw(st.integers(0, len(content)))))
    section, plain = Section(io.BytesIO(content), start, end, head=head), io.BytesIO(head + content[start:end])
    for _ in range(data.draw(st.integers(1, 6))):
        whence = data.draw(st.sampled_from([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END]))
        offset = data.draw(st.integers(0, 120) if whence == io.SEEK_SET else st.just(0))
        assert section.seek(offset, whence) == plain.seek(offset, whence)
        n_bytes = data.draw(st.integers(-1, 50))
        assert section.read(n_bytes) == plain.read(n_bytes)
        assert section.tell() == plain.tell()


@given(st.binary(max_size=200), st.sampled_from([b"RIFF", b"RIFX", b"FORM", b"ID3\x03\0\0\0\0\0\0RIFF"]))
def test_any_chunks_are_answered(content: bytes, begin: bytes) -> None:
    file = io.BytesIO(begin + bytes(4) + (b"AIFF" if begin == b"FORM" else b"WAVE") + content)
    instead, demuxer = repaired(file)
    assert demuxer is None or demuxer in repairs._CODED.values()
    instead.seek(0)
    assert len(instead.read()) <= len(file.getvalue()) + 100
