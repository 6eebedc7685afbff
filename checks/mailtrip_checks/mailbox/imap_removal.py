"""How proven mails leave an IMAP folder: moved to another, or expunged."""

from collections.abc import Collection, Iterable
from contextlib import suppress

from mailtrip_checks.errors import Undeleted
from mailtrip_checks.trips import TRASH
from mailtrip_checks.wire.imap import CommandRefused, ImapSession
from mailtrip_checks.wire.imap_folders import ListedFolder

_MOST_NAMED = 20


async def remove(session: ImapSession, uids: Collection[int], move_to: str | None, *, dedicated: bool) -> bool:
    """Move the mails to a folder, or expunge them; False where the server can only flag them \\Deleted.

    EXPUNGE without UIDPLUS takes along what others flagged: only where the mailbox is `dedicated`. Raises Undeleted
    where the folder does not take them, CommandRefused for any other refusal.
    """
    if move_to is not None:
        folder = await _bin(session) if move_to == TRASH else move_to
        moves = session.has("MOVE")
        try:
            await (session.uid_move(uids, folder) if moves else session.uid_copy(uids, folder))
        except CommandRefused as refused:
            advice = await _other_folders(session, folder)
            raise Undeleted(f"could not be moved: {refused.what}", reply=refused.reply, advice=advice) from refused
        if moves:
            return True
    await session.uid_store_deleted(uids)
    if session.has("UIDPLUS"):
        await session.uid_expunge(uids)
    elif dedicated:
        await session.expunge()
    else:
        return False
    return True


async def _bin(session: ImapSession) -> str:
    folders = await session.folders()
    found = next((folder.name for folder in folders if folder.is_marked(TRASH)), None)
    if found is None:
        what = f"could not be moved: {session.host} marks no folder as {TRASH}"
        raise Undeleted(what, advice=f"Name the folder under `move_to`; there are {_names(folders)}.")
    return found


async def _other_folders(session: ImapSession, missing: str) -> str:
    """Which folders there are, if this one is not among them."""
    with suppress(CommandRefused):
        folders = await session.folders()
        if missing not in {folder.name for folder in folders}:
            return f"There is no folder {missing!r} to move to; there are {_names(folders)}."
    return ""


def _names(folders: Iterable[ListedFolder]) -> str:
    names = sorted(folder.name for folder in folders)
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(map(repr, names[:_MOST_NAMED])) + more
