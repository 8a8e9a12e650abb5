"""Logging: one JSON object a line, or lines for people; tracebacks never show variables."""

from __future__ import annotations

from typing import Any

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import JSONRenderer
from structlog.stdlib import ProcessorFormatter

STEPS: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(*, for_people: bool) -> dict[str, Any]:
    """Set structlog up; answers what Django's LOGGING wants."""
    structlog.configure(
        processors=[*STEPS, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    line: list[structlog.typing.Processor] = [
        ProcessorFormatter.remove_processors_meta,
        *([] if for_people else [structlog.processors.format_exc_info]),
        ConsoleRenderer(colors=False, exception_formatter=plain_traceback) if for_people else JSONRenderer(),
    ]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": ProcessorFormatter, "foreign_pre_chain": STEPS, "processors": line}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["console"], "level": "WARNING"},
        # A refusal is an answer, not a fault; what is audited stands in the events.
        "loggers": {"django.request": {"level": "ERROR"}},
    }
