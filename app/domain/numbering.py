"""The number that people quote on the phone: day of submission, then a running serial."""

from datetime import date

# A process takes serials from the database in blocks, so that it knows a number before it writes.
BLOCK = 50


def request_number(day: date, serial: int) -> str:
    """Return 年月日+序号, e.g. ``20261122000123``. ``day`` is the local date, ``serial`` ≥ 0."""
    return f"{day.year:04d}{day.month:02d}{day.day:02d}{serial:06d}"
