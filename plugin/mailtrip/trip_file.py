"""Trip files and their items: what pytest collects, selects and runs."""

from __future__ import annotations

import os
import types
import warnings
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from _pytest._code.code import ReprEntryNative, ReprExceptionInfo, ReprFileLocation, ReprTraceback

from mailtrip import MailtripWarning
from mailtrip.embedded import fault_mistake
from mailtrip.lasting import lasting
from mailtrip.locations import located, location_of
from mailtrip.sensor_tags import with_sensor_tags
from mailtrip.stash import BROKEN_FILES, RUNNER
from mailtrip_checks.definitions import Context, DefinitionError, Definitions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailtrip_checks.trips import Trip
    from mailtrip_reports.record import Record

_DEFINITIONS = pytest.StashKey[Definitions]()
_OUR_TAGS = pytest.StashKey[set[str]]()
_OUR_PROPERTIES = "mailtrip."


class TripFailed(Exception):
    """The trip did not go as expected; the record says all."""

    def __init__(self, record: Record) -> None:
        super().__init__(record.id)
        self.record = record


class TripFile(pytest.Module):
    """A `*.trip.yaml` file. A Module, because module-scoped fixtures error under a plain File."""

    @classmethod
    def from_parent(cls, parent: pytest.Collector, **kw: Any) -> TripFile:
        file: TripFile = super().from_parent(parent, **kw)  # pyright: ignore[reportUnknownMemberType]
        file.obj = types.ModuleType(file.path.name)
        return file

    def collect(self) -> Iterator[TripItem]:
        try:
            with lasting():
                trips = definitions(self.config).trips(self.path)
        except DefinitionError as error:
            self.config.stash[BROKEN_FILES] = self.config.stash.get(BROKEN_FILES, 0) + 1
            raise self.CollectError(str(error)) from None
        if self.config.option.mailtrip_sensor_tags:
            trips = tuple(map(with_sensor_tags, trips))
        wants = None
        location = location_of(self.config)
        for trip in trips:
            name = located(trip.id, location)
            # pytest's from_parent takes whatever the class takes.
            item = TripItem.from_parent(self, name=name, callobj=_call, trip=trip, fixtureinfo=wants)  # pyright: ignore[reportUnknownMemberType]
            # All trips of a file want the same fixtures; pytest would look for them anew at each.
            wants = item._fixtureinfo  # pyright: ignore[reportPrivateUsage]
            yield item


def _call() -> NoReturn:
    """What pytest sees of a trip: a function. `TripItem.runtest` is run in its place."""
    raise NotImplementedError


class TripItem(pytest.Function):
    """One round trip as a test item."""

    def __init__(self, *, trip: Trip, **kw: Any) -> None:
        super().__init__(**kw)  # pyright: ignore[reportUnknownMemberType]
        self.trip = trip
        self.record: Record | None = None
        for tag in trip.tags:
            self.add_marker(_mark(self.config, tag))
        if trip.skip is not None:
            self.add_marker(pytest.mark.skip(reason=trip.skip))
        if trip.xfail is not None:
            self.add_marker(pytest.mark.xfail(reason=trip.xfail))

    @property
    def starts_early(self) -> bool:
        """Whether it will run for all that can be known now; marks that decide later start it at its own turn."""
        return not any(
            mark.name in ("skip", "skipif") or (mark.name == "xfail" and mark.kwargs.get("run") is False)
            for mark in self.iter_markers()
        )

    def setup(self) -> None:
        super().setup()
        if RUNNER not in self.config.stash:
            # Not as an argument of the item: pytest would look for it, and for what it wants, at each of thousands.
            self._request.getfixturevalue("_mailtrip_runner")

    def runtest(self) -> None:
        record = self.record = self.config.stash[RUNNER].record_of(self)
        from mailtrip_checks.ends import End
        from mailtrip_reports.junit import properties
        from mailtrip_reports.story import STORY_SECTION, TRANSCRIPT_SECTION, passed_text, transcript_text

        others = [named for named in self.user_properties if not named[0].startswith(_OUR_PROPERTIES)]
        # Assigned, not appended: a rerun must not repeat what the run before it left.
        self.user_properties[:] = others + properties(record)
        if record.end is End.SKIPPED:
            pytest.skip(record.what)
        if record.passed and record.transcript:  # what failed tells its story anyway
            self.add_report_section("call", STORY_SECTION, passed_text(record))
        if record.transcript:
            self.add_report_section("call", TRANSCRIPT_SECTION, transcript_text(record))
        for warning in record.warnings:
            # With a line number pytest would quote that line of the file, and a password that may stand in it.
            warnings.warn_explicit(MailtripWarning(f"{self.name}: {warning}"), None, str(self.path), lineno=0)
        if not record.passed:
            raise TripFailed(record)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:  # type: ignore[override]
        if isinstance(excinfo.value, TripFailed):
            return _told(self, excinfo.value.record)
        if isinstance(excinfo.value, MailtripWarning):
            return f"{excinfo.value} (a warning, which filterwarnings makes an error here)"
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        line = self.trip.line
        return self.path, line - 1, f"{self.path.name}:{line} {self.name}"


def _told(item: TripItem, record: Record) -> ReprExceptionInfo:
    """The whole story, with the cause alone for pytest's summary and JUnit's message; it can travel from a worker."""
    from mailtrip_reports.story import cause, failure_text

    story = ReprTraceback([ReprEntryNative([failure_text(record), "\n"])], None, "native")
    return ReprExceptionInfo(
        reprtraceback=story, reprcrash=ReprFileLocation(str(item.path), item.trip.line, cause(record))
    )


def definitions(config: pytest.Config) -> Definitions:
    """The definitions of this run, which read each shared file once."""
    if _DEFINITIONS not in config.stash:
        context = Context(
            environment=config.option.mailtrip_env or config.getini("mailtrip_env") or None,
            variables=_variables(config),
            environ=dict(os.environ),
            root=config.rootpath,
            reserved_tags=frozenset(_registered_marks(config)),
            fault_mistake=fault_mistake,
        )
        config.stash[_DEFINITIONS] = Definitions(context)
    return config.stash[_DEFINITIONS]


def _variables(config: pytest.Config) -> dict[str, str]:
    variables: dict[str, str] = {}
    for more in reversed(config.hook.pytest_mailtrip_variables(config=config)):
        variables |= more
    for given in config.option.mailtrip_var:
        name, _, value = given.partition("=")
        variables[name] = value
    return variables


def _registered_marks(config: pytest.Config) -> set[str]:
    lines: list[str] = config.getini("markers")
    return {line.split(":")[0].split("(")[0].strip() for line in lines}


def _mark(config: pytest.Config, tag: str) -> pytest.MarkDecorator:
    ours = config.stash.setdefault(_OUR_TAGS, set())
    if tag not in ours:
        config.addinivalue_line("markers", f"{tag}: a tag of mail round trips")
        ours.add(tag)
    mark: pytest.MarkDecorator = getattr(pytest.mark, tag)
    return mark
