"""Many trips from one: a row of values for each, with an id that shows no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailtrip_checks.secrets import Secret

if TYPE_CHECKING:
    from tests.checks.definitions.conftest import Folder

CSV = "address,secret\nalice@example.com,ALICE\nbob@example.com,BOB\n"


def trip(matrix: str, to: str = "b@x", password: str = "p") -> str:
    return f"""\
trips:
  m:
    matrix: {matrix}
    send: {{via: embedded, from: a@x, to: {to}}}
    receive: {{at: embedded, password: {password}}}
"""


def ids(folder: Folder, text: str) -> list[str]:
    return [found.id for found in folder.read(text)]


def test_rows_of_a_csv_and_of_a_list_are_combined(folder: Folder) -> None:
    folder.write("accounts.csv", CSV)
    folder.environ = {"ALICE": "pa", "BOB": "pb"}
    trips = folder.read("""\
servers: {old: smtp://old, new: smtp://new, old-in: "imaps://old", new-in: "imaps://new"}
trips:
  migrated:
    matrix:
      account: {csv: accounts.csv}
      route:
        - {id: old-new, via: old, at: new-in}
        - {id: new-old, via: new, at: old-in}
    send: {via: "${matrix.route.via}", from: probe@example.org, to: "${matrix.account.address}"}
    receive: {at: "${matrix.route.at}", password: "${env:${matrix.account.secret}}"}
""")
    assert [found.id for found in trips] == [
        "migrated[alice@example.com-old-new]",
        "migrated[alice@example.com-new-old]",
        "migrated[bob@example.com-old-new]",
        "migrated[bob@example.com-new-old]",
    ]
    last = trips[-1]
    assert last.send
    assert last.receive
    assert (last.send.via.host, last.send.recipients) == ("new", ("bob@example.com",))
    assert (last.receive.at.host, last.receive.at.user, last.secrets) == ("old", "bob@example.com", (Secret("pb"),))
    assert {found.line for found in trips} == {3}


def test_a_list_of_values_is_read_by_its_name(folder: Folder) -> None:
    text = trip("{who: [a, b], size: [1kB, 1MB]}", to='"${matrix.who}@x"')
    assert ids(folder, text) == ["m[a-1kB]", "m[a-1MB]", "m[b-1kB]", "m[b-1MB]"]


@pytest.mark.parametrize(
    ("matrix", "password", "expected"),
    [
        ("{a: [{x: one, id: two}]}", "p", "m[two]"),
        ("{a: [{x: one, y: two}]}", "p", "m[one]"),
        ("{a: [{x: one, y: two}]}", '"${matrix.a.x}"', "m[two]"),
        ("{a: [{x: one, y: two}]}", '"${env:X:-${env:${matrix.a.x}:-d}}"', "m[two]"),
        ("{a: [{id: one, y: two}]}", '"${matrix.a.id}"', "m[two]"),
        ("{a: [{x: one}]}", '"${matrix.a.x}"', "m[1]"),
        ("{a: [one, two]}", '"${matrix.a}"', "m[1] m[2]"),
        ('{a: [{x: "imaps://u:p@h", y: two}]}', "p", "m[two]"),
        ('{a: ["Jürgen Ö.", "x::y[z]\\\\"]}', "p", "m[Jurgen-O.] m[x-y-z]"),
        ("{a: [使, '']}", "p", "m[1] m[2]"),
    ],
)
def test_an_id_is_safe_and_never_comes_from_a_secret(folder: Folder, matrix: str, password: str, expected: str) -> None:
    assert " ".join(ids(folder, trip(matrix, password=password))) == expected


def test_a_secret_of_a_server_is_kept_out_of_the_id_too(folder: Folder) -> None:
    text = """\
servers: {in: "imaps://u:${matrix.a.x}@h"}
trips: {m: {matrix: {a: [{x: one, y: two}]}, receive: {at: in}}}
"""
    (found,) = folder.read(text)
    assert (found.id, found.secrets) == ("m[two]", (Secret("one"),))


def test_values_of_a_matrix_may_come_from_outside_but_cells_of_a_csv_are_data(folder: Folder) -> None:
    folder.environ = {"WHO": "carol"}
    folder.write("a.csv", "id,subject\none,${env:WHO}\n")
    text = trip('{a: {csv: a.csv}, who: ["${env:WHO}"]}', to='"${matrix.who}@x", subject: "${matrix.a.subject}"')
    (found,) = folder.read(text)
    assert found.id == "m[one-carol]"
    assert found.send
    assert (found.send.recipients, found.send.subject) == (("carol@x",), "${env:WHO}")


def test_a_matrix_may_be_a_default(folder: Folder) -> None:
    text = "defaults: {matrix: {a: [x, y]}}\ntrips: {m: {send: {via: embedded, from: a@x, to: b@x}}}"
    assert ids(folder, text) == ["m[x]", "m[y]"]


@pytest.mark.parametrize(
    ("matrix", "told"),
    [
        ("{}", "a.trip.yaml:3:13: matrix: is empty; write `name: [value, value]`, or leave it out"),
        ("{a: []}", "a.trip.yaml:3:17: matrix.a: has no values; write at least one"),
        ("{a: x}", "a.trip.yaml:3:17: matrix.a: is no list; write [value, value], a list of rows, or {csv: FILE}"),
        ("{a: null}", "a.trip.yaml:3:14: matrix.a: is no list"),
        ("{a b: [x]}", "a.trip.yaml:3:14: matrix: has a name that no ${matrix.…} can read; use letters, digits and _"),
        ("{a: [x, {y: z}]}", "a.trip.yaml:3:21: matrix.a: mixes values and rows, or has an empty one"),
        ("{a: [{}]}", "a.trip.yaml:3:18: matrix.a: mixes values and rows, or has an empty one"),
        ("{a: [{x: [y]}]}", "a.trip.yaml:3:19: matrix.a.x: is not one value; write one"),
        ("{a: [x, x]}", "a.trip.yaml:3:13: matrix: 2 rows have the id `x`; give each another in a column `id`"),
        ("{a: {x: y}}", "a.trip.yaml:3:17: matrix.a: is no list and no CSV file; write [value, value] or {csv: FILE}"),
        ("{a: {csv: no.csv}}", "a.trip.yaml:3:23: matrix.a.csv: the file `no.csv` is not there; write a path relative"),
        (
            "{a: {csv: empty.csv}}",
            "empty.csv:1:1: matrix.a: is empty; write the names of the columns in the first line",
        ),
        ("{a: {csv: header.csv}}", "a.trip.yaml:3:17: matrix.a: has no values; write at least one"),
        ("{a: {csv: semicolon.csv}}", "semicolon.csv:1:1: matrix.a: parts its columns by `;`; part them by commas"),
        ("{a: {csv: names.csv}}", "names.csv:1:1: matrix.a: has a column whose name no ${matrix.…} can read"),
        ("{a: {csv: twice.csv}}", "twice.csv:1:1: matrix.a: has two columns of one name; give each its own"),
        ("{a: {csv: short.csv}}", "short.csv:4:1: matrix.a: has 1 columns, but the first line 2; write as many"),
        ("{a: {csv: quote.csv}}", "quote.csv:2:1: matrix.a: is no CSV from here on; check its quotes"),
        ("{a: {csv: latin.csv}}", "latin.csv:2:1: is not UTF-8 text; save the file as UTF-8"),
    ],
)
def test_a_mistake_in_a_matrix_is_told(folder: Folder, matrix: str, told: str) -> None:
    folder.write("empty.csv", "")
    folder.write("header.csv", "a,b\n\n")
    folder.write("semicolon.csv", "a;b\n1;2\n")
    folder.write("names.csv", "a,b c\n1,2\n")
    folder.write("twice.csv", "a,a\n1,2\n")
    folder.write("short.csv", "a,b\n1,2\n\n3\n")
    folder.write("quote.csv", 'a,b\n1,"2')
    folder.write("latin.csv", b"a\n\xe9\n")
    assert folder.complaint(trip(matrix)).startswith(told)


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("account", "names a whole row; name a column, as in ${matrix.account.address}"),
        ("account.adress", "`${matrix.account.adress}` is not in this trip's matrix; did you mean `account.address`?"),
        ("zz", "`${matrix.zz}` is not in this trip's matrix; there is account.address, account.secret"),
    ],
)
def test_a_cell_that_is_not_there_is_told(folder: Folder, reference: str, told: str) -> None:
    folder.write("a.csv", CSV)
    text = trip("{account: {csv: a.csv}}", to=f'"${{matrix.{reference}}}"')
    first, second = folder.mistakes(text)
    assert (first.key, first.what) == ("send.to", f"{told} (in row `alice@example.com`)")
    assert second.what == f"{told} (in row `bob@example.com`)"


def test_an_unset_variable_is_told_with_its_name_for_each_row(folder: Folder) -> None:
    folder.write("a.csv", CSV)
    folder.environ = {"BOB": "pb"}
    text = trip("{account: {csv: a.csv}}", password='"${env:${matrix.account.secret}}"')
    assert folder.complaint(text) == (
        "a.trip.yaml:5:39: receive.password: the environment variable `ALICE` is not set; set it with "
        "`export ALICE=…`, or write ${env:ALICE:-default} (in row `alice@example.com`)"
    )


def test_a_bad_cell_is_told_without_its_value(folder: Folder) -> None:
    folder.write("a.csv", "id,address\n1,alice\n")
    complaint = folder.complaint(trip("{a: {csv: a.csv}}", to='"${matrix.a.address}"'))
    assert complaint.startswith("a.trip.yaml:4:42: send.to.1: `${matrix.a.address}` is no mail address")
    assert complaint.endswith("(in row `1`)")


def test_too_many_combinations_are_refused(folder: Folder) -> None:
    axis = "[" + ", ".join(map(str, range(100))) + "]"
    complaint = folder.complaint(trip(f"{{a: {axis}, b: {axis}, c: {axis}}}"))
    assert "matrix: makes 1000000 trips, more than 100000; write fewer values" in complaint


def test_with_a_broken_matrix_the_keys_of_its_trip_are_told_all_the_same(folder: Folder) -> None:
    mistakes = folder.mistakes(trip("{a: []}", to="nobody"))
    assert [mistake.key for mistake in mistakes] == ["matrix.a", "send.to.1"]


@pytest.mark.parametrize(
    "server", ["{host: h, password: '${env:NO}'}", "{protocol: imap, host: h, password: '${env:NO}'}"]
)
def test_what_is_wrong_in_every_row_is_told_once_and_without_a_row(folder: Folder, server: str) -> None:
    text = f"servers: {{s: {server}}}\n" + trip("{n: [a, b]}", to="'${matrix.n}@x'").replace("at: embedded", "at: s")
    (told,) = (found for found in folder.mistakes(text) if found.key == "servers.s.password")
    assert (
        told.what == "the environment variable `NO` is not set; set it with `export NO=…`, or write ${env:NO:-default}"
    )


def test_a_wrong_value_is_told_for_each_row_that_gives_it_and_a_wrong_key_once(folder: Folder) -> None:
    text = trip("{n: [a, b]}").replace("to: b@x", "to: b@x, timeout: '${matrix.n}', tmeout: '${matrix.n}'")
    assert [(found.key, found.what.partition("; ")[2]) for found in folder.mistakes(text)] == [
        ("send.timeout", "write it as 250ms, 30s, 2m30s or 1h (in row `a`)"),
        ("send.timeout", "write it as 250ms, 30s, 2m30s or 1h (in row `b`)"),
        ("send.tmeout", "did you mean `timeout`?"),
    ]
