"""A worker of pytest-xdist is killed while its trips are in flight."""

from collections import Counter

import pytest

from mailtrip.stash import MAILS_THAT_STAY
from tests.plugin.conftest import Project

pytest.importorskip("xdist")

QUICK, SLOW = 6, 6
# Kills the worker that runs the trips, once in a run, at the turn of the first slow trip: then all slow ones are sent.
KILLED_AT_THE_FIRST_SLOW_ONE = """
    import os, signal, threading

    def pytest_runtest_call(item):
        marker = item.config.rootpath / "killed"
        if item.name == "slow0" and not marker.exists():
            marker.touch()
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()
    """
# Keeps other workers alive, which are then given what the dead one had.
PYTHON_TESTS = """
    import time, pytest

    @pytest.mark.parametrize("n", range(40))
    def test_it(n):
        time.sleep(0.2)
    """


@pytest.fixture
def killed(project: Project) -> Project:
    """Quick trips, then slow ones, each into a mailbox of its own; the worker dies when the quick ones are done."""
    names = [*(f"quick{n}" for n in range(QUICK)), *(f"slow{n}" for n in range(SLOW))]
    for name in names:
        project.servers.account(f"{name}@example.test", "secret word")
        project.servers.delay_for(f"{name}@example.test", 2.0 if name.startswith("slow") else 0.0)
    lines = [
        f"  {name}: {{send: {{via: out, from: a@example.org, to: {name}@example.test}}, receive: {{at: in}}}}\n"
        for name in names
    ]
    project.write("many.trip.yaml", "trips:\n" + "".join(lines))
    project.pytester.makeconftest(KILLED_AT_THE_FIRST_SLOW_ONE)
    return project


def sent(project: Project) -> Counter[str]:
    """How often each trip's mail was accepted."""
    return Counter(entry.address.partition("@")[0] for entry in project.servers.ledger.accepted)


@pytest.mark.parametrize("python_tests", [False, True], ids=["trips alone", "python tests too"])
def test_what_a_killed_worker_had_ended_is_sent_once_and_what_it_had_in_flight_is_named(
    killed: Project, *, python_tests: bool
) -> None:
    if python_tests:
        killed.pytester.makepyfile(test_python=PYTHON_TESTS)
    result = killed.run("-n4", "--dist=worksteal")
    assert result.parseoutcomes()["failed"] == 1  # as which xdist reports a crash

    slow = {f"slow{n}" for n in range(SLOW)}
    assert sent(killed) == {f"quick{n}": 1 for n in range(QUICK)} | dict.fromkeys(slow, 2)
    text = result.stdout.str()
    stay = text.partition(f"= {MAILS_THAT_STAY} =")[2].partition("= trips that may")[0]
    assert {line.partition("::")[2].partition(",")[0] for line in stay.splitlines() if "::" in line} == slow
    twice = text.partition("= trips that may have been sent twice =")[2]
    assert {line.partition("::")[2].partition(",")[0] for line in twice.splitlines() if "::" in line} == slow

    tokens = [line.partition("{")[2].partition("}")[0].encode() for line in stay.splitlines() if "{" in line]
    assert len(set(tokens)) == SLOW
    deleted = [entry.message for entry in killed.servers.ledger.deleted]
    assert len(deleted) == QUICK + SLOW
    assert not [token for token in tokens for message in deleted if token in message]


def test_a_worker_that_nobody_replaces_names_what_it_had_in_flight(killed: Project) -> None:
    result = killed.run("-n2", "--max-worker-restart=0")
    result.stdout.fnmatch_lines(
        [f"*= {MAILS_THAT_STAY} =*", "many.trip.yaml::slow0, lost with worker gw*: the mail {*}*"]
    )
    assert max(sent(killed).values()) == 1
