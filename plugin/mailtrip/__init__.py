"""pytest-mailtrip: YAML round trips as pytest items."""

__all__ = ["MailtripWarning"]


class MailtripWarning(UserWarning):
    """A trip passed, but something about it should be looked at: a `warn` limit, a connection without TLS."""
