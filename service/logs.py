"""Logging to standard output: one JSON object per line."""

import sys
from typing import Any

import msgspec
import structlog

_ENCODER = msgspec.json.Encoder(enc_hook=str, decimal_format="number")


def configure_logs() -> None:
    """Configure structlog to write each event as one line of JSON to standard output."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_encode),
        ],
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )


def _encode(event: Any, **_options: Any) -> bytes:
    return _ENCODER.encode(event)
