"""Watching resumes by version: whoever remembers the last one it saw misses nothing and hears nothing twice.

    python examples/watch_campaign.py [HOME]

The first runtime is closed in the middle of a campaign, as a deployment or a crash would end it. The second one finds
the campaign, goes on with it, and the watch goes on behind the last version that was seen.
"""

import sys
from pathlib import Path

from embed_script import SPEC

from domainflow import CampaignHandle, Change, Principal, Runtime
from domainflow.lab.process import Lab

ALICE = Principal(id="alice", roles=("operator",), tenant="acme")
ENOUGH = 6  # changes seen before the first runtime is closed


def main() -> int:
    """Watch one campaign through two lives of the runtime; 0 when every change was seen once and in order."""
    home = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with Runtime.open(home=home) as runtime:
        campaign = runtime.as_principal(ALICE).create_campaign(SPEC)
        with Lab.start(runtime.home, seed=7):
            campaign.start()
            seen = watched(campaign, after=0, most=ENOUGH)
        id_, home = campaign.id, runtime.home
    print(f"closed at version {seen[-1].version}")

    with Lab.start(home, seed=7), Runtime.open(home=home) as runtime:
        campaign = runtime.as_principal(ALICE).campaign(id_)
        seen += watched(campaign, after=seen[-1].version, most=None)
        status = campaign.view().status

    versions = [change.version for change in seen]
    gapless = versions == list(range(1, len(versions) + 1))
    print(
        f"{status}: {len(versions)} changes seen, {'each once and in order' if gapless else 'not one after the other'}"
    )
    return 0 if gapless else 1


def watched(campaign: CampaignHandle, *, after: int, most: int | None) -> list[Change]:
    """Print and return the changes behind version `after`: `most` of them, or all until the campaign has ended."""
    changes: list[Change] = []
    for change in campaign.watch(after=after, timeout_s=60):
        print(f"{change.version:4}  {change.recorded_at:%H:%M:%S.%f}  {change.type}")
        changes.append(change)
        if len(changes) == most:
            break
    return changes


if __name__ == "__main__":
    sys.exit(main())
