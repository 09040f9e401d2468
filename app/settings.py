"""Every knob, typed and grouped. Built where a process starts, never at import.

A knob ``web.port`` is set by the environment variable ``LIANXIN_WEB__PORT``. ``DATABASE_URL`` has
its customary name. Secrets come from the environment or, on one machine, from ``secrets.json`` in
the data folder (see ``app.cli.place``).
"""

from datetime import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class DatabaseSettings(BaseModel):
    """Connections of one process. Spans in milliseconds, as PostgreSQL takes them."""

    pool_size: int = Field(5, ge=1, description="connections for hot statements, per process")
    session_pool_size: int = Field(10, ge=1, description="connections for transactions")
    acquire_timeout_s: float = Field(2.0, gt=0, description="wait for a free connection, then 503")
    statement_timeout_ms: int = Field(5_000, gt=0)
    lock_timeout_ms: int = Field(2_000, gt=0)
    idle_in_transaction_timeout_ms: int = Field(10_000, gt=0)


class WebSettings(BaseModel):
    """The HTTP side."""

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65_535)
    workers: int = Field(1, ge=1, le=64)
    allowed_hosts: list[str] = ["127.0.0.1", "localhost", "[::1]"]
    trusted_proxies: list[str] = Field(
        [], description="addresses or networks whose X-Forwarded-For is believed"
    )
    public_url: str = Field(
        "",
        pattern=r"^(https?://[A-Za-z0-9.:\[\]_-]+)?$",
        description="address that QR codes lead to",
    )
    max_body_bytes: int = Field(256 * 1024, gt=0)
    metrics_public: bool = Field(False, description="serve /metrics to any address")
    docs: bool = Field(True, description="serve /docs and /openapi.json")
    shutdown_grace_s: int = Field(20, ge=1)


class LimitSettings(BaseModel):
    """How often one person or one address may do something."""

    requests_per_hour: int = Field(10, ge=1, description="new requests of one resident")
    staff_requests_per_hour: int = Field(600, ge=1, description="new requests taken by one clerk")
    reveals_per_day: int = Field(50, ge=1, description="looks of one clerk at who asked")
    calls_per_minute: int = Field(1_200, ge=1, description="API calls of one session")
    logins_per_minute: int = Field(600, ge=1, description="log-in attempts from one address")
    login_failures: int = Field(5, ge=1, description="wrong passwords before an account locks")
    login_lock_s: int = Field(900, ge=1)
    idempotency_hours: int = Field(96, ge=72, description="how long answers are kept for replay")


class SessionSettings(BaseModel):
    resident_days: int = Field(7, ge=1, description="sliding")
    staff_hours: int = Field(12, ge=1)
    cache_s: float = Field(1.0, ge=0, le=1, description="revocation reaches every worker in this")


class WechatSettings(BaseModel):
    base_url: str = "https://api.weixin.qq.com"
    app_id: str = ""
    app_secret: SecretStr = SecretStr("")


class JobSettings(BaseModel):
    enabled: bool = Field(True, description="this process also wakes the jobs")
    sweep_s: float = Field(1.0, gt=0)
    deliver_s: float = Field(1.0, gt=0)
    batch: int = Field(500, ge=1, le=10_000)


class NotificationSettings(BaseModel):
    """Quiet hours: local time, every day; never quiet if both are the same."""

    quiet_from: time = Field(time(21, 30), description="staff messages written from here on wait")
    quiet_to: time = Field(time(7, 30), description="until here")


class AnomalySettings(BaseModel):
    """From where on ratings and answers are listed as anomalies."""

    longest_period_days: int = Field(92, ge=1, le=366, description="what one query may ask for")
    account_ratings: int = Field(5, ge=3, description="ratings by one account that are many")
    account_within_hours: int = Field(24, ge=1, le=24, description="if they come inside this span")
    burst_ratings: int = Field(5, ge=3, description="best ratings of one unit that are many")
    burst_within_s: int = Field(
        60, ge=1, le=60, description="if nothing else comes inside this span"
    )
    fast_reply_minutes: int = Field(
        10, ge=1, le=60, description="answers this soon after assignment"
    )


class ExportSettings(BaseModel):
    """Files of figures, in the folder ``exports`` of the data folder."""

    keep_hours: int = Field(24, ge=1, le=720, description="then a file is deleted")
    link_minutes: int = Field(10, ge=1, le=1_440, description="how long a download link is good")
    most_open: int = Field(3, ge=1, le=100, description="exports of one person under way")
    rows_at_once: int = Field(2_000, ge=100, le=50_000, description="of the detail, in memory")


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="LIANXIN_", env_nested_delimiter="__", extra="ignore"
    )

    profile: Literal["demo", "production"] = "demo"
    data: Path = Field(Path("data"), description="folder of the embedded database and secrets")
    database_url: str | None = Field(None, validation_alias="DATABASE_URL")
    secret_key: SecretStr = Field(
        SecretStr(""), description="base64 of at least 32 random bytes; encrypts personal data"
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    database: DatabaseSettings = DatabaseSettings()
    web: WebSettings = WebSettings()
    limits: LimitSettings = LimitSettings()
    sessions: SessionSettings = SessionSettings()
    wechat: WechatSettings = WechatSettings()
    jobs: JobSettings = JobSettings()
    notifications: NotificationSettings = NotificationSettings()
    anomalies: AnomalySettings = AnomalySettings()
    exports: ExportSettings = ExportSettings()
