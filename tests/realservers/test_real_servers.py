"""The real servers do what servers.py says of them, as the standard library's clients see it."""

import base64
import imaplib
import poplib
import smtplib
import ssl
import time
import uuid

import pytest

from tests.realservers.servers import Account, RealServers, StoredMail, until

SENDER = "sender@elsewhere.invalid"


def trust(servers: RealServers) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=servers.ca)


def mail(token: str) -> bytes:
    return f"From: {SENDER}\r\nTo: somebody@example.test\r\nSubject: {token}\r\n\r\nBody\r\n".encode()


def send(servers: RealServers, recipient: str, sender: str = SENDER) -> str:
    token = uuid.uuid4().hex
    with smtplib.SMTP(servers.host, servers.ports.smtp) as smtp:
        smtp.sendmail(sender, [recipient], mail(token))
    return token


def refusal(servers: RealServers, recipient: str) -> int:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send(servers, recipient)
    code, _ = refused.value.recipients[recipient]
    return code


def imap_login(servers: RealServers, account: Account) -> imaplib.IMAP4:
    imap = imaplib.IMAP4(servers.host, servers.ports.imap)
    imap.login(account.address, account.password)
    return imap


@pytest.fixture
def token() -> str:
    return uuid.uuid4().hex


# SMTP


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost"])
def test_smtp_offers_starttls_and_no_auth(real_servers: RealServers, token: str, address: str) -> None:
    user = real_servers.users[5]
    with smtplib.SMTP(address, real_servers.ports.smtp) as smtp:
        smtp.starttls(context=trust(real_servers))
        smtp.ehlo()
        assert not smtp.has_extn("auth")
        smtp.sendmail(SENDER, [user.address], mail(token))
    assert real_servers.arrived(user, token)


def test_smtp_notls_offers_neither_tls_nor_auth(real_servers: RealServers, token: str) -> None:
    user = real_servers.users[5]
    with smtplib.SMTP(real_servers.host, real_servers.ports.smtp_notls) as smtp:
        smtp.ehlo()
        assert not smtp.has_extn("starttls")
        assert not smtp.has_extn("auth")
        smtp.sendmail(SENDER, [user.address], mail(token))
    assert real_servers.arrived(user, token)


def test_smtps_has_tls_from_the_first_byte_and_auth(real_servers: RealServers, token: str) -> None:
    user = real_servers.users[5]
    with smtplib.SMTP_SSL(real_servers.host, real_servers.ports.smtps, context=trust(real_servers)) as smtp:
        smtp.login(user.address, user.password)
        smtp.sendmail(SENDER, [user.address], mail(token))
    assert real_servers.arrived(user, token)


def test_submission_takes_mail_only_after_starttls_and_auth(real_servers: RealServers, token: str) -> None:
    user = real_servers.users[5]
    with smtplib.SMTP(real_servers.host, real_servers.ports.submission) as smtp:
        smtp.ehlo()
        assert not smtp.has_extn("auth")
        assert smtp.mail(SENDER)[0] == 530
        smtp.starttls(context=trust(real_servers))
        smtp.mail(SENDER)
        assert smtp.rcpt(user.address)[0] == 554
        smtp.rset()
        smtp.login(user.address, user.password)
        smtp.sendmail(SENDER, [user.address], mail(token))
    assert real_servers.arrived(user, token)


def test_submission_plain_takes_auth_without_tls(real_servers: RealServers, token: str) -> None:
    user = real_servers.users[5]
    with smtplib.SMTP(real_servers.host, real_servers.ports.submission_plain) as smtp:
        smtp.ehlo()
        assert not smtp.has_extn("starttls")
        assert "CRAM-MD5" in smtp.esmtp_features["auth"]
        smtp.login(user.address, user.password)  # by CRAM-MD5, which it prefers
        smtp.sendmail(SENDER, [user.address], mail(token))
        smtp.mail(SENDER)
        assert smtp.rcpt(real_servers.special.elsewhere)[0] == 554
    assert real_servers.arrived(user, token)


# IMAP and POP3


def test_imap_offers_starttls(real_servers: RealServers) -> None:
    user = real_servers.users[6]
    with imaplib.IMAP4(real_servers.host, real_servers.ports.imap) as imap:
        imap.starttls(trust(real_servers))
        assert imap.login(user.address, user.password)[0] == "OK"


def test_imap_notls_offers_no_starttls(real_servers: RealServers) -> None:
    user = real_servers.users[6]
    with imaplib.IMAP4(real_servers.host, real_servers.ports.imap_notls) as imap:
        assert "STARTTLS" not in imap.capabilities
        assert imap.login(user.address, user.password)[0] == "OK"


def test_imaps_has_tls_from_the_first_byte(real_servers: RealServers) -> None:
    user = real_servers.users[6]
    ports = real_servers.ports
    with imaplib.IMAP4_SSL(real_servers.host, ports.imaps, ssl_context=trust(real_servers)) as imap:
        assert imap.login(user.address, user.password)[0] == "OK"


def test_pop3_offers_stls_and_apop(real_servers: RealServers) -> None:
    user = real_servers.users[6]
    pop3 = poplib.POP3(real_servers.host, real_servers.ports.pop3)
    pop3.stls(trust(real_servers))
    pop3.user(user.address)
    assert pop3.pass_(user.password).startswith(b"+OK")
    pop3.quit()
    pop3 = poplib.POP3(real_servers.host, real_servers.ports.pop3)
    assert pop3.apop(user.address, user.password).startswith(b"+OK")
    pop3.quit()


def test_pop3_notls_offers_no_stls(real_servers: RealServers) -> None:
    user = real_servers.users[6]
    pop3 = poplib.POP3(real_servers.host, real_servers.ports.pop3_notls)
    assert "STLS" not in pop3.capa()
    pop3.user(user.address)
    assert pop3.pass_(user.password).startswith(b"+OK")
    pop3.quit()


def test_pop3s_has_tls_from_the_first_byte(real_servers: RealServers) -> None:
    user = real_servers.users[6]
    pop3 = poplib.POP3_SSL(real_servers.host, real_servers.ports.pop3s, context=trust(real_servers))
    pop3.user(user.address)
    assert pop3.pass_(user.password).startswith(b"+OK")
    pop3.quit()


def test_a_client_without_the_ca_does_not_trust_the_certificate(real_servers: RealServers) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        imaplib.IMAP4_SSL(real_servers.host, real_servers.ports.imaps, ssl_context=ssl.create_default_context())


def test_the_odd_password_logs_in_everywhere(real_servers: RealServers) -> None:
    user = real_servers.odd
    plain = f"\0{user.address}\0{user.password}".encode()
    with smtplib.SMTP(real_servers.host, real_servers.ports.submission_plain) as smtp:
        smtp.ehlo()
        assert smtp.docmd("AUTH", f"PLAIN {base64.b64encode(plain).decode()}")[0] == 235
    with imaplib.IMAP4(real_servers.host, real_servers.ports.imap) as imap:
        assert imap.authenticate("PLAIN", lambda _: plain)[0] == "OK"
    pop3 = poplib.POP3(real_servers.host, real_servers.ports.pop3)
    pop3.user(user.address)
    assert pop3.pass_(user.password).startswith(b"+OK")
    pop3.quit()


def test_wrong_passwords_are_refused_without_a_growing_delay(real_servers: RealServers) -> None:
    started_at = time.monotonic()
    for _ in range(2):
        imap = imaplib.IMAP4(real_servers.host, real_servers.ports.imap)
        with imap, pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
            imap.login(real_servers.users[7].address, "wrong")
    assert time.monotonic() - started_at < 3, "as Dovecot comes, it would be 2 s and then 4 s"


# Addresses


def test_mail_with_a_detail_reaches_the_mailbox(real_servers: RealServers) -> None:
    token = send(real_servers, "u0008+detail@example.test")
    assert real_servers.arrived(real_servers.users[8], token)


def test_forward_arrives_at_the_other_mailbox(real_servers: RealServers) -> None:
    token = send(real_servers, real_servers.special.forward)
    assert real_servers.arrived(real_servers.users[1], token)


def test_list_reaches_its_three_members(real_servers: RealServers) -> None:
    token = send(real_servers, real_servers.special.list)
    assert all(real_servers.arrived(member, token) for member in real_servers.users[2:5])


def test_refused_recipients_are_refused_at_rcpt(real_servers: RealServers) -> None:
    special = real_servers.special
    assert refusal(real_servers, special.reject) == 550
    assert refusal(real_servers, special.unknown) == 550
    assert refusal(real_servers, special.defer) == 451
    assert refusal(real_servers, special.elsewhere) == 554


def test_blackhole_accepts_and_throws_away(real_servers: RealServers) -> None:
    token = send(real_servers, real_servers.special.blackhole)
    until(lambda: f"to=<{real_servers.special.blackhole}>, relay=none" in real_servers.logs())
    files = [path for path in (real_servers.directory / "mail").rglob("*") if path.is_file()]
    assert not [path for path in files if token.encode() in path.read_bytes()]


def test_bounce_returns_a_report_to_the_sender(real_servers: RealServers) -> None:
    sender = real_servers.users[9]
    token = send(real_servers, real_servers.special.bounce, sender.address)
    report = real_servers.arrived(sender, token).raw
    assert b"Content-Type: multipart/report" in report
    assert real_servers.special.bounce.encode() in report


# What lies in the mailboxes


def test_a_mail_put_there_is_what_the_server_shows(real_servers: RealServers, token: str) -> None:
    user = real_servers.users[10]
    name = real_servers.put_mail(user, mail(token))
    with imap_login(real_servers, user) as imap:
        imap.select(readonly=True)
        _, (found,) = imap.search(None, "SUBJECT", token)
        _, parts = imap.fetch(found.decode(), "(BODY.PEEK[])")
    assert mail(token) in [part[1] for part in parts if isinstance(part, tuple)]
    assert real_servers.arrived(user, token) == StoredMail(name, flags="", recent=True, raw=mail(token))


def test_flags_that_the_server_sets_are_seen_on_the_same_mail(real_servers: RealServers, token: str) -> None:
    user = real_servers.users[11]
    name = real_servers.put_mail(user, mail(token))
    with imap_login(real_servers, user) as imap:
        imap.select()
        _, (found,) = imap.search(None, "SUBJECT", token)
        imap.store(found.decode(), "+FLAGS", "(\\Seen \\Flagged)")
    assert real_servers.arrived(user, token) == StoredMail(name, flags="FS", recent=False, raw=mail(token))


def test_a_delivered_mail_keeps_its_name(real_servers: RealServers) -> None:
    user = real_servers.users[12]
    before = real_servers.arrived(user, send(real_servers, user.address))
    with imap_login(real_servers, user) as imap:
        imap.select()
        imap.store("1:*", "+FLAGS", "\\Seen")
    (after,) = [one for one in real_servers.maildir_messages(user) if one.name == before.name]
    assert (before.recent, after.recent) == (True, False)
    assert (before.flags, after.flags) == ("", "S")


@pytest.mark.parametrize("folder", ["Junk", "Sent", "Trash"])
def test_everybody_has_the_usual_folders(real_servers: RealServers, token: str, folder: str) -> None:
    user = real_servers.users[13]
    real_servers.put_mail(user, mail(token), folder)
    with imap_login(real_servers, user) as imap:
        _, listed = imap.list('(SPECIAL-USE) ""', "*")
        assert f'(\\{folder}) "." {folder}'.encode() in listed
        imap.select(folder, readonly=True)
        assert imap.search(None, "SUBJECT", token)[1] != [b""]
    assert mail(token) in [one.raw for one in real_servers.maildir_messages(user, folder)]


def test_the_probe_has_a_folder_with_an_odd_name(real_servers: RealServers, token: str) -> None:
    real_servers.put_mail(real_servers.probe, mail(token), real_servers.odd_folder)
    with imap_login(real_servers, real_servers.probe) as imap:
        assert imap.select(r'"B&APw-ro \"A\" &- Co"', readonly=True)[0] == "OK"
        assert imap.search(None, "SUBJECT", token)[1] != [b""]
