"""Trips as pytest runs them: reports, fixtures, stopping."""

import json
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from mailtrip_fixtures.servers import MailServers
from mailtrip_reports.record import from_json
from tests.plugin.conftest import ALONE, Project

LATE = "trips: {late: {send: {via: out, from: a@example.org, to: u0@example.test}, receive: {at: in}, expect: %s}}\n"


def test_trips_of_one_second_take_little_more_than_a_second_together(project: Project) -> None:
    # Not a benchmark: one after the other, these would take at least ten times as long as any one of them.
    project.servers.delivery_delay_s = 0.3
    project.trips(20)
    project.here("--mailtrip-jsonl=out.jsonl").assert_outcomes(passed=20)
    records = [json.loads(line) for line in (project.pytester.path / "out.jsonl").read_text().splitlines()]
    together_s = sum(record["duration_s"] for record in records)
    first = min(entry.at_s for entry in project.servers.ledger.accepted)
    last = max(entry.at_s for entry in project.servers.ledger.deleted)
    assert together_s > 2 * (last - first)
    assert project.mails() == (20, 20)


def test_a_failure_tells_its_story(project: Project) -> None:
    project.write("a.trip.yaml", "trips:\n  gone: {send: {via: out, from: a@example.org, to: reject@example.test}}\n")
    result = project.here()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*a.trip.yaml:2 gone*rejected, after*", "*550 5.1.1*", "*AlertSite: 3, *", "*try:*", "*> RCPT TO:*"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "on a worker"])
def test_the_short_summary_says_the_cause(project: Project, workers: tuple[str, ...]) -> None:
    project.write("a.trip.yaml", "trips:\n  gone: {send: {via: out, from: a@example.org, to: reject@example.test}}\n")
    result = project.here("--junit-xml=out.xml", *workers)
    result.stdout.fnmatch_lines(["  try: *", "FAILED a.trip.yaml::gone - rejected: RCPT 550 5.1.1*"])
    (failure,) = ET.parse(project.pytester.path / "out.xml").iter("failure")
    assert failure.attrib["message"].startswith("rejected: RCPT 550 5.1.1")
    assert "  try: " in str(failure.text)


def test_no_password_is_shown_anywhere(project: Project) -> None:
    project.write(
        "a.trip.yaml",
        "trips: {a: {receive: {at: in, user: u0@example.test, password: 'wrong pass word'}}}\n",
    )
    result = project.here(
        "--html=out.html", "--self-contained-html", "--junit-xml=out.xml", "--mailtrip-jsonl=out.jsonl", "-vv", "-rA"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*login-failed*"])
    shown = [result.stdout.str(), result.stderr.str()]
    shown += [(project.pytester.path / name).read_text() for name in ("out.html", "out.xml", "out.jsonl")]
    assert not [text for text in shown if "wrong pass word" in text or "wrong%20pass" in text]


def test_a_warn_limit_passes_with_a_warning(project: Project) -> None:
    project.servers.delivery_delay_s = 0.01
    project.write("a.trip.yaml", LATE % "{total: {warn: 1ms, fail: 1m}}")
    result = project.here("-W", "default")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*MailtripWarning: late: total took*past the limit of 0.001 s*"])


@pytest.mark.parametrize("style", [("--capture=no",), ("-l",), ()])
def test_a_warning_quotes_no_line_of_the_file(project: Project, style: tuple[str, ...]) -> None:
    project.servers.delivery_delay_s = 0.01
    receive = "receive: {at: in, password: secret word}"
    way = f"send: {{via: out, from: a@example.org, to: u0@example.test}}, {receive}"
    project.write("a.trip.yaml", f"trips: {{late: {{{way}, expect: {{total: {{warn: 1ms}}}}}}}}\n")
    result = project.here("-W", "default", *style)
    result.assert_outcomes(passed=1, warnings=1)
    assert "secret word" not in result.stdout.str() + result.stderr.str()


def test_a_warning_that_is_made_an_error_fails_without_a_traceback(project: Project) -> None:
    project.servers.delivery_delay_s = 0.01
    project.write("a.trip.yaml", LATE % "{total: {warn: 1ms}}")
    result = project.here("-W", "error::mailtrip.MailtripWarning")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["late: total took*a warning, which filterwarnings makes an error here*"])
    result.stdout.no_fnmatch_line("*trip_file.py*")


def test_a_fail_limit_is_late_and_the_mail_is_deleted_all_the_same(project: Project) -> None:
    project.servers.delivery_delay_s = 0.01
    project.write("a.trip.yaml", LATE % "{total: 1ms}")
    result = project.here()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*late*", "*AlertSite: 2, *"])
    assert project.mails() == (1, 1)


def test_junit_tells_each_trips_own_time_and_what_was_seen(project: Project) -> None:
    project.servers.delivery_delay_s = 0.2
    project.trips(3)
    project.here("--junit-xml=out.xml", "-o", "junit_duration_report=call").assert_outcomes(passed=3)
    cases = list(ET.parse(project.pytester.path / "out.xml").iter("testcase"))
    assert len(cases) == 3
    for case in cases:
        assert float(case.attrib["time"]) >= 0.2
        named = {one.attrib["name"]: one.attrib["value"] for one in case.iter("property")}
        assert named["mailtrip.outcome"] == "delivered"
        assert float(named["mailtrip.channel.total_s"]) >= 0.2
        assert {"mailtrip.token", "mailtrip.alertsite"} <= named.keys()


def test_the_html_report_has_our_columns_and_the_timeline(project: Project) -> None:
    project.trips(2)
    project.here("--html=out.html", "--self-contained-html").assert_outcomes(passed=2)
    page = (project.pytester.path / "out.html").read_text()
    assert "Transit" in page
    assert "svg" in page


def test_a_skipped_trip_has_its_json_line_too(project: Project) -> None:
    project.write("a.trip.yaml", "trips: {a: {skip: not today, receive: {at: in, user: u0@example.test}}}\n")
    project.here("--mailtrip-jsonl=deep/out.jsonl").assert_outcomes(skipped=1)
    record = json.loads((project.pytester.path / "deep" / "out.jsonl").read_text())
    assert (record["end"], record["id"]) == ("skipped", "a.trip.yaml::a")
    assert "not today" in record["what"]


def test_durations_are_the_trips_own(project: Project) -> None:
    project.servers.delivery_delay_s = 0.3
    project.trips(2)
    result = project.here("--durations=2", "-vv")
    result.stdout.re_match_lines([r"0\.[3-9]\d*s call .*t0[01]", r"0\.[3-9]\d*s call .*t0[01]"])


def test_fixtures_of_the_user_work_for_trips(project: Project) -> None:
    project.trips(2)
    project.pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(autouse=True, scope="module")
        def per_module(request):
            assert request.node.name.endswith("many.trip.yaml")

        @pytest.fixture(autouse=True)
        def not_the_second(request):
            if request.node.name == "t01":
                pytest.skip("skipped by a fixture")
        """
    )
    project.here().assert_outcomes(passed=1, skipped=1)
    # The second was on its way already, and is cleaned up.
    assert project.mails() == (2, 2)


def test_after_the_first_failure_the_rest_is_cancelled_and_cleaned_up(project: Project) -> None:
    project.servers.delivery_delay_s = 0.5
    project.trips(5, name="b.trip.yaml")
    project.write("a.trip.yaml", "trips: {bad: {send: {via: out, from: a@example.org, to: reject@example.test}}}\n")
    project.here("-x").assert_outcomes(failed=1)
    accepted, deleted = project.mails()
    assert accepted == deleted


def started(project: Project, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # where the suite runs in the background of a script, SIGINT is ignored by what it starts
        [sys.executable, "-m", "pytest", *ALONE, *args],
        cwd=project.pytester.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 2), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_run_and_what_was_sent_is_deleted(
    project: Project, number: signal.Signals, code: int
) -> None:
    project.servers.delivery_delay_s = 1.0
    project.trips(8)
    with started(project) as process:
        project.servers.ledger.wait_for("accepted", 8, timeout_s=30)
        process.send_signal(number)
        output = process.communicate(timeout=30)[0]
    assert process.returncode == code, output
    assert project.mails() == (8, 8), output


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 2), (signal.SIGTERM, 143)])
def test_a_second_signal_gives_up_the_clean_up_and_names_what_stays(
    project: Project, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    project.servers.delivery_delay_s = 60
    project.trips(2)
    monkeypatch.setenv("PYTHONUNBUFFERED", "yes")
    with started(project, "--mailtrip-grace=30", "--mailtrip-jsonl=out.jsonl") as process:
        assert process.stdout
        project.servers.ledger.wait_for("accepted", 2, timeout_s=30)
        process.send_signal(number)
        said: list[str] = []
        while "cleaning up 2 mails on their way, within 30 s" not in (line := process.stdout.readline()):
            assert line, said
            said.append(line)
        process.send_signal(number)
        output = process.communicate(timeout=20)[0]
    assert process.returncode == code, output
    assert output.count("mails that stay") == 1
    assert "Traceback" not in output
    assert "Task was destroyed" not in output
    records = [from_json(line) for line in (project.pytester.path / "out.jsonl").read_text().splitlines()]
    assert [record.end for record in records] == ["cancelled"] * 2
    assert all(record.left_behind for record in records)


def test_a_trip_that_ended_before_its_turn_came_is_written_down(project: Project) -> None:
    way = "send: {via: out, from: a@example.org, to: %s}, receive: {at: in, user: u0@example.test}"
    lost = f"lost: {{{way % 'blackhole@example.test'}, timeout: 1s}}"
    project.write("a.trip.yaml", f"trips: {{{lost}, done: {{{way % 'u0@example.test'}}}}}")
    project.here("-x", "--mailtrip-jsonl=out.jsonl")
    records = [from_json(line) for line in (project.pytester.path / "out.jsonl").read_text().splitlines()]
    assert {record.name: record.end.value for record in records} == {"lost": "lost", "done": "delivered"}


@pytest.mark.parametrize("workers", [(), ("-n1",)])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_cannot_be_cleaned_up_is_named(project: Project, number: signal.Signals, workers: tuple[str, ...]) -> None:
    project.servers.delivery_delay_s = 60
    project.trips(2)
    with started(project, "--mailtrip-grace=0.4", *workers) as process:
        project.servers.ledger.wait_for("accepted", 2, timeout_s=30)
        process.send_signal(number)
        output = process.communicate(timeout=30)[0]
    assert project.mails() == (2, 0)
    assert "mails that stay" in output
    for user in ("u0", "u1"):
        assert f"in INBOX of {user}@example.test at 127.0.0.1: " in output


def test_a_mail_that_stays_is_named_although_its_item_never_had_its_turn(project: Project) -> None:
    project.write(
        "a.trip.yaml",
        """\
trips:
  slow: {timeout: 1s, send: {via: out, from: a@x.org, to: blackhole@x.org}, receive: {at: in, user: u0@example.test}}
  fast: {timeout: 300ms, send: {via: out, from: a@x.org, to: blackhole@x.org}, receive: {at: in, user: u1@example.test}}
""",
    )
    result = project.run("-x")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*mails that stay*", "*INBOX of u1@example.test at 127.0.0.1: it may still come*"])


def test_a_key_that_can_be_neither_read_nor_made_ends_the_run_and_says_so(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAILTRIP_KEY")
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    project.trips(2)
    result = project.here()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["*can be neither read nor made*set MAILTRIP_KEY*"])
    result.stdout.no_fnmatch_line("*runner.py*")


def test_workers_without_trips_need_no_key(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAILTRIP_KEY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    pytester.makepyfile("def test_it(): pass")
    pytester.runpytest_subprocess(*ALONE, "-n1").assert_outcomes(passed=1)


def test_what_a_killed_run_left_is_removed_once_it_has_expired(project: Project, servers: MailServers) -> None:
    from mailtrip_checks.identity import new_token, stamp

    token, other = new_token(), new_token()
    key = b"the key of these tests"
    for one, expires in ((token, int(time.time()) - 5), (other, int(time.time()) + 500)):
        servers.account("u0@example.test").deliver(
            f"X-Mailtrip: {stamp(one, expires, key)}\r\nMessage-ID: <{one.lower()}@x>\r\n\r\nleft\r\n".encode()
        )
    servers.account("u0@example.test").deliver(b"Subject: foreign\r\n\r\nhello\r\n")
    project.trips(1)
    project.here().assert_outcomes(passed=1)
    left = servers.account("u0@example.test").messages
    assert [bool(message["X-Mailtrip"]) for message in left] == [True, False]
    assert other in left[0]["X-Mailtrip"]


def test_a_plugin_without_trips_starts_nothing_and_imports_nothing_heavy(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys
        import threading

        def test_it():
            heavy = {"pydantic", "aiosmtplib", "aiosmtpd", "cryptography", "trustme", "yaml", "mailtrip_fixtures.store"}
            assert not heavy & sys.modules.keys()
            assert [thread.name for thread in threading.enumerate()] == ["MainThread"]
        """
    )
    only_ours = ("-p", "no:html", "-p", "no:metadata", "-p", "no:hypothesispytest", "-p", "no:asyncio")
    pytester.runpytest_subprocess(*ALONE, *only_ours).assert_outcomes(passed=1)


def test_a_run_of_trips_does_without_pydantic() -> None:
    code = "import sys, mailtrip.runner; sys.exit('pydantic' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_python_test_on_servers_of_its_own_amid_the_trips_leaves_them_theirs(pytester: pytest.Pytester) -> None:
    trip = "trips:\n  one: {send: {via: embedded, from: a@example.org, to: b@example.com}, receive: {at: embedded}}\n"
    pytester.makefile(".trip.yaml", a=trip, z=trip)
    pytester.makepyfile(
        test_marked="""
        import pytest

        @pytest.mark.mail_servers(tls="none")
        def test_it(mail_servers):
            assert mail_servers.ledger.entries() == ()
        """
    )
    result = pytester.runpytest_inprocess(*ALONE, "--setup-show")
    result.assert_outcomes(passed=3)
    assert sum("SETUP    S _mailtrip_runner" in line for line in result.outlines) == 1


def test_the_smallest_example_of_the_readme_needs_no_server(pytester: pytest.Pytester) -> None:
    pytester.makefile(
        ".trip.yaml",
        inbox="trips:\n  inbox:\n    send: {via: embedded, from: a@example.org, to: b@example.com}\n"
        "    receive: {at: embedded}\n    expect: {total: 30s}\n",
    )
    pytester.runpytest_inprocess(*ALONE).assert_outcomes(passed=1)


def test_a_json_lines_file_that_cannot_be_written_is_told_before_anything_is_sent(project: Project) -> None:
    project.trips(2)
    project.write("taken", "a file where a folder should be")
    result = project.here("--mailtrip-jsonl=taken/out.jsonl")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*taken/out.jsonl: the records cannot be written: Not a directory*--mailtrip-jsonl*"])
    assert project.mails() == (0, 0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here, which takes nothing")
def test_a_disk_that_is_full_ends_the_run_and_says_so(project: Project) -> None:
    project.trips(2)
    result = project.here("--mailtrip-jsonl=/dev/full")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["*/dev/full: the records cannot be written: No space left*--mailtrip-jsonl*"])
    accepted, deleted = project.mails()
    assert accepted == deleted


def test_the_html_report_of_python_tests_alone_has_no_columns_of_ours(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(): pass")
    pytester.runpytest_inprocess(*ALONE, "--html=out.html", "--self-contained-html").assert_outcomes(passed=1)
    assert "Transit" not in (pytester.path / "out.html").read_text()
