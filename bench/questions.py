"""What an auditor asks over a made-up year: the table of questions that ``statistics`` times."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlencode

from app.domain.measures import Measure
from app.domain.working_time import SHANGHAI
from app.statistics import periods
from app.statistics.dimensions import Dimension, Filters
from app.statistics.members import Part
from app.statistics.questions import Keys, Query, over
from app.statistics.schemas import Comparison, GroupBy

YEAR = 2023
SINCE, UNTIL = datetime(YEAR, 1, 1, tzinfo=SHANGHAI), datetime(YEAR + 1, 1, 1, tzinfo=SHANGHAI)
_JULY, _AUGUST, _OCTOBER = (datetime(YEAR, it, 1, tzinfo=SHANGHAI) for it in (7, 8, 10))
_ODD, _ODD_END = datetime(YEAR, 3, 5, tzinfo=SHANGHAI), datetime(YEAR, 8, 21, tzinfo=SHANGHAI)
_ALL, _TOWN = Filters(), Filters(grid="370281001")
_STATISTICS, _SATISFACTION = "/api/v1/statistics", "/api/v1/satisfaction"


class Cell(NamedTuple):
    """A figure that is opened to the requests behind it."""

    measure: Measure
    part: Part
    keys: Keys


@dataclass(frozen=True, slots=True)
class Question:
    """One question, and how else it can be answered.

    Attributes:
        path: what is asked of the service.
        queries: the same for counting; none where only the service can tell it.
        plain: as somebody would write it who knows only the table; for the first of ``queries``.
        cell: of a drill-down, the figure whose number must be the number of the requests.
        further: the page after the first is meant.
    """

    name: str
    path: str
    queries: tuple[Query, ...] = ()
    plain: str = ""
    cell: Cell | None = None
    further: bool = False


def path_of(query: Query, below: str = "", **more: str) -> str:
    """How the service is asked for ``query``, whose period is of whole days."""
    last = query.until - timedelta(days=1)
    asked = [
        *(("measure", it) for it in query.measures),
        *(("group_by", it) for it in query.group_by),
        *query.filters.given().items(),
        *(("from", f"{query.since:%Y-%m-%d}"), ("to", f"{last:%Y-%m-%d}")),
        *more.items(),
    ]
    return f"{_STATISTICS}{below}?{urlencode(asked)}"


def _figures(
    name: str,
    measures: tuple[Measure, ...],
    *by: Dimension,
    of: Filters = _ALL,
    period: tuple[datetime, datetime] = (SINCE, UNTIL),
    plain: str = "",
    compare: Comparison | None = None,
    ranked: bool = False,
) -> Question:
    query = Query(measures, by, of, *period)
    queries: tuple[Query, ...] = (query,)
    more: dict[str, str] = {}
    if compare:
        years = 1 if compare is Comparison.YEAR else 0
        queries = (query, over(query, *periods.before(*period, by, years=years)))
        more["compare"] = compare.value
    if ranked:
        more["ranked"] = "true"
    return Question(name, path_of(query, **more), queries, plain)


def _behind(
    name: str,
    measure: Measure,
    part: Part,
    *by: Dimension,
    key: str | None = None,
    plain: str = "",
    further: bool = False,
) -> Question:
    query = Query((measure,), by, _ALL, SINCE, UNTIL)
    keys = () if key is None else (key,)
    path = path_of(query, "/requests", part=part.value, **({"key": key} if key else {}))
    return Question(name, path, (query,), plain, Cell(measure, part, keys), further)


def _satisfaction(group_by: GroupBy) -> Question:
    name = "/satisfaction" if group_by is GroupBy.NONE else f"/satisfaction by {group_by}"
    return Question(name, _of_year(f"{_STATISTICS}/satisfaction", group_by=group_by.value))


def _of_year(path: str, **more: str) -> str:
    asked = {"from": f"{YEAR}-01-01", "to": f"{YEAR}-12-31", **more}
    return f"{path}?{urlencode(asked)}"


M, D = Measure, Dimension
_EVERY, _SATISFIED = tuple(Measure), (M.SATISFIED,)
_HEADLINE = (M.RECEIVED, M.CLOSED, M.RATED, M.SATISFIED)
_SEVEN = (*_HEADLINE, M.CONTACT_ON_TIME, M.REPLY_ON_TIME, M.OVERDUE)
_HOURS = (M.DURATION_MEDIAN, M.DURATION_P90)
_QUARTER = (_JULY, _OCTOBER)

# --- plain SQL -----------------------------------------------------------------------------------

_WITHIN = "submitted_at >= :since AND submitted_at < :until"
_COUNT = f"""count(*) FILTER (WHERE satisfaction >= 3) AS num, count(satisfaction) AS den
FROM requests WHERE {_WITHIN}"""
_DAY = "(submitted_at AT TIME ZONE 'Asia/Shanghai')::date"
_GRID, _COMMUNITY = "left(grid_code, 15)", "left(grid_code, 12)"


def _by(*keys: str) -> str:
    grouped = ", ".join(str(place + 1) for place in range(len(keys)))
    return f"SELECT {', '.join(keys)}, {_COUNT} GROUP BY {grouped}"


def _hours_by(key: str, shares: str) -> str:
    return (
        f"SELECT {key}, percentile_disc({shares}) WITHIN GROUP (ORDER BY office_s)"
        f" FROM requests WHERE {_WITHIN} GROUP BY 1"
    )


def _listed(where: str) -> str:
    """A page and how many there are."""
    every = f"SELECT count(*) FROM requests WHERE {where} AND {_WITHIN}"
    return (
        f"SELECT *, ({every}) FROM requests WHERE {where} AND {_WITHIN}"
        " ORDER BY submitted_at DESC, id DESC LIMIT 21"
    )


# --- the table -----------------------------------------------------------------------------------

QUESTIONS = (
    _figures("four headline figures", _HEADLINE, plain=f"SELECT {_COUNT}"),
    _figures("satisfied by unit and month", _SATISFIED, D.UNIT, D.MONTH,
             plain=_by("unit_code", f"date_trunc('month', {_DAY})")),
    _figures("overdue by unit", (M.OVERDUE,), D.UNIT,
             plain="SELECT unit_code, count(*) FILTER (WHERE replied_at >= reply_due_at) AS num,"
             " count(replied_at) AS den FROM requests WHERE reply_due_at >= :since"
             " AND reply_due_at < :until GROUP BY 1"),
    _figures("all figures by unit", _EVERY, D.UNIT),
    _figures("all figures by unit, ranked", _EVERY, D.UNIT, ranked=True),
    _figures("all figures by town and community", _EVERY, D.TOWN, D.COMMUNITY),
    _figures("all figures by community", _EVERY, D.COMMUNITY),
    _figures("satisfied by town and community", _SATISFIED, D.TOWN, D.COMMUNITY,
             plain=_by("left(grid_code, 9)", _COMMUNITY)),
    _figures("satisfied by grid", _SATISFIED, D.GRID, plain=_by(_GRID)),
    _figures("satisfied by grid, ranked", _SATISFIED, D.GRID, ranked=True,
             plain="SELECT *, rank() OVER (ORDER BY num::float / nullif(den, 0) DESC NULLS LAST)"
             f" FROM ({_by(_GRID)}) AS grids"),
    _figures("seven figures by grid", _SEVEN, D.GRID),
    _figures("for each 1,000 residents by grid", (M.PER_1000,), D.GRID,
             plain=f"SELECT {_GRID}, count(*) FROM requests WHERE {_WITHIN} GROUP BY 1"),
    _figures("satisfied by category and leaf", _SATISFIED, D.CATEGORY, D.CATEGORY_LEAF,
             plain=_by("category_code")),
    _figures("satisfied by channel", _SATISFIED, D.CHANNEL, plain=_by("channel")),
    _figures("received by day", (M.RECEIVED,), D.DAY,
             plain=f"SELECT {_DAY}, count(*) FROM requests WHERE {_WITHIN} GROUP BY 1"),
    _figures("received by day, one town", (M.RECEIVED,), D.DAY, of=_TOWN,
             plain=f"SELECT {_DAY}, count(*) FROM requests WHERE grid_code >= '370281001'"
             f" AND grid_code < '370281001:' AND {_WITHIN} GROUP BY 1"),
    _figures("satisfied by week", _SATISFIED, D.WEEK, plain=_by(f"date_trunc('week', {_DAY})")),
    _figures("satisfied by unit, one month", _SATISFIED, D.UNIT, period=(_JULY, _AUGUST),
             plain=_by("unit_code")),
    _figures("satisfied by unit, 5 March to 20 August", _SATISFIED, D.UNIT,
             period=(_ODD, _ODD_END), plain=_by("unit_code")),
    _figures("satisfied by unit, and a quarter before", _SATISFIED, D.UNIT,
             period=_QUARTER, compare=Comparison.PREVIOUS),
    _figures("satisfied by unit, and a year before", _SATISFIED, D.UNIT,
             period=_QUARTER, compare=Comparison.YEAR),
    _figures("satisfied by unit and category", _SATISFIED, D.UNIT, D.CATEGORY,
             plain=_by("unit_code", "split_part(category_code, '.', 1)")),
    _figures("satisfied by unit and leaf", _SATISFIED, D.UNIT, D.CATEGORY_LEAF,
             plain=_by("unit_code", "category_code")),
    _figures("satisfied by town and leaf", _SATISFIED, D.TOWN, D.CATEGORY_LEAF,
             plain=_by("left(grid_code, 9)", "category_code")),
    _figures("satisfied by community and leaf", _SATISFIED, D.COMMUNITY, D.CATEGORY_LEAF,
             plain=_by(_COMMUNITY, "category_code")),
    _figures("overdue by unit, one town", (M.OVERDUE,), D.UNIT, of=_TOWN),
    _figures("median and P90 of hours by unit", _HOURS, D.UNIT,
             plain=_hours_by("unit_code", "ARRAY[0.5, 0.9]")),
    _figures("median of hours by community", (M.DURATION_MEDIAN,), D.COMMUNITY,
             plain=_hours_by(_COMMUNITY, "0.5")),
    _figures("P90 of hours by grid", (M.DURATION_P90,), D.GRID, plain=_hours_by(_GRID, "0.9")),
    _behind("requests behind satisfied of one unit", M.SATISFIED, Part.NUM, D.UNIT, key="housing",
            plain=_listed("unit_code = 'housing' AND satisfaction >= 3")),
    _behind("requests behind all rated", M.SATISFIED, Part.DEN,
            plain=_listed("satisfaction IS NOT NULL")),
    _behind("the page after it", M.SATISFIED, Part.DEN, further=True),
    _behind("requests excluded from satisfied", M.SATISFIED, Part.EXCLUDED,
            plain=_listed("satisfaction IS NULL")),
    _behind("requests behind P90 of one unit", M.DURATION_P90, Part.DEN, D.UNIT,
            key="housing", plain=_listed("unit_code = 'housing' AND office_s IS NOT NULL")),
    *map(_satisfaction, GroupBy),
    Question("/satisfaction of all time", f"{_STATISTICS}/satisfaction"),
    Question("anomalies of 30 days",
             f"{_SATISFACTION}/anomalies?from={YEAR}-03-01&to={YEAR}-03-30"),
    Question("anomalies of 92 days",
             f"{_SATISFACTION}/anomalies?from={YEAR}-07-01&to={YEAR}-09-30"),
    Question("agreement of call-backs and ratings", _of_year(f"{_SATISFACTION}/agreement")),
    Question("exclusions", f"{_SATISFACTION}/exclusions"),
    Question("snapshots", f"{_STATISTICS}/snapshots"),
    Question("definitions", f"{_STATISTICS}/definitions"),
)  # fmt: skip

# What is asked again while others write.
_TYPICAL = (
    *("four headline figures", "satisfied by unit and month", "satisfied by grid"),
    *("satisfied by unit and leaf", "median and P90 of hours by unit", "/satisfaction by unit"),
)
TYPICAL = tuple(it for it in QUESTIONS if it.name in _TYPICAL)
