"""What a user does with a runtime beside a lab: create, start, wait, export."""

import io
from pathlib import Path

from msgspec.structs import replace

from domainflow import export
from domainflow.lab.text import LAB_KEYWORDS
from domainflow.lab.world import World
from domainflow.operations import CampaignHandle
from domainflow.runtime import Runtime
from domainflow.security.context import Principal
from domainflow.security.input import load_spec
from domainflow.spec import CampaignSpec, ScoringProfile, SourceSpec
from domainflow.views import View
from domainflow.vocabulary import CampaignStatus

SEED = 7
WORLD = World(SEED)
# Asks for more than the default, so that some pages with keywords score too low.
STRICT = ScoringProfile(match_score=0.32, match_score_long=0.30)

_MAIN_JOB = Path(__file__).parents[2] / "examples" / "main_job.toml"


class Scene:
    """A running DomainFlow as one principal has it."""

    def __init__(self, runtime: Runtime, principal: Principal) -> None:
        self.runtime = runtime
        self.principal = principal
        self.operations = runtime.as_principal(principal)

    def started(self, spec: CampaignSpec) -> CampaignHandle:
        """Create and start."""
        campaign = self.operations.create_campaign(spec)
        campaign.start()
        return campaign

    def completed(self, campaign: CampaignHandle, timeout_s: float = 60.0) -> View:
        """Wait for its end, which must be completion."""
        view = campaign.wait(timeout_s)
        assert view.status is CampaignStatus.COMPLETED, f"{view.status}: {view.reason}"
        return view

    def rows(self, campaign: CampaignHandle) -> list[export.Row]:
        """The rows of its export."""
        store, home = self.runtime.store, self.runtime.home
        return list(export.rows(store, campaign.id, tenant=self.principal.tenant, home=home))

    def lines(self, campaign: CampaignHandle) -> list[str]:
        """The lines of its export in CSV."""
        file = io.StringIO(newline="")
        export.write_csv(self.rows(campaign), file)
        return file.getvalue().splitlines(keepends=True)


def job(source: SourceSpec | None = None, **changes: object) -> CampaignSpec:
    """The main job over the lab, with another source if one is given and other changes.

    The lab answers within a tenth of the time-outs (0.5 s twice, 1.5 s) or later than ten times as long, so that load
    decides nothing.
    """
    spec = load_spec(_MAIN_JOB)
    dns = replace(spec.dns, resolvers=("lab",))
    http = replace(spec.http, connect_ports="lab", trust="lab", allow_private=True)
    assert spec.keywords == LAB_KEYWORDS
    return replace(spec, source=source or spec.source, dns=dns, http=http, scoring=STRICT, **changes)
