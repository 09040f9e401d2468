"""Every closed word list of the house with its Chinese text, for forms and filters."""

from collections.abc import Mapping
from typing import Any

from app.domain.anomalies import ANOMALY_TEXT
from app.domain.cotasks import CO_TASK_STATE_TEXT
from app.domain.escalation import LEVEL_TEXT
from app.domain.exclusions import EXCLUSION_GROUND_TEXT, EXCLUSION_STATE_TEXT
from app.domain.geometry import CoordSys
from app.domain.identity import ROLE_TEXT, STAFF_ROLES, Role
from app.domain.matters import (
    CONTACT_METHOD_TEXT,
    CONTACT_RESULT_TEXT,
    EXTENSION_REASON_TEXT,
    KIND_TEXT,
    PAUSE_REASON_TEXT,
    REJECTION_GROUND_TEXT,
    RETURN_REASON_TEXT,
)
from app.domain.registry import (
    HOUSE_USE_TEXT,
    OUTCOME_TEXT,
    PLOT_USE_TEXT,
    RELATION_TEXT,
    SOURCE_TEXT,
    TAG_TEXT,
    TENURE_TEXT,
)
from app.domain.registry import KIND_TEXT as RECORD_KIND_TEXT
from app.domain.satisfaction import (
    RATING_REASON_TEXT,
    REPLY_RESULT_TEXT,
    SATISFACTION_TEXT,
    SOLVED_TEXT,
)
from app.domain.sla import CLOCK_STATE_TEXT, METRIC_TEXT
from app.domain.states import ACTION_TEXT, STATE_TEXT
from app.reference.kinds import UNIT_KIND_TEXT

COORD_SYS_TEXT: dict[CoordSys, str] = {
    CoordSys.WGS84: "WGS-84（GPS）",
    CoordSys.GCJ02: "GCJ-02（微信、腾讯、高德）",
    CoordSys.BD09: "BD-09（百度）",
    CoordSys.CGCS2000: "CGCS2000（天地图）",
}


def _texts(table: Mapping[Any, str]) -> dict[str, str]:
    return {str(code): text for code, text in table.items()}


# name → code → text, in the order of display. Numbers (satisfaction) are given as their digits.
DICTIONARIES: dict[str, dict[str, str]] = {
    "kinds": _texts(KIND_TEXT),
    "coord_systems": _texts(COORD_SYS_TEXT),
    "contact_methods": _texts(CONTACT_METHOD_TEXT),
    "contact_results": _texts(CONTACT_RESULT_TEXT),
    "return_reasons": _texts(RETURN_REASON_TEXT),
    "rejection_grounds": _texts(REJECTION_GROUND_TEXT),
    "extension_reasons": _texts(EXTENSION_REASON_TEXT),
    "pause_reasons": _texts(PAUSE_REASON_TEXT),
    "co_task_states": _texts(CO_TASK_STATE_TEXT),
    "states": {str(state): staff for state, (staff, _) in STATE_TEXT.items()},
    "public_states": {str(state): public for state, (_, public) in STATE_TEXT.items()},
    "actions": _texts(ACTION_TEXT),
    "solved": _texts(SOLVED_TEXT),
    "reply_results": _texts(REPLY_RESULT_TEXT),
    "satisfaction": _texts(SATISFACTION_TEXT),
    "rating_reasons": _texts(RATING_REASON_TEXT),
    "anomalies": _texts(ANOMALY_TEXT),
    "exclusion_grounds": _texts(EXCLUSION_GROUND_TEXT),
    "exclusion_states": _texts(EXCLUSION_STATE_TEXT),
    "metrics": _texts(METRIC_TEXT),
    "clock_states": _texts(CLOCK_STATE_TEXT),
    "levels": _texts(LEVEL_TEXT),
    "unit_kinds": _texts(UNIT_KIND_TEXT),
    "record_kinds": _texts(RECORD_KIND_TEXT),
    "plot_uses": _texts(PLOT_USE_TEXT),
    "house_uses": _texts(HOUSE_USE_TEXT),
    "relations": _texts(RELATION_TEXT),
    "tags": _texts(TAG_TEXT),
    "tenures": _texts(TENURE_TEXT),
    "record_sources": _texts(SOURCE_TEXT),
    "record_outcomes": _texts(OUTCOME_TEXT),
    "roles": {str(role): ROLE_TEXT[role] for role in Role if role in STAFF_ROLES | {Role.RESIDENT}},
}
