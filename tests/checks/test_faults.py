"""Trips into servers that go wrong: what happened there, and the end that the trip reports. docs/faults.md is this."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import indent

import pytest

from mailtrip.embedded import fault_mistake
from mailtrip_checks.definitions import Context, Definitions
from mailtrip_checks.ends import End
from mailtrip_checks.secrets import Secret
from mailtrip_checks.trips import Auth, Endpoint, Protocol, Search, Security, Trust
from mailtrip_fixtures import Fault, MailAccount, MailServers
from mailtrip_fixtures.faults.kinds import KINDS
from mailtrip_fixtures.faults.reading import KEYS, read_fault, read_faults
from tests.checks.trip_bench import Bench, Untouched, receiving

DOCS = Path(__file__).parents[2] / "docs" / "faults.md"
NONE, STARTTLS, TLS = Security.NONE, Security.STARTTLS, Security.TLS
IMAP, POP3 = Protocol.IMAP, Protocol.POP3


@dataclass(frozen=True)
class Case:
    """`mails` are how many SMTP accepted, how many came to lie in a folder, and how many the trip deleted."""

    fault: Fault
    end: End
    mails: tuple[int, int, int]
    stage: str | None = None
    what: str = ""
    warns: str = ""
    at: Protocol = IMAP
    via_security: Security = NONE
    at_security: Security = NONE
    logs_in: bool = False
    receive: Mapping[str, object] = field(default_factory=dict[str, object])


DONE, SENT, NOTHING = (1, 1, 1), (1, 1, 0), (0, 0, 0)

CASES = {
    # The wire.
    "delay": Case(Fault.delay(on="RCPT", seconds=0.03, times=1), End.DELIVERED, DONE),
    "delay of the 250": Case(Fault.delay(on="end-of-data", seconds=0.03), End.DELIVERED, DONE),
    "delay at the door": Case(Fault.delay(on="connect", seconds=0.03), End.DELIVERED, DONE),
    "jitter": Case(Fault.jitter(on="UID FETCH", seconds=0.03, seed=7), End.DELIVERED, DONE),
    "drip": Case(Fault.drip(on="EHLO", seconds=0.0005), End.DELIVERED, DONE),
    "drip past a step": Case(
        Fault.drip(on="EXAMINE", seconds=0.05), End.TIMED_OUT, NOTHING, "select", "no answer within 0.3 s"
    ),
    "silence": Case(Fault.silence(on="RCPT"), End.TIMED_OUT, NOTHING, "submit", "no answer within 0.3 s"),
    "silence at the door": Case(Fault.silence(on="connect", protocol="imap"), End.TIMED_OUT, NOTHING, "connect"),
    "silence behind STARTTLS": Case(
        Fault.silence(on="STARTTLS", protocol="imap"), End.TIMED_OUT, NOTHING, "tls", at_security=STARTTLS
    ),
    "silence behind the mail": Case(Fault.silence(on="end-of-data"), End.TIMED_OUT, SENT, "submit"),
    "close": Case(Fault.close(on="MAIL"), End.PROTOCOL_ERROR, NOTHING, "submit", "closed the connection at MAIL"),
    "close at the door": Case(
        Fault.close(on="connect", protocol="smtp"), End.UNREACHABLE, NOTHING, "connect", "before a greeting"
    ),
    "close behind the mail": Case(Fault.close(on="end-of-data"), End.PROTOCOL_ERROR, SENT, "submit"),
    "close once while waiting": Case(Fault.close(on="UID FETCH", times=1), End.DELIVERED, DONE),
    "close once while deleting": Case(
        Fault.close(on="UID STORE", times=1), End.DELIVERED, DONE, warns="needed a second connection"
    ),
    "close of TOP": Case(Fault.close(on="TOP"), End.PROTOCOL_ERROR, SENT, "find", "closed", at=POP3),
    "close of QUIT with nothing to delete": Case(
        Fault.close(on="QUIT", protocol="pop3", times=1), End.DELIVERED, DONE, at=POP3
    ),
    "reset": Case(Fault.reset(on="EXAMINE"), End.PROTOCOL_ERROR, NOTHING, "select", "closed the connection"),
    "reset under TLS": Case(
        Fault.reset(on="RCPT"), End.PROTOCOL_ERROR, NOTHING, "submit", "closed", via_security=STARTTLS
    ),
    "half-line": Case(Fault.half_line(on="login", protocol="imap"), End.TIMED_OUT, NOTHING, "login"),
    "garble": Case(Fault.garble(on="UIDL"), End.PROTOCOL_ERROR, NOTHING, "select", "neither +OK nor -ERR", at=POP3),
    "garble of a greeting": Case(
        Fault.garble(on="greeting", protocol="imap"), End.PROTOCOL_ERROR, NOTHING, "connect", "sent no IMAP greeting"
    ),
    "garble in SMTP": Case(Fault.garble(on="DATA"), End.PROTOCOL_ERROR, NOTHING, "submit", "no SMTP reply"),
    "endless-line": Case(
        Fault.endless_line(on="EXAMINE"), End.PROTOCOL_ERROR, NOTHING, "select", "a line of more than"
    ),
    "endless-line for a greeting": Case(
        Fault.endless_line(on="greeting", protocol="imap"),
        End.PROTOCOL_ERROR,
        NOTHING,
        "connect",
        "bytes in place of a greeting",
    ),
    "endless-line in SMTP": Case(Fault.endless_line(on="EHLO"), End.PROTOCOL_ERROR, NOTHING, "connect", "too long"),
    "endless-line in POP3": Case(
        Fault.endless_line(on="CAPA"), End.PROTOCOL_ERROR, NOTHING, "login", "a line of more than", at=POP3
    ),
    "wrong-tag": Case(
        Fault.wrong_tag(on="EXAMINE"), End.PROTOCOL_ERROR, NOTHING, "select", "a command 'xa2' that was not given"
    ),
    "huge-literal": Case(
        Fault.huge_literal(on="EXAMINE"), End.PROTOCOL_ERROR, NOTHING, "select", "announced more than"
    ),
    "huge-literal once": Case(Fault.huge_literal(on="FETCH", times=1), End.DELIVERED, DONE),
    # In place of a command.
    "refuse": Case(Fault.refuse(on="RCPT"), End.REJECTED, NOTHING, "submit", "rejected RCPT"),
    "refuse with 4xx": Case(Fault.refuse(on="MAIL", reply="451 4.3.0 Not now"), End.DEFERRED, NOTHING, "submit"),
    "refuse the session": Case(
        Fault.refuse(on="greeting", reply="554 5.7.1 Go away"), End.REFUSED, NOTHING, "connect", "refused the session"
    ),
    "refuse EHLO": Case(Fault.refuse(on="EHLO"), End.REFUSED, NOTHING, "connect", "refused EHLO"),
    "refuse STARTTLS": Case(
        Fault.refuse(on="STARTTLS", protocol="smtp"), End.TLS_FAILED, NOTHING, "tls", "refused", via_security=STARTTLS
    ),
    "refuse STLS": Case(
        Fault.refuse(on="STLS"), End.TLS_FAILED, NOTHING, "tls", "refused STLS", at=POP3, at_security=STARTTLS
    ),
    "refuse AUTH": Case(
        Fault.refuse(on="AUTH", reply="535 5.7.8 No"), End.LOGIN_FAILED, NOTHING, "login", logs_in=True
    ),
    "refuse MAIL": Case(Fault.refuse(on="MAIL"), End.REJECTED, NOTHING, "submit", "rejected MAIL"),
    "refuse DATA": Case(Fault.refuse(on="DATA"), End.REJECTED, NOTHING, "submit", "rejected the message"),
    "refuse the mail": Case(Fault.refuse(on="end-of-data"), End.REJECTED, NOTHING, "submit", "rejected the message"),
    "refuse QUIT": Case(Fault.refuse(on="QUIT", protocol="smtp"), End.DELIVERED, DONE),
    "refuse the login": Case(
        Fault.refuse(on="login", protocol="imap"), End.LOGIN_FAILED, NOTHING, "login", "refused the login"
    ),
    "refuse EXAMINE": Case(Fault.refuse(on="EXAMINE"), End.REFUSED, NOTHING, "select", "does not open the folder"),
    "refuse TOP": Case(
        Fault.refuse(on="TOP"), End.REFUSED, SENT, "find", "refused TOP of mail 10, so it is not known whose", at=POP3
    ),
    "refuse TOP once": Case(Fault.refuse(on="TOP", times=1), End.DELIVERED, DONE, at=POP3),
    "refuse the deletion": Case(Fault.refuse(on="UID STORE"), End.UNDELETED, SENT, "delete", "could not be deleted"),
    "refuse SEARCH HEADER": Case(
        Fault.refuse(on="SEARCH", having="HEADER", reply="BAD no such key"),
        End.REFUSED,
        SENT,
        "find",
        "no such key",
        receive={"search": Search.SERVER},
    ),
    "refuse the handshake": Case(
        Fault.refuse(on="tls", protocol="imap"), End.TLS_FAILED, NOTHING, "tls", at_security=TLS
    ),
    "bye": Case(Fault.bye(on="RCPT"), End.REFUSED, NOTHING, "submit", "ended the session at RCPT"),
    "bye behind the mail": Case(Fault.bye(on="end-of-data"), End.REFUSED, NOTHING, "submit", "ended the session"),
    "bye in POP3": Case(Fault.bye(on="UIDL"), End.REFUSED, NOTHING, "select", "refused UIDL", at=POP3),
    "bye once in IMAP": Case(Fault.bye(on="IDLE", times=1), End.DELIVERED, DONE),
    "bye in IMAP": Case(Fault.bye(on="EXAMINE"), End.PROTOCOL_ERROR, NOTHING, "select", "going down"),
    "greylist": Case(Fault.greylist(), End.DEFERRED, NOTHING, "submit", "deferred RCPT"),
    "mailbox-full": Case(Fault.mailbox_full(), End.REJECTED, NOTHING, "submit", "rejected RCPT"),
    "mailbox-full behind the mail": Case(
        Fault.mailbox_full(on="end-of-data", reply="452 4.2.2 Full"), End.DEFERRED, NOTHING, "submit"
    ),
    "size-limit": Case(Fault.size_limit(size_bytes=100), End.REJECTED, NOTHING, "submit", "rejected the message"),
    "size-limit not reached": Case(Fault.size_limit(size_bytes=100, after=1), End.DELIVERED, DONE),
    "throttle": Case(Fault.throttle(protocol="pop3"), End.REFUSED, NOTHING, "login", "problem of its own", at=POP3),
    "throttle in IMAP": Case(Fault.throttle(protocol="imap"), End.LOGIN_FAILED, NOTHING, "login", "try again later"),
    "throttle in SMTP": Case(Fault.throttle(protocol="smtp"), End.LOGIN_FAILED, NOTHING, "login", logs_in=True),
    # Connections and TLS.
    "too-many-connections": Case(
        Fault.too_many_connections(above=0, protocol="smtp"), End.REFUSED, NOTHING, "connect", "ended the session"
    ),
    "too-many-connections in IMAP": Case(
        Fault.too_many_connections(above=0, protocol="imap"), End.REFUSED, NOTHING, "connect", "too many connections"
    ),
    "too-many-connections in POP3": Case(
        Fault.too_many_connections(above=0, protocol="pop3"), End.REFUSED, NOTHING, "connect", at=POP3
    ),
    "lacks": Case(
        Fault.lacks("STARTTLS", protocol="smtp"),
        End.TLS_FAILED,
        NOTHING,
        what="does not offer STARTTLS",
        via_security=STARTTLS,
    ),
    "lacks STARTTLS in IMAP": Case(
        Fault.lacks("STARTTLS", protocol="imap"), End.TLS_FAILED, NOTHING, what="not offer", at_security=STARTTLS
    ),
    "lacks STARTTLS in POP3": Case(
        Fault.lacks("STARTTLS", protocol="pop3"),
        End.TLS_FAILED,
        NOTHING,
        what="not offer",
        at=POP3,
        at_security=STARTTLS,
    ),
    "lacks STARTTLS that is not needed": Case(
        Fault.lacks("STARTTLS", protocol="smtp"),
        End.DELIVERED,
        DONE,
        warns="is not encrypted",
        via_security=Security.STARTTLS_IF_AVAILABLE,
    ),
    "lacks UIDPLUS": Case(Fault.lacks("UIDPLUS"), End.DELIVERED, SENT, warns="stays until somebody expunges"),
    "lacks IDLE": Case(Fault.lacks("IDLE"), End.DELIVERED, DONE),
    "lacks APOP": Case(Fault.lacks("APOP"), End.DELIVERED, DONE, at=POP3),
    "no-push": Case(Fault.no_push(), End.DELIVERED, DONE),
    "inject": Case(
        Fault.inject(reply="250 Injected", protocol="smtp"),
        End.TLS_FAILED,
        NOTHING,
        "tls",
        "may have injected",
        via_security=STARTTLS,
    ),
    "inject in IMAP": Case(
        Fault.inject(reply="* OK", protocol="imap"), End.TLS_FAILED, NOTHING, "tls", "injected", at_security=STARTTLS
    ),
    "inject in POP3": Case(
        Fault.inject(reply="+OK", protocol="pop3"),
        End.TLS_FAILED,
        NOTHING,
        "tls",
        "injected",
        at=POP3,
        at_security=STARTTLS,
    ),
    "wrong-certificate": Case(
        Fault.wrong_certificate(protocol="smtp"), End.TLS_FAILED, NOTHING, "tls", "mismatch", via_security=STARTTLS
    ),
    "wrong-certificate in IMAP": Case(
        Fault.wrong_certificate(protocol="imap"), End.TLS_FAILED, NOTHING, "tls", "mismatch", at_security=TLS
    ),
    "expired-certificate": Case(
        Fault.expired_certificate(), End.TLS_FAILED, NOTHING, "tls", "has expired", at_security=STARTTLS
    ),
    "expired-certificate in POP3": Case(
        Fault.expired_certificate(), End.TLS_FAILED, NOTHING, "tls", "has expired", at=POP3, at_security=TLS
    ),
    "uidvalidity": Case(Fault.uidvalidity(on="SELECT"), End.DELIVERED, DONE),
    # Behind the 250.
    "lost": Case(Fault.lost(), End.LOST, (1, 0, 0), "find", "not there in time"),
    "late": Case(Fault.late(seconds=0.05), End.DELIVERED, DONE),
    "late past the timeout": Case(Fault.late(seconds=60), End.LOST, (1, 0, 0), "find"),
    "early": Case(Fault.early(), End.DELIVERED, DONE),
    "doubled": Case(Fault.doubled(), End.DELIVERED, (1, 2, 1)),
    "truncated": Case(Fault.truncated(), End.DELIVERED, DONE),
    "truncated in its headers": Case(Fault.truncated(size_bytes=100), End.LOST, SENT, "find"),
    "misfiled": Case(Fault.misfiled(), End.LOST, SENT, "find"),
    "altered": Case(Fault.altered(), End.DELIVERED, DONE),
}


def bench_with(servers: MailServers, case: Case) -> tuple[Bench, MailAccount, Endpoint, Endpoint]:
    bench, account, trust, ports = Bench(servers), servers.account(), Trust(ca=servers.ca_file), servers.ports
    implicit = {IMAP: ports.imaps, POP3: ports.pop3s}[case.at] if case.at_security is TLS else 0
    at = replace(bench.box(account, case.at, port=implicit), security=case.at_security, trust=trust)
    via = replace(bench.smtp(), security=case.via_security, trust=trust)
    if case.logs_in:
        via = replace(via, auth=Auth.PLAIN, user=account.address, password=Secret(account.password))
    return bench, account, via, at


@pytest.mark.asyncio
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_a_trip_that_meets_it_ends_as_the_docs_say(case: Case) -> None:
    with MailServers(catch_all=True, faults=[case.fault]) as servers:
        bench, account, via, at = bench_with(servers, case)
        others = Untouched(servers, account)
        before = [len(entries) for entries in counts(servers)]
        # Only what ends by a timeout has to wait for it; on a busy machine no other must come near one.
        step_s = 0.3 if case.end in (End.TIMED_OUT, End.LOST) else 5.0
        trip = receiving(
            bench.trip(account, at, via, timeout_s=min(step_s + 0.1, 1.0)), step_timeout_s=step_s, **case.receive
        )
        trip = replace(trip, send=replace(trip.send, timeout_s=step_s) if trip.send else None)
        outcome = await bench.fly(trip)
        if not case.fault.after:
            assert servers.faults.happened
        assert (outcome.end, outcome.stage) == (case.end, case.stage or outcome.stage)
        assert case.what in outcome.what
        assert case.warns in " ".join(outcome.warnings)
        assert bool(outcome.warnings) == bool(case.warns)
        accepted, delivered, deleted = (len(now) - was for now, was in zip(counts(servers), before, strict=True))
        assert (accepted, delivered, deleted) == case.mails
        others.check(more=len(account.messages) - len(others))


def counts(servers: MailServers) -> list[tuple[object, ...]]:
    return [servers.ledger.accepted, servers.ledger.delivered, servers.ledger.deleted]


@pytest.mark.asyncio
async def test_who_was_put_off_by_greylisting_is_taken_the_next_time() -> None:
    with MailServers(catch_all=True, faults=[Fault.greylist()]) as servers:
        bench, account = Bench(servers), servers.account()
        ends = [(await bench.fly(bench.trip(account))).end for _ in range(2)]
        other = await bench.fly(bench.trip(servers.account()))
    assert (ends, other.end) == ([End.DEFERRED, End.DELIVERED], End.DEFERRED)


@pytest.mark.asyncio
async def test_under_another_uidvalidity_at_a_second_login_the_mail_is_found_anew_and_others_stay() -> None:
    faults = [Fault.uidvalidity(after=1), Fault.close(on="UID FETCH", protocol="imap", times=1)]
    with MailServers(catch_all=True, faults=faults) as servers:
        bench, account = Bench(servers), servers.account()
        others = Untouched(servers, account)
        outcome = await bench.fly(bench.trip(account))
        assert [event.fault.do for event in servers.faults.happened] == ["close", "uidvalidity"]
        assert outcome.end is End.DELIVERED
        others.check()


def written(fault: Fault) -> str:
    """The fault as YAML has it."""
    given = {key: getattr(fault, name) for key, (name, _) in KEYS.items() if getattr(fault, name) not in (None, "")}
    given |= {"for": f"{1000 * fault.seconds:g}ms"} if fault.seconds is not None else {}
    given |= {"size": f"{fault.size_bytes}B"} if fault.size_bytes is not None else {}
    pairs = (f"{key}: '{value}'" for key, value in given.items())
    return f"- {{{', '.join(pairs)}}}\n"


def test_every_case_can_be_written_in_a_definition_and_for_mailtrip_serve(tmp_path: Path) -> None:
    faults = tuple(case.fault for case in CASES.values())
    text = "".join(map(written, faults))
    (tmp_path / "faults.yaml").write_text(text, "utf-8")
    assert read_faults(tmp_path / "faults.yaml") == faults
    trip = "trips: {one: {send: {via: host, from: a@a.test, to: b@b.test}}}\n"
    definition = "servers:\n  host:\n    embedded: host\n    faults:\n" + indent(text, "      ") + trip
    (tmp_path / "a.trip.yaml").write_text(definition, "utf-8")
    (read,) = Definitions(Context(None, {}, {}, tmp_path, frozenset(), fault_mistake)).trips(tmp_path / "a.trip.yaml")
    assert tuple(read_fault(dict(fault)) for fault in read.hosts[0].faults) == faults


def rows_of_the_docs() -> dict[str, tuple[str, set[str]]]:
    """Of each fault the text of its row, and the cases that it names."""
    lines = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if re.match(r"\| `[a-z-]+` \|", line)]
    return {re.findall("`([a-z-]+)`", line)[0]: (line, set(re.findall(r"\[([^\]]+)\]: \*", line))) for line in lines}


def test_every_kind_of_fault_stands_in_the_docs() -> None:
    assert list(rows_of_the_docs()) == list(KINDS)


@pytest.mark.parametrize("name", CASES)
def test_the_docs_tell_the_end_of_every_case(name: str) -> None:
    case = CASES[name]
    line, _ = rows_of_the_docs()[case.fault.do]
    assert f"[{name}]: *{case.end.value}*" in line


def test_the_docs_tell_of_no_case_that_is_not_tested() -> None:
    told = {name for _, names in rows_of_the_docs().values() for name in names}
    assert told == set(CASES)
