"""What is new in a maildrop, told at a cost that does not grow with what lies there (RFC 1939 §5 and §7)."""

from collections.abc import Collection

from mailtrip_checks.wire.pop3 import Pop3Session

MOST_ONE_BY_ONE = 20
_NONE = (0, "")


class Newcomers:
    """Remembers what was looked at, from session to session.

    Numbers are good in one session only. But where the mail that was last still has its number, nothing before it has
    gone, and what is new lies behind it.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._last = _NONE  # number and unique id of a mail up to which all is known
        self._size: tuple[int, int] | None = None  # what STAT said when all was known
        self._size_now = (0, 0)
        self._listing: list[tuple[int, str]] = []

    async def ignore_what_is_there(self, session: Pop3Session) -> None:
        """Take all that lies there now for known."""
        self._listing = await session.uidl()
        self.looked_at({unique_id for _, unique_id in self._listing})

    async def unseen(self, session: Pop3Session, *, thorough: bool) -> list[tuple[int, str]]:
        """Number and unique id of each mail that was not looked at yet; `thorough` trusts no number of before."""
        self._size_now = await session.stat()
        if self._size_now == self._size and not thorough and await self._last_stands(session):
            return []
        self._listing = await self._behind_the_last(session, thorough=thorough)
        return [(number, unique_id) for number, unique_id in self._listing if unique_id not in self._known]

    def looked_at(self, unique_ids: Collection[str], *, deleted: Collection[int] = ()) -> None:
        """These of the last list are known from now on, and those with the numbers `deleted` are gone.

        Not to be called before the session has ended well: what a broken one found must be found again.
        """
        self._known.update(unique_ids)
        whole = True
        for number, unique_id in self._listing:
            whole = whole and unique_id in self._known and number not in deleted
            if whole:
                self._last = number, unique_id
        self._size = self._size_now if whole else None
        self._listing = []

    async def _last_stands(self, session: Pop3Session) -> bool:
        """Whether the last mail known has its number still: one may have gone and another of its size have come."""
        number, unique_id = self._last
        return not number or await session.unique_id(number) == unique_id

    async def _behind_the_last(self, session: Pop3Session, *, thorough: bool) -> list[tuple[int, str]]:
        number, count = self._last[0], self._size_now[0]
        few = number <= count <= number + MOST_ONE_BY_ONE
        if few and not thorough and await self._last_stands(session):
            found = [(new, await session.unique_id(new)) for new in range(number + 1, count + 1)]
            if all(unique_id for _, unique_id in found):
                return found
        self._last = _NONE
        return await session.uidl()
