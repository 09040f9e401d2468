"""What looks wrong about ratings and closings (异常), and from where on it does.

A finding is a reason to look, never a verdict: each names its requests and the facts it rests on.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Anomaly(StrEnum):
    MANY_RATINGS = "many_ratings"
    FIVE_STAR_BURST = "five_star_burst"
    FAST_REPLY = "fast_reply"
    LATE_EDIT = "late_edit"
    WITHDRAWN_AFTER_CONTACT = "withdrawn_after_contact"
    CONTACT_DENIED = "contact_denied"


ANOMALY_TEXT: dict[Anomaly, str] = {
    Anomaly.MANY_RATINGS: "同一账号集中评价",
    Anomaly.FIVE_STAR_BURST: "同一单位短时间内集中出现满分评价",
    Anomaly.FAST_REPLY: "派单后很快答复",
    Anomaly.LATE_EDIT: "办结后更正",
    Anomaly.WITHDRAWN_AFTER_CONTACT: "联系后撤回",
    Anomaly.CONTACT_DENIED: "登记已联系，居民称未联系",
}

FIVE_STARS = 5
FAST_AT_MOST = timedelta(hours=1)  # what is listed as a fast answer takes no longer, ever
# Fewer ratings are never a crowd, and none that are further apart, whatever a city has set: how
# many others are so near is counted when a rating is written.
CROWD_AT_LEAST = 3
ACCOUNT_AT_MOST = timedelta(hours=24)
BURST_AT_MOST = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """From where on something is listed. Settings of the city.

    Attributes:
        account_ratings: ratings by one account inside ``account_within``; that many, at least
            ``CROWD_AT_LEAST``, inside no more than ``ACCOUNT_AT_MOST``.
        burst_ratings: ratings of one unit inside ``burst_within``, every one of them the best; at
            least ``CROWD_AT_LEAST``, inside no more than ``BURST_AT_MOST``.
        fast_reply: an answer no later than this after the unit got the request, and than
            ``FAST_AT_MOST``.
    """

    account_ratings: int = 5
    account_within: timedelta = timedelta(hours=24)
    burst_ratings: int = 5
    burst_within: timedelta = timedelta(minutes=1)
    fast_reply: timedelta = timedelta(minutes=10)
