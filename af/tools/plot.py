"""Bars as SVG, without a plotting library: every bar with its name, its length and its number."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_WIDTH = 760
_NAME_WIDTH = 280
_NUMBER_WIDTH = 110
_BAR_HEIGHT = 18
_GAP = 8
_TITLE_HEIGHT = 34
_MARGIN = 18
_NAME_CHARS_MAX = 42
_COLOURS = ("#3b6ea5", "#c8703a", "#5b8c5a")


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its name, how long it is, and the words behind it."""

    name: str
    length: float
    label: str


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars that are measured by the same scale."""

    title: str
    bars: tuple[Bar, ...]


def svg(title: str, panels: Sequence[Panel]) -> str:
    """One drawing with the panels below each other."""
    parts: list[str] = []
    y = _MARGIN + _TITLE_HEIGHT
    for number, panel in enumerate(panels):
        drawn, y = _panel(panel, _COLOURS[number % len(_COLOURS)], y)
        parts += drawn
    height = y + _MARGIN
    size = f'width="{_WIDTH}" height="{height}"'
    font = 'font-family="sans-serif" font-size="12"'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {_WIDTH} {height}" {font}>',
        f'<rect {size} fill="white"/>',
        _text(_MARGIN, _MARGIN + 14, title, size=16),
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"


def _panel(panel: Panel, colour: str, y: int) -> tuple[list[str], int]:
    parts = [_text(_MARGIN, y + 16, panel.title, size=13, weight="bold")]
    y += _TITLE_HEIGHT - 8
    longest = max((bar.length for bar in panel.bars), default=0.0) or 1.0
    room = _WIDTH - _NAME_WIDTH - _NUMBER_WIDTH - 2 * _MARGIN
    left = _MARGIN + _NAME_WIDTH
    for bar in panel.bars:
        length = max(1.0, room * bar.length / longest)
        name = bar.name if len(bar.name) <= _NAME_CHARS_MAX else bar.name[: _NAME_CHARS_MAX - 1] + "…"
        baseline = y + _BAR_HEIGHT - 5
        parts += [
            _text(left - 8, baseline, name, anchor="end"),
            f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{_BAR_HEIGHT}" fill="{colour}"/>',
            _text(left + length + 6, baseline, bar.label),
        ]
        y += _BAR_HEIGHT + _GAP
    return parts, y + _GAP


def _text(
    x: float, y: float, text: str, *, size: int = 12, weight: str = "normal", anchor: str = "start"
) -> str:
    style = f'font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="#222"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'
