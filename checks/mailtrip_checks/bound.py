"""How long a run can take at most, so that whoever schedules it knows what to exceed.

No server is asked: it is reckoned from what the definitions allow (docs/definitions.md, "How long a run takes").
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from graphlib import TopologicalSorter

from mailtrip_checks.trips import Endpoint, Protocol, Receive, Trip

# A step that takes longer ends the trip: one that opens the mailbox, two for the last look, one that deletes.
_MAILBOX_STEPS = 4


def bound_s(trips: Sequence[Trip], concurrency: int) -> float:
    """Seconds within which all these trips are done, started together, at most `concurrency` of them at once.

    Where more want something than may have it at once, all the time for which they may hold it, divided by how many
    may, comes on top of what the longest trip takes: a queue is never longer.
    """
    longest_s = max(_ends_s(trips), default=0.0)
    slots_s = _queue_s([_busy_s(trip) for trip in trips], concurrency)
    return longest_s + slots_s + sum(_connections_s(trips)) + sum(_rates_s(trips))


def _ends_s(trips: Sequence[Trip]) -> Iterable[float]:
    """When each is done that starts once those have ended which it needs."""
    places = {trip.key: place for place, trip in enumerate(trips)}
    needs = {place: [places[need] for need in trip.needs if need in places] for place, trip in enumerate(trips)}
    ends_s: dict[int, float] = {}
    for place in TopologicalSorter(needs).static_order():
        trip = trips[place]
        ends_s[place] = _series_s(trip) + trip.spread_s + max((ends_s[need] for need in needs[place]), default=0.0)
    return ends_s.values()


def _run_s(trip: Trip) -> float:
    """One run, with all its tries: both legs, and the mail's way between them."""
    mailbox = _mailbox(trip)
    legs_s = trip.send.timeout_s if trip.send else 0.0
    legs_s += _MAILBOX_STEPS * mailbox.step_timeout_s if mailbox else 0.0
    transit_s = trip.timeout_s if trip.send and trip.receive else 0.0
    return (legs_s + transit_s) * (1 + trip.recheck)


def _mailbox(trip: Trip) -> Receive | None:
    """The mailbox that the trip opens; a mail that comes to us needs none."""
    return None if trip.receive is None or trip.receive.at.protocol is Protocol.LISTEN else trip.receive


def _series_s(trip: Trip) -> float:
    """All runs, from the first one's start to the last one's end."""
    every_s = trip.repeat.every_s or 0.0 if trip.repeat else 0.0
    return (trip.times - 1) * max(every_s, _run_s(trip)) + _run_s(trip)


def _busy_s(trip: Trip) -> float:
    return trip.times * _run_s(trip)


def _sends(trip: Trip) -> int:
    return trip.times * (1 + trip.recheck)


def _queue_s(held_s: Sequence[float], at_once: int) -> float:
    """How long the last waits, of those who hold one of `at_once` places so long each."""
    return (sum(held_s) - min(held_s)) / at_once if len(held_s) > at_once else 0.0


def _connections_s(trips: Sequence[Trip]) -> Iterator[float]:
    """The queue at each host and user that allows fewer connections than trips want."""
    held_s: defaultdict[Endpoint, dict[Hashable, float]] = defaultdict(dict)
    for index, trip in enumerate(trips):
        if trip.send:
            held_s[trip.send.via][index] = _sends(trip) * trip.send.timeout_s
        if receive := _mailbox(trip):
            # Those who wait at one mailbox share its connection.
            mailbox = index if trip.own_mailbox else (receive.at.user, receive.mailbox)
            held = held_s[receive.at]
            held[mailbox] = max(held.get(mailbox, 0.0), _busy_s(trip))
    hosts: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    for endpoint, held in held_s.items():
        hosts[endpoint.host, endpoint.port] += held.values()
        yield _queue_s(list(held.values()), endpoint.connections_per_user)
    for endpoint in {(one.host, one.port): one for one in held_s}.values():
        yield _queue_s(hosts[endpoint.host, endpoint.port], endpoint.connections_per_host)


def _rates_s(trips: Sequence[Trip]) -> Iterator[float]:
    """The queue at each host that takes so many mails a second."""
    sends: Counter[Endpoint] = Counter()
    for trip in trips:
        if trip.send and trip.send.via.rate_per_s:
            sends[trip.send.via] += _sends(trip)
    for endpoint, count in sends.items():
        yield (count - 1) / (endpoint.rate_per_s or 1)
