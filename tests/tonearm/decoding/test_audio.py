"""Decoding: every format, every refusal, and memory that does not grow with the recording."""

import io
import struct
import tracemalloc
from pathlib import Path

import av
import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audio_samples import FORMATS, RATE_HZ, encode, music, png, video
from tests.tonearm.decoding.reading import likeness
from tonearm.constants import SAMPLE_RATE_HZ
from tonearm.decoding.audio import AudioReader, Window
from tonearm.errors import AUDIO_ERROR_CODES, AudioError

LAYOUT_5_1 = ("FL", "FR", "FC", "LFE", "BL", "BR")


def read(source: bytes | Path | io.BytesIO, max_duration_s: float | None = None) -> tuple[list[Window], AudioReader]:
    reader = AudioReader(source, max_duration_s=max_duration_s)
    return list(reader.windows()), reader


def code_of(source: bytes, max_duration_s: float | None = None) -> str:
    with pytest.raises(AudioError) as caught:
        read(source, max_duration_s)
    assert caught.value.detail
    assert caught.value.title in str(caught.value)
    assert caught.value.code in AUDIO_ERROR_CODES
    return caught.value.code


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_back_the_sound(name: str) -> None:
    _, _, rate_hz = FORMATS[name]
    channels = 1 if name == "au" else 2
    windows, reader = read(encode(name, music(3, rate_hz), rate_hz, channels=channels))
    facts = reader.facts()
    assert facts.duration_s == pytest.approx(3, abs=0.1)
    assert facts.analysed_s == facts.duration_s
    assert (facts.sample_rate_hz, facts.channels, facts.damaged) == (rate_hz, channels, False)
    assert len(windows) == 1
    assert windows[0].samples.dtype == np.float32
    assert likeness(windows[0].samples, soxr.resample(music(3, rate_hz), rate_hz, SAMPLE_RATE_HZ)) > 0.97


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"])
def test_every_sample_form_is_scaled_to_one(codec: str) -> None:
    windows, _ = read(encode("wav", music(2, level=0.5), codec=codec))
    np.testing.assert_allclose(windows[0].samples, music(2, level=0.5), atol=1 / 127 if codec == "pcm_u8" else 1e-4)


@pytest.mark.parametrize("rate_hz", [8_000, 96_000, 192_000])
def test_odd_rates_are_converted(rate_hz: int) -> None:
    windows, reader = read(encode("wav", music(2, rate_hz), rate_hz))
    assert reader.facts().sample_rate_hz == rate_hz
    assert len(windows[0].samples) == pytest.approx(2 * SAMPLE_RATE_HZ, abs=2)
    tone = np.sin(2 * np.pi * 440 * np.arange(2 * rate_hz) / rate_hz).astype(np.float32) / 2
    windows, _ = read(encode("wav", tone, rate_hz))
    spectrum = np.abs(np.fft.rfft(windows[0].samples))
    assert np.argmax(spectrum) * SAMPLE_RATE_HZ / len(windows[0].samples) == pytest.approx(440, abs=1)


def test_channels_are_averaged() -> None:
    left, right = music(2, seed=1), music(2, seed=2)
    frames = np.stack([left, right], axis=1)
    windows, reader = read(wav(frames, channels=2))
    assert reader.facts().channels == 2
    np.testing.assert_allclose(windows[0].samples, (left + right) / 2, atol=1e-6)


@pytest.mark.parametrize(("name", "rate_hz"), [("wav", 22_050), ("flac", 48_000), ("m4a", 48_000), ("opus", 48_000)])
def test_eight_channels(name: str, rate_hz: int) -> None:
    windows, reader = read(encode(name, music(3, rate_hz), rate_hz, channels=8))
    assert reader.facts().channels == 8
    assert likeness(windows[0].samples, soxr.resample(music(3, rate_hz), rate_hz, SAMPLE_RATE_HZ)) > 0.7


def wav(samples: np.ndarray, channels: int = 1, rate_hz: int = RATE_HZ, stated_bytes: int | None = None) -> bytes:
    """A float32 WAV written by hand, so that its header can lie."""
    data = samples.astype("<f4").tobytes()
    stated = len(data) if stated_bytes is None else stated_bytes
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + stated, b"WAVE", b"fmt ", 16, 3, channels, rate_hz,
                       rate_hz * channels * 4, channels * 4, 32, b"data", stated)  # fmt: skip
    return head + data


@pytest.mark.parametrize(
    ("length_s", "expected"),
    [
        (1.0, [(0, 1)]),
        (30.0, [(0, 30)]),
        (32.9, [(0, 32.9)]),
        (33.1, [(0, 30), (30, 33.1)]),
        (75.0, [(0, 30), (30, 60), (60, 75)]),
        (92.5, [(0, 30), (30, 60), (60, 92.5)]),
    ],
)
def test_windows_cover_the_whole_recording_once(length_s: float, expected: list[tuple[float, float]]) -> None:
    samples = music(length_s)
    windows, _ = read(wav(samples))
    assert [(w.start_s, w.end_s) for w in windows] == [pytest.approx(pair, abs=1e-3) for pair in expected]
    for window in windows:
        end = round(window.end_s * RATE_HZ)
        np.testing.assert_array_equal(window.samples, samples[end - len(window.samples) : end])
        assert window.first_s == pytest.approx((end - len(window.samples)) / RATE_HZ)
    if length_s >= 30:
        assert all(len(w.samples) >= 30 * RATE_HZ for w in windows)


def test_bytes_path_and_file_are_the_same(tmp_path: Path) -> None:
    content = encode("wav", music(2))
    path = tmp_path / "named.like.a.mp3"
    path.write_bytes(content)
    with path.open("rb") as file:
        for source in (path, file):
            np.testing.assert_array_equal(read(source)[0][0].samples, read(content)[0][0].samples)
        assert not file.closed


def test_what_cannot_be_read() -> None:
    assert code_of(b"") == "empty"
    assert code_of(b"This is no music, although its name ends in .mp3.\n" * 50) == "unsupported_format"
    assert code_of(png()) == "unsupported_format"
    assert code_of(video()) == "no_audio_stream"
    assert code_of(encode("wav", music(0.3))) == "too_short"
    assert code_of(b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(60)) == "corrupt"
    assert code_of(b"fLaC" + bytes(500)) == "corrupt"
    assert code_of(encode("m4a", music(3))[:600]) == "corrupt"
    assert code_of(wav(music(2), rate_hz=900)) == "unsupported_format"


@pytest.mark.parametrize("tag", [0x000A, 0x0162, 0x0163])
def test_a_codec_without_decoder_is_unsupported(tag: int) -> None:
    content = bytearray(wav(music(2)))
    content[20:22] = struct.pack("<H", tag)
    assert code_of(bytes(content)) == "unsupported_format"


def test_more_channels_than_there_are_is_unsupported() -> None:
    content = bytearray(wav(music(5)))
    content[22:24] = struct.pack("<H", 1_024)
    assert code_of(bytes(content)) == "unsupported_format"


def test_other_uses_of_a_container_are_unsupported() -> None:
    assert code_of(b"RIFF\x00\x04\x00\x00WEBPVP8 " + bytes(1_000)) == "unsupported_format"


def test_a_large_cover_is_skipped() -> None:
    def syncsafe(n: int) -> bytes:
        return bytes(n >> shift & 127 for shift in (21, 14, 7, 0))

    picture = b"\0image/jpeg\0\x03\0\xff\xd8\xff" + bytes(15 * 2**20)
    frame = b"APIC" + syncsafe(len(picture)) + b"\0\0" + picture
    _, reader = read(b"ID3\x04\0\0" + syncsafe(len(frame)) + frame + encode("mp3", music(3)))
    assert reader.facts() == read(encode("mp3", music(3)))[1].facts()


def test_many_values_are_refused() -> None:
    """Two channels at 96,000 Hz for the longest time allowed are as much as any recording may have."""
    content = encode("flac", music(2, 96_000), 96_000, channels=8)
    windows, _ = read(content, 8)
    assert windows
    assert code_of(content, 7) == "too_complex"
    unstated = bytearray(content)
    at = unstated.index(b"fLaC") + 8 + 10 + 3  # the lower bits of the number of samples
    unstated[at + 1 : at + 5] = bytes(4)
    assert code_of(bytes(unstated), 7) == "too_complex"


def test_raw_sound_in_quicktime_is_read() -> None:
    """There every sample is stated in one line, and rightly so."""
    out = io.BytesIO()
    with av.open(out, "w", format="mov") as container:
        stream = container.add_stream("pcm_s16le", rate=48_000)
        stream.layout = "mono"
        sound = np.tile((music(10, 48_000) * 32_767).astype(np.int16), 10)
        for start in range(0, len(sound), 48_000):
            frame = av.AudioFrame.from_ndarray(sound[None, start : start + 48_000], format="s16", layout="mono")
            frame.sample_rate, frame.pts = 48_000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert len(sound) > 4_000_000
    assert read(out.getvalue())[1].facts().duration_s == pytest.approx(100)


def test_a_read_that_fails_is_not_the_recordings_fault() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 200_000:
                raise ConnectionResetError("the disk is gone")
            return super().read(size)

    with pytest.raises(ConnectionResetError):
        read(Failing(wav(music(30))))


@pytest.mark.parametrize("name", ["mp3", "flac", "wav", "ogg"])
def test_a_cut_file_is_judged_by_what_is_left(name: str) -> None:
    _, _, rate_hz = FORMATS[name]
    content = encode(name, music(8, rate_hz), rate_hz, channels=2)
    windows, reader = read(content[: len(content) // 2])
    facts = reader.facts()
    assert 2 < facts.duration_s < 6
    assert windows[-1].end_s == pytest.approx(facts.duration_s, abs=0.05)
    if name == "flac":  # the others do not state how long they should be, or FFmpeg believes the file's size
        assert facts.damaged


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38, -1e20])
def test_values_that_are_no_numbers_are_left_out(bad: float) -> None:
    samples = music(3)
    samples[1_000:1_100] = bad
    windows, reader = read(wav(samples))
    assert reader.facts().damaged
    assert np.isfinite(windows[0].samples).all()
    np.testing.assert_array_equal(windows[0].samples[2_000:], samples[2_000:])
    assert not windows[0].samples[1_000:1_100].any()


@pytest.mark.parametrize("name", ["mp3", "aac"])
def test_rate_and_channels_may_change_on_the_way(name: str) -> None:
    first, second = music(4, 44_100, seed=1), music(4, 22_050, seed=2)
    windows, reader = read(encode(name, first, 44_100, channels=2) + encode(name, second, 22_050))
    facts = reader.facts()
    assert (facts.sample_rate_hz, facts.channels) == (44_100, 2)
    assert facts.duration_s == pytest.approx(8, abs=0.2)
    assert likeness(windows[0].samples[: 4 * RATE_HZ], soxr.resample(first, 44_100, RATE_HZ)) > 0.9
    assert likeness(windows[0].samples[-4 * RATE_HZ :], second) > 0.9


@pytest.mark.parametrize("share", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("name", ["mp3", "flac", "m4a", "aac", "webm", "wma"])
def test_damage_in_the_middle_is_reported(name: str, share: float) -> None:
    _, _, rate_hz = FORMATS[name]
    content = np.frombuffer(encode(name, music(8, rate_hz), rate_hz, channels=2), np.uint8).copy()
    rng = np.random.default_rng(0)
    middle = slice(len(content) // 10, len(content) * 9 // 10)
    broken = rng.random(len(content)) < share
    content[middle][broken[middle]] = rng.integers(0, 256, int(broken[middle].sum()))
    try:
        _, reader = read(content.tobytes())
    except AudioError as error:
        assert error.code == "corrupt"
    else:
        # Formats without checksums decode a few wrong bytes to a few wrong samples, and nobody can tell.
        assert reader.facts().damaged or share < 0.1


def test_a_length_left_open_is_no_damage() -> None:
    """What writes to a pipe cannot go back to write the length; it leaves all ones or zero there."""
    content = bytearray(wav(music(3)))
    for length in (b"\xff\xff\xff\xff", bytes(4)):
        content[4:8] = content[40:44] = length
        _, reader = read(bytes(content), max_duration_s=5)
        assert reader.facts().duration_s == pytest.approx(3)
        assert not reader.facts().damaged


@pytest.mark.parametrize(
    "padding", [b"APETAGEX" + bytes(range(256)) * 90, b"ID3\3\0\0\0\0\7\0" + b"\xff" * 900, bytes(9_000), b"\r\n"]
)
@pytest.mark.parametrize("name", ["mp3", "aac"])
def test_tags_behind_the_sound_are_no_damage(name: str, padding: bytes) -> None:
    content = encode(name, music(4, 44_100), 44_100)
    _, reader = read(content + padding)
    assert reader.facts().damaged is False
    assert reader.facts().duration_s == pytest.approx(4, abs=0.1)


def test_low_frequency_effects_are_left_out() -> None:
    made = io.BytesIO()
    rumble = np.sin(2 * np.pi * 30 * np.arange(4 * 48_000) / 48_000).astype(np.float32)
    with av.open(made, "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=48_000)
        stream.layout = "5.1"
        channels = np.stack([music(4, 48_000) * (name != "LFE") + rumble * (name == "LFE") for name in LAYOUT_5_1])
        frame = av.AudioFrame.from_ndarray((channels.T.reshape(1, -1) * 32_767).astype(np.int16), "s16", "5.1")
        frame.sample_rate, frame.pts = 48_000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    windows, reader = read(made.getvalue())
    assert reader.facts().channels == 6
    assert likeness(windows[0].samples, soxr.resample(music(4, 48_000), 48_000, SAMPLE_RATE_HZ)) > 0.99


@pytest.mark.parametrize("head", [b"PK\x03\x04", b"\x1f\x8b\x08", b"Rar!", bytes(range(1, 250)) + b"12345678ustar"])
def test_archives_are_to_be_unpacked(head: bytes) -> None:
    with pytest.raises(AudioError, match="Unpack it first") as caught:
        read(head + encode("mp3", music(2, 44_100), 44_100))
    assert caught.value.code == "unsupported_format"


@pytest.mark.parametrize("n_samples", [2**36 - 1, 1_200 * RATE_HZ])
def test_a_length_that_the_bytes_cannot_hold_is_not_believed(n_samples: int) -> None:
    content = bytearray(encode("flac", music(4)))
    at = content.index(b"fLaC") + 8 + 13
    content[at] = content[at] & 0xF0 | n_samples >> 32  # the total of samples: 36 bits
    content[at + 1 : at + 5] = (n_samples & 0xFFFF_FFFF).to_bytes(4)
    windows, reader = read(bytes(content), max_duration_s=60)
    assert len(windows) == 1
    assert reader.facts().damaged is False


@pytest.mark.parametrize("level", [0.5, 0.01])
def test_a_constant_is_left_out(level: float) -> None:
    windows, _ = read(encode("wav", music(34, level=level) + np.float32(0.3), codec="pcm_f32le"))
    for window in windows:
        at = round(window.first_s * RATE_HZ)
        expected = music(34, level=level)[at : at + len(window.samples)]
        np.testing.assert_allclose(window.samples, expected - expected.mean(), atol=1e-4)


def test_a_small_constant_stays() -> None:
    windows, _ = read(encode("wav", music(4) + np.float32(0.003), codec="pcm_f32le"))
    np.testing.assert_allclose(windows[0].samples, music(4) + np.float32(0.003), atol=1e-6)


def test_silence_is_seen() -> None:
    for samples in (np.zeros(2 * RATE_HZ), np.full(2 * RATE_HZ, 0.5), 1e-5 * music(2)):
        assert read(wav(samples))[0][0].silent
    for samples in (music(2, level=1e-3), np.concatenate([np.zeros(3 * RATE_HZ), music(2, level=1e-3)])):
        assert not read(wav(samples))[0][0].silent


def test_too_long_is_refused_at_once_or_on_the_way() -> None:
    assert code_of(encode("flac", music(10), channels=1), max_duration_s=5) == "too_long"
    assert code_of(encode("mp3", music(10)), max_duration_s=5) == "too_long"
    # A header that states little does not help.
    assert code_of(wav(music(10), stated_bytes=0xFFFFFFFF - 36), max_duration_s=5) == "too_long"
    assert read(encode("mp3", music(4)), max_duration_s=5)[0]


def test_a_playlist_cannot_make_us_read_other_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(encode("wav", music(2)))
    lists = {
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{secret}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile '{secret}'\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    }
    for name, text in lists.items():
        path = tmp_path / f"list.{name}"
        path.write_text(text)
        assert code_of(path.read_bytes()) == "unsupported_format"
        with pytest.raises(AudioError):
            read(path)


@pytest.mark.slow
def test_memory_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    path.write_bytes(encode("flac", np.tile(music(30), 30)))  # fifteen minutes

    def peak_bytes() -> int:
        tracemalloc.start()
        for window in AudioReader(path).windows():
            assert len(window.samples) <= 33 * RATE_HZ
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    whole_bytes = 15 * 60 * RATE_HZ * 4
    assert peak_bytes() < whole_bytes / 4


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=600),
    st.sampled_from([b"", b"RIFF\xff\xff\xff\x7fWAVEfmt ", b"fLaC", b"OggS", b"ID3\x03", b"\xff\xfb\x90\x64"]),
)
def test_any_bytes_are_answered(content: bytes, head: bytes) -> None:
    try:
        windows, reader = read(head + content, max_duration_s=100)
    except AudioError as error:
        assert error.code in AUDIO_ERROR_CODES
    else:
        assert windows
        assert reader.facts().duration_s >= 1


BASE = {
    name: encode(name, music(2, FORMATS[name][2]), FORMATS[name][2], channels=2)
    for name in ("mp3", "flac", "m4a", "ogg", "wav")
}


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(BASE)), st.data())
def test_broken_files_are_answered(name: str, data: st.DataObject) -> None:
    content = bytearray(BASE[name])
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        for window in AudioReader(bytes(content), max_duration_s=100).windows():
            assert np.isfinite(window.samples).all()
    except AudioError as error:
        assert error.code in AUDIO_ERROR_CODES
