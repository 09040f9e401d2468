"""Every table of the house, known once: migrations and checks read ``Base.metadata`` from here."""

from app.audit import models as audit_models
from app.grids import models as grids_models
from app.intelligence import models as intelligence_models
from app.notifications import models as notifications_models
from app.outbox import models as outbox_models
from app.people import models as people_models
from app.reference import models as reference_models
from app.registry import models as registry_models
from app.requests import children as request_children_models
from app.requests import models as requests_models
from app.satisfaction import models as satisfaction_models
from app.sla import models as sla_models
from app.statistics import models as statistics_models
from app.store.base import Base
from app.teams import models as teams_models
from app.web import models as web_models

ROOMS = (
    audit_models,
    grids_models,
    intelligence_models,
    notifications_models,
    outbox_models,
    people_models,
    reference_models,
    registry_models,
    request_children_models,
    requests_models,
    satisfaction_models,
    sla_models,
    statistics_models,
    teams_models,
    web_models,
)
metadata = Base.metadata
