"""No secret is seen, however it travels; and what is no secret stays readable."""

import base64
import json
import re
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailtrip_checks.secrets import MASK, Masker, Secret

# What a login can carry. A star is what the mask is made of, so a text of stars cannot be told from it.
letters = st.characters(codec="utf-8", exclude_characters="*\0\r\n")
secrets = st.text(letters, min_size=4, max_size=30)
short_secrets = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=3)
texts = st.text(st.characters(codec="utf-8", exclude_characters="*"), max_size=30)
users = st.binary(max_size=20)


def raw(secret: str) -> bytes:
    return secret.encode("utf-8", "surrogateescape")


def encodings(secret: str, user: bytes) -> list[str]:
    data = raw(secret)
    quoted = secret.replace("\\", "\\\\").replace('"', '\\"')
    return [
        secret,
        quoted,
        quote(data, safe=""),
        quote(data),
        quote_plus(data),
        re.sub("%..", lambda found: found[0].lower(), quote(data)),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        ascii(secret)[1:-1],
        repr(data)[2:-1],
        base64.b64encode(data).decode(),
        base64.b64encode(b"\0" + user + b"\0" + data).decode(),
        base64.b64encode(user + b"\0" + user + b"\0" + data).decode(),
        base64.b64encode(b"user=" + user + b"\1auth=Bearer " + data + b"\1\1").decode(),
    ]


@given(secrets, texts, texts, users)
@example('p"w\\d', "it's ", '"', b"u")
@example("pä ss'w\"ört", "", "", b"")
@example("pass\udcffword", "x", "y", b"me")
@example("a'b\"c", "'", '"', b"me")
def test_no_encoding_of_a_secret_survives_whatever_stands_around_it(
    secret: str, before: str, behind: str, user: bytes
) -> None:
    masker = Masker([Secret(secret)])
    for encoding in encodings(secret, user):
        assert encoding not in masker.mask(f"{before}{encoding}{behind}")
    for shown in (repr, ascii, json.dumps):
        line = shown(f"{before} {secret} {behind}")
        masked = masker.mask(line)
        assert MASK in masked
        assert encodings(secret, user)[0] not in masked


@given(secrets, users)
def test_no_bit_of_a_secret_stays_in_base64_around_its_mask(secret: str, user: bytes) -> None:
    answer = base64.b64encode(b"\0" + user + b"\0" + raw(secret)).decode()
    assert Masker([Secret(secret)]).mask(f"AUTH PLAIN {answer}\r\n") == f"AUTH PLAIN {MASK}\r\n"


@given(secrets, secrets, texts)
@example("abcdef", "defghi", "x")
def test_of_two_secrets_that_overlap_no_part_stays(one: str, other: str, text: str) -> None:
    for overlap in range(1, min(len(one), len(other))):
        joined = one[: len(one) - overlap] + other
        masked = Masker([Secret(one), Secret(other)]).mask(f"{text}{joined}")
        assert other not in masked
    assert Masker([Secret("abcdef"), Secret("defghi")]).mask("<abcdefghi>") == f"<{MASK}>"


@given(short_secrets)
@example("abc")
def test_a_short_secret_is_hidden_where_it_stands_alone(secret: str) -> None:
    masker = Masker([Secret(secret)])
    assert masker.mask(f"PASS {secret}") == f"PASS {MASK}"
    assert masker.mask(f'password="{secret}", ready') == f'password="{MASK}", ready'
    assert masker.mask(f"smtp://you@:{secret}@host") == f"smtp://you@:{MASK}@host"
    login = base64.b64encode(secret.encode()).decode()
    plain = base64.b64encode(b"\0somebody\0" + secret.encode()).decode()
    assert masker.mask(f"AUTH {login}") == f"AUTH {MASK}"
    assert masker.mask(f"AUTH PLAIN {plain}") == f"AUTH PLAIN {MASK}"


def test_a_short_secret_leaves_words_that_hold_it_readable() -> None:
    masker = Masker([Secret("ab"), Secret("25")])
    text = "220 cab.example.org ESMTP ready about 25.5 s, absent 1250; QWJv c2Vj"
    assert masker.mask(text) == text


@given(st.lists(st.text("0123456789", min_size=4)), st.text("abcdefghijklmnopqrstuvwxyz .,;:\"'\n=+/ä"))
def test_a_text_without_any_secret_stays_as_it_is(known: list[str], text: str) -> None:
    assert Masker(map(Secret, known)).mask(text) == text


def test_an_answer_of_a_server_stays_readable() -> None:
    masker = Masker([Secret("correct horse battery staple"), Secret("test"), Secret("")])
    text = "250-mail.example.org Hello [127.0.0.1]\r\n250 2.1.0 <probe@example.org> Ok: queued as 4bXYZ1"
    assert masker.mask(text) == text
    assert Masker().mask(text) == text
    assert masker.mask("") == ""


def test_a_percent_encoded_secret_is_hidden_in_either_case_and_with_sub_delims_left() -> None:
    masker = Masker([Secret("p@ss/w!rd:é")])
    for url in ("p%40ss%2Fw%21rd%3A%C3%A9", "p%40ss%2fw%21rd%3a%c3%a9", "p%40ss%2Fw!rd%3A%C3%A9", "p@ss/w!rd:%c3%a9"):
        assert masker.mask(f"smtps://me:{url}@host") == f"smtps://me:{MASK}@host"


def test_a_secret_is_known_from_the_moment_it_is_added() -> None:
    masker = Masker()
    assert masker.mask("hunter22") == "hunter22"
    masker.add(Secret("hunter22"))
    masker.add(Secret("hunter22"))
    assert masker.mask("hunter22 and hunter22") == f"{MASK} and {MASK}"


def test_a_secret_shows_itself_only_on_demand() -> None:
    secret = Secret("hunter2")
    assert f"{secret} {secret!r} {secret!s} {[secret]}" == f"{MASK} {MASK} {MASK} [{MASK}]"
    assert secret.reveal() == "hunter2"
    assert secret == Secret("hunter2")
    assert len({secret, Secret("hunter2")}) == 1


def test_a_line_costs_the_same_whether_ten_secrets_are_known_or_ten_thousand() -> None:
    masker = Masker(Secret(f"{number:06x}-secret-{number}") for number in range(5_000))
    began_at_s = time.process_time()
    for _ in range(100):
        masker.mask("250-mail.example.org Hello [127.0.0.1], pleased to meet you: PIPELINING SIZE 10240000")
    assert time.process_time() - began_at_s < 0.5


def test_a_megabyte_of_base64_is_masked_in_less_than_a_second_of_work() -> None:
    masker = Masker([Secret("hunter22")])
    began_at_s = time.process_time()
    assert masker.mask("QUJD" * 250_000) == "QUJD" * 250_000
    assert masker.mask("QUJD" * 100_000 + "aHVudGVyMjI" + "QUJD" * 100_000) == MASK
    assert time.process_time() - began_at_s < 4


def test_a_secret_that_is_no_text_at_all_is_hidden_all_the_same() -> None:
    masker = Masker([Secret("\ud800abc"), Secret("pass\udcff")])
    assert masker.mask("<\ud800abc> <pass\\xff> <pass%FF>") == f"<{MASK}> <{MASK}> <{MASK}>"


@pytest.mark.parametrize("text", ["*", "**", "****", "***x"])
def test_stars_of_a_text_are_no_secret(text: str) -> None:
    assert Masker([Secret("hunter22")]).mask(text) == text
