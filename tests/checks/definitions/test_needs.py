"""`needs`: which trips must have passed before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.checks.definitions.conftest import Folder

DEFAULTS = "send: {via: embedded, from: a@x.org, to: b@x.org}, receive: {at: embedded}"


def needs(folder: Folder, text: str, name: str = "a.trip.yaml", more: str = "") -> dict[str, list[str]]:
    """By the ids of the file's trips what each needs, as file and id."""
    trips = folder.read(f"defaults: {{{DEFAULTS}{more}}}\ntrips:\n{text}", name=name)
    return {
        trip.id: [f"{key.path.relative_to(folder.root)}::{key.id}" for key in trip.needs]
        for trip in trips
        if trip.needs
    }


def complaint(folder: Folder, text: str) -> str:
    return folder.complaint(f"defaults: {{{DEFAULTS}}}\ntrips:\n{text}")


def other(folder: Folder, name: str, text: str) -> None:
    folder.write(name, f"defaults: {{{DEFAULTS}}}\ntrips:\n{text}")


def test_a_name_alone_is_of_the_same_file_and_one_may_stand_without_a_list(folder: Folder) -> None:
    assert needs(folder, "  a: {needs: b}\n  b: {needs: [c, c]}\n  c: {}\n") == {
        "a": ["a.trip.yaml::b"],
        "b": ["a.trip.yaml::c"],
    }


def test_a_file_is_relative_to_the_one_that_names_it(folder: Folder) -> None:
    other(folder, "b.trip.yaml", "  x: {}\n")
    other(folder, "deep/c.trip.yml", "  y: {}\n")
    found = needs(
        folder, "  a: {needs: [../b.trip.yaml::x, c.trip.yml::y, a.trip.yaml::b]}\n  b: {}\n", "deep/a.trip.yaml"
    )
    assert found == {"a": ["b.trip.yaml::x", "deep/c.trip.yml::y", "deep/a.trip.yaml::b"]}


def test_the_bare_name_of_a_matrix_is_all_its_rows(folder: Folder) -> None:
    text = "  m: {matrix: {x: [1, 2]}}\n  all: {needs: m}\n  one: {needs: 'm[2]'}\n"
    assert needs(folder, text) == {"all": ["a.trip.yaml::m[1]", "a.trip.yaml::m[2]"], "one": ["a.trip.yaml::m[2]"]}


def test_a_row_may_need_the_row_of_its_own(folder: Folder) -> None:
    other(folder, "b.trip.yaml", "  login: {matrix: {who: [ann, bob]}}\n")
    text = "  send: {matrix: {who: [ann, bob]}, needs: 'b.trip.yaml::login[${matrix.who}]'}\n"
    assert needs(folder, text) == {
        "send[ann]": ["b.trip.yaml::login[ann]"],
        "send[bob]": ["b.trip.yaml::login[bob]"],
    }


def test_needs_add_up_over_the_files(folder: Folder) -> None:
    other(folder, "gate.trip.yaml", "  up: {}\n")
    folder.write("mailtrip.yaml", "defaults: {needs: gate.trip.yaml::up}\n")
    found = needs(folder, "  a: {needs: c}\n  b: {needs: null}\n  c: {}\n", "deep/a.trip.yaml", ", needs: [b]")
    gate, here = "gate.trip.yaml::up", "deep/a.trip.yaml"
    assert found == {"a": [gate, f"{here}::b", f"{here}::c"], "c": [gate, f"{here}::b"]}


def test_what_all_trips_of_a_folder_need_does_not_need_itself(folder: Folder) -> None:
    folder.write("mailtrip.yaml", "defaults: {needs: a.trip.yaml::up}\n")
    assert needs(folder, "  up: {matrix: {x: [1, 2]}}\n  b: {}\n") == {
        "b": ["a.trip.yaml::up[1]", "a.trip.yaml::up[2]"]
    }


def test_only_the_names_of_another_file_are_read_and_not_what_its_servers_want(folder: Folder) -> None:
    folder.write("b.trip.yaml", 'trips: {x: {receive: {at: "imaps://mail", user: x, password: "${env:UNSET}"}}}\n')
    assert needs(folder, "  a: {needs: b.trip.yaml::x}\n") == {"a": ["b.trip.yaml::x"]}


def test_the_ids_of_another_file_are_those_that_it_has_itself(folder: Folder) -> None:
    # No row's id shows what a password uses, also where that stands in a URL.
    folder.environ = {"A": "x"}
    rows = "{matrix: {r: [{p: A, name: n}]}, receive: {at: 'imap://u:${env:${matrix.r.p}}@mail'}}"
    other(folder, "b.trip.yaml", f"  x: {rows}\n")
    assert needs(folder, "  a: {needs: 'b.trip.yaml::x'}\n") == {"a": ["b.trip.yaml::x[n]"]}


@pytest.mark.parametrize(
    ("need", "told"),
    [
        ("logn", "`logn` is no trip that there is; did you mean `login`?"),
        ("zzz", "`zzz` is no trip that there is; write the name of one"),
        ("b.trip.yaml::bas", "`b.trip.yaml::bas` is no trip that there is; did you mean `base`?"),
        ("m[annn]", "`m[annn]` is no row of that trip; did you mean `m[ann]`?"),
        ("login[1]", "`login[1]` is no row of that trip; did you mean `login`?"),
        ("m[", "`m[` is no trip's name; write it as name, name[row] or file.trip.yaml::name"),
        ("c.trip.yaml::x", "`c.trip.yaml::x` names no trip file; write a path to a *.trip.yaml relative to this file"),
        (
            "mailtrip.yaml::x",
            "`mailtrip.yaml::x` names no trip file; write a path to a *.trip.yaml relative to this file",
        ),
    ],
)
def test_a_need_that_is_not_there_is_told_with_its_place(folder: Folder, need: str, told: str) -> None:
    other(folder, "b.trip.yaml", "  base: {}\n")
    folder.write("mailtrip.yaml", "servers: {}\n")
    text = f'  login: {{}}\n  m: {{matrix: {{x: [ann]}}}}\n  a: {{needs: [login, "{need}"]}}\n'
    assert complaint(folder, text) == f"a.trip.yaml:5:22: needs: {told}"


def test_an_empty_need_and_one_that_is_no_text_are_mistakes(folder: Folder) -> None:
    assert "is empty" in str(folder.mistakes(f"trips: {{a: {{{DEFAULTS}, needs: ''}}}}")[0])
    assert "is a mapping" in folder.complaint(f"trips: {{a: {{{DEFAULTS}, needs: [{{b: c}}]}}}}")


def test_a_reference_that_cannot_be_filled_is_told_once(folder: Folder) -> None:
    assert "UNSET" in complaint(folder, '  a: {needs: "${env:UNSET}"}\n')


def test_a_row_without_its_need_is_named(folder: Folder) -> None:
    text = "  m: {matrix: {x: [1, 2]}, needs: 'n[${matrix.x}]'}\n  n: {matrix: {x: [1]}}\n"
    told = "`n[${matrix.x}]` is no row of that trip; did you mean `n[1]`? (in row `2`)"
    assert complaint(folder, text) == f"a.trip.yaml:3:35: needs: {told}"


def test_a_bare_name_in_mailtrip_yaml_is_a_mistake(folder: Folder) -> None:
    folder.write("mailtrip.yaml", "defaults:\n  needs: login\n")
    told = "`login` names no file, and here are no trips; write it as file.trip.yaml::name"
    assert complaint(folder, "  login: {}\n") == f"mailtrip.yaml:2:10: needs: {told}"


def test_a_file_with_mistakes_cannot_be_needed(folder: Folder) -> None:
    folder.write("b.trip.yaml", "trips: {x: [}\n")
    told = complaint(folder, "  a: {needs: b.trip.yaml::x}\n")
    assert told.startswith("a.trip.yaml:3:14: needs: `b.trip.yaml::x` is in a file with mistakes: ")
    assert "b.trip.yaml:1:" in told


@pytest.mark.parametrize(
    ("text", "place", "way"),
    [
        ("  a: {needs: a}\n", "3:14", "a → a"),
        ("  a: {needs: b}\n  b: {needs: [c]}\n  c: {needs: a}\n", "", "→"),
        ("  m: {matrix: {x: [1]}, needs: n}\n  n: {needs: 'm[1]'}\n", "", "m[1]"),
    ],
)
def test_a_circle_is_refused_and_its_way_is_named(folder: Folder, text: str, place: str, way: str) -> None:
    told = complaint(folder, text)
    assert f"a.trip.yaml:{place}" in told
    assert "needs: makes a circle: " in told
    assert way in told
    begin, *_, end = told.partition("circle: ")[2].partition(";")[0].split(" → ")
    assert begin == end


def test_a_circle_across_files_is_told_by_each_of_them(folder: Folder) -> None:
    other(folder, "b.trip.yaml", "  x: {needs: a.trip.yaml::a}\n")
    text = f"defaults: {{{DEFAULTS}}}\ntrips:\n  a: {{needs: b.trip.yaml::x}}\n"
    assert "a.trip.yaml:3:14: needs: makes a circle: a → b.trip.yaml::x → a; take" in folder.complaint(text)
    folder.write("a.trip.yaml", text)
    again = f"defaults: {{{DEFAULTS}}}\ntrips:\n  x: {{needs: a.trip.yaml::a}}\n"
    assert "b.trip.yaml:3:14: needs: makes a circle: x → a.trip.yaml::a → x; take" in folder.complaint(
        again, name="b.trip.yaml"
    )


def test_a_mistake_in_the_needs_of_another_file_is_its_own(folder: Folder) -> None:
    other(folder, "b.trip.yaml", "  x: {needs: nobody}\n")
    assert needs(folder, "  a: {needs: b.trip.yaml::x}\n") == {"a": ["b.trip.yaml::x"]}


def test_a_long_chain_is_no_trouble(folder: Folder) -> None:
    chain = "".join(f"  t{number}: {{needs: t{number + 1}}}\n" for number in range(1500))
    assert len(needs(folder, f"{chain}  t1500: {{}}\n")) == 1500
