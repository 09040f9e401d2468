"""Coordinate systems and distances on the ground. Pure arithmetic, degrees in and out.

Everything is stored in WGS-84; CGCS2000 differs from it by less than a metre and counts as equal.
What Chinese map services hand out is shifted: GCJ-02 (Tencent, AMap) by about 480 m at Jiaozhou,
BD-09 (Baidu) by about a kilometre more. The shifts have no published definition; the formulas
below are the ones everybody uses, held by tests against vectors of independent libraries. Outside
a box around China there is no GCJ-02 shift.
"""

from enum import StrEnum
from math import asin, atan2, cos, hypot, pi, radians, sin, sqrt

# The sphere of the published distance vectors: WGS-84's equatorial radius.
EARTH_RADIUS_M = 6_378_137.0
METRES_PER_DEGREE = EARTH_RADIUS_M * pi / 180

CHINA_LATITUDES = (0.8293, 55.8271)
CHINA_LONGITUDES = (72.004, 137.8347)

# Krasovsky 1940, the ellipsoid of the GCJ-02 shift.
_AXIS_M = 6_378_245.0
_ECCENTRICITY_SQUARED = 0.00669342162296594323
_BD_ANGLE = pi * 3000 / 180
_BD_LATITUDE = 0.006
_BD_LONGITUDE = 0.0065

# A fixed point is reached in three or four rounds; 1e-10 degrees are a hundredth of a millimetre.
_ROUNDS = 12
_PRECISION = 1e-10


class CoordSys(StrEnum):
    WGS84 = "wgs84"
    GCJ02 = "gcj02"
    BD09 = "bd09"
    CGCS2000 = "cgcs2000"


def inside_china_box(latitude: float, longitude: float) -> bool:
    """Whether the point lies in the box in which GCJ-02 is shifted."""
    return (
        CHINA_LATITUDES[0] <= latitude <= CHINA_LATITUDES[1]
        and CHINA_LONGITUDES[0] <= longitude <= CHINA_LONGITUDES[1]
    )


def to_wgs84(latitude: float, longitude: float, coord_sys: CoordSys) -> tuple[float, float]:
    """Return ``(latitude, longitude)`` in WGS-84 of a point given in ``coord_sys``.

    The inverse shift is iterated until it is exact to well below a millimetre.
    """
    if coord_sys is CoordSys.GCJ02:
        return _gcj02_to_wgs84(latitude, longitude)
    if coord_sys is CoordSys.BD09:
        return _gcj02_to_wgs84(*_bd09_to_gcj02(latitude, longitude))
    return latitude, longitude


def to_gcj02(latitude: float, longitude: float) -> tuple[float, float]:
    """Return ``(latitude, longitude)`` in GCJ-02 of a WGS-84 point."""
    if not inside_china_box(latitude, longitude):
        return latitude, longitude
    shift_latitude, shift_longitude = _gcj02_shift(latitude, longitude)
    return latitude + shift_latitude, longitude + shift_longitude


def to_bd09(latitude: float, longitude: float) -> tuple[float, float]:
    """Return ``(latitude, longitude)`` in BD-09 of a WGS-84 point."""
    return _gcj02_to_bd09(*to_gcj02(latitude, longitude))


def from_wgs84(latitude: float, longitude: float, coord_sys: CoordSys) -> tuple[float, float]:
    """Return ``(latitude, longitude)`` in ``coord_sys`` of a WGS-84 point: ``to_wgs84`` undone."""
    if coord_sys is CoordSys.GCJ02:
        return to_gcj02(latitude, longitude)
    if coord_sys is CoordSys.BD09:
        return to_bd09(latitude, longitude)
    return latitude, longitude


def distance_m(
    latitude: float, longitude: float, other_latitude: float, other_longitude: float
) -> float:
    """Return the great-circle distance in metres (haversine on a sphere, good to 0.5 %)."""
    half_latitude = sin(radians(other_latitude - latitude) / 2)
    half_longitude = sin(radians(other_longitude - longitude) / 2)
    chord = (
        half_latitude * half_latitude
        + cos(radians(latitude)) * cos(radians(other_latitude)) * half_longitude * half_longitude
    )
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(chord)))


def planar_distance_m(
    latitude: float, longitude: float, other_latitude: float, other_longitude: float
) -> float:
    """Return the distance in metres on a flat map: within 0.1 % of the sphere below 50 km."""
    north = other_latitude - latitude
    east = (other_longitude - longitude) * cos(radians((latitude + other_latitude) / 2))
    return METRES_PER_DEGREE * hypot(north, east)


def _gcj02_to_wgs84(latitude: float, longitude: float) -> tuple[float, float]:
    if not inside_china_box(latitude, longitude):
        return latitude, longitude
    found_latitude, found_longitude = latitude, longitude
    for _ in range(_ROUNDS):
        shift_latitude, shift_longitude = _gcj02_shift(found_latitude, found_longitude)
        miss_latitude = latitude - shift_latitude - found_latitude
        miss_longitude = longitude - shift_longitude - found_longitude
        found_latitude += miss_latitude
        found_longitude += miss_longitude
        if abs(miss_latitude) < _PRECISION and abs(miss_longitude) < _PRECISION:
            break
    return found_latitude, found_longitude


def _bd09_to_gcj02(latitude: float, longitude: float) -> tuple[float, float]:
    found_latitude, found_longitude = latitude - _BD_LATITUDE, longitude - _BD_LONGITUDE
    for _ in range(_ROUNDS):
        reached_latitude, reached_longitude = _gcj02_to_bd09(found_latitude, found_longitude)
        miss_latitude = latitude - reached_latitude
        miss_longitude = longitude - reached_longitude
        found_latitude += miss_latitude
        found_longitude += miss_longitude
        if abs(miss_latitude) < _PRECISION and abs(miss_longitude) < _PRECISION:
            break
    return found_latitude, found_longitude


def _gcj02_to_bd09(latitude: float, longitude: float) -> tuple[float, float]:
    radius = hypot(longitude, latitude) + 0.00002 * sin(latitude * _BD_ANGLE)
    angle = atan2(latitude, longitude) + 0.000003 * cos(longitude * _BD_ANGLE)
    return radius * sin(angle) + _BD_LATITUDE, radius * cos(angle) + _BD_LONGITUDE


def _gcj02_shift(latitude: float, longitude: float) -> tuple[float, float]:
    """The shift in degrees, without looking at the box."""
    x, y = longitude - 105.0, latitude - 35.0
    root = sqrt(abs(x))
    ripple = (20.0 * sin(6.0 * x * pi) + 20.0 * sin(2.0 * x * pi)) * 2.0 / 3.0
    north_m = (
        -100.0
        + 2.0 * x
        + 3.0 * y
        + 0.2 * y * y
        + 0.1 * x * y
        + 0.2 * root
        + ripple
        + (20.0 * sin(y * pi) + 40.0 * sin(y / 3.0 * pi)) * 2.0 / 3.0
        + (160.0 * sin(y / 12.0 * pi) + 320.0 * sin(y * pi / 30.0)) * 2.0 / 3.0
    )
    east_m = (
        300.0
        + x
        + 2.0 * y
        + 0.1 * x * x
        + 0.1 * x * y
        + 0.1 * root
        + ripple
        + (20.0 * sin(x * pi) + 40.0 * sin(x / 3.0 * pi)) * 2.0 / 3.0
        + (150.0 * sin(x / 12.0 * pi) + 300.0 * sin(x / 30.0 * pi)) * 2.0 / 3.0
    )
    phi = radians(latitude)
    flattening = 1 - _ECCENTRICITY_SQUARED * sin(phi) ** 2
    meridian_m = _AXIS_M * (1 - _ECCENTRICITY_SQUARED) / (flattening * sqrt(flattening))
    parallel_m = _AXIS_M / sqrt(flattening) * cos(phi)
    return north_m * 180.0 / (meridian_m * pi), east_m * 180.0 / (parallel_m * pi)
