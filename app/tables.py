"""Every table of the house, known once: migrations and checks read ``Base.metadata`` from here."""

from app.store.base import Base

metadata = Base.metadata
