"""Faults that a definition gives its in-process hosts."""

from tests.plugin.conftest import Project

SERVERS = """\
servers:
  out: {embedded: out, faults: [%s]}
  in: {embedded: in, domains: [in.test], faults: [%s]}
trips:
"""
TRIP = "  %s: {send: {via: out, from: x@x.test, to: %s@in.test}, receive: {at: in, interval: 50ms}, timeout: 20s%s}\n"


def test_a_trip_meets_the_faults_of_its_hosts(project: Project) -> None:
    out = "{on: RCPT, do: refuse, reply: 550 5.7.1 Not you, user: refused@in.test}"
    inner = "{on: delivery, do: late, for: 400ms, user: late@in.test}"
    trips = TRIP % ("refused", "refused", ", expect: {outcome: rejected, reply: 5.7.1}")
    trips += TRIP % ("late", "late", ", expect: {total: 300ms}") + TRIP % ("good", "good", "")
    project.write("a.trip.yaml", SERVERS % (out, inner) + trips)
    done = project.here("-v")
    done.assert_outcomes(passed=2, failed=1)
    done.stdout.fnmatch_lines(["*::refused PASSED*", "*::late FAILED*", "*::good PASSED*"])


def test_a_mistake_in_a_fault_is_told_with_its_place(project: Project) -> None:
    project.write("a.trip.yaml", SERVERS % ("{on: RCTP, do: close}", "{do: delya}") + TRIP % ("one", "p", ""))
    done = project.here()
    done.stdout.fnmatch_lines(
        [
            "*a.trip.yaml:2:38: servers.out.faults.1.on: `RCTP` is no step; name a command, or one of connect, *",
            "*a.trip.yaml:3:56: servers.in.faults.1.do: `delya` is no fault; did you mean `delay`?",
        ]
    )
