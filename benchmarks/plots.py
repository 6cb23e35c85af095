"""Plots as SVG text: the same samples give the same bytes, on any machine."""

from collections.abc import Sequence
from html import escape

_OURS, _OTHERS, _INK, _FAINT = "#2563a8", "#b8bec6", "#1f2328", "#d0d7de"
_SERIES = {"shadow-git": "#2563a8", "cow": "#c2571a"}
_LINE = 20
_LABELS = 150


def bars(panels: Sequence[tuple[str, Sequence[tuple[str, float, bool]]]], unit: str) -> str:
    """Panels below each other, each a title and bars: a label, a value, and whether it is ours."""
    parts: list[str] = []
    at = 10
    for title, rows in panels:
        at += 24
        parts.append(_text(10, at, title, weight="bold"))
        longest = max(value for _, value, _ in rows)
        for label, value, mine in rows:
            at += _LINE
            width = 440 * value / longest
            parts.append(_text(_LABELS, at, label, anchor="end"))
            parts.append(_box(_LABELS + 8, at - 11, max(width, 1), 14, _OURS if mine else _OTHERS))
            parts.append(
                _text(_LABELS + 14 + width, at, f"{value:,.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}")
            )
        at += 10
    return _svg(720, at + 10, parts)


def dots(rows: Sequence[tuple[str, Sequence[tuple[str, float]]]], most: float = 2.0) -> str:
    """A line for each row, a dot on it for each value, named by its series; 1 is where the limit is."""
    left, width = 460, 240
    height = 50 + _LINE * len(rows)
    limit = left + width / most
    parts = [_line(limit, 24, height - 18, _INK)]
    parts.append(_text(limit, 18, "allowed", anchor="middle"))
    for number, (name, colour) in enumerate(_SERIES.items()):
        parts += [_dot(20 + 110 * number, 14, colour), _text(30 + 110 * number, 18, name)]
    for number, (label, values) in enumerate(rows):
        at = 44 + _LINE * number
        parts.append(_text(left - 12, at, label, anchor="end"))
        parts.append(f'<path d="M{left} {at - 4}H{left + width}" stroke="{_FAINT}"/>')
        for series, value in values:
            parts.append(_dot(left + width * min(value, most) / most, at - 4, _SERIES[series]))
    parts.append(_text(left, height - 4, "0", anchor="middle"))
    parts.append(_text(left + width, height - 4, f"{most:g} × or more", anchor="middle"))
    return _svg(left + width + 60, height + 8, parts)


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
    style = f'font-family="system-ui, sans-serif" font-size="12" fill="{_INK}"'
    return "\n".join([f"{head} {style}>", _box(0, 0, width, height, "#ffffff"), *parts, "</svg>\n"])


def _text(x: float, y: float, said: str, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-weight="{weight}">{escape(said)}</text>'


def _box(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" fill="{colour}"/>'


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.0f}" cy="{y:.0f}" r="5" fill="{colour}" fill-opacity="0.75"/>'


def _line(x: float, top: float, bottom: float, colour: str) -> str:
    return f'<path d="M{x:.0f} {top:.0f}V{bottom:.0f}" stroke="{colour}" stroke-dasharray="4 3"/>'
