"""How an error leaves the command line: one line on standard error, and an exit code. Nothing is recovered here."""

import os
import sys
import traceback
from typing import Final

import msgspec

from domainflow.errors import DomainFlowError, InvalidInput
from domainflow.redaction import redact_text

FAILED: Final = 1  # the campaign, or a check
UNAVAILABLE: Final = 3
INTERNAL: Final = 70
INTERRUPTED: Final = 130
TERMINATED: Final = 143

DEBUG_VARIABLE: Final = "DOMAINFLOW_DEBUG"


def report(error: BaseException, *, json: bool) -> int:
    """Say what went wrong, and return the exit code for it."""
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error)
    match error:
        case DomainFlowError():
            _say(error.code, str(error), json=json)
            return error.exit_code
        case BrokenPipeError():
            return _reader_left()
        case KeyboardInterrupt():
            _say("interrupted", "interrupted; nothing that was recorded is lost", json=json)
            return INTERRUPTED
        case OSError():
            _say("unavailable", f"the system refused: {error}", json=json)
            return UNAVAILABLE
        case _:
            words = f"internal error: {type(error).__name__} (run with {DEBUG_VARIABLE}=1 for the trace)"
            _say("internal", words, json=json)
            return INTERNAL


def misused(message: str, *, json: bool) -> int:
    """Say what is wrong with the command line itself."""
    _say(InvalidInput.code, f"{message} See `domainflow --help`.", json=json)
    return InvalidInput.exit_code


def _say(code: str, message: str, *, json: bool) -> None:
    """Print one line, whatever the message holds: other libraries' messages span several."""
    line = redact_text(" ".join(message.split()))
    words = msgspec.json.encode({"error": {"code": code, "message": line}}).decode() if json else f"error: {line}"
    print(words, file=sys.stderr, flush=True)  # noqa: T201 - a terminal is what this module is for


def _reader_left() -> int:
    """Whoever read our output has had enough, as `head` does: no error. Python must not complain at exit either."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return 0
