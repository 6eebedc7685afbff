"""`--dist each`: one suite from several locations, here workers of this machine."""

import json
import xml.etree.ElementTree as ET

import pytest

from mailtrip.each import in_short
from mailtrip.flights import Flights
from mailtrip.locations import located, unlocated
from tests.plugin.conftest import ALONE, Project

pytest.importorskip("xdist")

TWO = ("--dist=each", "--tx", "popen//id=berlin", "--tx", "popen//id=tokyo")
# Where berlin is, a trip's fixture ends the whole process.
LOST_BERLIN = """
    import os, signal, pytest

    @pytest.fixture(autouse=True)
    def lost(request, worker_id):
        if worker_id == "berlin" and request.node.name.startswith("t02"):
            os.kill(os.getpid(), signal.SIGKILL)
    """


def records(project: Project) -> dict[str, dict[str, object]]:
    lines = (project.pytester.path / "out.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    by_id = {record["id"]: record for record in told}
    assert len(by_id) == len(told)
    return by_id


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("inbox", "inbox[berlin]"),
        ("migrated[alice@example.com-old]", "migrated[alice@example.com-old@berlin]"),
        ("a.trip.yaml::inbox", "a.trip.yaml::inbox[berlin]"),
    ],
)
def test_a_location_is_a_parameter_of_the_name(name: str, there: str) -> None:
    assert located(name, "berlin") == there
    assert unlocated(there, "berlin") == name
    assert unlocated(there, "lin") == unlocated(there, "tokyo") == there
    assert located(name, None) == unlocated(name, None) == name


def test_every_location_sends_each_mail_once_and_all_reports_say_where(project: Project) -> None:
    project.trips(4)
    result = project.run(*TWO, "-v", "--mailtrip-jsonl=out.jsonl", "--junit-xml=out.xml", "--html=out.html")
    result.assert_outcomes(passed=8)
    assert project.mails() == (8, 8)

    ids = {f"many.trip.yaml::t{n:02}[{place}]" for n in range(4) for place in ("berlin", "tokyo")}
    told = records(project)
    assert set(told) == ids
    assert all(str(record["location"]) in str(record["id"]) for record in told.values())
    assert told["many.trip.yaml::t00[berlin]"]["name"] == "t00"

    cases = list(ET.parse(project.pytester.path / "out.xml").iter("testcase"))
    assert {case.attrib["name"] for case in cases} == {nodeid.partition("::")[2] for nodeid in ids}
    for case in cases:
        properties = {one.attrib["name"]: one.attrib["value"] for one in case.iter("property")}
        assert case.attrib["name"].endswith(f"[{properties['mailtrip.location']}]")

    page = (project.pytester.path / "out.html").read_text()
    assert all(nodeid in page for nodeid in ids)
    result.stdout.fnmatch_lines(["*berlin*PASSED*t00[[]berlin]*"])


def test_locations_bear_no_name_outside_each(project: Project) -> None:
    project.trips(2)
    project.run("--dist=load", "--tx", "popen//id=berlin", "--mailtrip-jsonl=out.jsonl").assert_outcomes(passed=2)
    assert {record["location"] for record in records(project).values()} == {None}


def test_workers_without_a_name_are_locations_too(project: Project) -> None:
    project.trips(1)
    project.run("-n2", "--dist=each", "--mailtrip-jsonl=out.jsonl").assert_outcomes(passed=2)
    assert set(records(project)) == {"many.trip.yaml::t00[gw0]", "many.trip.yaml::t00[gw1]"}


def test_a_trip_is_named_for_all_locations_or_for_one(project: Project) -> None:
    project.write(
        "m.trip.yaml",
        "trips:\n"
        "  plain: {send: {via: out, from: a@example.org, to: u0@example.test}, receive: {at: in}}\n"
        "  rows:\n"
        "    matrix: {user: [{id: one, to: u0@example.test}, {id: two, to: u1@example.test}]}\n"
        '    send: {via: out, from: a@example.org, to: "${matrix.user.to}"}\n'
        "    receive: {at: in}\n",
    )
    both, alone = "m.trip.yaml::rows[two]", "m.trip.yaml::plain[tokyo]"
    project.run(*TWO, both, alone, "--mailtrip-jsonl=out.jsonl").assert_outcomes(passed=3)
    assert set(records(project)) == {"m.trip.yaml::rows[two@berlin]", "m.trip.yaml::rows[two@tokyo]", alone}
    assert project.mails() == (3, 3)


def test_a_trip_of_one_location_alone_is_a_whole_run(project: Project) -> None:
    project.trips(2)
    result = project.run(*TWO, "many.trip.yaml::t01[berlin]")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.OK
    result = project.run(*TWO, "-k", "tokyo")
    result.assert_outcomes(passed=2)
    assert project.mails() == (3, 3)


def test_what_failed_at_one_location_runs_again_there_alone(project: Project) -> None:
    project.trips(3)
    project.pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(autouse=True)
        def fails_in_tokyo(request):
            if request.node.name == "t01[tokyo]":
                pytest.fail("not from here")
        """
    )
    args = [f"-p{plugin}" for plugin in ALONE[1::2] if plugin != "no:cacheprovider"]
    project.pytester.runpytest_subprocess(*args, *TWO).assert_outcomes(passed=5, errors=1)
    project.pytester.makeconftest("")
    result = project.pytester.runpytest_subprocess(*args, *TWO, "--lf", "-rA")
    result.assert_outcomes(passed=1)
    assert [line for line in result.outlines if line.startswith("PASSED") and line.endswith("::t01[tokyo]")]
    project.pytester.runpytest_subprocess(*args, *TWO, "--lf").assert_outcomes(passed=6)


def test_a_lost_location_fails_what_it_had_not_ended_and_the_others_go_on(project: Project) -> None:
    project.servers.delivery_delay_s = 0.2
    project.trips(4)
    project.pytester.makeconftest(LOST_BERLIN)
    result = project.run(*TWO, "-rf", "--mailtrip-jsonl=out.jsonl", "--junit-xml=out.xml")
    result.assert_outcomes(passed=6, failed=2)
    told = records(project)
    assert len(told) == 8
    lost = {nodeid for nodeid, record in told.items() if not record["passed"]}
    assert lost == {"many.trip.yaml::t02[berlin]", "many.trip.yaml::t03[berlin]"}
    for nodeid in lost:
        assert str(told[nodeid]["what"]).startswith("location berlin was lost: ")
        assert (told[nodeid]["end"], told[nodeid]["location"]) == ("cancelled", "berlin")
        result.stdout.fnmatch_lines([f"FAILED {nodeid.replace('[', '[[]')}*"])
    result.stdout.no_fnmatch_line("*replacing crashed worker*")
    failed = [case.attrib["name"] for case in ET.parse(project.pytester.path / "out.xml").iter("testcase") if len(case)]
    assert {"t02[berlin]", "t03[berlin]"} <= set(failed)


def test_what_a_lost_location_had_in_flight_is_named(project: Project) -> None:
    project.servers.delivery_delay_s = 2.0
    project.trips(4)
    project.pytester.makeconftest(
        """
        import os, signal, threading

        def pytest_runtest_call(item):
            if item.name == "t00[berlin]":
                threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGKILL)).start()
        """
    )
    result = project.run(*TWO)
    result.assert_outcomes(passed=4, failed=4)
    result.stdout.fnmatch_lines(["*= mails that stay, or may still come =*"])
    named = [line for line in result.outlines if "lost with worker berlin: the mail {" in line]
    assert len(named) == 4
    assert project.mails() == (8, 4)
    tokens = [line.partition("{")[2].partition("}")[0] for line in named]
    assert len(set(tokens)) == 4
    sent = [entry.message for entry in project.servers.ledger.accepted]
    deleted = [entry.message for entry in project.servers.ledger.deleted]
    for token in tokens:
        assert sum(token.encode() in message for message in sent) == 1
        assert not any(token.encode() in message for message in deleted)
    result.stdout.no_fnmatch_line("*sent twice*")


def test_a_location_that_is_lost_before_it_collects_fails_what_the_others_have(project: Project) -> None:
    project.trips(2)
    project.pytester.makeconftest(
        """
        import os

        def pytest_collection(session):
            if os.environ.get("PYTEST_XDIST_WORKER") == "berlin":
                raise ModuleNotFoundError("No module named 'colours'")
        """
    )
    result = project.run(*TWO, "-rf")
    result.assert_outcomes(passed=2, failed=2)
    told = "location berlin was lost: *No module named 'colours'"
    result.stdout.fnmatch_lines([told, "FAILED many.trip.yaml::t00[[]berlin]*"])
    assert project.mails() == (2, 2)


def test_a_location_that_ends_early_fails_what_it_left_undone(project: Project) -> None:
    project.trips(2)
    project.pytester.makeconftest(
        """
        import pytest

        def pytest_runtest_setup(item):
            if item.name == "t01[berlin]":
                pytest.exit("enough", returncode=7)
        """
    )
    result = project.run(*TWO)
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["location berlin was lost: it ended early, with exit status 7"])


def test_what_cannot_be_read_here_is_lost_without_a_record(project: Project) -> None:
    project.write(
        "there.trip.yaml",
        "trips:\n  t02: {send: {via: out, from: '${env:ONLY_THERE}', to: u0@example.test}, receive: {at: in}}\n",
    )
    project.pytester.makepyfile(test_python="def test_it():\n    pass\n")
    project.pytester.makeconftest(LOST_BERLIN)
    there = "popen//id=berlin//env:ONLY_THERE=a@example.org"
    result = project.run(
        "--dist=each", "--tx", there, "test_python.py", "there.trip.yaml", "--mailtrip-jsonl=out.jsonl"
    )
    result.assert_outcomes(passed=1, failed=1)
    assert not (project.pytester.path / "out.jsonl").read_bytes()


def test_what_a_worker_told_of_its_mails_says_what_is_in_flight_and_what_no_report_tells() -> None:
    flights = Flights(channel=None)  # type: ignore[arg-type]  # nothing is told to this worker
    for told in (("a", "the mail A"), ("b", "the mail B"), ("c", "the mail C"), ("b", None), ("c", None), ("d", None)):
        flights.hear(told)
    flights.reported.add("c")
    assert flights.in_flight() == {"a": "the mail A"}
    assert flights.untold() == ["a", "b"]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        ("Not properly terminated", "its process was ended, or the connection to it"),
        ("", "its process was ended, or the connection to it"),
        (
            "Traceback:\n  File …\nModuleNotFoundError: No module named 'x'\n",
            "ModuleNotFoundError: No module named 'x'",
        ),
    ],
)
def test_a_loss_is_told_in_a_line(error: str, why: str) -> None:
    assert in_short(error) == why


def test_a_run_of_which_no_location_is_left_fails(project: Project) -> None:
    project.trips(2)
    project.pytester.makeconftest(
        """
        import os, signal

        def pytest_collection(session):
            if "PYTEST_XDIST_WORKER" in os.environ:
                os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    result = project.run(*TWO)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*location berlin was lost: *location tokyo was lost: *"])


def test_a_location_that_cannot_be_reached_fails_and_the_others_go_on(project: Project) -> None:
    project.trips(2)
    # Nothing listens on port 1, so ssh is refused at once.
    osaka = "ssh=-p 1 -o BatchMode=yes 127.0.0.1//id=osaka//python=python3//chdir=/"
    result = project.run(*TWO[:3], "--tx", osaka, "-rf")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        ["location osaka was lost: ssh does not reach*", "FAILED many.trip.yaml::t01[[]osaka]*"]
    )
    alone = project.run("--dist=each", "--tx", osaka)
    assert alone.ret == pytest.ExitCode.USAGE_ERROR
    alone.stderr.fnmatch_lines(["*location osaka was lost: ssh does not reach*"])


def test_a_name_that_cannot_stand_in_a_node_id_is_refused(project: Project) -> None:
    project.trips(1)
    result = project.run("--dist=each", "--tx", "popen//id=new york")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*id=new york: letters, digits*"])


def test_each_without_trips_is_left_to_xdist(project: Project) -> None:
    project.pytester.makepyfile(
        """
        import os, signal

        def test_a():
            if os.environ["PYTEST_XDIST_WORKER"] == "berlin":
                os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    result = project.run(*TWO)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*replacing crashed worker berlin*"])
