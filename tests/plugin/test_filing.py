"""What a definition has its in-process hosts do to mail that they deliver: file it as junk, and tell of its origin."""

from tests.plugin.conftest import Project

FILE = """\
servers:
  a:
    embedded: a
    junk: {X-Spam: "yes"}
    authentication_results: {spf: fail, dmarc: none}
defaults:
  timeout: 20s
  send: {via: a, from: x@x.test}
  receive: {at: a, interval: 50ms}
trips:
  spam: {send: {to: spam@a.test, headers: {X-Spam: "YES, quite"}}, receive: {mailbox: Junk}}
  good: {send: {to: good@a.test, headers: {X-Spam: "no"}}}
  lost: {send: {to: lost@a.test, headers: {X-Spam: "yes"}}, timeout: 300ms, expect: {outcome: undelivered}}
"""


def test_mail_lies_in_junk_by_a_header_and_bears_the_results_of_its_host(project: Project) -> None:
    project.write("a.trip.yaml", FILE)
    done = project.here("-v", "--mailtrip-keep-results=kept")
    done.assert_outcomes(passed=3)
    (received,) = project.pytester.path.glob("kept/**/*good*/received.eml")
    assert (
        "Authentication-Results: a;\n\tspf=fail smtp.mailfrom=x@x.test;\n\tdmarc=none"
        in received.read_bytes().decode().replace("\r\n", "\n")
    )
