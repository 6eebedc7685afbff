"""What a user installs."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("mailtrip", "mailtrip_checks", "mailtrip_fixtures", "mailtrip_reports")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_it_holds_the_four_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_typed(wheel: zipfile.ZipFile, package: str) -> None:
    assert f"{package}/py.typed" in wheel.namelist()


def test_the_command_the_plugin_and_the_fixtures_are_found(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    told = wheel.read(name).decode()
    assert "[console_scripts]\nmailtrip = mailtrip.__main__:main\n" in told
    assert "[pytest11]" in told
    assert "mailtrip = mailtrip.plugin" in told
    assert "mailtrip_fixtures = mailtrip_fixtures.fixtures" in told


def test_no_module_is_left_out(wheel: zipfile.ZipFile) -> None:
    roots = (ROOT / folder for folder in ("plugin", "checks", "fixtures", "reports"))
    modules = {str(path.relative_to(root)) for root in roots for path in root.rglob("*.py")}
    assert modules <= set(wheel.namelist())
