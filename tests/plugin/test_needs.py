"""Trips that wait for others, and trips that may not run now, as pytest shows them."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from tests.plugin.conftest import ALONE, Project

NOW = "00:00-24:00 UTC"


def trip(name: str, more: str = "") -> str:
    """A trip into a mailbox of its own, whose address begins with its name."""
    return (
        f"  {name}: {{send: {{via: out, from: probe@example.org, to: {name}@example.test}},"
        f" receive: {{at: in, interval: 200ms}}{', ' + more if more else ''}}}\n"
    )


def write(project: Project, *trips: str, name: str = "a.trip.yaml") -> None:
    text = "trips:\n" + "".join(trips)
    for user in ("a", "b", "c", "d", "bad"):
        if f" {user}@example.test" in text:
            project.servers.account(f"{user}@example.test", "secret word")
    project.write(name, text)


def events(project: Project) -> list[tuple[str, str]]:
    """What happened to whose mail, in order."""
    entries = [entry for entry in project.servers.ledger.entries() if entry.kind != "delivered"]
    return [(entry.kind, entry.address.partition("@")[0]) for entry in entries]


def one_by_one(names: str) -> list[tuple[str, str]]:
    return [(kind, name) for name in names for kind in ("accepted", "deleted")]


def ran(result: pytest.RunResult) -> list[str]:
    """The items in the order in which they were told."""
    lines = [line.split() for line in result.outlines]
    return [next(word for word in words if "::" in word) for words in lines if {"PASSED", "FAILED"} & set(words)]


@pytest.mark.parametrize("workers", [(), ("-n2",), ("-n1", "--dist=each"), ("-n2", "--dist=loadfile")])
def test_a_chain_across_files_runs_in_its_order(project: Project, workers: tuple[str, ...]) -> None:
    write(project, trip("a", "needs: b"), trip("b", "needs: 'z.trip.yaml::c'"))
    write(project, trip("c"), name="z.trip.yaml")
    project.run(*workers).assert_outcomes(passed=3)
    assert events(project) == one_by_one("cba")


def test_what_is_needed_comes_before_what_needs_it_and_all_else_stays(project: Project) -> None:
    write(project, trip("d"), trip("a", "needs: [c, b]"), trip("b"), trip("c", "needs: 'z.trip.yaml::bad'"))
    write(project, trip("bad"), name="z.trip.yaml")
    project.pytester.makepyfile(test_python="def test_it(): pass")
    result = project.here("--collect-only", "-q")
    told = [line for line in result.outlines if "::" in line]
    wanted = ["a.trip.yaml::d", "z.trip.yaml::bad", "a.trip.yaml::c", "a.trip.yaml::b", "a.trip.yaml::a"]
    assert told == [*wanted, "test_python.py::test_it"]
    assert events(project) == []


def test_a_plugin_that_sorts_the_items_does_not_break_the_order(project: Project) -> None:
    write(project, trip("a"), trip("b", "needs: a"))
    project.pytester.makeconftest(
        """
        import pytest

        @pytest.hookimpl(trylast=True)
        def pytest_collection_modifyitems(items):
            items.reverse()
        """
    )
    result = project.here("-v")
    result.assert_outcomes(passed=2)
    assert ran(result) == ["a.trip.yaml::a", "a.trip.yaml::b"]


def test_failed_first_does_not_break_the_order(project: Project) -> None:
    write(project, trip("a"), trip("b", "needs: a, expect: {total: 1ms}"))
    project.servers.delay_for("b@example.test", 0.01)
    plugins = [arg for arg in ALONE if arg not in ("-p", "no:cacheprovider")]
    several = [word for name in plugins for word in ("-p", name)]
    for _ in range(2):
        result = project.pytester.runpytest_inprocess(*several, "--ff", "-v")
        result.assert_outcomes(passed=1, failed=1)
    assert ran(result)[0] == "a.trip.yaml::a"


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_a_failed_need_skips_what_needs_it_and_nothing_of_that_is_sent(
    project: Project, workers: tuple[str, ...]
) -> None:
    project.servers.refuse("bad@example.test", "550 5.7.1 No")
    write(project, trip("bad"), trip("a", "needs: bad"), trip("b", "needs: a"), trip("c"))
    reports = ("--mailtrip-jsonl=out.jsonl", "--junit-xml=out.xml", "--html=out.html", "--self-contained-html")
    result = project.run(*workers, "-rs", *reports)
    result.assert_outcomes(passed=1, failed=1, skipped=2)
    why = "it needs `bad`, which did not pass: it ended rejected"
    result.stdout.fnmatch_lines([f"SKIPPED * a.trip.yaml:3: {why}"])
    result.stdout.fnmatch_lines(["SKIPPED * a.trip.yaml:4: it needs `a`, which did not pass: it ended skipped"])
    assert events(project) == one_by_one("c")
    records = [json.loads(line) for line in (project.pytester.path / "out.jsonl").read_text().splitlines()]
    told = {record["name"]: (record["end"], record["what"], record["passed"]) for record in records}
    assert told["a"] == ("skipped", why, None)
    skipped = [
        case.attrib["name"]
        for case in ET.parse(project.pytester.path / "out.xml").iter("testcase")
        if case.find("skipped") is not None
    ]
    assert skipped == ["a", "b"]
    assert why in (project.pytester.path / "out.html").read_text()


def test_outcomes_are_those_of_the_items(project: Project) -> None:
    """An expected failure is no pass, a skipped item is none, and a warning is one."""
    project.servers.refuse("bad@example.test", "550 5.7.1 No")
    write(project, trip("bad", "xfail: it is broken"), trip("a", "needs: bad"), trip("b", "skip: not today"))
    slow = trip("d", "expect: {total: {warn: 1ms}}")
    project.servers.delay_for("d@example.test", 0.01)
    write(project, trip("c", "needs: a.trip.yaml::b"), slow, trip("a", "needs: d"), name="z.trip.yaml")
    result = project.here("-rs", "-W", "default")
    result.assert_outcomes(passed=2, skipped=3, xfailed=1, warnings=1)
    result.stdout.fnmatch_lines_random(
        [
            "*: it needs `bad`, which did not pass: it ended rejected",
            "*: it needs `a.trip.yaml::b`, which did not pass: it ended skipped",
        ]
    )
    assert events(project) == one_by_one("da")


def test_a_need_that_starts_at_its_own_turn_is_waited_for(project: Project) -> None:
    write(project, trip("a", "needs: b"), trip("b", "tags: [late]"), trip("c", "needs: [d, a]"), trip("d"))
    project.pytester.makeconftest(
        """
        import pytest

        def pytest_collection_modifyitems(items):
            for item in items:
                if item.get_closest_marker("late"):
                    item.add_marker(pytest.mark.skipif(False, reason="known only at its turn"))
        """
    )
    project.here().assert_outcomes(passed=4)
    assert [event for event in events(project) if event[1] != "d"] == one_by_one("bac")


def test_what_needs_an_item_that_could_not_be_set_up_is_skipped(project: Project) -> None:
    write(project, trip("a", "tags: [late]"), trip("b", "needs: a"))
    project.pytester.makeconftest(
        """
        import pytest

        def pytest_collection_modifyitems(items):
            items[0].add_marker(pytest.mark.skipif(False, reason="known only at its turn"))

        @pytest.fixture(autouse=True)
        def broken(request):
            assert request.node.name != "a"
        """
    )
    result = project.here("-rs")
    result.assert_outcomes(errors=1, skipped=1)
    result.stdout.fnmatch_lines(["*it needs `a`, which was not run"])
    assert events(project) == []


@pytest.mark.parametrize("selected", ["a.trip.yaml", "a.trip.yaml::a", "-ka.trip", "-monly"])
def test_a_need_that_is_no_part_of_the_run_is_not_waited_for(project: Project, selected: str) -> None:
    write(project, trip("a", "needs: z.trip.yaml::b, tags: [only]"))
    write(project, trip("b"), name="z.trip.yaml")
    project.here(selected).assert_outcomes(passed=1, deselected=selected.startswith("-"))
    assert events(project) == one_by_one("a")


def test_the_rows_of_a_matrix_are_needed_all_or_one(project: Project) -> None:
    project.servers.refuse("b@example.test", "550 5.7.1 No")
    rows = "matrix: {who: [a, b]}, send: {via: out, from: p@x.org, to: '${matrix.who}@example.test'}, receive: {at: in}"
    write(project, f"  m: {{{rows}}}\n", trip("c", "needs: m"), trip("d", "needs: 'm[a]'"))
    for user in ("a", "b"):
        project.servers.account(f"{user}@example.test", "secret word")
    result = project.here("-rs")
    result.assert_outcomes(passed=2, failed=1, skipped=1)
    result.stdout.fnmatch_lines(["*it needs `m[[]b]`, which did not pass: it ended rejected"])
    assert events(project) == one_by_one("ad")


def test_a_circle_breaks_its_file_and_no_other(project: Project) -> None:
    write(project, trip("a", "needs: b"), trip("b", "needs: a"))
    write(project, trip("c"), name="z.trip.yaml")
    result = project.here()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*a.trip.yaml:*: needs: makes a circle: * → * → *"])


def test_after_the_first_failure_what_needs_it_never_starts(project: Project) -> None:
    project.servers.refuse("bad@example.test", "550 5.7.1 No")
    write(project, trip("bad"), trip("a", "needs: bad"))
    project.here("-x").assert_outcomes(failed=1)
    assert events(project) == []


def test_a_stopped_run_starts_nothing_that_still_waited(project: Project) -> None:
    project.servers.delay_for("a@example.test", 1.0)
    write(project, trip("a"), trip("b", "needs: a"))
    command = [sys.executable, "-m", "pytest", *ALONE]
    with subprocess.Popen(command, cwd=project.pytester.path, stdout=subprocess.PIPE, text=True) as process:
        project.servers.ledger.wait_for("accepted", 1, timeout_s=30)
        process.terminate()
        output = process.communicate(timeout=30)[0]
    assert process.returncode == 143, output
    assert events(project) == one_by_one("a"), output


def test_a_rerun_does_not_repeat_what_it_needs(project: Project) -> None:
    pytest.importorskip("pytest_rerunfailures")
    project.servers.delay_for("b@example.test", 0.01)
    write(project, trip("a"), trip("b", "needs: a, expect: {total: 1ms}"))
    project.pytester.runpytest_subprocess("-p", "no:randomly", "--reruns=1").assert_outcomes(passed=1, failed=1)
    assert events(project) == one_by_one("abb")


def test_a_need_that_passes_in_its_rerun_has_passed(project: Project) -> None:
    pytest.importorskip("pytest_rerunfailures")
    write(project, trip("a", "expect: {total: 1s}"), trip("b", "needs: a"))
    project.servers.delay_for("a@example.test", 1.1)
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "--reruns=1", "--reruns-delay=1"]
    with subprocess.Popen(command, cwd=project.pytester.path, stdout=subprocess.PIPE, text=True) as process:
        project.servers.ledger.wait_for("deleted", 1, timeout_s=30)
        project.servers.delay_for("a@example.test", 0)
        output = process.communicate(timeout=60)[0]
    assert "2 passed, 1 rerun" in output
    assert events(project) == one_by_one("aab")


def test_outside_its_schedule_and_inside_its_maintenance_a_trip_is_skipped(project: Project) -> None:
    write(
        project,
        trip("a", f"maintenance: '{NOW}'"),
        trip("b", f"schedule: ['{NOW}', 'Sun 02:00-04:00 Europe/Berlin']"),
        trip("c", "needs: a"),
    )
    result = project.here("-rs", "--mailtrip-jsonl=out.jsonl", "--mailtrip-keep-results=kept")
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines([f"SKIPPED * a.trip.yaml:2: inside its maintenance `{NOW}` (there it is * *:*)"])
    assert events(project) == one_by_one("b")
    records = [json.loads(line) for line in (project.pytester.path / "out.jsonl").read_text().splitlines()]
    assert {record["name"]: record["end"] for record in records} == {"a": "skipped", "b": "delivered", "c": "skipped"}
