"""Recordings as visitors have them."""

from pathlib import Path

from tests.audio_samples import FORMATS, encode, music


def recording(folder: Path, name: str, *, duration_s: float = 3.0, seed: int = 0) -> Path:
    """A file of this name with music in the format that its ending says."""
    format_name = name.rpartition(".")[2]
    rate_hz = FORMATS[format_name][2]
    file = folder / name
    file.write_bytes(encode(format_name, music(duration_s, rate_hz, seed=seed), rate_hz, channels=2))
    return file
