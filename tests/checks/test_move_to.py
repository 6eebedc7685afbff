"""`move_to`: our mail leaves the folder for another one, by MOVE or without it, and nothing else does."""

import re
from collections.abc import Generator

import pytest

from mailtrip_checks.ends import End, Leg
from mailtrip_checks.identity import new_token
from mailtrip_checks.outcome import Outcome
from mailtrip_checks.trips import TRASH, Delete
from mailtrip_checks.wire.imap_folders import ListedFolder, listed
from mailtrip_checks.wire.imap_parser import Data, Parser
from mailtrip_fixtures import MailAccount, MailServers
from tests.checks.trip_bench import PAST, Bench, Untouched, of_a_run, receiving, wire

WITH_AND_WITHOUT_MOVE = pytest.mark.parametrize("lacks", [set[str](), {"MOVE"}], ids=["MOVE", "COPY"])


@pytest.fixture
def lacks() -> set[str]:
    return set()


@pytest.fixture
def servers(lacks: set[str]) -> Generator[MailServers]:
    with MailServers(catch_all=True, tls="none", imap_without=lacks) as running:
        yield running


@pytest.fixture
def bench(servers: MailServers) -> Bench:
    return Bench(servers)


def folder(servers: MailServers, account: MailAccount, name: str) -> None:
    stored = servers.store.account(account.address)
    assert stored is not None
    stored.create_folder(name)


async def moved(bench: Bench, account: MailAccount, move_to: str, port: int = 0) -> Outcome:
    at = bench.box(account, port=port)
    return await bench.fly(receiving(bench.trip(account, at), delete=Delete(move_to=move_to)))


@WITH_AND_WITHOUT_MOVE
@pytest.mark.parametrize("name", ["[Gmail]/Trash", "Alte Post", 'Büro "A" & Co', "ゴミ箱", "back\\slash"])
@pytest.mark.asyncio
async def test_a_mail_ends_in_the_folder_that_is_named_and_leaves_its_own(
    bench: Bench, servers: MailServers, name: str
) -> None:
    account = servers.account()
    folder(servers, account, name)
    others = Untouched(servers, account)
    outcome = await moved(bench, account, name)
    assert (outcome.end, outcome.warnings, outcome.left_behind) == (End.DELIVERED, (), ())
    [mail] = account.messages_in(name)
    assert mail["X-Mailtrip"]
    others.check()


@WITH_AND_WITHOUT_MOVE
@pytest.mark.asyncio
async def test_a_folder_that_is_not_there_is_told_with_those_that_are(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    folder(servers, account, "Büro")
    others = Untouched(servers, account)
    outcome = await moved(bench, account, "[Gmail]/Trash")
    assert (outcome.end, outcome.leg, outcome.stage) == (End.UNDELETED, Leg.MAILBOX, "delete")
    assert outcome.what.startswith("could not be moved: ")
    assert outcome.advice == (
        "There is no folder '[Gmail]/Trash' to move to; "
        "there are 'Archive', 'Büro', 'Drafts', 'INBOX', 'Junk', 'Sent', 'Trash'."
    )
    assert len(outcome.left_behind) == 1
    others.check(more=1)


@pytest.mark.asyncio
async def test_of_many_folders_some_are_named(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    for number in range(30):
        folder(servers, account, f"A{number:02}")
    assert (await moved(bench, account, "Bin")).advice.endswith(", 'A18', 'A19' and 16 more.")


@pytest.mark.asyncio
async def test_a_folder_that_is_there_but_takes_nothing_is_told_in_the_servers_words(
    bench: Bench, servers: MailServers
) -> None:
    async with wire(servers.ports.imap) as line:
        line.upwards = lambda data: re.sub(rb"UID MOVE ([0-9]+) [^\r]*", rb'UID MOVE \1 "Nowhere"', data)
        outcome = await moved(bench, servers.account(), "Trash", line.port)
    assert (outcome.end, outcome.advice) == (End.UNDELETED, "")
    assert "moving mails to 'Trash': " in outcome.what


@pytest.mark.asyncio
async def test_one_trip_whose_folder_is_missing_keeps_no_other_from_being_moved(
    bench: Bench, servers: MailServers
) -> None:
    account = servers.account()
    plain = bench.trip(account)
    trips = [receiving(plain, delete=Delete(move_to=name)) for name in ("Nowhere", "Trash", "Elsewhere")]
    tasks = [bench.launch(trip) for trip in trips]
    assert [(await task).end for task in tasks] == [End.UNDELETED, End.DELIVERED, End.UNDELETED]
    assert len(bench.said("LOGIN")) == 1


# The bin, whatever its name.


@pytest.mark.asyncio
async def test_the_bin_is_found_by_the_servers_mark(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    folder(servers, account, "[Gmail]/Papierkorb")
    async with wire(servers.ports.imap) as line:

        def mark(data: bytes) -> bytes:
            german = rb'\\HasNoChildren\) "/" (?="?\[Gmail\]/Papierkorb)'
            return re.sub(german, rb'\\HasNoChildren \\trash) "/" ', data.replace(b" \\Trash", b""))

        line.downwards = mark
        outcome = await moved(bench, account, TRASH, line.port)
    assert outcome.end is End.DELIVERED
    assert len(account.messages_in("[Gmail]/Papierkorb")) == 1
    assert account.messages == []


@pytest.mark.parametrize("lacks", [{"SPECIAL-USE"}])
@pytest.mark.asyncio
async def test_without_a_marked_bin_the_author_is_asked_for_its_name(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    outcome = await moved(bench, account, TRASH)
    assert outcome.end is End.UNDELETED
    assert "marks no folder as \\Trash" in outcome.what
    there = "'Archive', 'Drafts', 'INBOX', 'Junk', 'Sent', 'Trash'"
    assert outcome.advice == f"Name the folder under `move_to`; there are {there}."
    assert len(account.messages) == 1


@WITH_AND_WITHOUT_MOVE
@pytest.mark.asyncio
async def test_what_earlier_runs_left_is_moved_to_the_same_folder(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    others = Untouched(servers, account)
    account.deliver(of_a_run(new_token(), PAST))
    trip = receiving(bench.trip(account), delete=Delete(move_to=TRASH))
    bench.plan(trip)
    assert (await bench.fly(trip)).end is End.DELIVERED
    assert len(account.messages_in("Trash")) == 2
    others.check()


@pytest.mark.parametrize("lacks", [{"MOVE", "UIDPLUS"}])
@pytest.mark.asyncio
async def test_what_could_not_be_taken_away_is_not_copied_anew_by_every_run(bench: Bench, servers: MailServers) -> None:
    account = servers.account()
    account.deliver(of_a_run(new_token(), PAST))
    trip = receiving(bench.trip(account), delete=Delete(move_to=TRASH))
    bench.plan(trip)
    assert (await bench.fly(trip)).end is End.DELIVERED
    assert (len(account.messages_in("Trash")), len(account.messages)) == (1, 2)


# What LIST says.

LINES = {
    b'* LIST (\\HasNoChildren \\Trash) "/" "[Gmail]/Trash"\r\n': ListedFolder(
        "[Gmail]/Trash", frozenset({"\\HasNoChildren", "\\Trash"})
    ),
    b"* LIST () NIL INBOX\r\n": ListedFolder("INBOX", frozenset()),
    b'* LIST () "/" "B&APw-ro \\"A\\" &- Co"\r\n': ListedFolder('Büro "A" & Co', frozenset()),
    b'* LIST () "/" {6}\r\nA "b" \r\n': ListedFolder('A "b" ', frozenset()),
    'LIST () "/" "Büro"'.encode(): None,
    '* LIST () "/" "Büro"\r\n'.encode(): ListedFolder("Büro", frozenset()),
    b'* LIST () "/" "A&B"\r\n': ListedFolder("A&B", frozenset()),
    b'* LIST () "/"\r\n': None,
    b'* LIST \\Trash "/" Trash\r\n': None,
    b'* LIST () "/" NIL\r\n': None,
    b'* LIST (() "/" Trash\r\n': None,
}


@pytest.mark.parametrize(("wire_bytes", "expected"), LINES.items())
def test_a_listed_folder_is_read_however_the_server_writes_it(wire_bytes: bytes, expected: ListedFolder | None) -> None:
    for cut in range(len(wire_bytes) + 1):
        parser = Parser()
        responses = [*parser.feed(wire_bytes[:cut], 0.0), *parser.feed(wire_bytes[cut:], 0.0)]
        found = [listed(response) for response in responses if isinstance(response, Data)]
        assert [folder for folder in found if folder] == ([expected] if expected else [])
