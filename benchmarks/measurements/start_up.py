"""What it costs to have the plugin installed where no trip file is."""

from functools import partial

from benchmarks.harness import Figure, Measured, Size, at_most, folder, interleaved, pytest_command, run

LOADED = ("-p", "mailtrip", "-p", "mailtrip_fixtures")


def measure(size: Size) -> Measured:
    """Milliseconds added to a run of pytest with one test."""
    rounds = size.of(21, 1)
    runs = interleaved(rounds, {"without": partial(_start, ()), "with": partial(_start, LOADED)})

    def added(what: int) -> list[float]:
        return [1000 * (a[what] - b[what]) for a, b in zip(runs["with"], runs["without"], strict=True)]

    return Measured(
        [
            Figure("added to pytest's start: wall", "ms", added(0), at_most(20), f"median of {rounds} pairs"),
            Figure("added to pytest's start: CPU", "ms", added(1), note=f"median of {rounds} pairs"),
        ]
    )


def _start(plugins: tuple[str, ...]) -> tuple[float, float]:
    with folder() as place:
        (place / "test_one.py").write_text("def test_one(): pass\n")
        ran = run(pytest_command(*plugins, "test_one.py"), place)
        return ran.wall_s, ran.cpu_s
