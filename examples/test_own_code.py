"""The in-process servers, for tests of your own code. Not against real servers: the fixtures are these servers."""

import smtplib
from email.message import EmailMessage


def welcome(address: str, host: str, port: int) -> None:
    """The code under test: it sends a mail."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "shop@example.org", address, "Welcome"
    message.set_content("Nice to see you.")
    with smtplib.SMTP(host, port) as client:
        client.send_message(message)


def test_a_new_customer_is_welcomed(mail_servers, mail_account):
    welcome(mail_account.address, mail_servers.host, mail_servers.ports.smtp)
    message = mail_account.wait_for(subject="Welcome", timeout_s=5)
    assert "Nice to see you." in message.get_content()
