"""Keys of a trip besides its legs: primary, schedule and maintenance, recheck and repeat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailtrip_checks.trips import Channel

if TYPE_CHECKING:
    from tests.checks.definitions.conftest import Folder

LEGS = "send: {via: embedded, from: a@x.org, to: b@x.org}, receive: {at: embedded}"


def whole(more: str = "", *, defaults: str = "") -> str:
    """A file with one whole trip."""
    above = f"defaults: {{{defaults}}}\n" if defaults else ""
    return f"{above}trips:\n  one: {{{LEGS}{', ' + more if more else ''}}}\n"


def test_total_is_shown_first_unless_another_channel_is_named(folder: Folder) -> None:
    assert folder.one(whole()).primary is Channel.TOTAL
    assert folder.one(whole("primary: responses")).primary is Channel.RESPONSES


def test_an_inherited_primary_may_be_one_that_the_trip_does_not_measure(folder: Folder) -> None:
    text = "defaults: {primary: transit}\ntrips: {one: {receive: {at: embedded, user: b@x.org}}}\n"
    assert folder.one(text).primary is Channel.TRANSIT


@pytest.mark.parametrize(
    ("leg", "channel", "absent"),
    [
        ("send: {via: embedded, from: a@x.org, to: b@x.org}", "transit", "receive"),
        ("receive: {at: embedded, user: b@x.org}", "smtp", "send"),
    ],
)
def test_a_primary_of_ones_own_must_be_measured(folder: Folder, leg: str, channel: str, absent: str) -> None:
    complaint = folder.complaint(f"trips:\n  one:\n    {leg}\n    primary: {channel}\n")
    told = f"`{channel}` is not measured without `{absent}`; name another channel"
    assert complaint == f"a.trip.yaml:4:14: primary: {told}"
