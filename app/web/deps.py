"""What an endpoint may ask for. The one place where an HTTP request's transaction commits."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, cast

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request as HttpRequest

from app.settings import Settings
from app.store.session import Database


def database(http: HttpRequest) -> Database:
    return cast(Database, http.app.state.db)


def settings(http: HttpRequest) -> Settings:
    return cast(Settings, http.app.state.settings)


async def transaction(http: HttpRequest) -> AsyncIterator[AsyncSession]:
    """One transaction per HTTP request. Nobody else commits."""
    async with database(http).transaction() as session:
        yield session


def read_clock() -> datetime:
    """The server's time of receipt, the only time a promise is counted from."""
    return datetime.now(UTC)


Db = Annotated[Database, Depends(database)]
Config = Annotated[Settings, Depends(settings)]
# scope="function": commit BEFORE the response leaves. With FastAPI's default scope a failed commit
# would come after the client has read its 201.
Session = Annotated[AsyncSession, Depends(transaction, scope="function")]
Now = Annotated[datetime, Depends(read_clock)]
