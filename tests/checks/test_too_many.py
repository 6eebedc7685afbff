"""What servers say when they have all the connections that they bear, and what only sounds like it."""

import pytest

from mailtrip_checks.wire.login import too_many


@pytest.mark.parametrize(
    "text",
    [
        "421 4.7.0 mail.example.com Error: too many connections from 127.0.0.1",
        "421 4.3.2 Too many concurrent SMTP connections; please try again later",
        "Too many simultaneous connections. (Failure)",
        "[LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=3)",
        "-ERR [SYS/TEMP] Too many connections",
        "-ERR too many open sessions",
        "Session limit reached",
        "432 4.3.2 Concurrent connections limit exceeded",
    ],
)
def test_a_server_that_is_full_is_known(text: str) -> None:
    assert too_many(text)


@pytest.mark.parametrize(
    "text",
    [
        "421 4.7.0 Too many login failures",
        "Too many failed attempts",
        "NO [AUTHENTICATIONFAILED] Invalid credentials",
        "552 5.3.4 Message size exceeds limit",
        "452 4.5.3 Too many recipients",
        "450 4.7.1 Error: too much mail",
        "",
    ],
)
def test_what_only_sounds_like_it_is_not_taken_for_it(text: str) -> None:
    assert not too_many(text)
