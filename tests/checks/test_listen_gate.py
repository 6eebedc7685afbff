"""Of a mail that is not ours, its head and its end."""

import pytest

from mailtrip_checks.mailbox.listen_gate import HEAD_BYTES, Gate


@pytest.mark.parametrize("piece", [1, 7, 1_000, 10**9])
@pytest.mark.parametrize("ours", [True, False])
def test_a_gate_lets_the_end_of_every_mail_through_however_it_is_cut(piece: int, ours: bool) -> None:
    asked: list[bytes] = []

    def may_be_ours(head: bytes) -> bool:
        asked.append(head)
        return ours

    gate = Gate(may_be_ours)
    mail = b"x" * HEAD_BYTES + b"\r\n..\r\n.x\r\n\r.\r\n" * 3 + b"\r\n.\r\nQUIT\r\n"
    passed = b"".join(gate.passed(mail[start : start + piece]) for start in range(0, len(mail), piece))
    assert len(asked) == 1
    assert passed.endswith(b"\r\n.\r\nQUIT\r\n")
    assert passed == mail if ours else passed.count(b"\r\n..") == 0


def test_a_gate_finds_an_end_that_began_before_it_closed() -> None:
    for cut in range(5):
        gate = Gate(lambda head: False)
        start = b"x" * (HEAD_BYTES - 5) + b"\r\n.\r\n"[:cut]
        assert gate.passed(start) == start
        assert gate.passed(b"\r\n.\r\n"[cut:] + b"X" * 5) == b"\r\n.\r\nXXXXX"


def test_after_an_answer_a_gate_begins_anew() -> None:
    gate = Gate(lambda head: False)
    for _ in range(5):
        assert gate.passed(b"x" * (HEAD_BYTES - 1)) == b"x" * (HEAD_BYTES - 1)
        gate.answered()
    assert gate.passed(b"x" * HEAD_BYTES) == b""
    assert gate.passed(b"y") == b""
    gate.answered()
    assert gate.passed(b"y") == b"y"
