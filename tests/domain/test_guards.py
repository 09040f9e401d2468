# ruff: noqa: E501 - a table stays a table
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from app.domain.guards import Facts, Guard, closed
from app.domain.identity import SYSTEM, Actor, Role

NOW = datetime(2026, 11, 20, 2, tzinfo=UTC)
TICK = timedelta(microseconds=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ME, SOMEBODY = UUID(int=1), UUID(int=2)

BARE = Facts(unit_code="housing", submitted_at=NOW)
HANDLER = Actor(ME, Role.HANDLER, unit_code="housing")
LEADER = Actor(ME, Role.UNIT_LEADER, unit_code="housing")
OTHER_UNIT = Actor(ME, Role.HANDLER, unit_code="water")
DESK, CITY = Actor(ME, Role.DISPATCHER), Actor(ME, Role.SUPERVISOR)
RESIDENT, GRID = Actor(ME, Role.RESIDENT), Actor(ME, Role.GRID_LEADER)

G = Guard
# fmt: off
CASES = [
    # guard                 facts                                              actor       open?
    (G.HOST_UNIT,           {},                                                HANDLER,    True),
    (G.HOST_UNIT,           {},                                                OTHER_UNIT, False),
    (G.HOST_UNIT,           {"unit_code": None},                               OTHER_UNIT, False),
    (G.HOST_UNIT,           {},                                                DESK,       True),
    (G.HOST_UNIT,           {},                                                RESIDENT,   True),
    (G.CONTACTED,           {},                                                HANDLER,    False),
    (G.CONTACTED,           {"contacted_at": NOW},                             HANDLER,    True),
    (G.CONTACTED,           {"contact_attempts": 2},                           HANDLER,    False),
    (G.CONTACTED,           {"contact_attempts": 3},                           HANDLER,    True),  # 已尽责未联系上
    (G.INFO_ROUNDS_LEFT,    {"info_rounds": 1},                                DESK,       True),
    (G.INFO_ROUNDS_LEFT,    {"info_rounds": 2},                                DESK,       False),
    (G.INFO_WINDOW_OPEN,    {"info_until": NOW + TICK},                        RESIDENT,   True),
    (G.INFO_WINDOW_OPEN,    {"info_until": NOW},                               RESIDENT,   False),
    (G.INFO_WINDOW_OVER,    {"info_until": NOW + TICK},                        DESK,       False),
    (G.INFO_WINDOW_OVER,    {"info_until": NOW},                               DESK,       True),
    (G.UNIT_NOT_FIXED,      {},                                                HANDLER,    True),
    (G.UNIT_NOT_FIXED,      {"unit_fixed": True},                              HANDLER,    False),
    (G.RETURN_WINDOW_OPEN,  {"return_until": NOW + TICK},                      HANDLER,    True),
    (G.RETURN_WINDOW_OPEN,  {"return_until": NOW},                             HANDLER,    False),
    (G.NOT_RETURNED_BEFORE, {"returned_units": ("water",)},                    HANDLER,    True),
    (G.NOT_RETURNED_BEFORE, {"returned_units": ("water", "housing")},          HANDLER,    False),
    (G.ARBITRATION,         {"hops": 2},                                       DESK,       True),
    (G.ARBITRATION,         {"hops": 3},                                       DESK,       False),
    (G.ARBITRATION,         {"hops": 2},                                       CITY,       False),
    (G.ARBITRATION,         {"hops": 3},                                       CITY,       True),
    (G.HOPS_LEFT,           {"hops": 4},                                       DESK,       True),
    (G.HOPS_LEFT,           {"hops": 5},                                       DESK,       False),
    (G.HOPS_LEFT,           {"hops": 5, "unit_fixed": True},                   LEADER,     True),  # inside
    (G.HOPS_LEFT,           {"unit_fixed": True},                              DESK,       False),
    (G.CO_TASK_OPEN,        {},                                                HANDLER,    False),
    (G.CO_TASK_OPEN,        {"open_co_tasks": 1},                              HANDLER,    True),
    (G.CO_TASKS_DONE,       {},                                                HANDLER,    True),
    (G.CO_TASKS_DONE,       {"open_co_tasks": 1},                              HANDLER,    False),
    (G.EXTENSION_FREE,      {"extensions": 1},                                 HANDLER,    True),
    (G.EXTENSION_FREE,      {"extensions": 2},                                 HANDLER,    False),
    (G.EXTENSION_FREE,      {"extension_asked": True},                         HANDLER,    False),
    (G.EXTENSION_IN_TIME,   {"extension_until": NOW + TICK},                   HANDLER,    True),
    (G.EXTENSION_IN_TIME,   {"extension_until": NOW},                          HANDLER,    False),
    (G.EXTENSION_IN_TIME,   {},                                                HANDLER,    False),
    (G.EXTENSION_IN_TIME,   {"extension_until": NOW - HOUR, "stands_since": NOW - DAY}, HANDLER, True),
    (G.EXTENSION_PENDING,   {},                                                DESK,       False),
    (G.EXTENSION_PENDING,   {"extension_asked": True},                         DESK,       True),
    (G.EXTENSION_DECIDER,   {"reply_due_at": NOW + TICK},                      DESK,       True),
    (G.EXTENSION_DECIDER,   {"reply_due_at": NOW},                             DESK,       False),
    (G.EXTENSION_DECIDER,   {"reply_due_at": NOW},                             CITY,       False),
    (G.EXTENSION_DECIDER,   {"reply_due_at": NOW},                             SYSTEM,     True),
    (G.EXTENSION_DECIDER,   {"reply_due_at": NOW + TICK, "extensions": 1},     DESK,       False),
    (G.EXTENSION_DECIDER,   {"reply_due_at": NOW + TICK, "extensions": 1},     CITY,       True),
    (G.EXTENSION_DECIDER,   {"reply_due_at": NOW - HOUR, "stands_since": NOW - DAY}, DESK, True),
    (G.SUSPENSION_ASKED,    {},                                                LEADER,     True),
    (G.SUSPENSION_ASKED,    {"suspension_asked": True},                        LEADER,     False),
    (G.SUSPENSION_ASKED,    {},                                                DESK,       False),
    (G.SUSPENSION_ASKED,    {"suspension_asked": True},                        DESK,       True),
    (G.URGE_ALLOWED,        {"submitted_at": NOW - DAY},                       RESIDENT,   True),
    (G.URGE_ALLOWED,        {"submitted_at": NOW - DAY + TICK},                RESIDENT,   False),
    (G.URGE_ALLOWED,        {"due_soon_at": NOW},                              RESIDENT,   True),
    (G.URGE_ALLOWED,        {"due_soon_at": NOW + TICK},                       RESIDENT,   False),
    (G.URGE_ALLOWED,        {"due_soon_at": NOW, "last_urged_at": NOW - DAY},  RESIDENT,   True),
    (G.URGE_ALLOWED,        {"due_soon_at": NOW, "last_urged_at": NOW - DAY + TICK}, RESIDENT, False),
    (G.URGE_ALLOWED,        {},                                                DESK,       True),
    (G.URGE_ALLOWED,        {"last_urged_at": NOW - HOUR},                     DESK,       False),
    (G.ORDER_TO_ANSWER,     {},                                                LEADER,     False),
    (G.ORDER_TO_ANSWER,     {"order_open": True},                              LEADER,     True),
    (G.ORDER_TO_ANSWER,     {},                                                CITY,       True),
    (G.ORDER_TO_ANSWER,     {},                                                SYSTEM,     True),
    (G.NOT_THE_DRAFTER,     {"drafted_by": SOMEBODY},                          LEADER,     True),
    (G.NOT_THE_DRAFTER,     {"drafted_by": ME},                                LEADER,     False),
    (G.ANSWERED,            {},                                                RESIDENT,   False),
    (G.ANSWERED,            {"rate_until": NOW},                               RESIDENT,   True),
    (G.RATING_WINDOW_OPEN,  {},                                                RESIDENT,   True),
    (G.RATING_WINDOW_OPEN,  {"rate_until": NOW + TICK},                        RESIDENT,   True),
    (G.RATING_WINDOW_OPEN,  {"rate_until": NOW},                               RESIDENT,   False),
    (G.RATING_WINDOW_OVER,  {"rate_until": NOW + TICK},                        SYSTEM,     False),
    (G.RATING_WINDOW_OVER,  {"rate_until": NOW},                               SYSTEM,     True),
    (G.SAMPLED,             {},                                                DESK,       False),
    (G.SAMPLED,             {"sampled": True},                                 DESK,       True),
    (G.NOT_CALLED_BACK,     {},                                                DESK,       True),
    (G.NOT_CALLED_BACK,     {"called_back_at": NOW},                           DESK,       False),
    (G.REOPEN_WINDOW_OPEN,  {},                                                RESIDENT,   False),
    (G.REOPEN_WINDOW_OPEN,  {"reopen_until": NOW + TICK},                      RESIDENT,   True),
    (G.REOPEN_WINDOW_OPEN,  {"reopen_until": NOW},                             RESIDENT,   False),
    (G.REOPEN_DECIDER,      {},                                                DESK,       True),
    (G.REOPEN_DECIDER,      {},                                                CITY,       True),
    (G.REOPEN_DECIDER,      {"reviewed_by": SOMEBODY},                         DESK,       False),
    (G.REOPEN_DECIDER,      {"reviewed_by": SOMEBODY},                         CITY,       True),
    (G.REOPEN_DECIDER,      {"reviewed_by": ME},                               CITY,       False),
    (G.SECOND_PERSON,       {},                                                DESK,       True),
    (G.SECOND_PERSON,       {"rejection_asked_by": SOMEBODY},                  DESK,       True),
    (G.SECOND_PERSON,       {"rejection_asked_by": ME},                        DESK,       False),
    (G.NO_FOLLOWERS,        {},                                                RESIDENT,   True),
    (G.NO_FOLLOWERS,        {"followers": 1},                                  RESIDENT,   False),
    (G.GRID_MATTER,         {},                                                GRID,       False),
    (G.GRID_MATTER,         {"grid_matter": True},                             GRID,       True),
    (G.ARCHIVABLE,          {},                                                SYSTEM,     False),
    (G.ARCHIVABLE,          {"ended_at": NOW - 30 * DAY},                      SYSTEM,     True),
    (G.ARCHIVABLE,          {"ended_at": NOW - 30 * DAY + TICK},               SYSTEM,     False),
    (G.ARCHIVABLE,          {"ended_at": NOW - 30 * DAY, "order_open": True},  SYSTEM,     False),
]
# fmt: on


@pytest.mark.parametrize(("guard", "changes", "actor", "is_open"), CASES)
def test_a_guard_is_read_from_the_facts_and_from_who_acts(guard, changes, actor, is_open):
    facts = replace(BARE, **changes)
    assert (guard not in closed(frozenset(Guard), facts, actor=actor, now=NOW)) is is_open


def test_every_guard_is_seen_open_and_closed():
    assert {guard for guard, _, _, is_open in CASES if is_open} == set(Guard)
    assert {guard for guard, _, _, is_open in CASES if not is_open} == set(Guard)
