"""A runtime beside a lab, and what a user does with it: create, start, wait, export."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from domainflow import export
from domainflow.lab.process import Lab
from domainflow.operations import CampaignHandle, Operations
from domainflow.runtime import Runtime
from domainflow.security.context import Principal
from domainflow.spec import CampaignSpec, DnsPersona, HttpPersona, ScoringProfile, SourceSpec
from domainflow.views import View
from domainflow.vocabulary import CampaignStatus

SEED = 7
ALICE = Principal(id="alice", roles=("operator",), tenant="acme")
# Asks for more than the default, so that some pages with keywords score too low.
STRICT = ScoringProfile(match_score=0.32, match_score_long=0.30)
# The lab delays answers by less than a tenth of these or more than ten times: load decides nothing.
DNS = DnsPersona(resolvers=("lab",), query_timeout_s=0.5, retries=1)
HTTP = HttpPersona(request_timeout_s=1.5, max_in_flight=16, connect_ports="lab", trust="lab", allow_private=True)


class Scene:
    """What a test needs of a running DomainFlow."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.operations: Operations = runtime.as_principal(ALICE)

    def started(self, spec: CampaignSpec) -> CampaignHandle:
        """Create and start."""
        campaign = self.operations.create_campaign(spec)
        campaign.start()
        return campaign

    def completed(self, campaign: CampaignHandle, timeout_s: float = 100.0) -> View:
        """Wait for its end, which must be completion."""
        view = campaign.wait(timeout_s)
        assert view.status is CampaignStatus.COMPLETED, f"{view.status}: {view.reason}"
        return view

    def exported(self, campaign: CampaignHandle) -> list[str]:
        """The lines of its export in CSV."""
        rows = export.rows(self.runtime.store, campaign.id, tenant=ALICE.tenant, home=self.runtime.home)
        file = io.StringIO(newline="")
        export.write_csv(rows, file)
        return file.getvalue().splitlines(keepends=True)

    def domains(self, campaign: CampaignHandle) -> list[str]:
        """The names of its export."""
        rows = export.rows(self.runtime.store, campaign.id, tenant=ALICE.tenant, home=self.runtime.home)
        return [row.domain for row in rows]


@contextmanager
def beside_a_lab(dsn: str, home: Path, seed: int = SEED) -> Iterator[Scene]:
    """A runtime on a migrated database, and a lab that follows from `seed`."""
    with Lab.start(home, seed), Runtime.open(dsn, home=home) as runtime:
        yield Scene(runtime)


def over_the_lab(spec: CampaignSpec) -> CampaignSpec:
    """The same campaign with the lab in place of the internet."""
    dns = replace(spec.dns, resolvers=("lab",))
    http = replace(spec.http, connect_ports="lab", trust="lab", allow_private=True)
    return replace(spec, dns=dns, http=http)


def small(source: SourceSpec, **changes: object) -> CampaignSpec:
    """A campaign over the lab in batches of 50 names."""
    spec = CampaignSpec(
        name="small",
        source=source,
        batch_size=50,
        dns=DNS,
        http=HTTP,
        keywords=("gadget", "discount", "warranty"),
        scoring=STRICT,
    )
    return replace(spec, **changes)
