"""What a run of the benchmarks leaves: results.json, table.md, a chart each, and the tables in docs/performance.md."""

import json
import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.charts import svg
from benchmarks.harness import Figure, Measured

PACKAGES = ("pytest", "pytest-xdist", "aiosmtplib", "aioimaplib", "aiosmtpd", "pydantic", "PyYAML")
BEGIN, END = "<!-- from here on written by `make bench` -->", "<!-- up to here -->"


def environment() -> dict[str, str]:
    """The machine, as it is now, and what is installed there."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": sys.version.split()[0],
        **{name: version(name) for name in PACKAGES},
    }


def write(folder: Path, measured: Mapping[str, Measured], machine: Mapping[str, str]) -> None:
    """Write all of it, in place of what an earlier run left."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    for one in measured.values():
        for chart in one.charts:
            (folder / f"{chart.name}.svg").write_text(svg(chart))
    (folder / "table.md").write_text(table(measured, machine))
    (folder / "results.json").write_text(_json(measured, machine))


def into_page(page: Path, measured: Mapping[str, Measured], machine: Mapping[str, str]) -> None:
    """Put table and charts between the page's two marks."""
    before, _, rest = page.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    charts = [chart for one in measured.values() for chart in one.charts]
    shown = "\n\n".join(f"![{chart.title}](performance/{chart.name}.svg)" for chart in charts)
    page.write_text(f"{before}{BEGIN}\n\n{table(measured, machine)}\n{shown}\n\n{END}{after}")


def table(measured: Mapping[str, Measured], machine: Mapping[str, str]) -> str:
    """All figures as a Markdown table, and under it the machine."""
    lines = ["| measurement | figure | median | rounds | target | |", "| --- | --- | --- | --- | --- | --- |"]
    lines += [_row(name, figure) for name, one in measured.items() for figure in one.figures]
    said = ", ".join(f"{name} {value}" for name, value in machine.items())
    return "\n".join([*lines, "", f"Measured on: {said}.", ""])


def _row(name: str, figure: Figure) -> str:
    what = f"{figure.what} ({figure.note})" if figure.note else figure.what
    value = "left out" if figure.value is None else f"{figure.value:.3g} {figure.unit}".rstrip()
    spread = f"{min(figure.samples):.3g} – {max(figure.samples):.3g}" if len(figure.samples) > 1 else ""
    target = ""
    if figure.target is not None:
        target = f"{'≥' if figure.target.at_least else '≤'} {figure.target.bound:g}"
    met = {True: "met", False: "**unmet**", None: ""}[figure.met]
    return f"| {name} | {what} | {value} | {spread} | {target} | {met} |"


def _json(measured: Mapping[str, Measured], machine: Mapping[str, str]) -> str:
    return json.dumps(
        {
            "machine": dict(machine),
            "measurements": {
                name: {
                    "figures": [_figure(figure) for figure in one.figures],
                    "charts": [{"title": c.title, "unit": c.unit, "bars": dict(c.bars)} for c in one.charts],
                }
                for name, one in measured.items()
            },
        },
        indent=1,
        ensure_ascii=False,
    )


def _figure(figure: Figure) -> dict[str, object]:
    target = figure.target
    return {
        "what": figure.what,
        "unit": figure.unit,
        "median": figure.value,
        "rounds": list(figure.samples),
        "at_least": target.bound if target and target.at_least else None,
        "at_most": target.bound if target and not target.at_least else None,
        "met": figure.met,
        "note": figure.note,
    }
