"""Horizontal bars as SVG, readable on light and dark pages."""

from html import escape

from benchmarks.harness import Chart

_WIDTH, _LABELS, _VALUES, _ROW, _BAR, _TOP = 720, 240, 90, 28, 18, 44
_OURS = ' class="o"'
_STYLE = (
    "text{font:13px sans-serif;fill:#1f2328}.t{font-weight:600;font-size:14px}rect{fill:#8c959f}.o{fill:#0969da}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}rect{fill:#6e7681}.o{fill:#4493f8}}"
)


def svg(chart: Chart) -> str:
    """The chart; the first bar, which is ours, stands out. Lengths are linear from 0."""
    height = _TOP + _ROW * len(chart.bars) + 8
    most = max(chart.bars.values()) or 1.0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{escape(chart.title)}</title><style>{_STYLE}</style>",
        f'<text class="t" x="8" y="24">{escape(chart.title)}, {escape(chart.unit)}</text>',
    ]
    for place, (name, value) in enumerate(chart.bars.items()):
        y = _TOP + _ROW * place
        length = max(1.0, (_WIDTH - _LABELS - _VALUES) * value / most)
        parts += [
            f'<text x="{_LABELS - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>',
            f'<rect{"" if place else _OURS} x="{_LABELS}" y="{y}" width="{length:.1f}" height="{_BAR}"/>',
            f'<text x="{_LABELS + length + 8:.1f}" y="{y + 14}">{value:.3g} {escape(chart.unit)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
