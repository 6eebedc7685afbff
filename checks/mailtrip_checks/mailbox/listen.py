"""Mail that comes to us: an SMTP server in this process, so nothing is polled, nothing fetched and nothing deleted.

It is no mail server of anybody's. A recipient that no trip names is refused, and so is, after DATA, every mail that is
not proved ours: whoever brought it keeps it. Nothing is ever relayed, and no mail is stored past its trip.
"""

import asyncio
import errno
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from mailtrip_checks.ends import Leg
from mailtrip_checks.errors import Lost, Unreachable
from mailtrip_checks.identity import Kind, Sighting, has_expired, may_delete, sight
from mailtrip_checks.mailbox.waiting import Arrival, Common, Deletion, Doomed, Waiter
from mailtrip_checks.mailbox.watch import Mailbox
from mailtrip_checks.outcome import Bracket
from mailtrip_checks.trips import ALL_ADDRESSES, Receive

if TYPE_CHECKING:
    from mailtrip_checks.mailbox.listen_smtp import SmtpReceiver

LARGEST_HEADER_BYTES = 100 * 1024  # reading one costs time that grows with it
_HEADER_END = re.compile(rb"\n\r?\n")
NOT_RELAYED = "550 5.7.1 This server takes mail for the addresses of its mail checks only"
NOT_OURS = "550 5.7.1 Not a mail of this run"
TAKEN = "250 2.0.0 Taken"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may use: bytes of a mail, connections at once, seconds from one answer to the next, and in all."""

    mail_bytes: int = 256 * 1024**2
    connections: int = 50
    step_s: float = 120.0
    session_s: float = 600.0


class ListenMailbox(Mailbox):
    """The SMTP server on one port, for all trips of the run that name it; see `Mailbox`."""

    def __init__(self, receive: Receive, common: Common, limits: Limits = Limits()) -> None:
        self.limits = limits
        self.port = receive.at.port
        self.sessions: set[SmtpReceiver] = set()
        self._server: asyncio.Server | None = None
        self._accepted: set[str] = set()
        self._tokens: set[str] = set()  # of all trips that ever waited here
        self._refused: dict[str, str] = {}
        super().__init__(receive, common)

    @property
    def stays_open(self) -> bool:
        return self._server is not None

    def join(self, token: str, receive: Receive) -> Waiter:
        """Wait here from now on, and accept what the trip accepts."""
        self._accepted.update(pattern.lower() for pattern in receive.at.accept)
        self._tokens.add(token)
        return super().join(token, receive)

    # What an SMTP session asks.

    def accepts(self, recipient: str) -> bool:
        """Whether a trip of this run waits for mail to this address."""
        return any(fnmatchcase(recipient.lower(), pattern) for pattern in self._accepted)

    def may_be_ours(self, head: bytes) -> bool:
        """Whether a mail that begins so can be one that is taken."""
        sighting = sight(head[:LARGEST_HEADER_BYTES], self.common.key)
        return sighting is not None and (sighting.kind is Kind.OURS or sighting.token in self._tokens)

    def take(self, mail: bytes, came_at_s: float, whence: str) -> str:
        """The answer to a mail, whose last byte came at that instant: who waits for it has it by then."""
        header = mail[:LARGEST_HEADER_BYTES]
        if not _HEADER_END.search(header):
            return NOT_OURS
        sighting = sight(header, self.common.key)
        if sighting is None:
            return NOT_OURS
        waited = self.waiter_for(header)
        if waited and may_delete(sighting, dedicated=waited[0].receive.mailbox_is_dedicated):
            self._arrived(waited[0], sighting, mail, came_at_s, whence)
            return TAKEN
        if sighting.kind is Kind.OURS and (sighting.token in self._tokens or has_expired(sighting, self.clock.wall())):
            self.transcript.note(f"the mail {sighting.token} came again, or too late; it was taken and thrown away")
            return TAKEN
        if sighting.token in self._tokens:
            why = f"what came for {sighting.token} from {whence} does not prove itself ours ({sighting.kind.value})"
            self._refused[sighting.token] = why
            self.transcript.note(f"{why}, so it was refused")
        return NOT_OURS

    def _arrived(self, waiter: Waiter, sighting: Sighting, mail: bytes, came_at_s: float, whence: str) -> None:
        self.transcript.note(f"the mail {sighting.token} came from {whence}: {len(mail)} bytes")
        gone: asyncio.Future[Deletion] = asyncio.get_running_loop().create_future()
        gone.set_result(Deletion())
        self._arrive(waiter, Arrival(sighting, Bracket(came_at_s, came_at_s), mail, (), gone))

    # What a protocol does.

    async def _begin(self) -> None:
        receiver = await asyncio.to_thread(_receiver)
        host, port = self.endpoint.host, self.endpoint.port
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: receiver(self), None if host == ALL_ADDRESSES else host, port
            )
        except OSError as error:
            raise _unreachable(error, host, port) from error
        self.port = self._server.sockets[0].getsockname()[1]
        self.host = f"{host}:{self.port}"
        self.transcript.note(f"listens on port {self.port} of {'all addresses' if host == ALL_ADDRESSES else host}")

    async def _look(self, *, thorough: bool) -> float:
        """Nothing to do: mail comes by itself."""
        return self.clock.now()

    async def _delete(self, doomed: Sequence[Doomed]) -> None:
        """Nothing to do: what came was never stored."""

    async def _sweep(self) -> None:
        """Nothing to do: what expired is taken when it comes."""

    async def _reconnect(self) -> None:
        """Nothing to do: a port that is listened on stays so."""

    async def _end(self) -> None:
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for session in tuple(self.sessions):
            session.end()
        # What was cut ends in the next turns of the loop: its connection, then its task.
        for _ in range(4):
            await asyncio.sleep(0)

    def _lost(self, waiter: Waiter) -> Lost:
        report = "; a delivery report about it came instead" if waiter.reported else ""
        refused = self._refused.get(waiter.token, "")
        return Lost(
            f"accepted, and it did not come to {self.host} in time{report}{f'; {refused}' if refused else ''}",
            advice=f"Look in the log of the server that is to bring it: does it know the way to port {self.port} of"
            " this machine, does a firewall let it in, and does `accept` hold the address to which it forwards?",
        )


def _receiver() -> "type[SmtpReceiver]":
    """Imported here, in a thread and only where a trip listens: aiosmtpd takes 0.2 s."""
    from mailtrip_checks.mailbox.listen_smtp import SmtpReceiver

    return SmtpReceiver


def _unreachable(error: OSError, host: str, port: int) -> Unreachable:
    where = f"port {port}" if host == ALL_ADDRESSES else f"port {port} of {host}"
    match error.errno:
        case errno.EADDRINUSE:
            what = f"cannot listen on {where}: it is in use"
            advice = (
                f"End what listens on port {port} (`ss -ltnp` names it), or choose another `port`. Only one process can"
                " listen there: not two runs at once, nor every worker of pytest-xdist's `--dist each`."
            )
        case errno.EACCES | errno.EPERM:
            what = f"cannot listen on {where}: this user may not"
            advice = "Ports below 1024 are root's; choose a higher `port`, and lead the lower one to it."
        case _:
            what = f"cannot listen on {where}: {error.strerror or error}"
            advice = "`host` must be an address of this machine; left out, it is all of them."
    unreachable = Unreachable(what, advice=advice)
    unreachable.leg, unreachable.stage = Leg.MAILBOX, "listen"
    return unreachable
