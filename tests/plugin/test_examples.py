"""What people copy runs as it stands."""

import shutil
from pathlib import Path

import pytest

from mailtrip_checks.definitions import Context, Definitions
from tests.plugin.conftest import ALONE

ROOT = Path(__file__).parents[2]


def test_every_example_passes_on_the_in_process_servers(pytester: pytest.Pytester) -> None:
    examples = pytester.path / "examples"
    shutil.copytree(ROOT / "examples", examples)
    result = pytester.runpytest_inprocess(*ALONE, "examples", "-c", "examples/pytest.ini")
    outcomes = result.parseoutcomes()
    assert outcomes.keys() <= {"passed", "warning", "warnings"}
    assert outcomes["passed"] >= len(list(examples.glob("*.trip.yaml")))


def test_the_readmes_first_example_is_read(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    example = readme.partition("```yaml\n")[2].partition("```")[0]
    assert example.startswith("# inbox.trip.yaml\n")
    (tmp_path / "inbox.trip.yaml").write_text(example)
    definitions = Definitions(Context(None, {}, {"PROBE_PASSWORD": "x"}, tmp_path))
    assert [trip.id for trip in definitions.trips(tmp_path / "inbox.trip.yaml")] == ["inbox"]
    assert len(example.splitlines()) <= 10
