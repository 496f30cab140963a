"""The figures as tables for people."""

from typing import Any


def tables(results: dict[str, Any]) -> str:
    """All of ``bench/results.json``, as text."""
    machine = results["machine"]
    spread = "median, and between what the middle eight of ten lay"
    versions = ", ".join(f"{name} {machine[name]}" for name in ("python", "onnxruntime", "numpy"))
    parts = [
        f"{machine['processor']}, {machine['cores']} cores, {' '.join(machine['instructions'])}; {versions}",
        "Peak of one core, 10⁹ multiplications and additions a second: "
        + ", ".join(f"{name} {peak['giga_mac_a_second']:.0f}" for name, peak in results["peak"].items()),
        _table(f"Decoding 30 s, ms ({spread})", results["decode"]),
        _table("Stages of an answer about a 30 s WAV, ms", results["stages"])
        + f"\n  {'ensemble':<26}{results['stages']['ensemble_ms']:>9.2f}",
        *(_table(f"Whole answers about 30 s, {mode}, ms", rows) for mode, rows in results["answers"].items()),
        _table("Baselines, ms", results["baselines"]),
        "Ratios to the baselines\n" + _lines({name: f"{value:.3f}" for name, value in results["ratios"].items()}),
        "Clips a second by threads (fast, WAV): "
        + ", ".join(f"{n}: {rate}" for n, rate in results["clips_a_second"].items()),
        f"Growth: {results['growth']['ms_a_minute']} ms a minute of MP3 (r² {results['growth']['r_squared']})\n"
        + _lines({f"{row['minutes']} min": f"{row['median_ms']:.0f} ms" for row in results["growth"]["rows"]}),
        _processes(results["processes"]),
    ]
    return "\n\n".join(parts) + "\n"


def _table(title: str, rows: dict[str, Any]) -> str:
    lines = [
        f"  {name:<26}{row['median_ms']:>9.2f}   ({row['low_ms']:.2f} to {row['high_ms']:.2f}, n = {row['runs']})"
        for name, row in rows.items()
        if isinstance(row, dict)
    ]
    return "\n".join([title, *lines])


def _lines(rows: dict[str, str]) -> str:
    return "\n".join(f"  {name:<38}{value:>9}" for name, value in rows.items())


def _processes(figures: dict[str, Any]) -> str:
    cold = figures["cold_start"]
    rows = {
        "first answer after a start": f"{cold['median_s']:.2f} s ({cold['low_s']:.2f} to {cold['high_s']:.2f})",
        "an hour of MP3, fast": f"{figures['hour_mp3_fast']['median_ms'] / 1_000:.2f} s",
        "memory, models loaded": f"{figures['memory_clip']['loaded_mb']:.0f} MB",
        "memory, after a 30 s clip": f"{figures['memory_clip']['peak_mb']:.0f} MB",
        "memory, after two hours of MP3": f"{figures['memory_two_hours_mp3']['peak_mb']:.0f} MB",
    }
    return "Processes\n" + "\n".join(f"  {name:<38}{value}" for name, value in rows.items())
