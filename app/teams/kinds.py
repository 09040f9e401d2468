"""The small kinds of this room that models, schemas and rules all need."""

from enum import StrEnum

from app.domain.grid_codes import GridLevel

# 10 digits of base 62: nearly 60 random bits, and short enough for a mini-program's ``scene``.
PLAQUE_ID_LENGTH = 10


class RuleName(StrEnum):
    """What a city may say of its teams: each a document with versions of its own."""

    GRID = "template.grid"
    MICRO = "template.micro"
    DUTIES = "duties"


TEMPLATE_RULES: dict[GridLevel, RuleName] = {
    GridLevel.GRID: RuleName.GRID,
    GridLevel.MICRO: RuleName.MICRO,
}


class PlaqueEnd(StrEnum):
    REPLACED = "replaced"
    REVOKED = "revoked"


PLAQUE_END_TEXT: dict[PlaqueEnd, str] = {
    PlaqueEnd.REPLACED: "已换发新牌",
    PlaqueEnd.REVOKED: "已撤销",
}
