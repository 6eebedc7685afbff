"""What all trips of a run share."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Protocol

from mailtrip_checks.clock import Clock
from mailtrip_checks.gates import Gates
from mailtrip_checks.heartbeat import Heartbeat
from mailtrip_checks.mailbox.registry import Mailboxes
from mailtrip_checks.mailbox.waiting import Common
from mailtrip_checks.secrets import Masker, Secret
from mailtrip_checks.sendmail import mail_program
from mailtrip_checks.smtp_pool import Dialogue, SmtpPool
from mailtrip_checks.trips import Endpoint, Host, Send, Trip, Until
from mailtrip_checks.trips import Protocol as MailProtocol
from mailtrip_checks.wire.connect import Network
from mailtrip_checks.wire.smtp import Submission
from mailtrip_checks.wire.transcript import Stages


class Embedded(Protocol):
    """Servers in this process, to which endpoints named `embedded` are resolved."""

    def locate(self, endpoint: Endpoint, address: str, hosts: tuple[Host, ...]) -> Endpoint:
        """The endpoint with host, port, trust and a password for the mailbox of `address`, which is made if missing.

        `hosts` are those of the trip: equal ones are the same, with the mailboxes that they have already.
        """
        ...


class Sender(Protocol):
    """What a message is handed to: an SMTP session, or the local mail program."""

    async def submit(
        self,
        sender: str,
        recipients: Sequence[str],
        message: bytes,
        until: Until,
        stages: Stages,
        submission: Submission,
    ) -> None:
        """Submit one message; `submission` is true also where this raises or is cancelled. Stage `submit`."""
        ...


class World:
    """Clock, connections, gates, mailboxes and the installation's key. Made inside the loop that runs the trips.

    `tells_passed`: whether somebody wants to read the transcripts of trips that pass.
    """

    def __init__(
        self,
        clock: Clock,
        key: bytes,
        masker: Masker,
        embedded: Embedded | None = None,
        *,
        tells_passed: bool = True,
    ) -> None:
        self.clock = clock
        self.tells_passed = tells_passed
        self.key = key
        self.masker = masker
        self.heartbeat = Heartbeat()
        self.gates = Gates(clock)
        network = Network(clock, masker)
        self.network = network
        self.smtp = SmtpPool(network, self.gates)
        self.mailboxes = Mailboxes(Common(network, self.gates, key))
        self._embedded = embedded

    def sender(self, send: Send, dialogue: Dialogue, *, own: bool) -> AbstractAsyncContextManager[Sender]:
        """What `send.via` names, ready to take a message; see `SmtpPool.session`."""
        if send.via.protocol is MailProtocol.SENDMAIL:
            return mail_program(send, self.network, self.gates, dialogue)
        return self.smtp.session(send, dialogue, own=own)

    def located(self, trips: Iterable[Trip]) -> tuple[Trip, ...]:
        """The trips with every embedded endpoint resolved and every secret known to the masker."""
        placed = tuple(self._locate(trip) for trip in trips)
        for trip in placed:
            for secret in _secrets(trip):
                self.masker.add(secret)
        return placed

    def _locate(self, trip: Trip) -> Trip:
        if self._embedded is None:
            return trip
        send, receive = trip.send, trip.receive
        if receive and receive.at.embedded:
            receive = replace(receive, at=self._embedded.locate(receive.at, receive.at.user, trip.hosts))
        if send and send.via.embedded:
            send = replace(send, via=self._embedded.locate(send.via, send.via.user, trip.hosts))
        return replace(trip, send=send, receive=receive)


def _secrets(trip: Trip) -> tuple[Secret, ...]:
    legs = [trip.send.via] if trip.send else []
    legs += [trip.receive.at] if trip.receive else []
    return (*trip.secrets, *(secret for leg in legs for secret in leg.secrets))
