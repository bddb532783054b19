"""Every error a caller can meet, sorted by what the caller can do about it.

No other module defines an exception that leaves the package. Nothing here logs, formats for a terminal or
knows HTTP; `exit_code` is the only thing a command line needs.
"""

from typing import ClassVar


class DomainFlowError(Exception):
    """Base of all errors of this package. The message says what was wrong, where, and what is true now."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1


class Rejected(DomainFlowError):
    """The request cannot be done as it stands: change it. Nothing happened but its audit record."""

    code = "rejected"
    exit_code = 2


class InvalidInput(Rejected):
    """A value breaks a rule. The message is one line: source, key path, rule."""

    code = "invalid_input"


class CommandRejected(Rejected):
    """The state does not allow this command. The message names the state and what it allows."""

    code = "command_rejected"


class Denied(Rejected):
    """The principal may not do this."""

    code = "denied"


class NotFound(Rejected):
    """There is no such thing, or the principal may not know of it."""

    code = "not_found"


class QuotaExceeded(Rejected):
    """A limit of the principal is reached."""

    code = "quota_exceeded"


class SpaceExhausted(Rejected):
    """A source has fewer offsets left than were asked for."""

    code = "space_exhausted"


class Archived(Rejected):
    """What was asked for has left the database. The message says where it is kept, and from where on one can read."""

    code = "archived"


class Conflict(DomainFlowError):
    """Somebody else moved first: reload and decide again. Nothing of this request was written."""

    code = "conflict"
    exit_code = 4


class VersionConflict(Conflict):
    """The stream is not at the version that was expected."""

    code = "version_conflict"


class KeyReused(Conflict):
    """An idempotency key was used before with another command."""

    code = "key_reused"


class Fenced(Conflict):
    """Another runtime owns this stream now."""

    code = "fenced"


class BookmarkLost(Conflict):
    """The feed has no such place: its database was set back, and what was told up to there may not have happened."""

    code = "bookmark_lost"


class Unavailable(DomainFlowError):
    """Not now: try again later. What is true now stands in the message."""

    code = "unavailable"
    exit_code = 3


class StoreUnavailable(Unavailable):
    """Postgres cannot be reached, started or used. The message lists what was tried and what to do."""

    code = "store_unavailable"


class SchemaMismatch(Unavailable):
    """The database has another schema than this version needs."""

    code = "schema_mismatch"


class MailboxFull(Unavailable):
    """The actor has as many messages waiting as it may hold; this one was not delivered."""

    code = "mailbox_full"


class ActorStopped(Unavailable):
    """The actor ended before it answered; whether the message was handled is not known unless it says so."""

    code = "actor_stopped"


class RestartsExhausted(ActorStopped):
    """A supervisor had to restart its children more often than it may; all below it is stopped, in order."""

    code = "restarts_exhausted"


class AskTimeout(Unavailable):
    """No answer in time. The message may still be handled."""

    code = "ask_timeout"


class AskCycle(DomainFlowError):
    """An ask would wait for an actor that is waiting for this ask; the path is in the message."""

    code = "ask_cycle"


class StoreRefused(DomainFlowError):
    """Postgres refused a statement for what it says: a defect of this package, or of the database. Report it."""

    code = "store_refused"
    exit_code = 70


class Corrupt(DomainFlowError):
    """Stored data contradicts itself: stop, and run `domainflow verify`."""

    code = "corrupt"
    exit_code = 5


class WrittenByNewer(Corrupt):
    """A newer version of this program wrote what is stored: upgrade this one. Nothing was decided from it."""

    code = "written_by_newer"
