"""mailtrip.yaml is to trip files what conftest.py is to tests; the nearest wins, an environment beats all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailtrip_checks.definitions import Context, DefinitionError, Definitions
from mailtrip_checks.trips import Channel, Endpoint, Limit, Security

if TYPE_CHECKING:
    from tests.checks.definitions.conftest import Folder

TRIP = "trips: {a: {send: {via: out, from: a@x, to: b@x}}}"


def via(folder: Folder, *, text: str = TRIP, environment: str | None = None) -> Endpoint:
    trip = folder.one(text, name="mid/near/a.trip.yaml", environment=environment)
    assert trip.send
    return trip.send.via


def test_servers_and_defaults_hold_for_every_file_below(folder: Folder) -> None:
    folder.write("mailtrip.yaml", "servers: {out: smtp://far}\ndefaults: {timeout: 7s}")
    trip = folder.one(TRIP, name="mid/near/a.trip.yaml")
    assert trip.send
    assert (trip.send.via.host, trip.timeout_s) == ("far", 7)


def test_the_nearest_wins_key_by_key(folder: Folder) -> None:
    folder.write("mailtrip.yaml", "servers: {out: {host: far, port: 26, rate: 1/s, connections: {host: 9, user: 3}}}")
    folder.write("mid/mailtrip.yaml", "servers: {out: {host: mid, family: ipv4}}")
    folder.write("mid/near/mailtrip.yaml", "servers: {out: {connections: {user: 1}}}")
    endpoint = via(folder)
    assert (endpoint.host, endpoint.port, endpoint.family, endpoint.rate_per_s) == ("mid", 26, "ipv4", 1)
    assert (endpoint.connections_per_host, endpoint.connections_per_user) == (9, 1)


def test_a_url_decides_all_that_it_says_and_leaves_the_rest(folder: Folder) -> None:
    folder.write(
        "mailtrip.yaml", "servers: {out: {host: far, port: 465, security: tls, user: u, password: p, rate: 1/s}}"
    )
    endpoint = via(folder, text=f"servers: {{out: smtp://near}}\n{TRIP}")
    assert (endpoint.host, endpoint.port, endpoint.security) == ("near", 25, Security.STARTTLS)
    assert (endpoint.user, endpoint.rate_per_s) == ("u", 1)


def test_a_mapping_changes_one_key_of_a_url(folder: Folder) -> None:
    folder.write("mailtrip.yaml", "servers: {out: 'smtps://u:p@far'}")
    endpoint = via(folder, text=f"servers: {{out: {{host: near}}}}\n{TRIP}")
    assert (endpoint.host, endpoint.port, endpoint.user) == ("near", 465, "u")


def test_a_trip_starts_from_the_defaults_and_null_lifts_them(folder: Folder) -> None:
    folder.write("mailtrip.yaml", "defaults: {tags: [far], skip: why, send: {from: far@x, headers: {X-A: a, X-B: b}}}")
    one, two = folder.read(
        """\
defaults:
  tags: [near, far]
  send: {via: embedded, to: b@x, text: t}
  receive: {at: embedded}
  expect: {total: {warn: 1s, fail: 5s}}
trips:
  one: {tags: [own]}
  two: {skip: null, receive: null, send: {text: null, headers: {X-B: c}}, expect: {total: null, smtp: 1s}}
"""
    )
    assert one.send
    assert two.send
    assert one.tags == ("far", "near", "own")
    assert (one.send.sender, one.send.text, one.skip) == ("far@x", "t", "why")
    assert one.expect.limits == (Limit(Channel.TOTAL, 1, 5),)
    assert two.tags == ("far", "near")
    assert (two.skip, two.receive, two.send.text) == (None, None, None)
    assert dict(two.send.headers) == {"X-A": "a", "X-B": "c"}
    assert two.expect.limits == (Limit(Channel.SMTP, None, 1),)


def test_a_chosen_environment_beats_plain_servers_and_defaults_at_any_distance(folder: Folder) -> None:
    folder.write(
        "mailtrip.yaml",
        "environments: {new: {servers: {out: {host: new}}, defaults: {timeout: 1s, priority: 1}}, old: {}}",
    )
    folder.write("mid/mailtrip.yaml", "environments: {new: {defaults: {priority: 2}}}")
    text = f"servers: {{out: smtp://plain:26}}\ndefaults: {{timeout: 2s, priority: 5}}\n{TRIP}"
    trip = folder.one(text, name="mid/near/a.trip.yaml", environment="new")
    assert trip.send
    assert (trip.send.via.host, trip.send.via.port) == ("new", 26)
    assert (trip.timeout_s, trip.priority, trip.environment) == (1, 2, "new")
    assert via(folder, text=text).host == "plain"
    assert via(folder, text=text, environment="old").host == "plain"


def test_an_environment_that_nobody_defines_is_a_mistake(folder: Folder) -> None:
    folder.write("mailtrip.yaml", "servers: {out: smtp://h}\nenvironments: {new: {}, old: {}}")
    assert folder.complaint(TRIP, environment="nwe") == (
        "a.trip.yaml:1:1: environments: nobody defines the environment `nwe` that was chosen for this file; "
        "did you mean `new`?"
    )
    assert folder.complaint(TRIP, environment="zzz").endswith("this file; there is new, old")


def test_nothing_above_the_root_is_read(folder: Folder) -> None:
    folder.write("mailtrip.yaml", "servers: {out: smtp://far}")
    path = folder.write("root/a.trip.yaml", TRIP)
    with pytest.raises(DefinitionError, match="`out` is no server; there is embedded"):
        Definitions(Context(None, {}, {}, folder.root / "root")).trips(path)


def test_outside_the_root_only_the_own_folder_counts(folder: Folder) -> None:
    folder.write("mailtrip.yaml", "defaults: {timeout: 1s}")
    folder.write("other/mailtrip.yaml", "servers: {out: smtp://near}")
    path = folder.write("other/a.trip.yaml", TRIP)
    (trip,) = Definitions(Context(None, {}, {}, folder.root / "root")).trips(path)
    assert trip.timeout_s == 300
    assert trip.send
    assert trip.send.via.host == "near"


def test_a_mistake_in_a_shared_file_is_told_with_its_own_place(folder: Folder) -> None:
    folder.write("mailtrip.yaml", "servers:\n  out: {hots: h}\ntrips: {}\n")
    shown = [str(mistake).removeprefix(f"{folder.root}/") for mistake in folder.mistakes(TRIP, name="sub/a.trip.yaml")]
    assert shown == [
        "mailtrip.yaml:2:8: servers.out: has no host; write `host: mail.example.com`",
        "mailtrip.yaml:2:9: servers.out.hots: is no key that there is; did you mean `host`?",
        "mailtrip.yaml:3:1: trips: trips belong into a *.trip.yaml file; move them there",
    ]


def test_what_an_unreadable_shared_file_lacks_is_no_further_mistake(folder: Folder) -> None:
    folder.write("mailtrip.yaml", "servers: [")
    assert folder.complaint(TRIP).startswith("mailtrip.yaml:2:1: is not valid YAML: a value is missing here")


def test_a_shared_file_of_a_wrong_name_is_told(folder: Folder) -> None:
    folder.write("mailtrip.yml", "servers: {out: smtp://h}")
    assert folder.complaint(TRIP) == "mailtrip.yml:1:1: is never read; name it mailtrip.yaml"


def test_a_shared_file_is_read_once(folder: Folder) -> None:
    shared = folder.write("mailtrip.yaml", "servers: {out: smtp://h}")
    first, second = folder.write("a.trip.yaml", TRIP), folder.write("b.trip.yaml", TRIP)
    definitions = Definitions(Context(None, {}, {}, folder.root))
    definitions.trips(first)
    shared.unlink()
    assert definitions.trips(second)[0].path == second
