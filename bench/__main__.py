"""``make bench``: the time of one answer, in milliseconds and as ratios to baselines measured in the same run.

Prints them and writes ``bench/results.json``. It takes three to eight minutes; nothing else should run meanwhile.
"""

import json
import statistics
from functools import partial
from pathlib import Path
from pprint import pp

import onnx

from bench import answers, baselines
from bench.measure import Figures, Work, alternately, machine, ratio, summary, timed
from tests.audio_samples import FORMATS
from tonearm.classifier import Classifier
from tonearm.features.spectrum import spectrum
from tonearm.features.tiles import tiles
from tonearm.manifest import MODES
from tonearm.models import VGG19_FILE

THREADS = (1, 2, 4)
ROUNDS, THREAD_ROUNDS = 15, 21


def main() -> None:
    """Measure everything."""
    classifiers = {mode: Classifier.load(mode=mode) for mode in MODES}
    fast = classifiers["fast"]
    float32 = baselines.float32(onnx.load_from_string(fast.manifest.read(VGG19_FILE)))
    times_ms = alternately({**answers.stages(classifiers), **_baselines(fast, float32)}, rounds=ROUNDS)
    rates = [{n: answers.clips_a_second(fast, n) for n in THREADS} for _ in range(THREAD_ROUNDS)]
    clips = {name: answers.clip(name) for name in FORMATS}
    results = {
        "machine": machine(),
        "decode": {name: timed(partial(answers.decode, clip)) for name, clip in clips.items()},
        "turns": {name: summary(values) for name, values in times_ms.items()},
        "answers": {mode: {"mp3": timed(partial(classifiers[mode].classify, clips["mp3"]))} for mode in MODES},
        "clips_a_second": {str(n): statistics.median(rate[n] for rate in rates) for n in THREADS},
        "processes": answers.processes(fast),
        "tile_giga_mac": round(baselines.giga_mac(float32), 3),
        "ratios": _ratios(times_ms)
        | {f"{n}_threads_to_1": ratio([rate[n] for rate in rates], [rate[1] for rate in rates]) for n in THREADS[1:]},
    }
    Path(__file__).with_name("results.json").write_text(json.dumps(results, indent=1) + "\n")
    pp(results, width=140)


def _baselines(classifier: Classifier, float32: onnx.ModelProto) -> dict[str, Work]:
    samples = answers.first_window(answers.clip())
    one_tile = tiles(spectrum(samples, classifier.banks).mel, 1)
    ten_tiles = baselines.librosa_tiles(samples)
    run_vgg19, run_float32 = baselines.one_core(baselines.vgg19()), baselines.one_core(float32)
    name = float32.graph.input[0].name
    return {
        "librosa_features": lambda: baselines.librosa_features(samples),
        "librosa_tiles": lambda: baselines.librosa_tiles(samples),
        "whole_vgg19_10_tiles": lambda: run_vgg19({"mel": ten_tiles[:, None]}),
        "float32_vgg19_1_tile": lambda: run_float32({name: one_tile}),
    }


def _ratios(times_ms: dict[str, list[float]]) -> Figures:
    """Ours to the baselines, round by round: below 1 is faster than the baseline."""

    def total(*names: str) -> list[float]:
        return [sum(round_ms) for round_ms in zip(*(times_ms[name] for name in names), strict=True)]

    naive = total("decode", "librosa_features", "librosa_tiles", "whole_vgg19_10_tiles")
    return {
        **{f"{mode}_to_naive": ratio(times_ms[mode], naive) for mode in MODES},
        "features_to_librosa": ratio(total("spectrum", "features"), total("librosa_features", "librosa_tiles")),
        "vgg19_1_tile_to_float32": ratio(times_ms["vgg19_1_tile"], times_ms["float32_vgg19_1_tile"]),
    }


if __name__ == "__main__":
    main()
