"""``make bench``: what an answer costs, as milliseconds and as ratios to baselines measured in the same run.

Prints tables and writes ``bench/results.json``. It takes three to eight minutes; nothing else should run meanwhile.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
from tqdm import tqdm

from bench import baselines, machine, processes, report, stages
from bench.measure import Ratio, Timing, in_turns, ratio, summary, timed
from tests.conftest import Storage
from tonearm.classifier import Classifier
from tonearm.features.spectrum import spectrum
from tonearm.features.tiles import tiles
from tonearm.manifest import MODES
from tonearm.models import VGG19_FILE

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the function app has it: one core an answer

RESULTS = Path(__file__).with_name("results.json")
MINUTES = (0.5, 1, 2, 5, 10, 30)
THREADS = (1, 2, 4, 8)
ROUNDS, THREAD_ROUNDS = 15, 21


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
    bar = tqdm(total=8, desc="measuring")
    results: dict[str, Any] = {}

    def step(name: str, value: Any) -> None:
        results[name] = value
        bar.set_postfix_str(name)
        bar.update()

    classifiers = {mode: Classifier.load(mode=mode) for mode in MODES}
    network = onnx.load_from_string(classifiers["accurate"].manifest.read(VGG19_FILE))
    tile_giga_mac = baselines.giga_mac(baselines.dequantized(network))
    step("machine", machine.machine())
    step("decode", _rows(stages.decoding()))
    step("small", {**_rows(stages.small(classifiers)), "ensemble_ms": stages.ensemble_ms(classifiers["accurate"])})
    turns = in_turns({**stages.large(classifiers), **_baselines(classifiers["accurate"])}, rounds=ROUNDS)
    step("turns", {name: asdict(summary(spent_ms)) for name, spent_ms in turns.items()})
    step("answers", {mode: _rows(rows) for mode, rows in stages.answering(classifiers).items()})
    step("growth", stages.growth(classifiers["fast"], MINUTES))
    threads = [{n: processes.clips_a_second(classifiers["fast"], n) for n in THREADS} for _ in range(THREAD_ROUNDS)]
    step("clips_a_second", {str(n): statistics.median(each[n] for each in threads) for n in THREADS})
    step("processes", _processes())
    bar.close()
    results["tile_giga_mac"] = round(tile_giga_mac, 3)
    ratios = {**_ratios(turns, tile_giga_mac), **_thread_ratios(threads)}
    results["ratios"] = {name: asdict(of) for name, of in ratios.items()}
    return results


def _rows(timings: dict[str, Timing]) -> dict[str, Any]:
    return {name: asdict(timing) for name, timing in timings.items()}


def _baselines(classifier: Classifier) -> dict[str, Callable[[], object]]:
    samples = stages.samples_of(stages.clip())
    cut = tiles(spectrum(samples, classifier.banks).mel)
    whole = baselines.whole_vgg19()
    float32 = baselines.float32_vgg19(classifier.manifest.read(VGG19_FILE))
    make_tiles = baselines.naive_tiles(samples)
    ten = make_tiles()
    return {
        "librosa_features": baselines.naive_features(samples),
        "librosa_tiles": make_tiles,
        "whole_vgg19_10_tiles": lambda: whole(ten),
        "whole_vgg19_1_tile": lambda: whole(cut[1:2]),
        "float32_vgg19_3_tiles": lambda: float32(cut),
        "float32_vgg19_1_tile": lambda: float32(cut[1:2]),
        **{f"{name}_product": product for name, product in machine.products().items()},
    }


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


def _ratios(turns: dict[str, list[float]], tile_giga_mac: float) -> dict[str, Ratio]:
    """Ours against the baselines, round by round: below 1 is less than the baseline takes."""

    def sums(*names: str) -> list[float]:
        return [sum(round_ms) for round_ms in zip(*(turns[name] for name in names), strict=True)]

    def at_peak(product: str) -> list[float]:
        """How long a tile would take at the pace of the product."""
        return [ms * tile_giga_mac / machine.GIGA_MAC for ms in turns[product]]

    naive = sums("decode", "librosa_features", "librosa_tiles", "whole_vgg19_10_tiles")
    return {
        **{f"{mode}_to_naive": ratio(turns[mode], naive) for mode in MODES},
        "features_to_librosa": ratio(sums("spectrum", "features"), sums("librosa_features", "librosa_tiles")),
        "vgg19_1_tile_to_whole_float32": ratio(turns["vgg19_1_tile"], turns["whole_vgg19_1_tile"]),
        "vgg19_1_tile_to_float32": ratio(turns["vgg19_1_tile"], turns["float32_vgg19_1_tile"]),
        "vgg19_3_tiles_to_float32": ratio(turns["vgg19_3_tiles"], turns["float32_vgg19_3_tiles"]),
        "vgg19_share_of_int8_peak": ratio(at_peak("int8_product"), turns["vgg19_1_tile"]),
        "float32_vgg19_share_of_float32_peak": ratio(at_peak("float32_product"), turns["float32_vgg19_1_tile"]),
    }


def _thread_ratios(rounds: list[dict[int, float]]) -> dict[str, Ratio]:
    """Clips a second by so many threads against those by one."""
    return {f"{n}_threads_to_1": ratio([of[n] for of in rounds], [of[1] for of in rounds]) for n in THREADS[1:]}


if __name__ == "__main__":
    main()
