"""Against ws.mailcheck, which runs one mailbox a process and looks once a second."""

import subprocess
import sys
from pathlib import Path
from statistics import median

from benchmarks.ground import Ground, ground, prove
from benchmarks.harness import ROOT, Chart, Figure, Measured, Ran, Size, at_least, folder, interleaved, ratios, run, say
from benchmarks.work import PASSWORD, Definition

PACKAGE = "ws.mailcheck==1.0.5"
AT_ONCE = 32
_CONFIGURATION = f"""\
[default]
smtp_host = 127.0.0.1:{{work.smtp}}
smtp_ssl = none
imap_host = 127.0.0.1:{{work.imap}}
imap_ssl = none
imap_username = {{address}}
imap_password = {PASSWORD}
recipient = {{address}}
poll_interval = 1
"""
OURS, THEIRS = "pytest-mailtrip", "mail-check-roundtrip"


def measure(size: Size) -> Measured:
    """Wall time and CPU for a trip into each of 100 mailboxes."""
    boxes = size.of(100, 4)
    program = _program()
    if isinstance(program, str):
        return Measured([Figure(f"{boxes} mailboxes: wall of {THEIRS} / ours", "×", (), at_least(10), program)])
    with ground(boxes, boxes) as here:
        runs = interleaved(
            size.rounds * 3,
            {OURS: lambda: here.ours(Definition()).ran, THEIRS: lambda: _theirs(here, program)},
        )
    walls = {name: [ran.wall_s for ran in each] for name, each in runs.items()}
    cpus = {name: [ran.cpu_s for ran in each] for name, each in runs.items()}
    faster, cheaper = (ratios(costs[THEIRS], costs[OURS]) for costs in (walls, cpus))
    note = f"{AT_ONCE} of their processes at once"
    return Measured(
        [
            Figure(f"{boxes} mailboxes: wall of {THEIRS} / ours", "×", faster, at_least(10), note),
            Figure(f"{boxes} mailboxes: CPU of {THEIRS} / ours", "×", cheaper, at_least(20), note),
        ],
        [
            Chart("mailcheck-wall", f"{boxes} mailboxes: wall time", "s", {k: median(v) for k, v in walls.items()}),
            Chart("mailcheck-cpu", f"{boxes} mailboxes: CPU", "s", {k: median(v) for k, v in cpus.items()}),
        ],
    )


def _program() -> Path | str:
    """Their program, installed where nothing else is; else why it could not be."""
    venv = ROOT / "build" / "benchmarks" / "ws.mailcheck"
    program = venv / "bin" / THEIRS
    if not program.exists():
        say(f"  installing {PACKAGE}")
        for command in ([sys.executable, "-m", "venv", str(venv)], [str(venv / "bin/pip"), "install", "-q", PACKAGE]):
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode:
                return f"{PACKAGE} could not be installed: {(done.stderr.strip().splitlines() or ['?'])[-1]}"
    return program


def _theirs(here: Ground, program: Path) -> Ran:
    """A process for each mailbox, some at once: a second of each is spent asleep."""
    with folder() as place:
        for number, address in enumerate(here.work.addresses):
            (place / f"{number}.cfg").write_text(_CONFIGURATION.format(work=here.work, address=address))
        (place / "list").write_text("\n".join(f"{number}.cfg" for number in range(here.work.trips)))
        mark = here.served.mark()
        ran = run(["xargs", "-a", "list", "-P", str(AT_ONCE), "-n", "1", str(program)], place)
    prove(here.served.events(mark), here.work.trips, THEIRS)
    return ran
