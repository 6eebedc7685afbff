"""What the plugin takes for an item whose trip costs nothing: collection, waiting, judgement, record, report."""

from functools import partial
from statistics import median

from benchmarks.candidates.probe import PROBE, read_probe
from benchmarks.ground import EMPTY, OURS
from benchmarks.harness import Chart, Figure, Measured, Size, at_most, folder, interleaved, pytest_command, run
from benchmarks.work import Definition, Work, mailboxes

FREE = ("-p", "benchmarks.candidates.free_trips")


def measure(size: Size) -> Measured:
    """CPU and memory an item, as the slope between few and many items."""
    few, many = size.of(200, 10), size.of(5000, 60)
    runs = interleaved(
        size.rounds * 3,
        {f"{name}, {items} items": partial(_cost, name, items) for items in (few, many) for name in ("empty", "ours")},
    )

    def each(name: str, what: int) -> list[float]:
        pairs = zip(runs[f"{name}, {many} items"], runs[f"{name}, {few} items"], strict=True)
        return [(a[what] - b[what]) / (many - few) for a, b in pairs]

    def beyond(what: int) -> list[float]:
        return [a - b for a, b in zip(each("ours", what), each("empty", what), strict=True)]

    pytests_own = each("empty", 0)
    figures = [
        Figure("CPU an empty custom item takes of pytest", "ms", pytests_own),
        Figure("CPU an item takes of the plugin beyond that", "ms", beyond(0), at_most(0.3)),
        Figure("memory an item takes of the plugin beyond pytest's", "KB", beyond(1), at_most(15)),
    ]
    bars = {"the plugin beyond pytest": median(beyond(0)), "pytest alone": median(pytests_own)}
    return Measured(figures, [Chart("item", "CPU an item", "ms", bars)])


def _cost(name: str, items: int) -> tuple[float, float]:
    """Milliseconds of CPU and KB of memory of a whole run."""
    work = Work(smtp=1, imap=1, pop3=1, addresses=mailboxes(20), trips=items)  # nobody connects
    with folder() as place:
        work.save(place)
        files = Definition().save(place, work)
        chosen = EMPTY if name == "empty" else (*OURS, *FREE, *files)
        ran = run(pytest_command("-p", PROBE, *chosen), place)
        probed = read_probe(place)
        assert probed is not None
        return 1000 * ran.cpu_s, 1024 * probed.peak_mb
