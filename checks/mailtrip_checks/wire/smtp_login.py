"""Logging in over SMTP: one mechanism, chosen from what the server offers and never followed by another.

A second try after a refusal would count as a second wrong password and lock accounts sooner.
"""

from mailtrip_checks.errors import LoginFailed, ProtocolError
from mailtrip_checks.trips import Auth, Endpoint
from mailtrip_checks.wire import sasl_oauth
from mailtrip_checks.wire.login import credentials, other_user, sasl_plain, wire_bytes
from mailtrip_checks.wire.smtp_dialogue import Answer, Dialogue

_NAMES = {Auth.PLAIN: "plain", Auth.LOGIN: "login", Auth.CRAM_MD5: "cram-md5"}
_TLS_FIRST = "The server wants TLS before the login: use `security: starttls` or `security: tls`."
_NOT_NOW = "The server cannot check passwords now: look at its log, and try again later."
_SUCCEEDED, _CONTINUE, _TEMPORARY, _ENCRYPTION_REQUIRED = 235, 334, 454, 538  # RFC 4954 §4 and §6
_ADVICE_BY_CODE = {_TEMPORARY: _NOT_NOW, _ENCRYPTION_REQUIRED: _TLS_FIRST}
_LONGEST_COMMAND_BYTES = 512  # CRLF included (RFC 5321 §4.5.3.1.4); what follows a 334 may be longer (RFC 4954 §4)


async def log_in(dialogue: Dialogue, endpoint: Endpoint, token: str = "") -> None:
    """Log in by `endpoint.auth`, with OAuth 2 by the token; raises LoginFailed with the server's reply, or saying what
    the server lacks.
    """
    if endpoint.auth is Auth.OAUTH2:
        await _log_in_by_token(dialogue, endpoint, token)
        return
    user, password = credentials(endpoint)
    name, secret = wire_bytes(user), wire_bytes(password)
    client = dialogue.client
    match _mechanism(dialogue, endpoint.auth):
        case Auth.CRAM_MD5:
            answer = await dialogue.ask("AUTH", lambda: client.auth_crammd5(name, secret), _hidden)
        case Auth.LOGIN:
            answer = await dialogue.ask("AUTH", lambda: client.auth_login(name, secret), _hidden)
        case _:
            sasl_plain(user, password)  # refuses a NUL
            answer = await dialogue.ask("AUTH", lambda: client.auth_plain(name, secret), _hidden)
    if answer.is_refusal:
        advice = _NOT_NOW if answer.code < 500 else other_user(user)
        advice = _TLS_FIRST if answer.code == _ENCRYPTION_REQUIRED else advice
        raise LoginFailed(f"{dialogue.host} refused the login of {user}", reply=answer.text, advice=advice)
    if not answer.good:
        raise _out_of_turn(dialogue, answer)


async def _log_in_by_token(dialogue: Dialogue, endpoint: Endpoint, token: str) -> None:
    mechanism = sasl_oauth.preferred(dialogue.client.server_auth_methods)
    if mechanism is None:
        raise _lacks(dialogue, " or ".join(sasl_oauth.Mechanism))
    response = sasl_oauth.response(mechanism, endpoint, token)
    command, challenge = f"AUTH {mechanism} {response}", ""
    if len(command) + 2 <= _LONGEST_COMMAND_BYTES:
        answer = await _say(dialogue, command)
    else:
        answer = await _say(dialogue, f"AUTH {mechanism}")
        if answer.code == _CONTINUE:
            answer = await _say(dialogue, response)
    if answer.code == _CONTINUE:
        challenge = answer.text.partition(" ")[2]
        answer = await _say(dialogue, sasl_oauth.last_word(mechanism))
    if answer.is_refusal:
        dialogue.network.tokens.refused(token)
        error = sasl_oauth.refusal(
            mechanism, endpoint, token, dialogue.network, host=dialogue.host, challenge=challenge, reply=answer.text
        )
        error.advice = _ADVICE_BY_CODE.get(answer.code, error.advice)
        raise error
    if answer.code != _SUCCEEDED:
        raise _out_of_turn(dialogue, answer)


async def _say(dialogue: Dialogue, line: str) -> Answer:
    return await dialogue.ask("AUTH", lambda: dialogue.client.execute_command(line.encode("ascii")), _hidden)


def _out_of_turn(dialogue: Dialogue, answer: Answer) -> ProtocolError:
    dialogue.broken = True
    return ProtocolError(f"{dialogue.host} answered AUTH out of turn", reply=answer.text)


def _mechanism(dialogue: Dialogue, auth: Auth) -> Auth:
    """The one to use; raises LoginFailed where the server does not offer it."""
    offered = dialogue.client.server_auth_methods
    wanted = [auth]
    if auth is Auth.PASSWORD:
        wanted = [Auth.PLAIN, Auth.LOGIN]
        # CRAM-MD5 hides the password from listeners; under TLS it only demands that the server stores it in plain.
        wanted.insert(2 if dialogue.secure else 0, Auth.CRAM_MD5)
    for mechanism in wanted:
        if _NAMES.get(mechanism) in offered:
            return mechanism
    raise _lacks(dialogue, " or ".join(mechanism.upper() for mechanism in wanted))


def _lacks(dialogue: Dialogue, names: str) -> LoginFailed:
    listed = ", ".join(dialogue.client.server_auth_methods).upper() or "no login at all"
    starttls = not dialogue.secure and dialogue.client.supports_extension("starttls")
    advice = _TLS_FIRST if starttls else "Choose another `auth`, or `auth: none` where the server wants no login."
    return LoginFailed(f"{dialogue.host} does not offer AUTH {names}; it offers {listed}", advice=advice)


def _hidden(data: bytes) -> str:
    """A line of AUTH without what may be a credential."""
    words = data.decode("ascii", "replace").split()
    if words[:1] != ["AUTH"]:
        return "***"
    return " ".join([*words[:2], "***"] if words[2:] else words)
