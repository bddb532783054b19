"""`domainflow campaign …`: look at campaigns, and tell them what to do. Export stands in `export`."""

from typing import Final

from domainflow.cli import summary
from domainflow.cli.hosting import carry_out, how, tell
from domainflow.cli.options import AS_USUAL, ELSEWHERE, CampaignId, Given, Global, Here
from domainflow.cli.output import Output
from domainflow.cli.session import opened
from domainflow.errors import InvalidInput

MOST_LISTED: Final = 10_000
MOST_REASON_CHARS: Final = 1000


def list_(*, limit: int = 100, options: Global) -> int:
    """List campaigns, newest first.

    Parameters
    ----------
    limit
        How many at most, 1 to 10 000; 100 unless told otherwise.
    """
    if not 1 <= limit <= MOST_LISTED:
        raise InvalidInput(f"--limit: {limit} must be from 1 to {MOST_LISTED}")
    with opened(options, campaigns=False, work=False) as (_, operations):
        found = operations.campaigns(limit=limit)
    output = Output(json=options.json)
    if options.json:
        output.object({"campaigns": found})
        return 0
    output.rows(
        ("id", "name", "status", "#names", "principal", "created (UTC)"),
        [
            (
                one.id,
                one.name,
                f"{one.status}, {one.business_status}" if one.business_status else one.status,
                summary.number(one.count),
                one.principal,
                f"{one.created_at:%Y-%m-%d %H:%M:%S}",
            )
            for one in found
        ],
    )
    return 0


def show(campaign: CampaignId, /, *, options: Global) -> int:
    """Show one campaign: status, phases, outcomes."""
    with opened(options, campaigns=False, work=False) as (_, operations):
        view = operations.campaign(campaign).view()
    output = Output(json=options.json)
    if options.json:
        output.object(view)
        return 0
    output.line(summary.heading(view), "bold")
    made = f"{view.principal}, {view.created_at:%Y-%m-%d %H:%M} UTC"
    output.line(f"{view.mode}, {summary.number(view.count)} names, created by {made}; version {view.version}")
    output.rows(("phase", "status", "#names", "pace", "outcomes"), summary.rows(view, {}))
    output.line(f"leads found: {summary.number(summary.leads(view))}")
    return 0


def start(campaign: CampaignId, /, *, given: Given = AS_USUAL, here: Here = ELSEWHERE, options: Global) -> int:
    """Start a pending campaign."""
    return carry_out(options, campaign, lambda handle: handle.start(**how(given)), here=here)


def pause(campaign: CampaignId, /, *, reason: str = "", given: Given = AS_USUAL, options: Global) -> int:
    """Pause a campaign once its batches in hand are finished.

    Parameters
    ----------
    reason
        Recorded with the pause.
    """
    return tell(options, campaign, lambda handle: handle.pause(reason=_fit(reason), **how(given)))


def resume(campaign: CampaignId, /, *, given: Given = AS_USUAL, here: Here = ELSEWHERE, options: Global) -> int:
    """Lift your pause."""
    return carry_out(options, campaign, lambda handle: handle.resume(**how(given)), here=here)


def cancel(campaign: CampaignId, /, *, reason: str = "", given: Given = AS_USUAL, options: Global) -> int:
    """End a campaign for good; what is in hand is thrown away.

    Parameters
    ----------
    reason
        Recorded with the end.
    """
    return tell(options, campaign, lambda handle: handle.cancel(reason=_fit(reason), **how(given)))


def retry(campaign: CampaignId, /, *, given: Given = AS_USUAL, here: Here = ELSEWHERE, options: Global) -> int:
    """Go on with a failed campaign; its dead batches are tried anew."""
    return carry_out(options, campaign, lambda handle: handle.retry(**how(given)), here=here)


def archive(campaign: CampaignId, /, *, given: Given = AS_USUAL, options: Global) -> int:
    """Put an ended campaign aside."""
    return tell(options, campaign, lambda handle: handle.archive(**how(given)))


def delete(campaign: CampaignId, /, *, given: Given = AS_USUAL, options: Global) -> int:
    """Take a campaign out of every list; its events stay."""
    again = bool(given.idempotency_key)  # perhaps
    return tell(options, campaign, lambda handle: handle.delete(**how(given)), deleted=again)


def _fit(reason: str) -> str:
    if len(reason) > MOST_REASON_CHARS:
        raise InvalidInput(f"--reason: {len(reason)} characters are more than {MOST_REASON_CHARS}")
    return reason
