"""Logging in over SMTP: one mechanism, chosen from what the server offers and never followed by another.

A second try after a refusal would count as a second wrong password and lock accounts sooner.
"""

from mailtrip_checks.errors import LoginFailed, ProtocolError
from mailtrip_checks.trips import Auth, Endpoint
from mailtrip_checks.wire.login import credentials, other_user, sasl_plain, wire_bytes
from mailtrip_checks.wire.smtp_dialogue import Dialogue

_NAMES = {Auth.PLAIN: "plain", Auth.LOGIN: "login", Auth.CRAM_MD5: "cram-md5"}
_TLS_FIRST = "The server wants TLS before the login: use `security: starttls` or `security: tls`."
_NOT_NOW = "The server cannot check passwords now: look at its log, and try again later."
_ENCRYPTION_REQUIRED = 538  # RFC 4954 §4


async def log_in(dialogue: Dialogue, endpoint: Endpoint) -> None:
    """Log in by `endpoint.auth`; raises LoginFailed with the server's reply, or saying what the server lacks."""
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
        dialogue.broken = True
        raise ProtocolError(f"{dialogue.host} answered AUTH out of turn", reply=answer.text)


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
    names = " or ".join(mechanism.upper() for mechanism in wanted)
    listed = ", ".join(offered).upper() or "no login at all"
    starttls = not dialogue.secure and dialogue.client.supports_extension("starttls")
    advice = _TLS_FIRST if starttls else "Choose another `auth`, or `auth: none` where the server wants no login."
    raise LoginFailed(f"{dialogue.host} does not offer AUTH {names}; it offers {listed}", advice=advice)


def _hidden(data: bytes) -> str:
    """A line of AUTH without what may be a credential."""
    words = data.decode("ascii", "replace").split()
    if words[:1] != ["AUTH"]:
        return "***"
    return " ".join([*words[:2], "***"] if words[2:] else words)
