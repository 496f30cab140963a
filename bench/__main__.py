"""``make bench``: the time of one answer, in milliseconds and as ratios to baselines measured in the same run.

Prints them and writes ``bench/results.json``. It takes three to eight minutes; nothing else should run meanwhile.
"""

import argparse
import json
import statistics
from pathlib import Path
from pprint import pp

import onnx
from tqdm import tqdm

from bench import answers, baselines
from bench.measure import Figures, Work, alternately, machine, ratio, summary
from tonearm.classifier import Classifier
from tonearm.features.spectrum import spectrum
from tonearm.features.tiles import tiles
from tonearm.manifest import MODES
from tonearm.models import VGG19_FILE

RESULTS = Path(__file__).with_name("results.json")
MINUTES = (0.5, 1, 2, 5, 10, 30)
THREADS = (1, 2, 4, 8)
ROUNDS, THREAD_ROUNDS = 15, 21


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures the time of one answer.")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where to write the figures (default: %(default)s)")
    options = parser.parse_args()
    results = measure()
    options.out.write_text(json.dumps(results, indent=1) + "\n")
    pp(results, width=140)
    print(f"written: {options.out}")


def measure() -> Figures:
    """All figures, as ``results.json`` holds them."""
    bar = tqdm(total=8, desc="measuring")
    results: Figures = {}

    def add(name: str, figures: object) -> None:
        results[name] = figures
        bar.set_postfix_str(name)
        bar.update()

    classifiers = {mode: Classifier.load(mode=mode) for mode in MODES}
    fast, accurate = classifiers["fast"], classifiers["accurate"]
    add("machine", machine())
    add("decode", answers.decoding())
    add("small", answers.small_stages(accurate))
    float32 = baselines.float32(onnx.load_from_string(accurate.manifest.read(VGG19_FILE)))
    times_ms = alternately({**answers.stages(classifiers), **_baselines(fast, float32)}, rounds=ROUNDS)
    add("turns", {name: summary(values) for name, values in times_ms.items()})
    add("answers", answers.compressed(classifiers))
    add("growth", answers.growth(fast, MINUTES))
    rates = [{n: answers.clips_a_second(fast, n) for n in THREADS} for _ in range(THREAD_ROUNDS)]
    add("clips_a_second", {str(n): statistics.median(rate[n] for rate in rates) for n in THREADS})
    add("processes", answers.processes(fast))
    bar.close()
    results["tile_giga_mac"] = round(baselines.giga_mac(float32), 3)
    results["ratios"] = _ratios(times_ms, results["tile_giga_mac"]) | {
        f"{n}_threads_to_1": ratio([rate[n] for rate in rates], [rate[1] for rate in rates]) for n in THREADS[1:]
    }
    return results


def _baselines(classifier: Classifier, float32: onnx.ModelProto) -> dict[str, Work]:
    samples = answers.first_window(answers.clip())
    three_tiles = tiles(spectrum(samples, classifier.banks).mel)
    ten_tiles = baselines.librosa_tiles(samples)
    run_vgg19, run_float32 = baselines.one_core(baselines.vgg19()), baselines.one_core(float32)
    name = float32.graph.input[0].name
    return {
        "librosa_features": baselines.librosa_features(samples),
        "librosa_tiles": lambda: baselines.librosa_tiles(samples),
        "whole_vgg19_10_tiles": lambda: run_vgg19({"mel": ten_tiles[:, None]}),
        "whole_vgg19_1_tile": lambda: run_vgg19({"mel": three_tiles[1:2, None]}),
        "float32_vgg19_3_tiles": lambda: run_float32({name: three_tiles}),
        "float32_vgg19_1_tile": lambda: run_float32({name: three_tiles[1:2]}),
        **{f"{dtype}_product": work for dtype, work in baselines.products().items()},
    }


def _ratios(times_ms: dict[str, list[float]], tile_giga_mac: float) -> Figures:
    """Ours to the baselines, round by round: below 1 is faster than the baseline."""

    def total(*names: str) -> list[float]:
        return [sum(round_ms) for round_ms in zip(*(times_ms[name] for name in names), strict=True)]

    def at_peak(product: str) -> list[float]:
        """The time of a tile at the speed of the matrix product."""
        return [ms * tile_giga_mac / baselines.PRODUCT_GIGA_MAC for ms in times_ms[product]]

    naive = total("decode", "librosa_features", "librosa_tiles", "whole_vgg19_10_tiles")
    return {
        **{f"{mode}_to_naive": ratio(times_ms[mode], naive) for mode in MODES},
        "features_to_librosa": ratio(total("spectrum", "features"), total("librosa_features", "librosa_tiles")),
        "vgg19_1_tile_to_whole_float32": ratio(times_ms["vgg19_1_tile"], times_ms["whole_vgg19_1_tile"]),
        "vgg19_1_tile_to_float32": ratio(times_ms["vgg19_1_tile"], times_ms["float32_vgg19_1_tile"]),
        "vgg19_3_tiles_to_float32": ratio(times_ms["vgg19_3_tiles"], times_ms["float32_vgg19_3_tiles"]),
        "vgg19_share_of_int8_peak": ratio(at_peak("int8_product"), times_ms["vgg19_1_tile"]),
        "float32_vgg19_share_of_float32_peak": ratio(at_peak("float32_product"), times_ms["float32_vgg19_1_tile"]),
    }


if __name__ == "__main__":
    main()
