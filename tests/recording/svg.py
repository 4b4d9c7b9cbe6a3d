"""Screens of a terminal, one after the other, as one picture that moves: an SVG without a script and without another file.

Place: ``session`` makes the screens; rich draws each of them. Contract: who asks for less motion sees the last screen only;
fonts are those of the machine that shows it, and each word is as long there as it was meant.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

COLUMNS, ROWS = 112, 22
_CHAR_HEIGHT = 20
_CHAR_WIDTH, _LINE_HEIGHT = _CHAR_HEIGHT * 0.61, _CHAR_HEIGHT * 1.22
_PADDING, _TOP = 18, 48
_THEME = TerminalTheme(
    (16, 24, 32),
    (208, 215, 222),
    [
        (72, 79, 88),
        (255, 123, 114),
        (86, 211, 100),
        (227, 179, 65),
        (121, 192, 255),
        (210, 168, 255),
        (86, 212, 221),
        (208, 215, 222),
    ],
    [
        (110, 118, 129),
        (255, 161, 152),
        (126, 231, 135),
        (242, 204, 96),
        (165, 214, 255),
        (226, 197, 255),
        (179, 240, 255),
        (255, 255, 255),
    ],
)
_PARTS = "{styles}\x00{lines}\x00{backgrounds}{matrix}"


@dataclass(frozen=True)
class Screen:
    """What a terminal shows for a while. ``text`` has the colours that the program gave it."""

    text: str
    secs: float


def moving(screens: Sequence[Screen], says: str) -> str:
    """The picture. ``says``: what it shows, for who cannot see it."""
    width = round(COLUMNS * _CHAR_WIDTH + 2 * _PADDING)
    height = round(ROWS * _LINE_HEIGHT + _TOP + _PADDING)
    drawn = [_drawn(number, screen.text) for number, screen in enumerate(screens)]
    styles = [_fonts(), *(style for style, _, _ in drawn), *_times(screens)]
    groups = [f'<g class="s s{number}">{text}</g>' for number, (_, _, text) in enumerate(drawn)]
    return "\n".join(
        [
            f'<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="t">',
            f'<title id="t">{says}</title>',
            "<style>",
            *styles,
            "</style>",
            "<defs>",
            *(lines for _, lines, _ in drawn),
            "</defs>",
            f'<rect width="{width}" height="{height}" rx="10" fill="{_THEME.background_color.hex}"/>',
            *(f'<circle cx="{24 + 22 * n}" cy="22" r="6" fill="#3a444e"/>' for n in range(3)),
            f'<g transform="translate({_PADDING},{_TOP})">',
            *groups,
            "</g>",
            "</svg>\n",
        ]
    )


def _drawn(number: int, text: str) -> tuple[str, str, str]:
    """Rules, clip paths and text of one screen: its last rows, where it has more."""
    console = Console(
        record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor", legacy_windows=False
    )
    wrapped = Text.from_ansi(text).wrap(console, COLUMNS)
    for line in wrapped[-ROWS:]:
        console.print(line, no_wrap=True, highlight=False)
    styles, lines, drawn = console.export_svg(theme=_THEME, code_format=_PARTS, unique_id=f"s{number}").split("\x00")
    return styles, lines, drawn


def _fonts() -> str:
    return f".s {{ font: {_CHAR_HEIGHT}px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; visibility: hidden }}"


def _times(screens: Sequence[Screen]) -> list[str]:
    """One after the other, again and again."""
    total, begins, rules = sum(screen.secs for screen in screens), 0.0, []
    for number, screen in enumerate(screens):
        begin, end = (100 * at / total for at in (begins, begins + screen.secs))
        # Of two rules for the same moment the later one counts.
        steps = {0.0: "hidden"} | {begin: "visible"} | {end: "hidden"}
        frames = " ".join(f"{percent:.2f}% {{ visibility: {seen} }}" for percent, seen in steps.items())
        rules.append(f"@keyframes k{number} {{ {frames} }}\n.s{number} {{ animation: k{number} {total:g}s step-end infinite }}")
        begins += screen.secs
    last = f".s {{ animation: none }} .s{len(screens) - 1} {{ visibility: visible }}"
    return [*rules, f"@media (prefers-reduced-motion: reduce) {{ {last} }}"]
