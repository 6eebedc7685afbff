"""On Dovecot: our mail ends in the folder that `move_to` names, with MOVE and without it, and left its own."""

import pytest

from mailtrip_checks.trips import TRASH
from mailtrip_checks.wire.imap import ImapSession
from tests.realservers.running import password, quoted, run_trips
from tests.realservers.servers import RealServers


@pytest.mark.parametrize("lacks", [set[str](), {"MOVE"}], ids=["MOVE", "COPY"])
def test_a_mail_is_moved_to_a_folder_by_name_or_mark_or_says_what_folders_there_are(
    pytester: pytest.Pytester, real_servers: RealServers, monkeypatch: pytest.MonkeyPatch, lacks: set[str]
) -> None:
    has = ImapSession.has

    def has_not(session: ImapSession, capability: str) -> bool:
        return capability not in lacks and has(session, capability)

    monkeypatch.setattr(ImapSession, "has", has_not)
    account = real_servers.users[18]
    folders = {"named": "Trash", "made": "[Gmail] Müll & Co", "marked": TRASH, "missing": "[Gmail]/Trash"}
    other = real_servers.put_mail(account, b"Subject: a friend's\r\n\r\nHello\r\n")
    real_servers.put_mail(account, b"Subject: old\r\n\r\nHello\r\n", folders["made"])
    leg = f"at: in, user: {account.address}, password: {password(account)}"
    run = run_trips(
        pytester,
        real_servers,
        [
            f"{name}: {{send: {{via: out, from: a@example.org, to: {account.address}}}, "
            f"receive: {{{leg}, delete: {{move_to: {quoted(folder)}}}}}}}"
            for name, folder in folders.items()
        ],
    )
    assert run.ends() == dict.fromkeys(folders, "delivered") | {"missing": "undeleted"}
    assert [name for name in folders if run.messages(name, account)] == ["missing"]
    for name, folder in {"named": "Trash", "made": folders["made"], "marked": "Trash"}.items():
        assert len(run.messages(name, account, folder)) == 1
    advice = run.records["missing"].hint
    assert advice.startswith("There is no folder '[Gmail]/Trash' to move to; there are 'INBOX', 'Junk', ")
    assert "'[Gmail] Müll & Co'" in advice
    (kept,) = [mail for mail in real_servers.maildir_messages(account) if mail.name == other]
    assert not kept.flags
    said = {
        line.text.split()[2] for record in run.records.values() for line in record.transcript if " UID " in line.text
    }
    assert ("COPY" if lacks else "MOVE") in said
