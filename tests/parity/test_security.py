"""The 75 cells: five security modes, five kinds of server, three protocols. Each cell has its end and says what was
used; what it says is compared with what the server heard and with what crossed the wire.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mailtrip_checks.ends import End
from mailtrip_fixtures import MailServers
from mailtrip_fixtures.services import PortName
from mailtrip_fixtures.tls import ServerTls
from mailtrip_reports.record import Record
from mailtrip_reports.story import failure_text, passed_text
from tests.parity.flight import Tapped, fly_aside, read, tapped

pytestmark = pytest.mark.asyncio
PASSWORD = "kennwort of this cell"


@dataclass(frozen=True, slots=True)
class Cell:
    """The end; how the connection was secured ("" for none); and what is said about it, a warning where it passed."""

    end: End
    used: str
    says: str = ""


PLAIN = Cell(End.DELIVERED, "plain")
STARTTLS = Cell(End.DELIVERED, "STARTTLS")
TLS = Cell(End.DELIVERED, "TLS")
# Fell back to plain, with a warning.
NO_STARTTLS = Cell(End.DELIVERED, "plain", "does not offer STARTTLS: the connection is not encrypted")
NO_TLS = Cell(End.DELIVERED, "plain", "offers no TLS from the first byte: the connection is not encrypted")
TURNED_AWAY = Cell(End.DELIVERED, "plain", "refused STARTTLS")
# Failed.
LACKS = Cell(End.TLS_FAILED, "", "does not offer STARTTLS, which this definition requires")
REFUSED = Cell(End.TLS_FAILED, "", "TLS is not available|TLS not available")
NOT_TLS = Cell(End.TLS_FAILED, "", "does not speak TLS on this port")
BAD = Cell(End.TLS_FAILED, "", "mismatch, certificate is not valid for")
UNKNOWN_AUTHORITY = Cell(End.TLS_FAILED, "", "is not trusted: unable to get local issuer certificate")
SILENT = Cell(End.TIMED_OUT, "", "a TLS port says nothing to a plain client")

KINDS = ("no TLS", "STARTTLS only", "TLS only", "bad certificate", "STARTTLS refused")
TABLE = {
    #                         no TLS       STARTTLS   TLS only  bad cert.  STARTTLS refused
    "none": (PLAIN, PLAIN, SILENT, PLAIN, PLAIN),
    "starttls-if-available": (NO_STARTTLS, STARTTLS, SILENT, BAD, TURNED_AWAY),
    "tls-if-available": (NO_TLS, NO_TLS, TLS, BAD, NO_TLS),
    "starttls": (LACKS, STARTTLS, SILENT, BAD, REFUSED),
    "tls": (NOT_TLS, NOT_TLS, TLS, BAD, NOT_TLS),
}
CELLS = [
    pytest.param(mode, kind, cell, id=f"{mode}-{kind.replace(' ', '-')}")
    for mode, row in TABLE.items()
    for kind, cell in zip(KINDS, row, strict=True)
]
PORTS: dict[str, tuple[PortName, PortName]] = {
    "smtp": ("smtp", "smtps"),
    "imap": ("imap", "imaps"),
    "pop3": ("pop3", "pop3s"),
}
LOGIN_COMMANDS = ("AUTH", "LOGIN", "AUTHENTICATE", "USER", "PASS", "APOP")
STARTTLS_COMMANDS = ("STARTTLS", "STLS")


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, MailServers]]:
    """The servers of each kind; the bad certificate is a good one for another host."""
    with (
        MailServers(apop=False, tls="none") as bare,
        MailServers(apop=False) as offering,
        MailServers(apop=False) as other,
        MailServers(apop=False, tls="refused") as refusing,
    ):
        other.stop()
        with pytest.MonkeyPatch.context() as patched:
            made = ServerTls(("other.example",))
            patched.setattr("mailtrip_fixtures.servers.server_tls", lambda: made)
            other.start()
            assert other.ca_file.read_bytes() == made.ca_pem
        yield dict(zip(KINDS, (bare, offering, offering, other, refusing), strict=True))


@pytest.mark.parametrize("protocol", PORTS)
@pytest.mark.parametrize(("mode", "kind", "cell"), CELLS)
async def test_each_cell_ends_as_the_table_says(
    servers: dict[str, MailServers], tmp_path: Path, protocol: str, mode: str, kind: str, cell: Cell
) -> None:
    await _check(servers[kind], tmp_path, protocol, mode, kind, cell, trusts_authority=True)


@pytest.mark.parametrize("protocol", PORTS)
@pytest.mark.parametrize("mode", TABLE)
async def test_a_certificate_of_an_unknown_authority_is_as_bad_as_one_for_another_host(
    servers: dict[str, MailServers], tmp_path: Path, protocol: str, mode: str
) -> None:
    cell = PLAIN if mode == "none" else UNKNOWN_AUTHORITY
    kind = "TLS only" if mode.startswith("tls") else "STARTTLS only"
    await _check(servers[kind], tmp_path, protocol, mode, kind, cell, trusts_authority=False)


async def _check(
    servers: MailServers, folder: Path, protocol: str, mode: str, kind: str, cell: Cell, *, trusts_authority: bool
) -> None:
    implicit = kind == "TLS only" or (kind == "bad certificate" and mode.startswith("tls"))
    name = PORTS[protocol][implicit]
    before, accepted = len(servers.commands(name)), len(servers.ledger.accepted)
    async with tapped(getattr(servers.ports, name)) as tap:
        text = _trip(servers, protocol, mode, tap.port, cell, trusts_authority=trusts_authority)
        record = (await fly_aside(read(folder, text)))["cell"]
    assert record.end == cell.end, failure_text(record)
    _check_what_is_said(record, cell, protocol)
    heard = servers.commands(name)[before:]
    _check_what_the_server_heard(heard, mode, cell, implicit=implicit)
    _check_what_crossed_the_wire(tap, mode, cell)
    delivers = cell.end is End.DELIVERED
    assert len(servers.ledger.accepted) - accepted == delivers


def _trip(servers: MailServers, protocol: str, mode: str, port: int, cell: Cell, *, trusts_authority: bool) -> str:
    """A round trip of which the leg in question goes by the cell, and the other in plain."""
    account = servers.account(f"{protocol}-{port}@example.test", PASSWORD)
    send_s, step_s = "20s", "20s"
    if cell is SILENT:  # only the leg that is to time out may do so soon
        send_s, step_s = ("300ms", step_s) if protocol == "smtp" else (send_s, "300ms")
    ca = f", ca: '{servers.ca_file}'" if trusts_authority else ""
    cells = f"{{protocol: {protocol}, host: 127.0.0.1, port: {port}, security: {mode}, password: {PASSWORD}{ca}}}"
    via, at = f"{{host: 127.0.0.1, port: {servers.ports.smtp}, security: none}}", cells
    if protocol == "smtp":
        via = cells
        at = f"{{protocol: imap, host: 127.0.0.1, port: {servers.ports.imap}, security: none, password: {PASSWORD}}}"
    return (
        f"trips: {{cell: {{timeout: 20s, send: {{via: {via}, from: a@example.org, to: {account.address},"
        f" timeout: {send_s}}}, receive: {{at: {at}, interval: 100ms, step_timeout: {step_s}}}}}}}\n"
    )


def _check_what_is_said(record: Record, cell: Cell, protocol: str) -> None:
    leg = "smtp" if protocol == "smtp" else "mailbox"
    if cell.end is End.DELIVERED:
        assert record.passed
        assert record.hosts[leg].endswith(f", {cell.used}")
        assert f"{leg} server: {record.hosts[leg]}" in passed_text(record, width=200)
        assert len(record.warnings) == bool(cell.says)
        assert all(cell.says in warning and "is not encrypted" in warning for warning in record.warnings)
    else:
        assert record.warnings == ()
        told = failure_text(record, width=1000)
        assert any(words in told for words in cell.says.split("|"))
        assert (record.leg, record.alertsite) == (leg, 2 if cell is SILENT else 3)


def _check_what_the_server_heard(heard: list[str], mode: str, cell: Cell, *, implicit: bool) -> None:
    words = [word for line in heard for word in line.upper().split() if word in LOGIN_COMMANDS + STARTTLS_COMMANDS]
    asked = [word for word in words if word in STARTTLS_COMMANDS]
    logged_in = [word for word in words if word in LOGIN_COMMANDS]
    offers = cell in (STARTTLS, TURNED_AWAY, REFUSED) or (cell in (BAD, UNKNOWN_AUTHORITY) and not implicit)
    assert bool(asked) == (offers and "starttls" in mode)
    assert bool(logged_in) == (cell.end is End.DELIVERED)
    if asked and logged_in:
        assert words[0] in STARTTLS_COMMANDS


def _check_what_crossed_the_wire(tap: Tapped, mode: str, cell: Cell) -> None:
    assert tap.shows(PASSWORD) == (cell.used == "plain")
    if mode in ("starttls", "tls"):
        assert not tap.shows(PASSWORD)
        assert not tap.shows("example.test")
