"""Requests that no cache can have seen. Apart, as importing locust changes how sockets work."""


def unique(clip: bytes, number: int) -> bytes:
    """The clip in bytes that were never sent: a sample or two of a WAV, a tag before anything else."""
    stamp = number.to_bytes(4, "little")
    if clip[8:12] == b"WAVE":
        return clip[:400] + stamp + clip[404:]
    tag = b"PRIV" + (12).to_bytes(4) + b"\x00\x00" + b"tonearm\x00" + stamp
    return b"ID3\x04\x00\x00" + bytes([0, 0, 0, len(tag)]) + tag + clip
