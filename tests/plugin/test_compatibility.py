"""Twenty trips beside another plugin: every item is reported once, every mail is sent once and deleted once."""

import importlib.util
import xml.etree.ElementTree as ET

import pytest

from tests.plugin.conftest import ALONE, Project

TRIPS = 20


def needs(module: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=f"{module} is not installed")


def run_beside(project: Project, plugin: str, *args: str, passed: int = TRIPS) -> pytest.RunResult:
    """Runs with one of the plugins that the other tests leave out."""
    others = [arg for name, arg in zip(ALONE[::2], ALONE[1::2], strict=True) if arg != f"no:{plugin}" and name == "-p"]
    result = project.pytester.runpytest_subprocess(*(f"-p{arg}" for arg in others), "-rA", *args)
    result.assert_outcomes(passed=passed)
    lines = result.outlines
    for n in range(TRIPS):
        told = [line for line in lines if line.startswith("PASSED ") and line.endswith(f"many.trip.yaml::t{n:02}")]
        assert len(told) == 1, result.stdout.str()
    assert project.mails() == (TRIPS, TRIPS)
    return result


@needs("xdist")
@pytest.mark.parametrize("mode", ["load", "loadscope", "loadfile", "loadgroup", "worksteal"])
def test_xdist_sends_each_mail_once(project: Project, mode: str) -> None:
    project.trips(TRIPS // 2, name="many.trip.yaml")
    text = (project.pytester.path / "many.trip.yaml").read_text()
    more = text.partition("\n")[2].replace("  t0", "  t1")
    (project.pytester.path / "many.trip.yaml").write_text(text + more)
    run_beside(project, "xdist", "-n", "2", "--dist", mode)


@needs("xdist")
def test_trips_keep_one_worker_and_python_tests_use_the_other(project: Project) -> None:
    project.servers.delivery_delay_s = 0.3
    project.trips(TRIPS)
    project.pytester.makepyfile(
        test_python="""
        import pytest

        @pytest.mark.parametrize("n", range(6))
        def test_it(n):
            pass
        """
    )
    result = run_beside(project, "xdist", "-n", "2", "-v", passed=TRIPS + 6)
    ran = [line for line in result.outlines if line.startswith("[gw") and "PASSED" in line]
    trips_ran_on = {line[:5] for line in ran if ".trip.yaml" in line}
    assert len(trips_ran_on) == 1
    assert {line[:5] for line in ran if "test_python" in line} - trips_ran_on


@needs("pytest_timeout")
def test_timeout_leaves_trips_alone_that_are_in_time(project: Project) -> None:
    project.trips(TRIPS)
    run_beside(project, "timeout", "--timeout=30")


@needs("pytest_timeout")
def test_timeout_ends_the_wait_and_the_trip_is_cleaned_up(project: Project) -> None:
    project.servers.delivery_delay_s = 1.5
    project.trips(1)
    result = project.pytester.runpytest_subprocess("--timeout=1", "-p", "no:randomly", "-p", "no:rerunfailures")
    result.assert_outcomes(failed=1)
    assert project.mails() == (1, 1)


@needs("pytest_rerunfailures")
def test_rerunfailures_runs_only_what_failed_as_a_new_trip(project: Project) -> None:
    project.trips(TRIPS)
    run_beside(project, "rerunfailures", "--reruns=2")


@needs("pytest_rerunfailures")
def test_a_rerun_is_a_new_mail_that_is_reported_for_itself(project: Project) -> None:
    project.servers.delivery_delay_s = 0.01
    project.write(
        "a.trip.yaml",
        "trips: {a: {send: {via: out, from: a@example.org, to: u0@example.test}, receive: {at: in},"
        " expect: {total: 1ms}}}\n",
    )
    result = project.pytester.runpytest_subprocess("--reruns=1", "-p", "no:randomly", "--junit-xml=out.xml")
    result.assert_outcomes(failed=1)
    assert project.mails() == (2, 2)
    cases = ET.parse(project.pytester.path / "out.xml").iter("testcase")
    tokens = [
        [one.attrib["value"] for one in case.iter("property") if one.attrib["name"] == "mailtrip.token"]
        for case in cases
    ]
    assert [len(each) for each in tokens] == [1, 1]
    assert tokens[0] != tokens[1]


@needs("pytest_asyncio")
@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_asyncio_in_both_modes(project: Project, mode: str) -> None:
    project.trips(TRIPS)
    project.pytester.makepyfile(
        test_python="""
        import asyncio, pytest

        @pytest.mark.asyncio
        async def test_async():
            await asyncio.sleep(0)
        """
    )
    run_beside(project, "asyncio", f"--asyncio-mode={mode}", passed=TRIPS + 1)


@needs("pytest_randomly")
def test_randomly_may_shuffle_them(project: Project) -> None:
    project.trips(TRIPS)
    run_beside(project, "randomly", "-p", "randomly", "-p", "no:cacheprovider")
