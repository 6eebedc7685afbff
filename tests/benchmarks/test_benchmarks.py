"""The benchmarks still run: what they are made of works, whatever the times."""

import json
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.charts import svg
from benchmarks.ground import OTHERS, Ground, ground, prove
from benchmarks.harness import ROOT, Chart, Figure, Measured, Size, Wrong, at_least, at_most, percentile
from benchmarks.measurements import in_process
from benchmarks.report import BEGIN, END, into_page, table
from benchmarks.work import Definition

TRIPS, MAILBOXES = 5, 2
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def here() -> Generator[Ground]:
    with ground(TRIPS, MAILBOXES) as here:
        yield here


@pytest.mark.parametrize("name", [name for name in OTHERS if name != "xdist -n 8"])
def test_every_candidate_sends_finds_and_deletes_each_mail(here: Ground, name: str) -> None:
    here.fly(OTHERS[name])  # which raises Wrong unless it did


def test_ours_does_the_same_and_its_arrivals_can_be_held_against_the_servers(here: Ground) -> None:
    flown = here.ours(Definition(), records=True)
    assert {record.token for record in flown.records} == set(flown.delivered_wall_s)


def test_a_mail_too_few_is_wrong(here: Ground) -> None:
    flown = here.ours(Definition())
    with pytest.raises(Wrong, match=f"{TRIPS} mails accepted, {TRIPS} different ones, for {TRIPS + 1} trips"):
        prove(flown.events, TRIPS + 1, "somebody")


def test_a_run_leaves_results_table_and_charts(tmp_path: Path) -> None:
    arguments = ["--small", "--only", "item-cost", "one-mailbox", "--into", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert list(results["measurements"]) == ["item-cost", "one-mailbox"]
    assert {"python", "load", "pytest"} <= set(results["machine"])
    figures = [figure for one in results["measurements"].values() for figure in one["figures"]]
    assert all(figure["rounds"] for figure in figures)
    assert (tmp_path / "table.md").read_text() in done.stdout
    charts = [chart["title"] for one in results["measurements"].values() for chart in one["charts"]]
    drawn = [ElementTree.parse(path).getroot().findtext(f"{SVG}title") for path in tmp_path.glob("*.svg")]
    assert sorted(map(str, drawn)) == sorted(charts)


def test_the_servers_of_this_process_are_measured_beside_bare_aiosmtpd() -> None:
    measured = in_process.measure(Size(tiny=True))
    assert all(figure.value is not None and figure.value > 0 for figure in measured.figures)
    assert list(measured.charts[0].bars) == ["ours", "bare aiosmtpd"]


def test_the_table_says_what_is_met_unmet_and_left_out() -> None:
    figures = [
        Figure("a", "×", (90, 120, 110), at_least(100)),
        Figure("b", "ms", (4, 5, 6), at_most(3), "loaded"),
        Figure("c", "s", (), at_most(1), "not installed"),
        Figure("d", "s", (1.0,)),
    ]
    rows = table({"line": Measured(figures)}, {"python": "3"}).splitlines()
    assert rows[2:6] == [
        "| line | a | 110 × | 90 – 120 | ≥ 100 | met |",
        "| line | b (loaded) | 5 ms | 4 – 6 | ≤ 3 | **unmet** |",
        "| line | c (not installed) | left out |  | ≤ 1 |  |",
        "| line | d | 1 s |  |  |  |",
    ]


def test_a_page_keeps_what_people_wrote(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    into_page(page, {"line": Measured([], [Chart("one", "One", "s", {"ours": 1.0})])}, {"python": "3"})
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n\n| measurement")
    assert text.endswith(f"![One](performance/one.svg)\n\n{END}\nafter\n")
    assert "old" not in text


def test_bars_are_as_long_as_their_values() -> None:
    root = ElementTree.fromstring(svg(Chart("one", "a < b", "s", {"ours": 1.0, "theirs": 4.0})))
    lengths = [float(bar.get("width", "0")) for bar in root.iter(f"{SVG}rect")]
    assert lengths[1] == pytest.approx(4 * lengths[0], rel=0.01)


def test_a_percentile_is_the_value_that_so_many_do_not_exceed() -> None:
    values = list(range(100, 0, -1))
    assert [percentile(values, percent) for percent in (1, 50, 95, 100)] == [1, 50, 95, 100]
    assert percentile([7.0], 95) == 7.0
