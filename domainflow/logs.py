"""The only place that configures structlog, and only when the host asks.

The library itself logs through `structlog.get_logger()`: a constant snake_case name in the past tense, and values.
"""

import logging
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Final

import structlog
from structlog.contextvars import STRUCTLOG_KEY_PREFIX

from domainflow.redaction import MASK, is_secret, redact

# What every line of an actor's turn is about. Bound by `set`, and unbound by setting UNBOUND: structlog's own functions
# look up each name anew, and two of them a message were a twentieth of what a command costs.
ACTOR: Final = ContextVar[object](f"{STRUCTLOG_KEY_PREFIX}actor")
CORRELATION: Final = ContextVar[object](f"{STRUCTLOG_KEY_PREFIX}correlation_id")
UNBOUND: Final = ...  # structlog's word for it

_LEVELS: Final = logging.getLevelNamesMapping()


def configure(level: str = "INFO", *, json: bool = False) -> None:
    """Send log lines to standard error, secrets masked: one JSON object a line, or text for people.

    Args:
        level: DEBUG, INFO, WARNING, ERROR or CRITICAL, in any case; lines below it are dropped.
        json: one JSON object a line instead of text.

    Raises:
        ValueError: there is no such level; nothing was changed.
    """
    threshold = _LEVELS.get(level.upper())
    if threshold is None:
        raise ValueError(f"log level must be one of {', '.join(_LEVELS)}, not {level}")
    rendering = structlog.processors.JSONRenderer() if json else _for_people()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,  # as text, and so within reach of the mask
            mask_secrets,
            rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,  # so that a host that configures late is heard everywhere
    )


def _for_people() -> structlog.typing.Processor:
    # Plain tracebacks: the renderer's own ones show the values of variables, secrets among them.
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)


def mask_secrets(_logger: object, _method: str, line: MutableMapping[str, object]) -> MutableMapping[str, object]:
    """Mask every value under a secret's name, and passwords inside texts."""
    return {key: MASK if is_secret(key) else redact(value) for key, value in line.items()}
