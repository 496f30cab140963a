"""Which track is heard, and what is said of protected ones."""

import io

import av
import numpy as np
import pytest

from tests.audio_samples import RATE_HZ, encode, music, video
from tests.tonearm.decoding.reading import likeness
from tests.tonearm.decoding.test_audio import code_of, read
from tonearm.decoding.audio import AudioReader
from tonearm.errors import AudioError


def test_the_length_is_the_sounds_and_not_the_videos() -> None:
    windows, reader = read(video(20, music(6)), max_duration_s=10)
    assert windows[-1].end_s == pytest.approx(6, abs=0.2)
    assert not reader.facts().damaged
    assert code_of(video(20, music(0.5))) == "too_short"


M4A = encode("m4a", music(4))


def tracks(*each: tuple[float, float], default: int | None = None, commentary: int | None = None) -> bytes:
    """A Matroska file of several sound tracks: seconds and level of each."""
    made = io.BytesIO()
    with av.open(made, "w", format="matroska") as container:
        streams = [container.add_stream("flac", rate=RATE_HZ) for _ in each]
        for number, stream in enumerate(streams):
            stream.layout = "mono"
            flags = av.stream.Disposition(0)
            flags |= av.stream.Disposition.default if number == default else flags
            flags |= av.stream.Disposition.comment if number == commentary else flags
            stream.disposition = flags
        container.start_encoding()
        for number, (stream, (duration_s, level)) in enumerate(zip(streams, each, strict=True)):
            samples = music(duration_s, seed=number, level=level) if duration_s else np.zeros(0, np.float32)
            for first in range(0, len(samples), 4096):
                values = (samples[first : first + 4096] * 32_767).astype(np.int16)[None]
                frame = av.AudioFrame.from_ndarray(values, format="s16", layout="mono")
                frame.sample_rate, frame.pts = RATE_HZ, first
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return made.getvalue()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (tracks((0, 0.3), (4, 0.3)), 2),
        (tracks((0.05, 0.3), (4, 0.3)), 2),
        (tracks((4, 1e-6), (4, 0.3), (4, 0.3)), 2),
        (tracks((4, 0.3), (4, 0.3), default=1), 2),
        (tracks((4, 0.3), (4, 0.3), commentary=0), 2),
        (tracks((4, 0.3), (4, 0.3)), 1),
        (tracks((4, 0.3)), None),
        (tracks((4, 5e-5), (4, 0.3), commentary=1), 2),
        (tracks((4, 1.5e-4), (4, 0.3)), 2),
    ],
)
def test_the_track_that_sounds_is_read(content: bytes, expected: int | None) -> None:
    windows, reader = read(content)
    facts = reader.facts()
    assert (facts.track, facts.damaged) == (expected, False)
    assert likeness(windows[0].samples, music(4, seed=(expected or 1) - 1)) > 0.99


def test_only_silent_tracks_are_silent() -> None:
    windows, reader = read(tracks((4, 1e-6), (4, 1e-6)))
    assert windows[0].silent
    assert reader.facts().track == 1


def test_an_edit_list_of_no_length_is_not_followed() -> None:
    made = bytearray(M4A)
    at = made.index(b"elst")
    made[at + 12 : at + 16] = bytes(4)
    windows, reader = read(bytes(made))
    assert reader.facts().duration_s == pytest.approx(4, abs=0.1)
    assert likeness(windows[0].samples, music(4)) > 0.97


def encrypted(source: bytes, **more: str) -> bytes:
    """An MP4 of the same sound, by common encryption."""
    made = io.BytesIO()
    options = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "76" * 16, "encryption_kid": "a7" * 16, **more}
    with av.open(io.BytesIO(source)) as clear, av.open(made, "w", format="mp4", container_options=options) as container:
        stream = container.add_stream_from_template(clear.streams.audio[0])
        for packet in clear.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    return made.getvalue()


def element(identifier: str, *contents: bytes) -> bytes:
    """A Matroska element."""
    content = b"".join(contents)
    return bytes.fromhex(identifier) + (len(content) | 1 << 56).to_bytes(8, "big") + content


def encrypted_webm() -> bytes:
    """One track whose frames are encrypted, by the WebM Project's rules."""
    key = element("5035", element("47e1", b"\5"), element("47e2", b"0123456789abcdef"))
    encodings = element("6d80", element("6240", element("5033", b"\1"), key))
    sound = element("e1", element("b5", np.array(48_000, ">f4").tobytes()), element("9f", b"\2"))
    head = b"OpusHead\1\2" + bytes(2) + (48_000).to_bytes(4, "little") + bytes(3)
    facts = (("d7", b"\1"), ("73c5", b"\1"), ("83", b"\2"), ("86", b"A_OPUS"), ("63a2", head))
    track = element("ae", *(element(*fact) for fact in facts), sound, encodings)
    blocks = element(
        "1f43b675", element("e7", b"\0"), *(element("a3", b"\x81\0\0\x80" + bytes(200)) for _ in range(99))
    )
    segment = element("18538067", element("1549a966"), element("1654ae6b", track), blocks)
    return element("1a45dfa3", element("4282", b"webm")) + segment


def asf(identifier: str) -> bytes:
    """WMA with one more object in its header, of this GUID, in place of the last one."""
    whole, size_at = encode("wma", music(4)), 16
    extra = bytes.fromhex(identifier) + (40).to_bytes(8, "little") + bytes(16)
    size = int.from_bytes(whole[size_at : size_at + 8], "little")
    count = int.from_bytes(whole[24:28], "little")
    head = whole[:16] + (size + len(extra)).to_bytes(8, "little") + (count + 1).to_bytes(4, "little") + whole[28:size]
    return head + extra + whole[size:]


@pytest.mark.parametrize(
    "content",
    [
        *(M4A.replace(b"mp4a", tag, 1) for tag in (b"drms", b"enca", b"aavd")),
        encrypted(M4A),
        encrypted(M4A, movflags="frag_keyframe+empty_moov"),
        encrypted(encode("opus", music(4, 48_000), 48_000)),
        encrypted_webm(),
        asf("fbb3112223bdd211b4b700a0c955fc6e"),
        asf("14e68a292226174cb935dae07ee9289c"),
    ],
)
def test_protected_sound_is_told_from_a_broken_file(content: bytes) -> None:
    with pytest.raises(AudioError, match="protected against copying") as caught:
        AudioReader(content).open()
    assert caught.value.code == "unsupported_format"


@pytest.mark.parametrize("tag", [b"\xac\xf1\0\1", b"\xff\xff\xff\xff"])
def test_a_tag_is_any_four_bytes(tag: bytes) -> None:
    windows, _ = read(M4A.replace(b"mp4a", tag, 1))
    assert likeness(windows[0].samples, music(4)) > 0.97


def test_what_is_not_protected_is_read() -> None:
    windows, _ = read(asf("00" * 16))
    assert likeness(windows[0].samples, music(4)) > 0.97
