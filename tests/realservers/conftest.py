"""Postfix and Dovecot for the tests in this folder; skipped where they cannot run."""

import os
from collections.abc import Generator
from typing import NoReturn

import pytest

from tests.realservers.postfix_dovecot import running_servers, unavailable
from tests.realservers.servers import RealServers


@pytest.fixture(scope="session")
def real_servers() -> Generator[RealServers]:
    """Postfix and Dovecot, shared by all tests: each test brings or chooses its own mailbox.

    Where they cannot run, tests skip; with MAILTRIP_REQUIRE_REAL_SERVERS=1 they fail.
    """
    if reason := unavailable():
        do_without(reason)
    with running_servers() as servers:
        yield servers


def do_without(reason: str) -> NoReturn:
    """Ends a test that cannot have the servers."""
    if os.environ.get("MAILTRIP_REQUIRE_REAL_SERVERS") == "1":
        pytest.fail(f"the real servers must run (MAILTRIP_REQUIRE_REAL_SERVERS=1), but {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows the servers' side of a failure."""
    report = yield
    servers = getattr(item, "funcargs", {}).get("real_servers")
    if report.failed and isinstance(servers, RealServers):
        report.sections.append(("Postfix's and Dovecot's logs", servers.logs()))
    return report
