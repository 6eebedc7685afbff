"""Values from outside: filled in after YAML is parsed, and shown nowhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailtrip_checks.secrets import Secret

if TYPE_CHECKING:
    from tests.checks.definitions.conftest import Folder

SECRET = "hunter2-Zq9"


def subject(text: str) -> str:
    return f"trips:\n  a:\n    send: {{via: embedded, from: a@x, to: b@x, subject: {text}}}\n"


def login(at: str, more: str = "") -> str:
    return f"trips:\n  a:\n    receive: {{at: {at}{more}}}\n"


def matrix(rows: str, receive: str) -> str:
    return f"trips:\n  a:\n    matrix: {{x: {rows}}}\n    receive: {receive}\n"


@pytest.mark.parametrize(
    ("written", "becomes"),
    [
        ('"${env:NAME}"', "value"),
        ('"<${env:NAME}> ${var:name}"', "<value> given"),
        ('"${env:ABSENT:-default}"', "default"),
        ('"${env:EMPTY:-default}"', "default"),
        ('"${env:EMPTY}."', "."),
        ('"${env:ABSENT:-}."', "."),
        ('"${env:ABSENT:-${env:NAME}}"', "value"),
        ('"${env:ABSENT:-a:-b}"', "a:-b"),
        ('"${env:${env:POINTER}}"', "value"),
        ('"${env:${var:absent}:-x}"', "x"),
        ('"${var:env}"', "${env:NAME}"),
        ('"${file:sub/secret.txt}"', "of a file"),
        ('"${file:sub/${var:file}}"', "of a file"),
        ('"$ {env:NAME} $NAME $$"', "$ {env:NAME} $NAME $$"),
        ('"${env:YAML}"', "a, to: c@x # ${x}"),
    ],
)
def test_a_reference_gives_its_value_and_nothing_in_it_is_read_again(
    folder: Folder, written: str, becomes: str
) -> None:
    folder.environ = {"NAME": "value", "EMPTY": "", "POINTER": "NAME", "YAML": "a, to: c@x # ${x}"}
    folder.variables = {"name": "given", "env": "${env:NAME}", "file": "secret.txt", "absent": "NOT_THERE"}
    folder.write("sub/secret.txt", "\ufeffof a file\r\n")
    trip = folder.one(subject(written))
    assert trip.send
    assert trip.send.subject == becomes
    assert trip.send.recipients == ("b@x",)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (
            '"${env:NAME_1}"',
            "the environment variable `NAME_1` is not set; set it with `export NAME_1=…`, or write ${env:NAME_1:-d",
        ),
        ('"${env:A B}"', "`A B` gives no name of an environment variable; use letters, digits and _"),
        ('"${var:nam}"', "the variable `nam` is not given; run with --mailtrip-var NAME=value; did you mean `name`?"),
        ('"${file:no.txt}"', "the file `no.txt` is not there; write a path relative to this file"),
        ('"${file:.}"', "the file `.` is not there; write a path relative to this file"),
        ('"${file:latin.txt}"', "the file `latin.txt` is not UTF-8 text; save it as UTF-8"),
        ('"${file:large.txt}"', "the file `large.txt` is larger than 1 MiB; no value needs that"),
        ('"${envNAME}"', "has a `${…}` of no kind that there is; write ${env:NAME}, ${file:path}, ${var:name} or"),
        ('"${env:NAME"', "has a `${` without its `}`; write ${env:NAME}"),
        ('"${matrix.a}"', "reads a matrix, but this trip has none; add `matrix:` to the trip"),
        ('"${env:BROKEN}"', "is not UTF-8 where it comes from; set it as UTF-8 text"),
    ],
)
def test_a_reference_that_gives_nothing_is_a_mistake(folder: Folder, written: str, told: str) -> None:
    folder.variables = {"name": "given"}
    folder.environ = {"BROKEN": "\udce9"}
    folder.write("latin.txt", b"\xe9")
    folder.write("large.txt", b"x" * (1024 * 1024 + 1))
    assert folder.complaint(subject(written)).startswith(f"a.trip.yaml:3:56: send.subject: {told}")


def test_a_file_is_looked_for_beside_the_file_that_names_it(folder: Folder) -> None:
    folder.write("password.txt", SECRET)
    folder.write("mailtrip.yaml", 'servers: {in: {protocol: imap, host: h, user: u, password: "${file:password.txt}"}}')
    trip = folder.one(login("in"), name="below/a.trip.yaml")
    assert trip.secrets == (Secret(SECRET),)


def test_numbers_and_words_may_come_from_outside(folder: Folder) -> None:
    folder.environ = {"N": "1143", "B": "false", "T": "30s"}
    at = 'at: {protocol: imap, host: h, port: "${env:N}", verify: "${env:B}"}'
    trip = folder.one(login("X", ', user: u, password: p, step_timeout: "${env:T}"').replace("at: X", at))
    assert trip.receive
    assert (trip.receive.at.port, trip.receive.at.trust.verify, trip.receive.step_timeout_s) == (1143, False, 30)


@pytest.mark.parametrize("value", ["p@h/x:1#?%41 ]", "${env:U}", "a\\b", "日本", ":"])
def test_no_value_moves_the_bounds_of_a_url(folder: Folder, value: str) -> None:
    folder.environ = {"U": "me", "P": value}
    trip = folder.one(login('"imaps://${env:U}%40x:${env:P}%21@mail.example.com:1993"'))
    assert trip.receive
    endpoint = trip.receive.at
    assert (endpoint.host, endpoint.port, endpoint.user) == ("mail.example.com", 1993, "me@x")
    assert endpoint.password == Secret(f"{value}!")
    assert endpoint.name == "imap://mail.example.com:1993"


def test_a_whole_url_or_server_name_may_come_from_outside(folder: Folder) -> None:
    folder.environ = {"URL": "imaps://me:p%40ss@h", "NAME": "in"}
    text = 'servers: {in: "${env:URL}"}\n'
    for at in ('"${env:URL}"', "in", '"${env:NAME}"'):
        trip = folder.one(text + login(at))
        assert trip.receive
        assert (trip.receive.at.host, trip.receive.at.password) == ("h", Secret("p@ss"))


def test_what_an_unused_server_reads_need_not_be_there(folder: Folder) -> None:
    trip = folder.one(
        'servers: {out: {host: h, password: "${env:ABSENT}", port: "${env:ABSENT}"}}\n' + login("embedded", ", user: u")
    )
    assert trip.receive


@pytest.mark.parametrize(
    "text",
    [
        login('"imaps://u:${env:P}@h:x"'),
        login('"imap//u:${env:P}@h"'),
        login('"imaps//u:hunter2-Zq9@h"'),
        login('"imaps://u:hunter2-Zq9"'),
        login('"imaps://u:hunter2-Zq9/h@h"'),
        login('"imaps://u:hunter2-Zq9%@h"'),
        login('"imapz://u:hunter2-Zq9@h"'),
        login('"${env:BAD_URL}"'),
        login('"imaps://u:p@h:${env:P}"'),
        login("embedded", ', user: u, password: "${env:TWO_LINES}"'),
        login("embedded", ', user: u, password: "hunter2-Zq9\\n"'),
        login("embedded", ", user: u, password: [hunter2-Zq9]"),
        login("embedded", ", user: u, password: {hunter2-Zq9: 1}"),
        login("embedded", ", user: u, password: x, hunter2-Zq9"),
        login("embedded", ", user: u, password: x, hunter2-Zq9 "),
        login("embedded", ", user: u, password: *hunter2-Zq9"),
        login("embedded", ", user: u, password: !hunter2-Zq9 x"),
        login("embedded", ", user: u, password: &hunter2-Zq9 "),
        login("embedded", ", user: u, password: @hunter2-Zq9"),
        login("embedded", ", user: u, password: 'hunter2-Zq9"),
        login("embedded", ", user: u, password: {hunter2-Zq9"),
        login("embedded", ', user: u, password: "\\hunter2-Zq9"'),
        login("embedded", ', user: u, interval: "${env:P}", delete: "${env:P}", search: "${env:P}"'),
        login("embedded", ', user: u, password: "${env:${env:P}}"'),
        login("embedded", ', user: u, password: "${var:${env:P}}"'),
        login("embedded", ', user: u, password: "${file:${env:P}}"'),
        subject('x, helo: "${env:P} ", header_from: "${env:P}", until: "${env:P}", timeout: "${env:P}"'),
        'servers: {in: {protocol: "${env:P}", host: "${env:P} ", port: "${env:P}", ca: "${env:P}"}}\n' + login("in"),
        "servers: {in: {password: hunter2-Zq9, hosst: x, protocl: imap}}\n" + login("in"),
        'servers: {in: "imaps://u:hunter2-Zq9@h:port"}\n' + login("in"),
        "servers: {in: hunter2-Zq9}\n" + login("in"),
        matrix("[{p: hunter2-Zq9}, {p: hunter2-Zq9}]", '{at: embedded, user: u, password: "${matrix.x.p}", push: 1}'),
        matrix("[hunter2-Zq9]", '{at: embedded, user: u, password: "${env:${matrix.x}}"}'),
        matrix('[{via: "imaps://u:hunter2-Zq9@h:p"}]', '{at: "${matrix.x.via}"}'),
    ],
)
def test_no_mistake_shows_a_secret(folder: Folder, text: str) -> None:
    folder.environ = {"P": SECRET, "TWO_LINES": f"{SECRET}\nx", "BAD_URL": f"imaps://u:{SECRET}@h:{SECRET}"}
    shown = repr(folder.mistakes(text)) + "\n".join(map(str, folder.mistakes(text)))
    assert SECRET not in shown
    assert "Zq9" not in shown


def test_no_trip_shows_a_secret(folder: Folder) -> None:
    folder.environ = {"P": SECRET}
    trip = folder.one(login('"imaps://u:a%20${env:P}@h"'))
    assert SECRET not in repr(trip)
    assert [secret.reveal() for secret in trip.secrets] == [f"a {SECRET}"]


def test_a_file_that_may_not_be_read_is_told(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write("a.txt", "x")
    monkeypatch.setattr(Path, "open", _open_all_but_text_files(Path.open))
    complaint = folder.complaint(subject('"${file:a.txt}"'))
    assert complaint.endswith("the file `a.txt` cannot be read (Permission denied); check its rights")


def _open_all_but_text_files(original: Callable[..., object]) -> Callable[..., object]:
    def refuse(path: Path, *arguments: object, **named: object) -> object:
        if path.suffix == ".txt":
            raise PermissionError(13, "Permission denied")
        return original(path, *arguments, **named)

    return refuse
