"""The figures as tables for people."""

from typing import Any


def tables(results: dict[str, Any]) -> str:
    """All of ``bench/results.json``, as text."""
    machine = results["machine"]
    spread = "median, and between what the middle eight of ten lay"
    versions = ", ".join(f"{name} {machine[name]}" for name in ("python", "onnxruntime", "numpy"))
    parts = [
        f"{machine['processor']}, {machine['cores']} cores, {' '.join(machine['instructions'])}; {versions}",
        _table(f"Decoding 30 s, ms ({spread})", results["decode"]),
        _table("Stages of an answer about a 30 s WAV, whole answers, and baselines, in turns, ms", results["turns"]),
        _table("Small stages, ms", results["small"]) + f"\n  {'ensemble':<26}{results['small']['ensemble_ms']:>9.2f}",
        *(_table(f"Whole answers about 30 s, {mode}, ms", rows) for mode, rows in results["answers"].items()),
        _ratios(results["ratios"]),
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


def _ratios(ratios: dict[str, Any]) -> str:
    return "Ratios, round by round\n" + "\n".join(
        f"  {name:<38}{row['median']:>9.3f}   ({row['low']:.3f} to {row['high']:.3f}, n = {row['rounds']})"
        for name, row in ratios.items()
    )


def _lines(rows: dict[str, str]) -> str:
    return "\n".join(f"  {name:<38}{value:>9}" for name, value in rows.items())


def _processes(figures: dict[str, Any]) -> str:
    cold, imports, times = (figures["cold_start"][name] for name in ("host", "imports", "to_imports"))
    rows = {
        "first answer after a start": f"{_seconds(cold)}, {times['median']:.2f} times the next",
        "bare imports of its packages": _seconds(imports),
        "an hour of MP3, fast": f"{figures['hour_mp3_fast']['median_ms'] / 1_000:.2f} s",
        "memory, models loaded": f"{figures['memory_clip']['loaded_mb']:.0f} MB",
        "memory, after a 30 s clip": f"{figures['memory_clip']['peak_mb']:.0f} MB",
        "memory, after two hours of MP3": f"{figures['memory_two_hours_mp3']['peak_mb']:.0f} MB",
    }
    return "Processes\n" + "\n".join(f"  {name:<38}{value}" for name, value in rows.items())


def _seconds(row: dict[str, Any]) -> str:
    median, low, high = (row[name] / 1_000 for name in ("median_ms", "low_ms", "high_ms"))
    return f"{median:.2f} s ({low:.2f} to {high:.2f}, n = {row['runs']})"
