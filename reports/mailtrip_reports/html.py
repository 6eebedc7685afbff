"""pytest-html's columns and details.

pytest-html 4.2 puts our strings into the page by `innerHTML` and cleans nothing, so `_text` escapes all that came
from the net or from YAML. A column sorts by the cell's inner HTML as text, hence the comment with a padded number
before it; a click folds a row only where it hits the cell itself, hence no element inside a cell.
"""

from collections.abc import Iterator
from html import escape

from mailtrip_checks.outcome import Direction
from mailtrip_checks.trips import Channel
from mailtrip_reports.record import Record, TranscriptLine
from mailtrip_reports.series import STATISTICS_HEAD, run_row, statistics_rows
from mailtrip_reports.story import has_notable_lag, in_short, reasons, remarks, summary_line
from mailtrip_reports.text import brief_length, seconds, shortened, visible
from mailtrip_reports.timeline import timeline_svg

_CHANNELS = (Channel.TOTAL, Channel.SMTP, Channel.TRANSIT, Channel.MAILBOX)
_FIRST_LINES, _LAST_LINES = 60, 140
_LONGEST_LINE, _LONGEST_TEXT = 500, 2000
_MOST_STAGES = 60
_MOST_RUNS = 200
_TAGS = {Direction.SENT: "b", Direction.RECEIVED: "", Direction.NOTE: "i"}

_STYLE = """<style>
#results-table .col-testId, #results-table .log { overflow-wrap: anywhere; }
#results-table .mailtrip-number { text-align: right; white-space: nowrap; width: 5em; }
#results-table .mailtrip-end { white-space: nowrap; width: 8em; }
.mailtrip { color-scheme: light; background: #fff; color: #1f2933; border: 1px solid #d9dee3; border-radius: 4px;
  padding: 10px 14px; margin: 2px 0 8px; font-size: 12px; line-height: 1.45; text-align: left; cursor: auto; }
.mailtrip p { color: inherit; margin: 0 0 6px; }
.mailtrip .mailtrip-why { color: #a3160f; font-weight: 600; overflow-wrap: anywhere; }
.mailtrip-columns { display: flex; flex-wrap: wrap; gap: 4px 32px; margin-top: 8px; align-items: flex-start; }
.mailtrip dl { display: grid; grid-template-columns: fit-content(14em) minmax(0, 1fr); gap: 2px 12px; margin: 0;
  flex: 1 1 380px; min-width: 0; }
.mailtrip dt { color: #5b6670; overflow-wrap: anywhere; }
.mailtrip dd { margin: 0; overflow-wrap: anywhere; }
#results-table .mailtrip table { border-collapse: collapse; color: inherit; font-size: 12px; flex: none; }
#results-table .mailtrip td, #results-table .mailtrip th { border: 0; padding: 0 12px 1px 0; }
#results-table .mailtrip th { color: #5b6670; font-weight: normal; }
#results-table .mailtrip .mailtrip-length { text-align: right; font-variant-numeric: tabular-nums; }
.mailtrip details { margin-top: 8px; }
.mailtrip summary { cursor: pointer; color: #2b5f9e; }
.mailtrip pre { margin: 4px 0 0; padding: 8px; max-height: 300px; overflow: auto; background: #f6f8fa;
  white-space: pre-wrap; overflow-wrap: anywhere; font: 11px/1.45 ui-monospace, Consolas, Menlo, monospace; }
.mailtrip pre b { font-weight: normal; color: #1d4f91; }
.mailtrip pre i { font-style: normal; color: #5b6670; }
</style>"""


def header_cells() -> list[str]:
    """For pytest_html_results_table_header: outcome, total, smtp, transit, mailbox. They carry the style sheet."""
    # The header is written from the first report on; the summary, the other place for a style, only at the end.
    end = f'<th class="sortable mailtrip-end" data-column-type="mailtrip_outcome">Outcome{_STYLE}</th>'
    return [end, *(_header_cell(channel) for channel in _CHANNELS)]


def _header_cell(channel: Channel) -> str:
    name = "SMTP" if channel is Channel.SMTP else channel.capitalize()
    return f'<th class="sortable mailtrip-number" data-column-type="mailtrip_{channel}">{name}</th>'


def row_cells(record: Record | None) -> list[str]:
    """For pytest_html_results_table_row, as many as header cells; None, for other tests, gives empty ones."""
    if record is None:
        return ['<td class="col-mailtrip_outcome"></td>', *(_number_cell(channel, None) for channel in _CHANNELS)]
    told = _text(summary_line(record), 300)
    end = f'<td class="col-mailtrip_outcome mailtrip-end" title="{told}">{_text(record.end)}</td>'
    return [end, *(_number_cell(channel, record.channels.get(channel)) for channel in _CHANNELS)]


def _number_cell(channel: Channel, length_s: float | None) -> str:
    inner = "" if length_s is None else f"<!--{length_s:016.6f}-->{brief_length(length_s)}"
    return f'<td class="col-mailtrip_{channel} mailtrip-number">{inner}</td>'


def detail_html(record: Record) -> str:
    """For an extra of format html: the trip's story, its timeline, and its dialogue folded away."""
    return "".join(
        [
            '<div class="mailtrip">',
            f"<p><strong>{_text(record.name)}</strong> · {_text(in_short(record))}</p>",
            f"<p>{_text(record.description)}</p>" if record.description else "",
            *(f'<p class="mailtrip-why">{_text(reason)}</p>' for reason in reasons(record)),
            _statistics(record),
            timeline_svg(record),
            '<div class="mailtrip-columns">',
            "<dl>",
            *(f"<dt>{_text(name)}</dt><dd>{_text(text)}</dd>" for name, text in _facts(record)),
            "</dl>",
            _stages(record),
            "</div>",
            _runs(record),
            _transcript(record),
            "</div>",
        ]
    )


def _facts(record: Record) -> Iterator[tuple[str, str]]:
    for reply in record.replies:
        yield f"{reply.leg} {reply.command}", reply.text
    yield from remarks(record)
    yield "started", record.started_at.isoformat(" ", "milliseconds").replace("+00:00", " UTC")
    if record.passed is not None:
        yield "took", seconds(record.duration_s)
    if record.lag_s is not None and not has_notable_lag(record):
        yield "own lag", brief_length(record.lag_s)
    yield "defined", f"{record.file}:{record.line}"


def _stages(record: Record) -> str:
    if not record.stages:
        return ""
    rows = [
        f"<tr><td>{_text(stage.leg)}</td><td>{_text(stage.name)}{' (shared)' if stage.shared else ''}</td>"
        f'<td class="mailtrip-length">{stage.start_s:+z.3f} s</td>'
        f'<td class="mailtrip-length">{brief_length(stage.length_s)}</td></tr>'
        for stage in record.stages[:_MOST_STAGES]
    ]
    if len(record.stages) > _MOST_STAGES:
        rows.append(f'<tr><td colspan="4">and {len(record.stages) - _MOST_STAGES} more</td></tr>')
    head = (
        '<tr><th>leg</th><th>stage</th><th class="mailtrip-length">began</th><th class="mailtrip-length">took</th></tr>'
    )
    return f"<table>{head}{''.join(rows)}</table>"


def _statistics(record: Record) -> str:
    if not record.statistics:
        return ""
    head = "".join(f'<th class="mailtrip-length">{name}</th>' for name in STATISTICS_HEAD[1:])
    rows = "".join(f"<tr><td>{_text(row[0])}</td>{_lengths(row[1:])}</tr>" for row in statistics_rows(record))
    return f"<table><tr><th>{STATISTICS_HEAD[0]}</th>{head}</tr>{rows}</table>"


def _lengths(cells: tuple[str, ...]) -> str:
    return "".join(f'<td class="mailtrip-length">{_text(cell)}</td>' for cell in cells)


def _runs(record: Record) -> str:
    """What failed comes first, where there are too many for all."""
    if not record.runs:
        return ""
    runs = sorted(record.runs, key=lambda run: len(record.runs) > _MOST_RUNS and run.passed)[:_MOST_RUNS]
    rows = [f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in run_row(record, run))}</tr>" for run in runs]
    if len(record.runs) > _MOST_RUNS:
        rows.append(f'<tr><td colspan="4">and {len(record.runs) - _MOST_RUNS} more</td></tr>')
    return f"<details><summary>Runs, {len(record.runs)}</summary><table>{''.join(rows)}</table></details>"


def _transcript(record: Record) -> str:
    lines = record.transcript
    if not lines:
        return ""
    rows = [_line(line) for line in lines]
    if len(lines) > _FIRST_LINES + _LAST_LINES:
        left_out = f"<i>… {len(lines) - _FIRST_LINES - _LAST_LINES} lines left out …</i>"
        rows = [*rows[:_FIRST_LINES], left_out, *rows[-_LAST_LINES:]]
    opened = " open" if record.passed is False else ""
    said = "\n".join(rows)
    return f"<details{opened}><summary>Transcript, {len(lines)} lines</summary><pre>{said}</pre></details>"


def _line(line: TranscriptLine) -> str:
    tag = _TAGS[line.direction]
    said = f"{escape(line.direction)} {_text(line.text, _LONGEST_LINE)}"
    return f"<i>{line.at_s:>+z9.3f} {line.leg:<7}</i> {f'<{tag}>{said}</{tag}>' if tag else said}"


def _text(text: str, at_most: int = _LONGEST_TEXT) -> str:
    """The text, harmless in HTML, in SVG and between the quotes of an attribute."""
    return escape(shortened(visible(text), at_most))
