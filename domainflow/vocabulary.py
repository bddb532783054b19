"""The protected words of the domain: every enumeration, its values never change.

No rules here (those are in the cores) and no types with more than a value.
"""

from enum import StrEnum
from typing import Final


class CampaignType(StrEnum):
    """What a campaign is called after: its first phase."""

    DOMAIN_GENERATION = "domain_generation"
    DNS_VALIDATION = "dns_validation"
    HTTP_KEYWORD_VALIDATION = "http_keyword_validation"


class CampaignStatus(StrEnum):
    """Where a campaign stands in its life."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class BusinessStatus(StrEnum):
    """What people think of a campaign; apart from its life."""

    ARCHIVED = "archived"
    PRIORITY = "priority"
    EXPERIMENTAL = "experimental"
    PRODUCTION_READY = "production_ready"


class SourceType(StrEnum):
    """Which names of another campaign a follower takes."""

    DOMAIN_GENERATION = "DomainGeneration"
    DNS_VALIDATION = "DNSValidation"


class Phase(StrEnum):
    """The four phases, in their fixed order."""

    DOMAIN_GENERATION = "domain_generation"
    DNS_VALIDATION = "dns_validation"
    HTTP_KEYWORD_VALIDATION = "http_keyword_validation"
    ANALYSIS = "analysis"


PHASES: Final = tuple(Phase)


class PhaseStatus(StrEnum):
    """Where a phase stands in its life."""

    NOT_STARTED = "not_started"
    READY = "ready"
    CONFIGURED = "configured"
    IN_PROGRESS = "in_progress"
    PAUSED = "paused"
    COMPLETED = "completed"
    SKIPPED = "skipped"
    FAILED = "failed"


class Mode(StrEnum):
    """Whether a completed phase starts the next one or waits to be told."""

    FULL_SEQUENCE = "full_sequence"
    STEP_BY_STEP = "step_by_step"


class PatternType(StrEnum):
    """Where the variable part stands."""

    PREFIX = "prefix"
    SUFFIX = "suffix"
    BOTH = "both"


class DnsOutcome(StrEnum):
    """What became of a name in DNS."""

    PENDING = "pending"
    RESOLVED = "resolved"
    UNRESOLVED = "unresolved"
    TIMEOUT = "timeout"
    ERROR = "error"


class DnsReason(StrEnum):
    """Why a name did not resolve."""

    NXDOMAIN = "NXDOMAIN"
    NOANSWER = "NOANSWER"
    SERVFAIL = "SERVFAIL"
    REFUSED = "REFUSED"
    TIMEOUT = "TIMEOUT"
    ERROR = "ERROR"


# What each reason means. Resolving has no reason.
OUTCOME_OF: Final = {
    DnsReason.NXDOMAIN: DnsOutcome.UNRESOLVED,
    DnsReason.NOANSWER: DnsOutcome.UNRESOLVED,
    DnsReason.SERVFAIL: DnsOutcome.ERROR,
    DnsReason.REFUSED: DnsOutcome.ERROR,
    DnsReason.TIMEOUT: DnsOutcome.TIMEOUT,
    DnsReason.ERROR: DnsOutcome.ERROR,
}


class HttpOutcome(StrEnum):
    """What became of a fetch."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILED = "failed"
    TIMEOUT = "timeout"
    ERROR = "error"


class LeadStatus(StrEnum):
    """The verdict on a name."""

    PENDING = "pending"
    MATCH = "match"
    NO_MATCH = "no_match"
    ERROR = "error"
    TIMEOUT = "timeout"


class Rejection(StrEnum):
    """Why a name is or is not a lead; in order of priority."""

    QUALIFIED = "qualified"
    DNS_TIMEOUT = "dns_timeout"
    DNS_ERROR = "dns_error"
    HTTP_TIMEOUT = "http_timeout"
    HTTP_ERROR = "http_error"
    PARKED = "parked"
    LOW_SCORE = "low_score"
    NO_KEYWORDS = "no_keywords"
    PENDING = "pending"


class ResolverStrategy(StrEnum):
    """In which order a persona's resolvers are asked."""

    RANDOM_ROTATION = "random_rotation"
    SEQUENTIAL_FAILOVER = "sequential_failover"
    SPECIFIC_ORDER = "specific_order"
    WEIGHTED_ROTATION = "weighted_rotation"


class KeywordRuleType(StrEnum):
    """How a keyword rule is read."""

    STRING = "string"
    REGEX = "regex"
