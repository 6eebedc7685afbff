"""The stages of a trip drawn to scale: an inline SVG with a lane for each leg and a band for the arrival."""

from collections.abc import Iterator
from html import escape
from math import floor, log10

from mailtrip_checks.ends import Leg
from mailtrip_reports.record import ArrivalBracket, Record, StageSpan
from mailtrip_reports.text import brief_length, shortened, visible

_WIDTH, _LEFT, _RIGHT = 900, 66, 20
_TOP, _LANE, _GAP, _AXIS = 20, 24, 7, 24
_LETTER = 6.2  # what a letter of 11 px takes on average
_MOST_BARS = 300
# Two shades a leg, so that neighbours part; each is dark enough for white letters (WCAG contrast above 4.5).
_SHADES = {
    Leg.SMTP: ("#2b5f9e", "#3971b5"),
    Leg.TRANSIT: ("#75580f", "#886716"),
    Leg.MAILBOX: ("#1f6547", "#2b7a58"),
}
_FAILED = "#c0271f"
_FONT = 'font-family="system-ui, Helvetica, Arial, sans-serif" font-size="11"'


def timeline_svg(record: Record) -> str:
    """The drawing, complete in itself; empty where nothing was measured."""
    span_s = _span_s(record)
    if not record.stages or span_s <= 0:
        return ""
    lanes = [leg for leg in Leg if any(stage.leg is leg for stage in record.stages)]
    height = _TOP + len(lanes) * (_LANE + _GAP) + _AXIS
    scale = _Scale(span_s)
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" ',
            f'height="{height}" style="max-width:100%;height:auto;display:block" {_FONT}>',
            f"<title>Timeline of {_text(record.name)}</title><desc>{_text(_told(record), 4000)}</desc>",
            f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
            *_grid(scale, height),
            *_arrival(record, scale, height),
            *_lanes(record, lanes, scale),
            "</svg>",
        ]
    )


class _Scale:
    """Seconds since the trip's start to pixels."""

    def __init__(self, span_s: float) -> None:
        self.span_s = span_s

    def x(self, at_s: float) -> float:
        # What lies outside, as a connect that another trip paid for minutes ago, stands at the edge.
        inside_s = min(max(at_s, 0.0), self.span_s)
        return round(_LEFT + inside_s / self.span_s * (_WIDTH - _LEFT - _RIGHT), 1)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Instant and label, at 1, 2 or 5 times a power of ten, five to eleven of them."""
        rough_s = self.span_s / 9
        power = 10.0 ** floor(log10(rough_s))
        step_s = next(power * times for times in (1, 2, 5, 10) if power * times >= rough_s)
        unit, factor = ("ms", 1000) if self.span_s < 1 else ("s", 1)
        for number in range(floor(self.span_s / step_s) + 1):
            yield number * step_s, f"{number * step_s * factor:.6g} {unit}" if number else "0"


def _span_s(record: Record) -> float:
    ends = [stage.start_s + stage.length_s for stage in record.stages]
    if record.bracket is not None:
        ends.append((record.mail_from_s or 0.0) + record.bracket.seen_s)
    return max(ends, default=0.0)


def _grid(scale: _Scale, height: int) -> Iterator[str]:
    floor_y = height - _AXIS
    for at_s, label in scale.ticks():
        x = floor(scale.x(at_s)) + 0.5  # half a pixel in, or the line is blurred over two
        yield f'<path d="M{x} {_TOP}V{floor_y + 4}" stroke="#d9dee3"/>'
        yield f'<text x="{x}" y="{floor_y + 17}" fill="#5b6670" text-anchor="middle">{label}</text>'
    yield f'<path d="M{_LEFT} {floor_y + 0.5}H{_WIDTH - _RIGHT}" stroke="#8a949e"/>'


def _lanes(record: Record, lanes: list[Leg], scale: _Scale) -> Iterator[str]:
    for row, leg in enumerate(lanes):
        y = _TOP + row * (_LANE + _GAP) + 2
        yield f'<text x="{_LEFT - 8}" y="{y + 16}" fill="#1f2933" font-weight="600" text-anchor="end">{leg}</text>'
        stages = [stage for stage in record.stages if stage.leg is leg]
        for number, stage in enumerate(stages[:_MOST_BARS]):
            failed = not record.passed and stage is stages[-1] and (leg, stage.name) == (record.leg, record.stage)
            yield _bar(stage, scale, y, _FAILED if failed else _SHADES[leg][number % 2])


def _bar(stage: StageSpan, scale: _Scale, y: float, fill: str) -> str:
    x = scale.x(stage.start_s)
    width = max(round(scale.x(stage.start_s + stage.length_s) - x, 1), 1.5)
    ink = "#ffffff"
    look = f'fill="{fill}"'
    if stage.shared:
        look, ink = 'fill="#eef1f4" stroke="#6b7681" stroke-dasharray="3 2"', "#3e4c59"
    label = ""
    if width >= len(stage.name) * _LETTER + 8:
        label = (
            f'<text x="{x + width / 2:.1f}" y="{y + 15}" fill="{ink}" text-anchor="middle">{_text(stage.name)}</text>'
        )
    shape = f'<rect x="{x}" y="{y}" width="{width}" height="{_LANE - 2}" rx="2" {look}/>'
    return f"<g><title>{_text(_told_stage(stage))}</title>{shape}{label}</g>"


def _arrival(record: Record, scale: _Scale, height: int) -> Iterator[str]:
    if record.bracket is None:
        return
    sent_s = record.mail_from_s or 0.0
    left, right = scale.x(sent_s + record.bracket.missed_s), scale.x(sent_s + record.bracket.seen_s)
    tall = height - _AXIS - _TOP + 6
    yield f"<g><title>{_text(_told_arrival(record.bracket))}</title>"
    yield f'<rect x="{left}" y="{_TOP - 6}" width="{max(right - left, 1):.1f}" height="{tall}" fill="#f0b400" '
    yield 'fill-opacity="0.28"/>'
    yield f'<path d="M{right} {_TOP - 6}v{tall}" stroke="#b07a00" stroke-width="1.5"/>'
    label_x = min(max(right, _LEFT + 30), _WIDTH - _RIGHT - 20)
    yield f'<text x="{label_x}" y="{_TOP - 9}" fill="#7a5600" text-anchor="middle">arrived</text></g>'


def _told(record: Record) -> str:
    told = [_told_stage(stage) for stage in record.stages[:_MOST_BARS]]
    return "; ".join([*told, _told_arrival(record.bracket)] if record.bracket else told)


def _told_stage(stage: StageSpan) -> str:
    paid = ", shared: another trip's connection" if stage.shared else ""
    return f"{stage.leg} {stage.name}: {brief_length(stage.length_s)}, from {stage.start_s:+z.3f} s{paid}"


def _told_arrival(bracket: ArrivalBracket) -> str:
    missed, seen = brief_length(bracket.missed_s), brief_length(bracket.seen_s)
    return f"arrived between {missed} and {seen} after MAIL FROM"


def _text(text: str, at_most: int = 300) -> str:
    return escape(shortened(visible(text), at_most))
