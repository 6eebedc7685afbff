"""Bare aiosmtpd that stores each mail: prints its port, and how many mails it has when its standard input ends."""

import socket
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

stored: list[Envelope] = []


class Handler:
    """The hook that aiosmtpd calls."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        stored.append(envelope)
        return "250 OK"


def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    controller = Controller(Handler(), hostname="127.0.0.1", port=port)
    controller.start()
    print(port, flush=True)
    sys.stdin.read()
    controller.stop()
    print(len(stored))


if __name__ == "__main__":
    main()
