"""``make bench``: what an answer costs, as milliseconds and as ratios to baselines measured in the same run.

Prints tables and writes ``bench/results.json``. It takes three to eight minutes; nothing else should run meanwhile.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the function app has it: one core an answer

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bench import baselines, machine, processes, report, stages
from bench.measure import Timing, timed
from tests.conftest import Storage
from tonearm.classifier import Classifier
from tonearm.manifest import MODES
from tonearm.models import VGG19_FILE
from tonearm.spectrum import spectrum
from tonearm.tiles import tiles

RESULTS = Path(__file__).with_name("results.json")
MINUTES = (0.5, 1, 2, 5, 10, 30)
THREADS = (1, 2, 4, 8)
TILE_GIGA_MAC = 6.37
"""Multiplications and additions of VGG19's sixteen convolutions on 128 by 128."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures what an answer costs.")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the figures go (default: %(default)s)")
    options = parser.parse_args()
    results = measure()
    options.out.write_text(json.dumps(results, indent=1) + "\n")
    print(report.tables(results))
    print(f"written: {options.out}")


def measure() -> dict[str, Any]:
    """All figures."""
    bar = tqdm(total=9, desc="measuring")
    results: dict[str, Any] = {}

    def step(name: str, value: Any) -> None:
        results[name] = value
        bar.set_postfix_str(name)
        bar.update()

    classifiers = {mode: Classifier.load(mode=mode) for mode in MODES}
    step("machine", machine.machine())
    step("peak", machine.peak())
    step("decode", _rows(stages.decoding()))
    computing = stages.computing(classifiers)
    step("stages", {**_rows(computing), "ensemble_ms": stages.ensemble_ms(classifiers["accurate"])})
    step("answers", {mode: _rows(rows) for mode, rows in stages.answering(classifiers).items()})
    step("baselines", _baselines(classifiers["accurate"]))
    step("growth", stages.growth(classifiers["fast"], MINUTES))
    step("clips_a_second", {str(n): processes.clips_a_second(classifiers["fast"], n) for n in THREADS})
    step("processes", _processes())
    bar.close()
    results["ratios"] = _ratios(results)
    return results


def _rows(timings: dict[str, Timing]) -> dict[str, Any]:
    return {name: asdict(timing) for name, timing in timings.items()}


def _baselines(classifier: Classifier) -> dict[str, Any]:
    samples = stages.samples_of(stages.clip())
    cut = tiles(spectrum(samples).image)
    float32 = baselines.float32_vgg19(classifier.manifest.read(VGG19_FILE))
    make_tiles = baselines.naive_tiles(samples)
    ten = make_tiles()
    return _rows(
        {
            "librosa_features": timed(baselines.naive_features(samples), runs=10),
            "librosa_tiles": timed(make_tiles, runs=10),
            "float32_vgg19_10_tiles": timed(lambda: float32(ten), runs=5, least_s=0),
            "float32_vgg19_3_tiles": timed(lambda: float32(cut), runs=7),
            "float32_vgg19_1_tile": timed(lambda: float32(cut[1:2]), runs=15),
        }
    )


def _processes() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip, hour, two_hours = folder / "clip.wav", *(stages.hours_of_mp3(folder, hours) for hours in (1, 2))
        clip.write_bytes(stages.clip())
        hour_fast = Classifier.load(mode="fast")
        storage = Storage(folder)
        storage.start()
        try:
            cold = processes.cold_starts(storage)
        finally:
            storage.stop()
        return {
            "memory_clip": processes.peak_memory(clip, "accurate"),
            "memory_two_hours_mp3": processes.peak_memory(two_hours, "accurate"),
            "hour_mp3_fast": asdict(timed(lambda: hour_fast.classify(hour), runs=1, least_s=0)),
            "cold_start": cold,
        }


def _ratios(results: dict[str, Any]) -> dict[str, float]:
    """Ours against the baselines: below 1 is less than the baseline takes."""
    base = {name: row["median_ms"] for name, row in results["baselines"].items()}
    stage = {name: row["median_ms"] for name, row in results["stages"].items() if isinstance(row, dict)}
    naive_ms = base["librosa_features"] + base["librosa_tiles"] + base["float32_vgg19_10_tiles"]
    wav_ms = results["decode"]["wav"]["median_ms"]
    answers = {mode: rows["wav"]["median_ms"] for mode, rows in results["answers"].items()}
    ours_features = stage["spectrum"] + stage["features"]
    per_core = 1_000 / answers["fast"]
    return {
        **{f"{mode}_to_naive": round(ms / (naive_ms + wav_ms), 4) for mode, ms in answers.items()},
        "features_to_librosa": round(ours_features / (base["librosa_features"] + base["librosa_tiles"]), 4),
        "vgg19_1_tile_to_float32": round(stage["vgg19_1_tile"] / base["float32_vgg19_1_tile"], 4),
        "vgg19_3_tiles_to_float32": round(stage["vgg19_3_tiles"] / base["float32_vgg19_3_tiles"], 4),
        "vgg19_share_of_int8_peak": _share(stage["vgg19_1_tile"], results["peak"]["int8"]),
        "float32_vgg19_share_of_float32_peak": _share(base["float32_vgg19_1_tile"], results["peak"]["float32"]),
        **{f"{n}_threads_to_one_core": round(rate / per_core, 3) for n, rate in results["clips_a_second"].items()},
    }


def _share(tile_ms: float, peak: dict[str, float]) -> float:
    return round(TILE_GIGA_MAC / (tile_ms / 1_000) / peak["giga_mac_a_second"], 4)


if __name__ == "__main__":
    main()
