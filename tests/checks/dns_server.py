"""A DNS server on loopback that knows only what it is told."""

import socket
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

SILENT = "silent"  # no answer at all

Zone = Mapping[str, str]
"""What it answers, by `name TYPE`: records, separated by commas; the name of an error, such as SERVFAIL; or SILENT.

A CNAME answers for all types. A name of which it knows another type has no such record; any other does not exist.
"""


@dataclass
class DnsServer:
    """Where it listens, and what it was asked: `name TYPE`."""

    port: int
    asked: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextmanager
def dns_server(zone: Zone) -> Generator[DnsServer]:
    """Answers over UDP until the context is left."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        server = DnsServer(sock.getsockname()[1])
        thread = threading.Thread(target=_serve, args=(sock, zone, server), name="dns server")
        thread.start()
        try:
            yield server
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stop:
                stop.sendto(b"", sock.getsockname())
            thread.join()


def _serve(sock: socket.socket, zone: Zone, server: DnsServer) -> None:
    while True:
        data, client = sock.recvfrom(4096)
        if not data:
            return
        question = dns.message.from_wire(data)
        name, kind = question.question[0].name, question.question[0].rdtype
        server.asked.append(f"{name.to_text(omit_final_dot=True)} {dns.rdatatype.to_text(kind)}")
        reply = _answer(question, name, kind, zone)
        if reply is not None:
            sock.sendto(reply.to_wire(), client)


def _answer(
    question: dns.message.Message, name: dns.name.Name, kind: dns.rdatatype.RdataType, zone: Zone
) -> dns.message.Message | None:
    reply = dns.message.make_response(question, recursion_available=True)
    while alias := zone.get(f"{name.to_text(omit_final_dot=True)} CNAME"):
        reply.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", f"{alias}."))
        name = dns.name.from_text(alias)
    known = name.to_text(omit_final_dot=True)
    found = zone.get(f"{known} {dns.rdatatype.to_text(kind)}")
    if found == SILENT:
        return None
    if found is None:
        if not any(key.partition(" ")[0] == known for key in zone):
            reply.set_rcode(dns.rcode.NXDOMAIN)
    elif found.isupper():
        reply.set_rcode(dns.rcode.from_text(found))
    else:
        records = [record.strip() for record in found.split(",")]
        reply.answer.append(dns.rrset.from_text_list(name, 60, "IN", dns.rdatatype.to_text(kind), records))
    return reply
