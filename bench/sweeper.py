"""A process that runs jobs when it is told to: what ``lianxin worker`` does, without its watch.

Reads one JSON line with ``url``, ``secret_key`` and ``data``; answers ``{}`` when it is ready. Then
one line a job: its name, the time it shall believe in, how often; answers the times it took.
"""

import asyncio
import json
import sys
import time
from datetime import datetime
from typing import Any

import uvloop

from app.grids import queries as grids
from app.reference import queries as reference
from app.requests.city import City
from app.settings import Settings
from app.store.crypto import FieldCipher
from app.store.notices import Follower, Snapshot
from app.store.session import Database
from app.wiring import Works, jobs


async def main() -> None:
    told = json.loads(sys.stdin.readline())
    settings = Settings(DATABASE_URL=told["url"], secret_key=told["secret_key"], data=told["data"])
    db = Database(told["url"], settings.database)
    await db.open()
    known: list[Snapshot[Any]] = [
        Snapshot(reference.TOPIC, reference.load),
        Snapshot(grids.TOPIC, grids.load),
    ]
    follower = Follower(db, known)
    await follower.start()
    cipher = FieldCipher(settings.secret_key.get_secret_value())
    works = Works(db, settings, lambda: City(known[0].current, known[1].current, cipher))
    functions = {name: function for name, _period_s, function in jobs(settings)}
    try:
        _say({})
        while line := await asyncio.to_thread(sys.stdin.readline):
            order = json.loads(line)
            run, now = functions[order["job"]], datetime.fromisoformat(order["now"])
            times_s = []
            used_s = time.process_time()
            for _ in range(order["times"]):
                began = time.perf_counter()
                await run(works, now)
                times_s.append(time.perf_counter() - began)
            _say({"times_s": times_s, "used_s": time.process_time() - used_s})
    finally:
        await follower.stop()
        await db.close()


def _say(answer: object) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
