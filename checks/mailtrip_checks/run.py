"""The trip itself: `run_trip` is the function to read first."""

import asyncio
from contextlib import suppress

from mailtrip_checks.ends import End, Leg
from mailtrip_checks.errors import ProtocolError, Refused, TripError, Undeleted
from mailtrip_checks.identity import Kind
from mailtrip_checks.journal import Journal
from mailtrip_checks.mailbox.registry import Watch
from mailtrip_checks.mailbox.waiting import Deletion
from mailtrip_checks.message import compose
from mailtrip_checks.outcome import Outcome
from mailtrip_checks.smtp_pool import leg_to
from mailtrip_checks.trips import Auth, Protocol, Receive, Send, Trip, Until
from mailtrip_checks.wire.deadline import within
from mailtrip_checks.wire.imap import ImapSession
from mailtrip_checks.wire.pop3 import Pop3Session
from mailtrip_checks.wire.smtp import Phase
from mailtrip_checks.wire.transcript import Transcript
from mailtrip_checks.world import Sender, World


def removed_later(receive: Receive | None) -> str:
    """What becomes of a mail that comes when nobody waits for it any more."""
    if receive and receive.at.protocol is Protocol.LISTEN:
        return "while nobody listens there, its sender keeps it, and gives it up in the end"
    return "the next run in that mailbox removes it once it has expired"


async def run_trip(trip: Trip, world: World, journal: Journal, *, grace_s: float) -> Outcome:
    """Send, wait, fetch, delete; the outcome says how far it came. Never raises for what a server did.

    Where the world tells nothing of trips that pass, the outcome of a good end has no transcript.

    When cancelled, a trip ends within `grace_s` seconds: what was sent is waited for and deleted, or the journal names
    it as left behind. CancelledError goes on to the caller, who finds the rest in the journal.
    """
    try:
        match trip.send, trip.receive:
            case Send(until=Until.DATA) as send, Receive() as receive:
                end = await _round_trip(trip, send, receive, world, journal, grace_s)
            case Send() as send, _:
                end = await _submit(trip, send, world, journal, grace_s)
            case _, Receive() as receive:
                end = await _connect_only(receive, world, journal)
            case _:
                end = End.SKIPPED
    except TripError as error:
        return journal.outcome(error.end, error)
    return journal.outcome(end, with_transcript=world.tells_passed)


async def _round_trip(trip: Trip, send: Send, receive: Receive, world: World, journal: Journal, grace_s: float) -> End:
    watch = journal.watch = world.mailboxes.watch(receive, journal.token, own=trip.own_mailbox)
    async with watch:  # before sending: nothing arrives unseen
        try:
            await _submit(trip, send, world, journal, grace_s)
            accepted_at_s = journal.submission.accepted_at_s or world.clock.now()
            await _receive(receive, journal, watch, accepted_at_s + trip.timeout_s)
        except asyncio.CancelledError:
            if journal.submission.phase is not Phase.NOT_SENT:
                await _clean_up(receive, world, journal, watch, grace_s)
            raise
        except TripError:
            may_come = journal.submission.phase is not Phase.NOT_SENT and journal.arrival is None
            if may_come and receive.delete.wanted:
                journal.stays(f"it may still come; {removed_later(receive)}")
            raise
    return End.DELIVERED


async def _submit(trip: Trip, send: Send, world: World, journal: Journal, grace_s: float) -> End:
    """Submit the mail; once more on a connection of its own where the one handed on had died meanwhile."""
    try:
        await _submit_once(trip, send, world, journal, grace_s, own=trip.own_smtp)
    except (ProtocolError, Refused):
        if not journal.dialogue.handed_on or journal.submission.replies:
            raise
        await _submit_once(trip, send, world, journal, grace_s, own=True)
    return End.ACCEPTED


async def _submit_once(trip: Trip, send: Send, world: World, journal: Journal, grace_s: float, *, own: bool) -> None:
    leaves = trip.receive is not None and not trip.receive.delete.wanted
    expires_after_s = None if leaves else send.timeout_s + trip.timeout_s
    async with world.sender(send, journal.dialogue, own=own) as sender:
        journal.mail_sent = compose(
            send, journal.token, world.key, wall_s=world.clock.wall(), expires_after_s=expires_after_s
        )
        await world.gates.turn_to_send(send.via)
        await _dialogue(send, sender, world, journal, grace_s)


async def _dialogue(send: Send, sender: Sender, world: World, journal: Journal, grace_s: float) -> None:
    """MAIL to the final 250. Once the message is on its way, a stop of the run waits for the answer, within bounds."""
    spent_s = sum(stage.length_s for stage in journal.dialogue.opening if not stage.shared)
    journal.sends()
    dialogue = asyncio.ensure_future(
        sender.submit(
            send.sender, send.recipients, journal.mail_sent, send.until, journal.dialogue.stages, journal.submission
        )
    )
    try:
        async with within(world.clock, send.timeout_s, lambda: journal.dialogue.doing or leg_to(send), spent_s=spent_s):
            await asyncio.shield(dialogue)
    except asyncio.CancelledError:
        until_s = journal.stopped() + grace_s / 2
        if journal.submission.phase is Phase.IN_DATA:
            with suppress(TimeoutError):
                async with world.clock.timeout_at(until_s):
                    await asyncio.wait({dialogue})
        raise
    finally:
        dialogue.cancel()
        await asyncio.wait({dialogue})


async def _receive(receive: Receive, journal: Journal, watch: Watch, until_s: float) -> None:
    watch.expect(journal.submission.mail_from_at_s or until_s, len(journal.mail_sent))
    try:
        arrival = journal.arrival = await watch.arrival(until_s)
    except TripError:
        journal.gave_up()
        raise
    if arrival.sighting.kind is Kind.STRIPPED:
        journal.warnings.append("a gateway removed our X-Mailtrip header; Message-ID and subject told whose mail it is")
    if arrival.deletion is not None:
        await _deleted(arrival.deletion, journal)
    elif receive.delete.wanted:
        why = "it does not bear our header, and only `mailbox_is_dedicated: true` lets such a mail be deleted"
        journal.stays(why)
        journal.warnings.append(f"the mail stays: {why}")


async def _deleted(deletion: asyncio.Future[Deletion], journal: Journal) -> None:
    try:
        done = await asyncio.shield(deletion)
    except Undeleted as error:
        error.leg, error.stage = Leg.MAILBOX, "delete"
        journal.stays(error.what)
        raise
    journal.deletion = done.stage
    if done.warning:
        journal.warnings.append(done.warning)


async def _clean_up(receive: Receive, world: World, journal: Journal, watch: Watch, grace_s: float) -> None:
    """The run was stopped: what was sent is deleted if it comes in time; else it is named."""
    if not receive.delete.wanted:
        return
    now_s = world.clock.now()
    left_s = journal.stopped() + grace_s - now_s
    until_s = now_s + left_s / 2
    try:
        async with within(world.clock, left_s, "the clean-up"):
            if journal.arrival is None:
                await _receive(receive, journal, watch, until_s)
            elif journal.arrival.deletion is not None:
                await _deleted(journal.arrival.deletion, journal)
    except TripError as error:
        if not journal.left_behind:
            journal.stays(f"{error.what}; {removed_later(receive)}")
    except asyncio.CancelledError:
        journal.stays(f"the clean-up was cut short; {removed_later(receive)}")
        raise


async def _connect_only(receive: Receive, world: World, journal: Journal) -> End:
    if receive.at.auth is Auth.NONE:
        await _greet(receive, world, journal)
    else:
        journal.watch = world.mailboxes.watch(receive, journal.token, own=True, sends=False)
        async with journal.watch:
            pass
    return End.CONNECTED


async def _greet(receive: Receive, world: World, journal: Journal) -> None:
    """Connect, see the greeting, leave: for who may not log in."""
    dialogue = journal.dialogue
    transcript = Transcript(world.clock, dialogue.stages.leg, world.masker)
    dialogue.follows(transcript)
    client = ImapSession if receive.at.protocol is Protocol.IMAP else Pop3Session
    async with world.gates.connection(receive.at):
        session = await client.open(
            receive.at,
            world.network,
            step_timeout_s=receive.step_timeout_s,
            stages=dialogue.stages,
            transcript=transcript,
            warn=dialogue.warnings.append,
        )
        dialogue.host = session.reached
        with suppress(TripError, OSError):
            await (session.logout() if isinstance(session, ImapSession) else session.quit())
        await session.close()
