"""The real servers by hand, from the top of the repository; needs root.

python -m tests.realservers up                   until Ctrl-C; prints the variables MAILTRIP_REAL_… as one line of JSON
python -m tests.realservers run -- COMMAND ...   runs COMMAND with these variables; its exit code is the exit code
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from tests.realservers.postfix_dovecot import running_servers, unavailable


def up() -> int:
    """Runs the servers until a signal."""
    stop = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    with running_servers() as servers:
        signal.pthread_sigmask(signal.SIG_BLOCK, stop)
        sys.stdout.write(json.dumps(servers.environment()) + "\n")
        sys.stdout.flush()
        signal.sigwait(stop)
    return 0


def run(command: Sequence[str]) -> int:
    """Runs a command while the servers are up; they stay up until it has ended, also after Ctrl-C or SIGTERM."""
    with running_servers() as servers:
        # The terminal sends Ctrl-C to the command as well; a handler, unlike SIG_IGN, is not inherited by it.
        signal.signal(signal.SIGINT, lambda _number, _frame: None)
        with subprocess.Popen(command, env=os.environ | servers.environment()) as process:
            signal.signal(signal.SIGTERM, lambda _number, _frame: process.terminate())
            code = process.wait()
    return code if code >= 0 else 128 - code


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.realservers", description="Postfix and Dovecot on loopback")
    uses = parser.add_subparsers(dest="use", required=True)
    uses.add_parser("up", help="print the variables as a line of JSON, run until Ctrl-C or SIGTERM")
    uses.add_parser("run", help="run a command with the variables set").add_argument("command", nargs="+")
    arguments = parser.parse_args()
    if reason := unavailable():
        parser.error(reason)
    return up() if arguments.use == "up" else run(arguments.command)


if __name__ == "__main__":
    sys.exit(main())
