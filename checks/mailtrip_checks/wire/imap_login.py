"""Logging in over IMAP: one mechanism, chosen from what the server offers and never followed by another.

A second try after a refusal would count as a second wrong password and lock accounts sooner.
"""

import base64
from typing import Never

from mailtrip_checks.errors import Busy, LoginFailed
from mailtrip_checks.trips import Auth, Endpoint
from mailtrip_checks.wire import sasl_oauth
from mailtrip_checks.wire.imap_command import Part, astring, encode
from mailtrip_checks.wire.imap_dialogue import Answer, Dialogue
from mailtrip_checks.wire.imap_parser import Condition, Continuation, Data, Status
from mailtrip_checks.wire.login import other_user, too_many

# What a refusal's response code means (RFC 5530 §3).
_ADVICE_BY_CODE = {
    "UNAVAILABLE": "The server cannot check passwords now: look at its authentication service, and try again later.",
    "EXPIRED": "The password is good no more: set a new one.",
    "PRIVACYREQUIRED": "The server wants TLS before the login: use `security: starttls` or `security: tls`.",
    "AUTHORIZATIONFAILED": "The password is right, but this user may not use the mailbox.",
    "CONTACTADMIN": "The server asks to contact its administrator.",
}
_TOKEN_ADVICE_BY_CODE = {code: _ADVICE_BY_CODE[code] for code in ("UNAVAILABLE", "PRIVACYREQUIRED", "CONTACTADMIN")}
_TLS_FIRST = "Use `security: starttls` or `security: tls`."
_LOCKED_AUTH = "Write `auth: password` or `auth: plain`."


async def log_in(dialogue: Dialogue, endpoint: Endpoint, capabilities: frozenset[str], token: str = "") -> None:
    """Log in by `endpoint.auth`, with OAuth 2 by the token; raises LoginFailed with the server's text, or saying what
    the server lacks.
    """
    if endpoint.auth is Auth.OAUTH2:
        await _log_in_by_token(dialogue, endpoint, capabilities, token)
        return
    user = endpoint.user
    password = endpoint.password.reveal() if endpoint.password is not None else ""
    octets = _octets(user), _octets(password)
    if _uses_plain(dialogue, endpoint, capabilities, is_ascii=(user + password).isascii()):
        answer = await _authenticate_plain(dialogue, b"\0%b\0%b" % octets, capabilities)
    else:
        parts: tuple[Part, ...] = (b"LOGIN", *map(astring, octets))
        answer = await dialogue.command("logging in", *parts, shown=f"LOGIN {user} ***")
    if not answer.ok:
        raise _refusal(dialogue, user, answer.final)


async def _log_in_by_token(dialogue: Dialogue, endpoint: Endpoint, capabilities: frozenset[str], token: str) -> None:
    offered = [word.removeprefix("AUTH=") for word in capabilities if word.startswith("AUTH=")]
    mechanism = sasl_oauth.preferred(offered)
    if mechanism is None:
        advice = "Choose another `auth`; the server may offer OAuth 2 only where its administrator allows it."
        _lacks(dialogue, " or ".join(sasl_oauth.Mechanism), capabilities, advice)
    final, challenge = await _exchange(
        dialogue, mechanism, sasl_oauth.response(mechanism, endpoint, token), at_once="SASL-IR" in capabilities
    )
    if final.condition is not Condition.OK:
        dialogue.network.tokens.refused(token)
        reply = dialogue.masked(final.text)
        error = sasl_oauth.refusal(
            mechanism, endpoint, token, dialogue.network, host=dialogue.stream.host, challenge=challenge, reply=reply
        )
        error.advice = _TOKEN_ADVICE_BY_CODE.get(final.code, error.advice)
        raise error


async def _exchange(
    dialogue: Dialogue, mechanism: sasl_oauth.Mechanism, response: str, *, at_once: bool
) -> tuple[Status, str]:
    """AUTHENTICATE to its end, with the response in the command where it may be (SASL-IR, RFC 4959).

    The second value is the challenge that came after the response, or nothing: why the server refuses.
    """
    doing, tag = "logging in", dialogue.new_tag()
    command = f"{tag} AUTHENTICATE {mechanism}"
    waiting, challenge = not at_once, ""
    async with dialogue.step(doing):
        line = command if waiting else f"{command} {response}"
        dialogue.send(f"{line}\r\n".encode("ascii"), command if waiting else f"{command} ***")
        while True:
            await dialogue.stream.drain()
            match await dialogue.next(doing):
                case Continuation() if waiting:
                    waiting = False
                    dialogue.send(f"{response}\r\n".encode("ascii"), "***")
                case Continuation(text=text):
                    challenge = text
                    dialogue.send(f"{sasl_oauth.last_word(mechanism)}\r\n".encode("ascii"), "***")
                case Status(tag=str()) as final:
                    dialogue.check_tag(doing, tag, final)
                    return final, challenge
                case Status() | Data():
                    pass


def _uses_plain(dialogue: Dialogue, endpoint: Endpoint, capabilities: frozenset[str], *, is_ascii: bool) -> bool:
    """Whether AUTHENTICATE PLAIN is to be used, not LOGIN; raises LoginFailed where neither will do."""
    offers_plain = "AUTH=PLAIN" in capabilities
    forbids_login = "LOGINDISABLED" in capabilities
    if endpoint.auth is Auth.PLAIN:
        if not offers_plain:
            _lacks(dialogue, "AUTHENTICATE PLAIN", capabilities, "Write `auth: password` to log in by LOGIN.")
        return True
    if endpoint.auth is not Auth.PASSWORD:
        raise LoginFailed(f"auth: {endpoint.auth} does not exist over IMAP", advice=_LOCKED_AUTH)
    if forbids_login and not offers_plain:
        _lacks(dialogue, "LOGIN or AUTHENTICATE PLAIN", capabilities, "The server wants another mechanism.")
    # LOGIN carries ASCII by the letter of the RFC; servers differ in what they make of more.
    return offers_plain and (forbids_login or not is_ascii)


def _lacks(dialogue: Dialogue, mechanism: str, capabilities: frozenset[str], advice: str) -> Never:
    host = dialogue.stream.host
    offered = ", ".join(sorted(word.removeprefix("AUTH=") for word in capabilities if word.startswith("AUTH=")))
    if not dialogue.stream.secure and ("LOGINDISABLED" in capabilities or "STARTTLS" in capabilities):
        raise LoginFailed(f"{host} wants TLS before it offers {mechanism}", advice=_TLS_FIRST)
    raise LoginFailed(f"{host} does not offer {mechanism} (it offers: {offered or 'nothing'})", advice=advice)


async def _authenticate_plain(dialogue: Dialogue, message: bytes, capabilities: frozenset[str]) -> Answer:
    """RFC 4616, with the initial response in the command where the server has SASL-IR (RFC 4959)."""
    response = base64.b64encode(message)
    if "SASL-IR" in capabilities:
        return await dialogue.command("logging in", b"AUTHENTICATE PLAIN", response, shown="AUTHENTICATE PLAIN ***")
    tag = dialogue.new_tag()
    pieces = [*encode(tag, [b"AUTHENTICATE PLAIN"], ()), response + b"\r\n"]
    return await dialogue.exchange("logging in", tag, pieces, "AUTHENTICATE PLAIN")


def _octets(credential: str) -> bytes:
    """The credential as it travels; bytes of the environment that were no UTF-8 travel as they were."""
    try:
        octets = credential.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        octets = b"\0"
    if b"\0" in octets:
        raise LoginFailed("user or password contains a NUL or half a character, which IMAP cannot carry")
    return octets


def _refusal(dialogue: Dialogue, user: str, final: Status) -> LoginFailed | Busy:
    text = dialogue.masked(final.text)
    what = f"{dialogue.stream.host} refused the login of {user}: {text}"
    if final.code == "LIMIT" or too_many(text):
        return Busy(what, reply=text, of_user=True)
    return LoginFailed(what, reply=text, advice=_ADVICE_BY_CODE.get(final.code, other_user(user)))
