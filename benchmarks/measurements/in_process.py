"""The in-process servers: how soon they are there, how many mails they take, and what a large mailbox costs them."""

import imaplib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from statistics import median

from benchmarks.candidates.start_servers import Started, read_started
from benchmarks.ground import Ground, ground
from benchmarks.harness import (
    ENVIRONMENT,
    Chart,
    Figure,
    Measured,
    Size,
    Wrong,
    at_least,
    at_most,
    folder,
    interleaved,
    module_command,
    ratios,
    run,
)
from benchmarks.measurements.old_mail import OLD

COMMANDS = {
    "UID FETCH": ("FETCH", "(FLAGS RFC822.SIZE)"),
    "UID SEARCH UID": ("SEARCH", None),
    "UID STORE": ("STORE", "+FLAGS (\\Seen)"),
}
BARE = "bare aiosmtpd"
_BODY = b"A line of some seventy octets, as mail programs wrap what people write.\r\n" * 20
_ENVELOPE = "MAIL FROM:<probe@example.org>\r\nRCPT TO:<%s>\r\nDATA\r\n"


def measure(size: Size) -> Measured:
    """Starts, mails a second, and one mail found by UID."""
    taken = _mails(size)
    return Measured([*_starts(size), *taken.figures, *_by_uid(size)], taken.charts)


def _starts(size: Size) -> list[Figure]:
    began = interleaved(size.of(9, 1), {"start": partial(_started, size.of(30, 2))})["start"]
    if not all(one.idle for one in began):
        raise Wrong("the import of the plugin that gives the fixtures started something, or imported the servers")
    first = [one.first_ms for one in began]
    return [
        Figure("in-process start of SMTP, IMAP and POP3", "ms", [median(one.later_ms) for one in began], at_most(50)),
        Figure("the first start in a process, with its imports: CPU", "ms", first),
        Figure("import of the plugin that gives the fixtures: CPU", "ms", [one.plugin_ms for one in began], at_most(3)),
    ]


def _started(starts: int) -> Started:
    with folder() as place:
        run(module_command("start_servers", str(starts)), place)
        return read_started(place)


def _mails(size: Size) -> Measured:
    """The same mails into the in-process servers, and into aiosmtpd with a handler that stores them."""
    count = size.of(5000, 50)
    with ground(count, 1) as here, _bare() as bare:
        loads: dict[str, Callable[[], float]] = {
            "ours": partial(_taken_by_us, here, count),
            BARE: partial(_load_s, bare.port, count),
        }
        seconds = interleaved(size.of(5, 1), loads)
    if bare.stored != len(seconds[BARE]) * count:
        raise Wrong(f"bare aiosmtpd stored {bare.stored} mails, not {len(seconds[BARE])} times {count}")
    each = {name: [count / one for one in taken] for name, taken in seconds.items()}
    return Measured(
        [
            Figure("mails a second: ours / bare aiosmtpd that stores them", "×", ratios(*each.values()), at_least(1)),
            Figure("mails a second: ours", "", each["ours"]),
        ],
        [Chart("in-process", "mails a second", "", {name: median(taken) for name, taken in each.items()})],
    )


def _taken_by_us(here: Ground, count: int) -> float:
    took_s = _load_s(here.work.smtp, count, here.work.addresses[0])
    here.served.wait_for_deliveries(count)
    return took_s


def _load_s(port: int, count: int, address: str = "somebody@example.test") -> float:
    """Seconds for so many mails on one connection, the envelope sent ahead with the mail before it."""
    envelope = (_ENVELOPE % address).encode()
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as replies:
        replies.readline()
        connection.sendall(b"EHLO probe.example.org\r\n")
        while replies.readline()[3:4] == b"-":
            pass
        began = time.perf_counter()
        connection.sendall(envelope)
        for number in range(count):
            said = [replies.readline()[:3] for _ in range(3 if number == 0 else 4)]
            if said[-3:] != [b"250", b"250", b"354"]:
                raise Wrong(f"{said} instead of 250, 250, 354")
            more = envelope if number + 1 < count else b"QUIT\r\n"
            connection.sendall(b"X-Bench: %d\r\n\r\n%b.\r\n%b" % (number, _BODY, more))
        if not replies.readline().startswith(b"250"):
            raise Wrong("the last mail was refused")
        return time.perf_counter() - began


class _Bare:
    """Where bare aiosmtpd listens, and how many mails it had in the end."""

    port = 0
    stored = 0


@contextmanager
def _bare() -> Generator[_Bare]:
    bare = _Bare()
    with folder() as place:
        process = subprocess.Popen(
            module_command("aiosmtpd_store"),
            cwd=place,
            env=os.environ | ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdout is not None
            bare.port = int(process.stdout.readline())
            try:
                yield bare
            finally:
                bare.stored = int(process.communicate("")[0])


def _by_uid(size: Size) -> list[Figure]:
    few, many = 100, size.of(100_000, 1000)
    with ground(0, 2) as here:
        counts = dict(zip(here.work.addresses, (few, many), strict=True))
        for address, count in counts.items():
            here.served.fill(address, OLD, count)
        clients = {address: _Client(here, address, uid) for address, uid in counts.items()}
        runs = interleaved(
            size.rounds * 3,
            {
                f"{command}, {clients[address].uid}": partial(clients[address].median_ms, command)
                for command in COMMANDS
                for address in counts
            },
        )
        for client in clients.values():
            client.close()
    return [
        Figure(
            f"{command} of one mail among {many} / among {few}",
            "×",
            ratios(runs[f"{command}, {many}"], runs[f"{command}, {few}"]),
            at_most(1.5),
        )
        for command in COMMANDS
    ]


class _Client:
    """imaplib, with the mail of this UID, the last, in one mailbox."""

    def __init__(self, here: Ground, address: str, uid: int) -> None:
        self.uid = uid
        self._imap = imaplib.IMAP4("127.0.0.1", here.work.imap)
        self._imap.login(address, here.work.password)
        self._imap.select()

    def median_ms(self, command: str, times: int = 200) -> float:
        """Milliseconds of such a command."""
        name, items = COMMANDS[command]
        arguments = ("UID", str(self.uid)) if items is None else (str(self.uid), items)
        taken: list[float] = []
        for _ in range(times):
            began = time.perf_counter()
            answer = self._imap.uid(name, *arguments)
            taken.append(1000 * (time.perf_counter() - began))
            if answer[0] != "OK" or str(self.uid) not in str(answer[1]):
                raise Wrong(f"{command}: {answer}")
        return median(taken)

    def close(self) -> None:
        self._imap.logout()
