"""What the rules need to know of the city at one moment, and the serial numbers of one process."""

import asyncio
from dataclasses import dataclass

from app.domain.numbering import BLOCK
from app.grids.queries import GridIndex
from app.reference.queries import Reference
from app.store.crypto import FieldCipher
from app.store.session import Database, Statement


@dataclass(frozen=True, slots=True)
class City:
    """Snapshots taken together: one request is decided on one state of the city."""

    reference: Reference
    grids: GridIndex
    cipher: FieldCipher


_NEXT_BLOCK = Statement("SELECT nextval('request_number_blocks') AS block")


class Serials:
    """Hands out serials from blocks fetched now and then, so that a number is known before the
    request is written. A restart leaves a gap; a serial is never given twice."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._next = self._end = 0
        self._lock = asyncio.Lock()

    async def take(self) -> int:
        if self._next == self._end:
            async with self._lock:
                if self._next == self._end:
                    row = await self._db.one_statement(_NEXT_BLOCK)
                    assert row is not None  # noqa: S101 - nextval always answers
                    self._next = row["block"] * BLOCK
                    self._end = self._next + BLOCK
        serial = self._next
        self._next += 1
        return serial
