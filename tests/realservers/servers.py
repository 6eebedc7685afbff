"""What tests know of the real servers: where they listen, who lives there, and what lies in the mailboxes."""

import contextlib
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

DOMAIN = "example.test"
WATCH_DOMAIN = "watch.test"
NARROW_HOST = "127.0.0.2"  # where Dovecot gives a user no more than NARROW connections
NARROW = 3
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Account:
    """A mailbox; the login is the address."""

    address: str
    password: str

    @property
    def local_part(self) -> str:
        return self.address.partition("@")[0]


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports, each on 127.0.0.1 and, where this machine has it, ::1."""

    smtp: int  # STARTTLS offered, no AUTH
    smtp_notls: int  # neither
    smtps: int  # TLS from the first byte, AUTH offered
    submission: int  # AUTH required, and offered only after STARTTLS
    submission_plain: int  # AUTH required, no TLS
    imap: int  # STARTTLS offered, login allowed without
    imap_notls: int  # no TLS
    imaps: int  # TLS from the first byte
    pop3: int  # STLS offered, login allowed without; APOP
    pop3_notls: int  # no TLS
    pop3s: int  # TLS from the first byte
    relay: int  # SMTP 1: AUTH required, after STARTTLS; hands all mail to `smtp`
    collector: int  # where Postfix brings mail for collector.test; nobody listens there


@dataclass(frozen=True, slots=True)
class SpecialAddresses:
    """Recipients without a mailbox."""

    forward: str = f"fwd@{DOMAIN}"  # to users[1]
    list: str = f"list@{DOMAIN}"  # to users[2], users[3] and users[4]
    collected: str = f"collected@{DOMAIN}"  # to client@collector.test
    forwarded: str = f"forwarded@{DOMAIN}"  # to watch
    echo: str = f"echo@{WATCH_DOMAIN}"  # to probe
    answer: str = f"answer@{WATCH_DOMAIN}"  # answered by a new mail with the same subject, unless it is automatic
    reject: str = f"reject@{DOMAIN}"  # 550 at RCPT, with a text of its own
    unknown: str = f"unknown@{DOMAIN}"  # 550 at RCPT, with Postfix's text
    defer: str = f"defer@{DOMAIN}"  # 451 at RCPT, always
    blackhole: str = f"blackhole@{DOMAIN}"  # accepted and thrown away
    bounce: str = f"bounce@{DOMAIN}"  # accepted; a non-delivery report goes to the envelope sender
    elsewhere: str = "someone@elsewhere.invalid"  # 554 at RCPT, relay access denied, also after AUTH


@dataclass(frozen=True, slots=True)
class StoredMail:
    """A mail as it lies in the Maildir."""

    name: str  # the same as long as the mail lies there, whatever becomes of its flags
    flags: str  # Maildir's letters, sorted: D(raft) F(lagged) R(eplied) S(een) T(rashed); small letters are keywords
    recent: bool  # no session that may write has seen it yet
    raw: bytes


@dataclass(frozen=True, slots=True)
class RealServers:
    """Postfix delivering to Dovecot, up and running, with a certificate for `host`, 127.0.0.1 and ::1."""

    host: str
    ports: Ports
    ca: Path
    users: tuple[Account, ...]
    probe: Account  # has `odd_folder`, besides Junk, Sent and Trash, which everybody has
    odd: Account  # has the odd password
    watch: Account  # in another domain; mail for `special.forwarded` comes here
    odd_folder: str
    special: SpecialAddresses
    directory: Path
    dns: str  # a resolver that knows the MX of DOMAIN

    @property
    def relay_config(self) -> Path:
        """The configuration of SMTP 1; `sendmail -C` of it sends through SMTP 1."""
        return self.directory / "relay"

    def maildir_messages(self, account: Account, folder: str = "INBOX") -> list[StoredMail]:
        """What lies in a folder, by name, seen past the server and without changing anything."""
        maildir = self.maildir(account, folder)
        while True:
            with contextlib.suppress(FileNotFoundError):  # renamed by the server in between: look again
                paths = [path for place in ("new", "cur") for path in (maildir / place).glob("*")]
                return sorted((_stored(path) for path in paths), key=lambda mail: mail.name)

    def arrived(self, account: Account, text: str, folder: str = "INBOX") -> StoredMail:
        """The one mail with this text, once it is there; AssertionError if it is not within 15 s."""

        def look() -> list[StoredMail]:
            return [mail for mail in self.maildir_messages(account, folder) if text.encode() in mail.raw]

        (mail,) = until(look)
        return mail

    def put_mail(self, account: Account, raw: bytes, folder: str = "INBOX") -> str:
        """Delivers a mail past the servers, byte for byte; gives its `StoredMail.name`."""
        maildir = self.maildir(account, folder)
        make_maildir(maildir)
        name = f"{time.time():.6f}.{uuid.uuid4().hex}"
        draft = maildir / "tmp" / name
        draft.write_bytes(raw)
        shutil.chown(draft, "mail", "mail")
        draft.rename(maildir / "new" / name)
        return name

    def maildir(self, account: Account, folder: str = "INBOX") -> Path:
        """Where a folder lies on the disk."""
        inbox = self.directory / "mail" / account.local_part / "Maildir"
        return inbox if folder == "INBOX" else inbox / f".{folder}"

    def logs(self) -> str:
        """The end of each server's log."""
        logs = sorted([*self.directory.glob("*.log"), *self.relay_config.glob("*.log")])
        return "\n".join(
            f"--- {log.relative_to(self.directory)}\n{log.read_text('utf-8', 'replace')[-5000:]}" for log in logs
        )

    def environment(self) -> dict[str, str]:
        """The servers as variables, for definitions to read as ${env:MAILTRIP_REAL_…}."""
        values = {"HOST": self.host, "CA": str(self.ca), "PASSWORD": self.probe.password}
        values |= {"DNS": self.dns, "RELAY_CONFIG": str(self.relay_config)}
        values |= {f"{name.upper()}_PORT": str(port) for name, port in asdict(self.ports).items()}
        values |= {f"PASSWORD_{one.local_part.upper()}": one.password for one in (*self.users, self.odd, self.watch)}
        return {f"MAILTRIP_REAL_{name}": value for name, value in values.items()}


def until(look: Callable[[], T], within_s: float = 15) -> T:
    """What `look` gives, once that is true; AssertionError if it is not in time."""
    give_up_at = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < give_up_at, f"did not come within {within_s} s"
        time.sleep(0.01)
    return found


def make_directory(path: Path, owner: str) -> None:
    """A directory that everybody may search, whatever the umask; one that stands already is left in place."""
    path.mkdir(exist_ok=True)
    path.chmod(0o755)
    shutil.chown(path, owner, owner)


def make_maildir(maildir: Path) -> None:
    """An empty folder, owned by who Dovecot is when it reads mail."""
    for path in (maildir, maildir / "cur", maildir / "new", maildir / "tmp"):
        make_directory(path, "mail")


def _stored(path: Path) -> StoredMail:
    name, _, flags = path.name.partition(":2,")
    # Behind a comma in the name Dovecot keeps sizes.
    return StoredMail(name.partition(",")[0], flags, path.parent.name == "new", path.read_bytes())
