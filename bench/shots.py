"""The HTTP requests that are fired, made beforehand: a load generator only sends bytes."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from app.domain import geometry
from app.grids import demo as demo_city
from app.reference.seeds_city import CATEGORIES
from bench.people import People

BODIES = 2_000
_SAYINGS = (
    "小区门口的垃圾桶已经好几天没有人清运，天气热了味道很大，影响周围居民出行，希望尽快安排清理。",
    "村东头主路的路灯坏了一个多星期，晚上老人小孩走路很不方便，麻烦派人来修一下。",
    "楼上住户装修噪音很大，中午和晚上都在施工，多次沟通没有效果，请帮忙协调处理。",
    "自来水水压一直很低，高峰期三楼以上基本没有水，问过物业说是管网的问题，请核实并答复。",
    "想咨询一下办理老年人高龄补贴需要带哪些材料，在社区能不能直接办理，谢谢。",
    "河道里漂着不少塑料袋和秸秆，岸边也堆了建筑垃圾，下雨之后冲到下游，请尽快清理。",
    "公交车站牌被车撞歪了，站台地面也裂开一道口子，等车的时候很危险，请相关部门看一看。",
)


@dataclass(frozen=True, slots=True)
class Shot:
    """One HTTP request in two halves. A fresh key goes between them where ``keyed``."""

    before: bytes
    after: bytes = b""
    keyed: bool = False


@dataclass(frozen=True, slots=True)
class Magazine:
    """What is fired at one port, round and round."""

    port: int
    shots: Sequence[Shot]
    expect: int = 200


def _head(method: str, path: str, token: str | None) -> str:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "User-Agent: bench"]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    return "\r\n".join(lines) + "\r\n"


def get(path: str, token: str | None = None) -> Shot:
    return Shot((_head("GET", path, token) + "\r\n").encode())


def submission_bodies(count: int = BODIES, seed: int = 7) -> list[bytes]:
    """Submissions as the mini-program sends them, with place and contact."""
    dice = random.Random(seed)
    grids = [place.code for place in demo_city.city() if len(place.code) == 15]
    categories = [f"{root.code}.{leaf.code}" for root in CATEGORIES for leaf in root.leaves]
    bodies = []
    for number in range(count):
        latitude, longitude = geometry.to_gcj02(*demo_city.demo_point(dice.choice(grids)))
        body = {
            "text": "".join(dice.sample(_SAYINGS, dice.randint(1, 3))),
            "title": "请尽快处理",
            "kind": dice.choice(("投诉", "求助", "咨询", "建议")),
            "category_code": dice.choice(categories),
            "location": {
                "latitude": round(latitude, 6),
                "longitude": round(longitude, 6),
                "coord_sys": "gcj02",
                "accuracy_m": 30,
                "address": f"幸福路{number % 300 + 1}号",
            },
            "contact": {"name": "王小明", "phone": f"138{dice.randrange(10**8):08}"},
            "public": True,
        }
        bodies.append(json.dumps(body, ensure_ascii=False).encode())
    return bodies


def creates(port: int, people: People) -> Magazine:
    """Residents in turn, so that no two calls under way are of the same person."""
    shots = []
    bodies = submission_bodies()
    for number, body in enumerate(bodies):
        resident = people.residents[number % len(people.residents)]
        head = _head("POST", "/api/v1/requests", resident.token)
        rest = f"\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        shots.append(Shot((head + "Idempotency-Key: ").encode(), rest.encode() + body, keyed=True))
    return Magazine(port, shots, expect=201)


def noop(port: int) -> Magazine:
    return Magazine(port, [get("/")])
