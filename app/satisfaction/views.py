"""Samples, agreement, anomalies and exclusions as the API shows them."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from app.domain.anomalies import ANOMALY_TEXT, Thresholds
from app.domain.exclusions import EXCLUSION_GROUND_TEXT, EXCLUSION_STATE_TEXT
from app.domain.measures import DEFINITIONS, Measure
from app.domain.sampling import BY_THE_GRID
from app.reference.queries import Reference
from app.satisfaction import schemas
from app.satisfaction.agreement import Compared, Told
from app.satisfaction.anomalies import Found
from app.satisfaction.models import Campaign, Exclusion
from app.satisfaction.service import Frame, Wish
from app.store.session import Columns
from app.web.wire import CHINA

SMALL_SAMPLE = 30
_NAMED_AT_MOST = 100


def unit_name(code: str | None, reference: Reference) -> str:
    if not code:
        return "网格自办"
    unit = reference.units.get(code)
    return unit.name if unit else code


def frame(found: Frame, wish: Wish, reference: Reference) -> schemas.FrameOut:
    return schemas.FrameOut(
        replied_from=wish.replied_from,
        replied_to=wish.replied_to,
        frame_size=found.size,
        frame_digest=found.digest,
        drawn=found.drawn,
        strata=tuple(
            schemas.StratumOut(
                unit_code=code or None,
                unit_name=unit_name(code, reference),
                size=len(members),
                drawn=found.counts[code],
            )
            for code, members in found.members.items()
        ),
    )


_CAMPAIGN = tuple(schemas.CampaignOut.model_fields)


def campaign(row: Columns | Campaign) -> schemas.CampaignOut:
    if isinstance(row, Campaign):
        return schemas.CampaignOut(**{name: getattr(row, name) for name in _CAMPAIGN})
    return schemas.CampaignOut(**{name: row[name] for name in _CAMPAIGN})


def progress(
    row: Columns, strata: Sequence[Columns], reference: Reference
) -> schemas.CampaignProgressOut:
    parts = []
    for part in strata:
        counts = {name: part[name] for name in ("size", "drawn", "called", "reached", "lapsed")}
        parts.append(
            schemas.ProgressOut(
                unit_code=part["unit_code"] or None,
                unit_name=unit_name(part["unit_code"], reference),
                waiting=part["drawn"] - part["called"] - part["lapsed"],
                **counts,
            )
        )
    return schemas.CampaignProgressOut(
        **dict(campaign(row)),
        called=sum(it.called for it in parts),
        reached=sum(it.reached for it in parts),
        lapsed=sum(it.lapsed for it in parts),
        waiting=sum(it.waiting for it in parts),
        strata=tuple(parts),
    )


def members(
    unit_code: str, stratum: Columns, rows: Sequence[Columns], next_cursor: str | None
) -> schemas.MembersOut:
    return schemas.MembersOut(
        unit_code=None if unit_code == BY_THE_GRID else unit_code,
        size=stratum["size"],
        drawn=stratum["drawn"],
        items=tuple(
            schemas.MemberOut(
                request_id=it["request_id"], number=it["number"], position=it["position"]
            )
            for it in rows
        ),
        next_cursor=next_cursor,
    )


def agreement(told: Told, reference: Reference) -> schemas.AgreementOut:
    def row(code: str | None, name: str, found: Compared) -> schemas.AgreementRow:
        figures = {
            name: schemas.AgreementFigures(**asdict(its)) for name, its in found.figures().items()
        }
        return schemas.AgreementRow(
            unit_code=code,
            unit_name=name,
            small_sample=figures["satisfied"].n < SMALL_SAMPLE,
            better_in_writing=found.satisfied[True, False],
            worse_in_writing=found.satisfied[False, True],
            **figures,
        )

    units = told.units or {}
    return schemas.AgreementOut(
        total=None if told.total is None else row(None, "合计", told.total),
        units=tuple(
            row(code, unit_name(code, reference), units[code])
            for code in sorted(units, key=lambda code: code or "")
        ),
        suppressed=told.units is None,
    )


def anomaly(found: Found, reference: Reference) -> schemas.AnomalyOut:
    code = found.unit_code
    return schemas.AnomalyOut(
        kind=found.kind,
        kind_text=ANOMALY_TEXT[found.kind],
        at=found.at,
        unit_code=code,
        unit_name=None if code is None else unit_name(code, reference),
        requests=tuple(
            schemas.NamedRequest.model_validate(it) for it in found.requests[:_NAMED_AT_MOST]
        ),
        requests_total=len(found.requests),
        evidence={name: _said(name, value) for name, value in found.evidence.items()},
    )


def _said(name: str, value: Any) -> Any:
    """Times as the API says them everywhere."""
    if name.endswith("_at") and isinstance(value, str):
        return datetime.fromisoformat(value).astimezone(CHINA).isoformat()
    return value


def thresholds(these: Thresholds) -> dict[str, int]:
    return {
        "account_ratings": these.account_ratings,
        "account_within_s": int(these.account_within.total_seconds()),
        "burst_ratings": these.burst_ratings,
        "burst_within_s": int(these.burst_within.total_seconds()),
        "fast_reply_s": int(these.fast_reply.total_seconds()),
    }


def exclusion(row: Columns, reference: Reference) -> schemas.ExclusionOut:
    """Args: ``row`` of ``measure_exclusions`` with the request's ``number``, its JSON read."""
    measures = row["measures"]
    return schemas.ExclusionOut(
        id=row["id"],
        version=row["version"],
        state=row["state"],
        state_text=EXCLUSION_STATE_TEXT[row["state"]],
        request_id=row["request_id"],
        number=row["number"],
        cycle_no=row["cycle_no"],
        unit_code=row["unit_code"],
        unit_name=unit_name(row["unit_code"], reference),
        measures=tuple(measures),
        measure_texts=tuple(_measure_name(it) for it in measures),
        ground=row["ground"],
        ground_text=EXCLUSION_GROUND_TEXT[row["ground"]],
        evidence=row["evidence"],
        asked_by=row["asked_by"],
        asked_at=row["asked_at"],
        decided_by=row["decided_by"],
        decided_at=row["decided_at"],
        decision_note=row["decision_note"],
        revoked_by=row["revoked_by"],
        revoked_at=row["revoked_at"],
        revocation_note=row["revocation_note"],
    )


def _measure_name(code: str) -> str:
    """Of a measure that is no more: its code."""
    return DEFINITIONS[Measure(code)].name if code in set(Measure) else code


def columns(row: Exclusion, number: str) -> dict[str, Any]:
    """An exclusion as a row of the list has it."""
    return {it.key: getattr(row, it.key) for it in Exclusion.__table__.columns} | {"number": number}
