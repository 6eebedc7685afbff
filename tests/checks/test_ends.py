"""Each end has AlertSite's number and says what to look at."""

import pytest

from mailtrip_checks import errors
from mailtrip_checks.ends import ALERTSITE_MEANINGS, End, Leg, alertsite_number, hint

GOOD = {End.DELIVERED, End.ACCEPTED, End.CONNECTED}
SILENT = {End.SKIPPED, End.CANCELLED}


@pytest.mark.parametrize(
    ("number", "ends"),
    [
        (0, "delivered accepted connected"),
        (2, "late lost timed-out login-failed"),
        (3, "rejected deferred refused undeleted tls-failed protocol-error"),
        (51, "unresolved"),
        (None, "skipped cancelled"),
    ],
)
@pytest.mark.parametrize("leg", [*Leg, None])
def test_an_end_has_one_number_on_every_leg(number: int | None, ends: str, leg: Leg | None) -> None:
    assert {alertsite_number(End(end), leg) for end in ends.split()} == {number}


def test_only_an_unreachable_servers_number_tells_the_leg() -> None:
    assert [alertsite_number(End.UNREACHABLE, leg) for leg in (Leg.SMTP, Leg.MAILBOX, Leg.TRANSIT, None)] == [
        6,
        1,
        1,
        1,
    ]
    assert hint(End.UNREACHABLE, Leg.SMTP) != hint(End.UNREACHABLE, Leg.MAILBOX) == hint(End.UNREACHABLE, None)


@pytest.mark.parametrize("end", End)
def test_every_number_has_a_meaning_and_every_bad_end_a_hint(end: End) -> None:
    for leg in (*Leg, None):
        number = alertsite_number(end, leg)
        assert (number is None) == (end in SILENT)
        assert number is None or number in ALERTSITE_MEANINGS
        assert bool(hint(end, leg)) == (end not in GOOD and end is not End.SKIPPED)


def test_every_error_of_a_trip_is_an_end_of_its_own() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.TripError)]
    # For a person it is a login that failed, or a refusal; for the gates it is another thing.
    ends = [kind.end for kind in kinds if kind not in (errors.TripError, errors.TokenFailed, errors.Busy)]
    assert sorted(ends) == sorted(set(End) - GOOD - {End.LATE})


def test_errors_are_those_of_python_too() -> None:
    assert issubclass(errors.Unresolved, OSError)
    assert issubclass(errors.Unreachable, ConnectionError)
    assert issubclass(errors.TimedOut, TimeoutError)


def test_who_closed_at_once_did_answer() -> None:
    error = errors.closed_at_once("mail.example.com:25")
    assert error.what == "mail.example.com:25 closed the connection before a greeting"
    assert "took the connection and closed it at once" in error.advice
    assert "Nobody answers" not in error.advice
