"""The package as its users meet it: installed from its wheel, and by its public names."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tonearm
from local.setup_env import find_uv
from tests.audio_samples import RATE_HZ, encode, music
from tests.conftest import REPOSITORY
from tonearm import classify, sample_clip
from tonearm.decoding.audio import AudioReader


@pytest.mark.slow
def test_wheel_in_an_empty_environment(tmp_path: Path) -> None:
    """Four dependencies and the default model are all it needs, outside the checkout."""
    uv, python = find_uv(), str(tmp_path / "env" / "bin" / "python")
    locked = ["--locked", "--no-default-groups", "--no-emit-project", "--output-file", str(tmp_path / "locked.txt")]
    subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", str(tmp_path)], cwd=REPOSITORY, check=True)
    subprocess.run([uv, "export", "--quiet", *locked], cwd=REPOSITORY, check=True)
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(tmp_path / "env")], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    install = [uv, "pip", "install", "--quiet", "--python", python, "-r", str(tmp_path / "locked.txt"), str(wheel)]
    subprocess.run(install, check=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}
    command = str(tmp_path / "env" / "bin" / "tonearm")
    subprocess.run([command, "sample", "clip.wav"], cwd=tmp_path, env=environment, check=True)
    (tmp_path / "clip.mp3").write_bytes(encode("mp3", CLIP.mean(axis=1)))  # takes a decoder process
    answered = subprocess.run(
        [command, "classify", "--json", "clip.wav", "clip.mp3"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
    )
    result, decoded = map(json.loads, answered.stdout.splitlines())
    assert (decoded["status"], decoded["audio"]["codec"]) == ("done", "mp3")
    assert (result["genre"], result["uncertain"]) == ("rock", False)
    assert result["probabilities"] == pytest.approx(classify(sample_clip.wav()).probabilities, abs=1e-4)
    files = {path.name for path in (tmp_path / "env").rglob("site-packages/tonearm/data/models/*/*")}
    assert {"manifest.json", "MODEL_CARD.md", "svm.onnx", "vgg19.onnx", "filter_banks.npz"} <= files


def test_import_loads_nothing_heavy() -> None:
    program = "import sys, tonearm; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"numpy", "av", "onnxruntime", "tonearm.classifier"} & set(done.stdout.split())


def test_public_names() -> None:
    assert {"Classifier", "classify"} <= set(dir(tonearm))
    for name in tonearm.__all__:
        assert getattr(tonearm, name).__doc__
    with pytest.raises(AttributeError, match="song"):
        _ = tonearm.song  # type: ignore[attr-defined]


CLIP = np.stack([music(3, seed=1), music(3, seed=2)], axis=1)


@pytest.fixture(scope="module")
def expected() -> dict[str, float]:
    """What the clip is classified as from a WAV file."""
    return dict(classify(encode("wav", CLIP.mean(axis=1), codec="pcm_f32le")).probabilities)


@pytest.mark.parametrize(
    ("dtype", "step"),
    [("float16", 1e-3), ("float32", 1e-6), ("float64", 1e-6), ("int8", 2**-7), ("uint8", 2**-7)]
    + [(name, 2**-15) for name in ("int16", "uint16", "int32", "int64")],
)
def test_samples_of_any_type(dtype: str, step: float) -> None:
    """Integers have the full scale of their type, and channels are averaged."""
    samples = CLIP.astype(np.float64)
    if not dtype.startswith("float"):
        full_scale = 2.0 ** (8 * np.dtype(dtype).itemsize - 1)
        samples = np.round(samples * full_scale) + (full_scale if dtype.startswith("u") else 0)
    reader = AudioReader((samples.astype(dtype), RATE_HZ))
    (window,) = reader.windows()
    np.testing.assert_allclose(window.samples, CLIP.mean(axis=1), atol=step)
    facts = reader.facts()
    assert (facts.channels, facts.sample_rate_hz, facts.codec, facts.duration_s) == (2, RATE_HZ, "array", 3)


@pytest.mark.slow
def test_sources(tmp_path: Path, expected: dict[str, float]) -> None:
    content = encode("wav", CLIP.mean(axis=1), codec="pcm_f32le")
    (tmp_path / "clip").write_bytes(content)
    for source in (content, tmp_path / "clip", str(tmp_path / "clip"), io.BytesIO(content)):
        assert classify(source).probabilities == expected
    mono = CLIP.mean(axis=1)
    assert classify((mono, float(RATE_HZ))).probabilities == pytest.approx(expected, abs=1e-4)
    assert classify((mono[:, None], RATE_HZ), mode="fast").mode == "fast"
    converted = classify((music(3, 48_000), 48_000))
    as_file = classify(encode("wav", music(3, 48_000), 48_000, codec="pcm_f32le"))
    assert converted.probabilities == pytest.approx(as_file.probabilities, abs=1e-3)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (3.5, TypeError, "a path, bytes, an open binary file or"),
        (io.StringIO("text"), TypeError, "not StringIO"),
        ((CLIP,), TypeError, "not a tuple of 1"),
        ((np.array(["a"]), RATE_HZ), TypeError, "floats or integers"),
        ((CLIP > 0, RATE_HZ), TypeError, "not bool"),
        ((CLIP, "22050"), TypeError, "not str"),
        ((CLIP.T, RATE_HZ), ValueError, "at most 64 channels"),
        ((CLIP[None], RATE_HZ), ValueError, r"\(n, channels\)"),
        ((CLIP[:0], RATE_HZ), ValueError, r"\(0, 2\)"),
        ((CLIP, 0), ValueError, "whole number from 1000"),
        ((CLIP, float("nan")), ValueError, "whole number"),
    ],
)
def test_wrong_sources(source: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        classify(source)  # type: ignore[arg-type]


def test_values_that_are_no_numbers_are_left_out() -> None:
    samples = CLIP.astype(np.float64)
    samples[100] = [np.nan, 1e300]
    assert classify((samples, RATE_HZ)).audio.damaged
