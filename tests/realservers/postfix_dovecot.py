"""Starts Postfix and Dovecot on loopback, in one private directory, and leaves no trace of them.

The configuration lies in etc/ beside this file; that in /etc is not used, nor a service manager.
"""

import base64
import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from string import Template

import trustme

from tests.checks.dns_server import dns_server
from tests.realservers.servers import (
    DOMAIN,
    NARROW,
    NARROW_HOST,
    WATCH_DOMAIN,
    Account,
    Ports,
    RealServers,
    SpecialAddresses,
    make_directory,
    make_maildir,
)

ETC = Path(__file__).parent / "etc"
NEEDED = {  # Debian's packages, and a file by which each is known
    "postfix": "/usr/lib/postfix/sbin/master",
    "dovecot-imapd": "/usr/lib/dovecot/imap-login",
    "dovecot-pop3d": "/usr/lib/dovecot/pop3-login",
    "dovecot-lmtpd": "/usr/lib/dovecot/lmtp",
}
QUEUES = (
    "incoming",
    "active",
    "deferred",
    "bounce",
    "defer",
    "trace",
    "hold",
    "corrupt",
    "maildrop",
    "private",
    "public",
)
IMPLICIT_TLS = ("smtps", "imaps", "pop3s")
START_WITHIN_S = 20.0
ZONE = {f"{DOMAIN} MX": "10 localhost.", "localhost A": "127.0.0.1"}

# stdin ends when the process that started us does, however that ends. The servers share a process group: one signal,
# which none of them can delay, ends them all. Nothing in the directory outlives them, so none needs a gentle end.
GUARD = """
setsid /bin/sh -c '
    dovecot -F -c "$1/dovecot.conf" </dev/null &
    /usr/lib/postfix/sbin/master -d -c "$1" </dev/null &
    /usr/lib/postfix/sbin/master -d -c "$1/relay" </dev/null &
    read -r _
    kill -KILL 0' servers "$1"
rm -rf "$1"
"""


class ConfigTemplate(Template):
    """Values stand as `@name`: the servers use `$name` and `%name` themselves."""

    delimiter = "@"


def unavailable() -> str | None:
    """Why the servers cannot run here, with what to do about it; None where they can."""
    if os.geteuid() != 0:
        return "Postfix and Dovecot must be started by root: run the tests as root, in a container for example"
    if missing := [package for package, path in NEEDED.items() if not Path(path).exists()]:
        return f"not installed: apt-get install --no-install-recommends {' '.join(missing)}"
    return None


@contextlib.contextmanager
def running_servers() -> Generator[RealServers]:
    """Both servers, up in half a second; they end with the context, or with this process however it ends.

    Raises RuntimeError, with their logs, when they do not answer within START_WITHIN_S.
    """
    addresses = _loopback_addresses()
    # Not where TMPDIR says: paths of sockets in it must stay short, and the servers' users must be able to go there.
    directory = Path(tempfile.mkdtemp(prefix="mailtrip-", dir="/tmp"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        servers = RealServers(
            host="localhost",
            ports=stack.enter_context(_claimed_ports(addresses)),
            ca=directory / "ca.pem",
            users=tuple(Account(f"u{n:04}@{DOMAIN}", f"pw-{n:04}") for n in range(20)),
            probe=Account(f"probe@{DOMAIN}", "pw-probe"),
            odd=Account(f"odd@{DOMAIN}", """{PLAIN} "Grüße's" \\ 100%u !* : {}"""),
            watch=Account(f"collector@{WATCH_DOMAIN}", "pw-collector"),
            odd_folder='Büro "A" & Co',
            special=SpecialAddresses(),
            directory=directory,
            dns=stack.enter_context(dns_server(ZONE)).address,
        )
        _configure(servers, addresses)
        stack.enter_context(_guarded(directory))
        _wait_until_ready(servers)
        yield servers


def _configure(servers: RealServers, addresses: Sequence[str]) -> None:
    """Writes all that the servers read, and the directories that they expect to find."""
    directory = servers.directory
    directory.chmod(0o755)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(servers.ca)
    certificate = authority.issue_cert(servers.host, "127.0.0.1", "::1")
    certificate.private_key_and_cert_chain_pem.write_to_path(directory / "server.pem")

    values = asdict(servers.ports) | {"dir": directory, "listen": ", ".join(addresses)}
    values |= {"narrow_host": NARROW_HOST, "narrow": NARROW}
    for name in ("master.cf", "dovecot.conf", "transport"):
        _write(directory / name, ConfigTemplate((ETC / name).read_text("utf-8")).substitute(values))
    for name in ("main.cf", "aliases", "access", "answer.py"):
        _write(directory / name, (ETC / name).read_text("utf-8"))
    make_directory(servers.relay_config, "root")
    for name in ("main.cf", "master.cf"):
        template = ConfigTemplate((ETC / f"relay-{name}").read_text("utf-8"))
        _write(servers.relay_config / name, template.substitute(values))

    accounts = (*servers.users, servers.probe, servers.odd, servers.watch)
    special = servers.special
    # Postfix knows more recipients than Dovecot: `bounce` is one that it learns too late not to exist.
    known = [one.address for one in accounts] + [special.bounce, special.blackhole, special.defer, special.answer]
    _write(directory / "mailboxes", "".join(f"{address} exists\n" for address in known))
    _write(directory / "users", "".join(f"{one.address}:{_passdb(one.password)}\n" for one in accounts))

    make_directory(directory / "mail", "mail")
    for config in (directory, servers.relay_config):
        for path, owner in (("data", "postfix"), ("queue", "root"), ("queue/pid", "root")):
            make_directory(config / path, owner)
        for name in QUEUES:
            make_directory(config / "queue" / name, "postfix")
    for account in accounts:
        make_directory(servers.maildir(account).parent, "mail")
        make_maildir(servers.maildir(account))
    make_maildir(servers.maildir(servers.probe, servers.odd_folder))


def _passdb(password: str) -> str:
    """A password as Dovecot's passwd-file takes any: a plain one could hold no colon, nor begin with a brace."""
    return "{PLAIN.B64}" + base64.b64encode(password.encode()).decode()


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
    path.chmod(0o644)
    # Postfix waits until a file that it reads is older than a second.
    os.utime(path, (0, 0))


@contextlib.contextmanager
def _guarded(directory: Path) -> Generator[None]:
    with (
        (directory / "output.log").open("wb") as output,
        subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "guard", directory],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            start_new_session=True,  # so Ctrl-C does not reach it
        ),
    ):
        yield  # leaving Popen's context ends the guard's stdin and waits for the guard


def _wait_until_ready(servers: RealServers) -> None:
    give_up_at = time.monotonic() + START_WITHIN_S
    ports = asdict(servers.ports)
    del ports["collector"]
    # By name, so Dovecot first: an smtpd that finds no auth socket yet dies, and Postfix then pauses for a minute.
    for name, port in sorted(ports.items()):
        while trouble := _trouble(name, port):
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"{name} on port {port} does not start: {trouble}\n{servers.logs()}")
            time.sleep(0.01)


def _trouble(name: str, port: int) -> str | None:
    """What is wrong with a port, or None if it answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), START_WITHIN_S) as connection:
            answers = name in IMPLICIT_TLS or connection.recv(1)
    except OSError as error:
        return str(error)
    return None if answers else "closed without a greeting"


def _loopback_addresses() -> tuple[str, ...]:
    with contextlib.suppress(OSError), _bound("::1", 0):
        return "127.0.0.1", "::1"
    return ("127.0.0.1",)


def _bound(address: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        bound.bind((address, port))
    except OSError:
        bound.close()
        raise
    return bound


@contextlib.contextmanager
def _claimed_ports(addresses: Sequence[str]) -> Generator[Ports]:
    """Ports that were free on all addresses, below those that the system gives out itself.

    The port before them stays bound meanwhile, so that of runs at the same time none takes another's.
    """
    size = 1 + len(fields(Ports))
    for first in range(20000, 32000, size):
        ports = range(first + 1, first + size)
        with contextlib.ExitStack() as claim:
            try:
                claim.enter_context(_bound("127.0.0.1", first))
                for address in addresses:
                    for port in ports:
                        _bound(address, port).close()
            except OSError:
                continue
            yield Ports(*ports)
            return
    raise RuntimeError(f"no {size} free ports in a row between 20000 and 32000")
