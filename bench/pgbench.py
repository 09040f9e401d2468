"""The reference for create: pgbench runs the service's own statement with the service's own values.

Nothing is copied by hand. Real submissions go through the service's own code up to the point where
it would run its statement; there the statement and its values are caught and written into a pgbench
script. What differs from call to call is made in the script: the request's id, its number and the
key are counted up, residents take turns, and so do the grids and units of the submissions.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from app.domain.identity import Actor, Role
from app.grids import queries as grids
from app.reference import queries as reference
from app.requests import submission
from app.requests.city import City
from app.requests.forms import SubmitIn
from app.settings import DatabaseSettings
from app.store.base import new_id
from app.store.crypto import FieldCipher
from app.store.programs import find_programs
from app.store.session import Database, Statement
from bench.fire import Misfire, Sample
from bench.shots import submission_bodies

SUBMISSIONS = 200
_GRACE_S = 30
_RESIDENT = "00000000-0000-7000-8000-"

# A number that grows over all clients and runs; the resident: never one of a call under way.
_COUNTING = """\
\\set turn :turn + 1
\\set serial :first + :turn * {clients} + :client_id
\\set person (:turn * {clients} + :client_id) % {residents}
\\set place random(0, {places} - 1)
"""
_IN_TURN = ("grid_code", "unit_code")

_COUNTED = {
    "id": "lpad(to_hex(:serial::bigint), 32, '0')::uuid",
    "number": "(:serial::bigint)::text",
    "key": "md5((:serial::bigint)::text)",
    "submitted_by": f"('{_RESIDENT}' || lpad(to_hex(:person::bigint), 12, '0'))::uuid",
    "resident_id": f"('{_RESIDENT}' || lpad(to_hex(:person::bigint), 12, '0'))::uuid",
    "bucket": f"('submit:{_RESIDENT}' || lpad(to_hex(:person::bigint), 12, '0'))",
}


class _Caught(Database):
    """Stands where the database would: keeps what it was asked to run, and runs nothing."""

    def __init__(self) -> None:
        self.statement: Statement | None = None
        self.values: dict[str, Any] = {}

    async def one_statement(self, statement: Statement, **values: Any) -> Any:
        self.statement, self.values = statement, values
        return {"written": 1}


@dataclass(frozen=True, slots=True)
class Reference:
    """A script that runs the service's create, and the values of its variables."""

    script: str
    variables: dict[str, str]


async def reference_for_create(
    url: str, secret_key: str, *, clients: int, residents: int
) -> Reference:
    """Catch real submissions and write them down for pgbench."""
    db = Database(url, DatabaseSettings())
    await db.open()
    try:
        city = City(await reference.load(db), await grids.load(db), FieldCipher(secret_key))
    finally:
        await db.close()
    every = [await _caught(city, body, number) for number, body in enumerate(_bodies())]
    # One script, so one kind of them: most find their unit, few wait for a dispatcher.
    caught = [one for one in every if one.values["unit_code"] is not None]
    counting = _COUNTING.format(clients=clients, residents=residents, places=len(caught))
    sql, variables = _script(caught)
    return Reference(counting + sql, variables)


def _bodies() -> list[bytes]:
    return submission_bodies(SUBMISSIONS)


async def _caught(city: City, body: bytes, serial: int) -> _Caught:
    actor = Actor(id=new_id(), role=Role.RESIDENT)
    draft = submission.draft(
        city,
        SubmitIn.model_validate_json(body),
        actor=actor,
        home=None,
        request_id=new_id(),
        serial=serial,
        now=datetime.now(UTC),
    )
    db = _Caught()
    await submission.write(db, city, draft, actor=actor, key="k", body_hash=bytes(32), quota=10**9)
    return db


def _script(caught: Sequence[_Caught]) -> tuple[str, dict[str, str]]:
    """The statement in pgbench's words: values as variables, counted up, or taken in turn."""
    statement, values = caught[0].statement, caught[0].values
    assert statement is not None
    sql, variables = statement.sql, {}
    for position, name in reversed(list(enumerate(statement.names, 1))):
        if name in _COUNTED:
            word = _COUNTED[name]
        elif name in _IN_TURN:
            listed = ", ".join(f"'{one.values[name]}'" for one in caught)
            word = f"(ARRAY[{listed}])[1 + :place]"
        elif values[name] is None:
            word = "NULL"
        else:
            word = f":{name}"
            variables[name] = _text(values[name])
        sql = sql.replace(f"${position}", word)
    return sql.strip() + ";\n", variables


def _text(value: Any) -> str:
    """A value as PostgreSQL reads it."""
    match value:
        case bool():
            return "t" if value else "f"
        case bytes():
            return "\\x" + value.hex()
        case datetime():
            return value.isoformat()
        case UUID() | int() | float() | str():
            return str(value)
    raise TypeError(f"no text for {type(value).__name__}")


class Pgbench:
    """Runs the reference on its own copy of the database."""

    def __init__(self, url: str, given: Reference, database_used_us: Callable[[], float]) -> None:
        self._url = url
        self._given = given
        self._used_us = database_used_us
        self._runs = 0

    def run(self, *, clients: int, seconds: float) -> Sample:
        """Raises: Misfire."""
        self._runs += 1
        program = find_programs().folder / "pgbench"
        command = [str(program) if program.exists() else shutil.which("pgbench") or "pgbench"]
        command += ["--no-vacuum", "--protocol=prepared", "--jobs=1", f"--client={clients}"]
        command += [f"--time={round(seconds)}", "--define=turn=0"]
        # Far apart: a run must not count into the next one's numbers.
        command += [f"--define=first={(1000 + self._runs) * 10**10}"]
        command += [f"--define={name}={text}" for name, text in self._given.variables.items()]
        with tempfile.TemporaryDirectory(prefix="lianxin-pgbench-") as folder:
            path = Path(folder) / "create.sql"
            path.write_text(self._given.script)
            command += [
                f"--file={path}",
                "--log",
                f"--log-prefix={folder}/took",
                *_where(self._url),
            ]
            before = self._used_us()
            ran = subprocess.run(
                command, capture_output=True, text=True, timeout=seconds + _GRACE_S, check=False
            )
            used = self._used_us() - before
            took = sorted(
                int(line.split()[2])
                for log in Path(folder).glob("took.*")
                for line in log.read_text().splitlines()
            )
        told = [line for line in ran.stdout.splitlines() if line.startswith("tps = ")]
        if ran.returncode != 0 or not told or not took:
            raise Misfire(f"pgbench failed:\n{ran.stdout[-1000:]}{ran.stderr[:2000]}")
        return Sample(
            per_s=float(told[0].split()[2]),
            p50_ms=took[len(took) // 2] / 1000,
            p99_ms=took[len(took) * 99 // 100] / 1000,
            done=len(took),
            database_us=used / len(took),
        )


def _where(url: str) -> list[str]:
    parts = urlsplit(url)
    host = parse_qs(parts.query)["host"][0]
    return ["--host", host, "--username", parts.username or "", parts.path.lstrip("/")]
