"""`oauth2`: from its keys to the one source of tokens that they name."""

from typing import Final

from mailtrip_checks.definitions.schema import OAuth2Keys, ReceiveKeys, SendKeys, ServerKeys
from mailtrip_checks.definitions.validation import Subject
from mailtrip_checks.trips import Auth, FixedToken, OAuth2, TokenEndpoint

_SOURCES: Final = ("token", "token_command", "token_url")
_OF_ENDPOINT: Final = ("client_id", "client_secret", "refresh_token", "scope")
_EXAMPLE: Final = 'write `oauth2: {token: "${env:NAME}"}`, {token_command: [program]} or {token_url: …, client_id: …}'


def implied(trip: Subject, leg: str, server: Subject) -> Auth | None:
    """OAuth 2 where nothing but its `oauth2` says how to log in; the leg's keys are stronger than its server's."""
    for subject, way in ((trip, (leg,)), (server, ())):
        if subject.has(*way, "oauth2"):
            if subject.has(*way, "password"):
                what = "stands beside `password`; say by `auth: oauth2` or `auth: password` which of the two it is"
                subject.add((*way, "oauth2"), what, at_key=True)
            return Auth.OAUTH2
        if subject.has(*way, "password"):
            return None
    return None


def token_source(
    leg: SendKeys | ReceiveKeys, name: str, trip: Subject, server_keys: ServerKeys, server: Subject
) -> OAuth2 | None:
    """Where the endpoint's tokens come from: what the leg says, else its server.

    None for `embedded` where nothing is said, for its servers make a token; and, with a mistake, where the keys name no
    source, or more than one.
    """
    if trip.has(name, "oauth2"):
        return _source(leg.oauth2 or OAuth2Keys(), trip, (name, "oauth2"))
    if server.has("oauth2"):
        return _source(server_keys.oauth2 or OAuth2Keys(), server, ("oauth2",))
    if not server_keys.in_process:
        trip.add((name,), f"has `auth: oauth2` but no token; {_EXAMPLE}")
    return None


def _source(keys: OAuth2Keys, subject: Subject, way: tuple[str, ...]) -> OAuth2 | None:
    named = [source for source in _SOURCES if subject.has(*way, source)]
    if not named:
        subject.add(way, f"names no source of a token; {_EXAMPLE}", at_key=True)
        return None
    if len(named) > 1:
        what = f"stands beside `{named[0]}`, but there is one source of tokens; keep one, the other null if inherited"
        subject.add((*way, named[1]), what, at_key=True)
        return None
    if named != ["token_url"]:
        for key in _OF_ENDPOINT:
            if subject.has(*way, key):
                subject.add((*way, key), "says something only beside `token_url`; leave it out", at_key=True)
        return FixedToken(keys.token) if keys.token else keys.token_command
    if not subject.has(*way, "client_id"):
        subject.add(way, "has no `client_id`, which every token endpoint wants; write it")
    if not subject.has(*way, "refresh_token") and not subject.has(*way, "client_secret"):
        subject.add(
            way, "has nothing that grants a token; write `refresh_token`, or `client_secret` for the client's own"
        )
    if not keys.token_url or not keys.client_id:
        return None
    return TokenEndpoint(keys.token_url, keys.client_id, keys.client_secret, keys.refresh_token, keys.scope)
