"""What an endpoint may ask for. The one place where an HTTP request's transaction commits."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, cast

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request as HttpRequest

from app.settings import Settings
from app.store.session import Database


# All of these are ``async``: FastAPI sends a plain function to a thread, which costs more than the
# function itself.
async def database(http: HttpRequest) -> Database:
    return cast(Database, http.app.state.db)


async def settings(http: HttpRequest) -> Settings:
    return cast(Settings, http.app.state.settings)


async def transaction(http: HttpRequest) -> AsyncIterator[AsyncSession]:
    """One transaction per HTTP request. Nobody else commits."""
    db = await database(http)
    async with db.transaction() as session:
        yield session


def system_clock() -> datetime:
    return datetime.now(UTC)


def now_of(http: HttpRequest) -> datetime:
    """The server's time of receipt, the only time a promise is counted from.

    The clock is ``app.state.clock``, so that there is one for whoever asks, in whatever way.
    """
    return cast(datetime, http.app.state.clock())


async def read_clock(http: HttpRequest) -> datetime:
    return now_of(http)


Db = Annotated[Database, Depends(database)]
Config = Annotated[Settings, Depends(settings)]
# scope="function": commit BEFORE the response leaves. With FastAPI's default scope a failed commit
# would come after the client has read its 201.
Session = Annotated[AsyncSession, Depends(transaction, scope="function")]
Now = Annotated[datetime, Depends(read_clock)]
