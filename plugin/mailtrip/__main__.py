"""The command `mailtrip`, also as `python -m mailtrip`."""

import sys
from collections.abc import Sequence

_USAGE = """\
usage: mailtrip serve [options]

  serve    run SMTP, IMAP and POP3 servers for tests of your own; see `mailtrip serve --help`

Trips are run by pytest: `pytest inbox.trip.yaml`.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names, and return its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    match given:
        case ["serve", *rest]:
            from mailtrip_fixtures.serve import serve  # here, because the others should not pay for it

            return serve(rest)
        case ["-h" | "--help"]:
            sys.stdout.write(_USAGE)
            return 0
        case _:
            said = " ".join(given) or "nothing"
            sys.stderr.write(f"mailtrip: error: expected `serve`, got {said!r}; see `mailtrip --help`\n")
            return 2


if __name__ == "__main__":
    sys.exit(main())
