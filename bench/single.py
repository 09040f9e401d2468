"""What is not measured under load: placing a point, and the start from nothing."""

import json
import random
import tempfile
import time
from pathlib import Path

import httpx

from app.grids import demo, queries
from bench.servers import Service

_POINTS = 20_000
_FIRST_201_S = 60.0


class Locate:
    """Placing points in the demo city: 2,635 grids and what is above and below them."""

    def __init__(self) -> None:
        self._index = queries.build(demo.records())
        dice = random.Random(3)
        codes = [place.code for place in demo.city() if len(place.code) == 15]
        spots = [demo.demo_point(code) for code in codes]
        self._points = [
            (latitude + dice.uniform(-0.003, 0.003), longitude + dice.uniform(-0.003, 0.003))
            for latitude, longitude in (dice.choice(spots) for _ in range(_POINTS))
        ]

    def point_us(self) -> float:
        """Processor time of this thread for one point, in µs."""
        locate = self._index.locate
        began = time.thread_time()
        for latitude, longitude in self._points:
            locate(latitude, longitude)
        return (time.thread_time() - began) / len(self._points) * 1e6


def first_201_s(workers: int) -> float:
    """Seconds from the start of ``lianxin serve`` on an empty folder to the first 201.

    Everything is in it: the programs' start, initdb, migration, demo city, a resident's log-in.

    Raises: TimeoutError: not within a minute.
    """
    with tempfile.TemporaryDirectory(prefix="lianxin-start-") as folder:
        data = Path(folder) / "data"
        began = time.monotonic()
        with (
            Service(data, database_url=None, workers=workers) as service,
            httpx.Client(base_url=f"http://127.0.0.1:{service.port}", trust_env=False) as http,
        ):
            while time.monotonic() - began < _FIRST_201_S:
                if (data / "demo.json").exists() and _submits(http, data / "demo.json"):
                    return time.monotonic() - began
                time.sleep(0.005)
    raise TimeoutError("no 201 within a minute")


def _submits(http: httpx.Client, demo_file: Path) -> bool:
    code = json.loads(demo_file.read_text())["residents"][0]["code"]
    try:
        login = http.post("/api/v1/auth/wechat", json={"code": code})
        if login.status_code != 200:
            return False
        answer = http.post(
            "/api/v1/requests",
            json={"text": "路灯不亮"},
            headers={
                "Authorization": f"Bearer {login.json()['token']}",
                "Idempotency-Key": "first",
            },
        )
    except httpx.TransportError:
        return False
    return answer.status_code == 201
