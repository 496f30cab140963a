"""The card's picture: confidence against accuracy, as SVG."""

from typing import Any

SIDE_PX = 320
MARGIN_PX = 44
COLOURS = ("#0072b2", "#d55e00", "#009e73")  # told apart by colour-blind readers (Okabe and Ito, 2008)


def calibration_plot(protocols: dict[str, dict[str, Any]]) -> str:
    """The ensemble's confidence and accuracy in each bin, a line a protocol, dots as large as bins are full."""
    size = SIDE_PX + 2 * MARGIN_PX
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" role="img" font-size="11">',
        "<title>Calibration: confidence against accuracy of the ensemble</title>",
        f'<rect width="{size}" height="{size}" fill="white"/>',
        _line([(0, 0), (1, 1)], "#999", dashed=True),
    ]
    for tenth in range(0, 11, 2):
        share = tenth / 10
        x, y = _place(share, share)
        parts.append(f'<text x="{x}" y="{SIDE_PX + MARGIN_PX + 16}" text-anchor="middle">{share:.1f}</text>')
        parts.append(f'<text x="{MARGIN_PX - 6}" y="{y + 4}" text-anchor="end">{share:.1f}</text>')
    parts.append(f'<text x="{size / 2}" y="{size - 8}" text-anchor="middle">confidence</text>')
    parts.append(f'<text x="12" y="{size / 2}" transform="rotate(-90 12 {size / 2})" text-anchor="middle">right</text>')
    for row, (colour, (name, figures)) in enumerate(zip(COLOURS, protocols.items(), strict=False)):
        bins = figures["ensemble"]["reliability"]
        parts.append(_line([(each["confidence"], each["accuracy"]) for each in bins], colour))
        for each in bins:
            x, y = _place(each["confidence"], each["accuracy"])
            radius = 2 + 8 * (each["n"] / figures["n"]) ** 0.5
            parts.append(f'<circle cx="{x}" cy="{y}" r="{radius:.1f}" fill="{colour}" fill-opacity="0.7"/>')
        parts.append(f'<text x="{MARGIN_PX + 8}" y="{MARGIN_PX + 14 + 15 * row}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _place(confidence: float, accuracy: float) -> tuple[float, float]:
    return round(MARGIN_PX + confidence * SIDE_PX, 1), round(MARGIN_PX + (1 - accuracy) * SIDE_PX, 1)


def _line(points: list[tuple[float, float]], colour: str, *, dashed: bool = False) -> str:
    path = " ".join(f"{x},{y}" for x, y in (_place(*point) for point in points))
    dash = ' stroke-dasharray="4 4"' if dashed else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>'
