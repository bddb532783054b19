"""From a claimed item to the batch that a worker gets: what the campaign pinned, and the names it starts from.

Reads the store; runs on the claimer's thread.
"""

from pathlib import Path

import msgspec
from msgspec import Struct

from domainflow.actors.campaign.actor import RULES, stream_of
from domainflow.actors.campaign.state import Campaign
from domainflow.errors import Unavailable
from domainflow.lab.process import read_ports
from domainflow.spec import DnsPersona, HttpPersona, Pattern
from domainflow.store import results
from domainflow.store.postgres import Postgres
from domainflow.store.transaction import Kind
from domainflow.store.work_items import Claim
from domainflow.vocabulary import PHASES, Phase, PhaseStatus
from domainflow.work.port import BatchSpec, DnsHit, Input, LabPorts, Page

MOST_CACHED = 64


class SpecMaker:
    """Makes batch specs; remembers the state of the campaigns it made them for."""

    def __init__(self, store: Postgres, home: Path) -> None:
        self._store = store
        self._home = home
        self._states: dict[tuple[str, int, int], Campaign] = {}

    def make(self, claim: Claim) -> BatchSpec:
        """Return the batch of a claimed item. Raises Unavailable: it cannot be done on this host just now."""
        state = self.state(claim)
        spec, phase = state.spec, PHASES[claim.phase]
        return BatchSpec(
            item=claim.id,
            fence=claim.fence,
            attempt=claim.failures + 1,
            phase=phase,
            start=claim.start,
            stop=claim.stop,
            source=spec.source,
            base=spec.base,
            source_file=self._source_file(claim.tenant, state),
            inputs=self._inputs(claim, state),
            dns=spec.dns,
            http=spec.http,
            keywords=spec.keywords,
            scoring=spec.scoring,
            created_at_s=spec.created_at_us / 1e6,
            lab=self._lab(spec.dns, spec.http) if phase is not Phase.DOMAIN_GENERATION else None,
        )

    def state(self, claim: Claim) -> Campaign:
        """Return the campaign as it was when this run of this phase had begun, or later."""
        key = (claim.campaign, claim.phase, claim.run)
        if key not in self._states:
            if len(self._states) >= MOST_CACHED:
                self._states.pop(next(iter(self._states)))
            loaded = self._store.peek(stream_of(claim.campaign), fold_version=RULES.fold_version)
            self._states[key] = RULES.fold(loaded)
        return self._states[key]

    def _inputs(self, claim: Claim, state: Campaign) -> tuple[Input, ...]:
        match PHASES[claim.phase]:
            case Phase.HTTP_KEYWORD_VALIDATION:
                return self._names_to_fetch(claim, state)
            case Phase.ANALYSIS:
                rows = self._hits(claim, state, Phase.HTTP_KEYWORD_VALIDATION)
                return tuple(Input(at, page=msgspec.msgpack.decode(body, type=Page)) for at, body in rows)
            case _:
                return ()

    def _names_to_fetch(self, claim: Claim, state: Campaign) -> tuple[Input, ...]:
        if state.phase(Phase.DNS_VALIDATION).status is PhaseStatus.SKIPPED:
            return tuple(Input(position) for position in range(claim.start, claim.stop))
        rows = self._hits(claim, state, Phase.DNS_VALIDATION)
        return tuple(Input(at, msgspec.msgpack.decode(body, type=DnsHit).addresses) for at, body in rows)

    def _hits(self, claim: Claim, state: Campaign, phase: Phase) -> list[tuple[int, bytes]]:
        run = results.Run(claim.campaign, PHASES.index(phase), state.phase(phase).run)
        with self._store.tenants(Kind.LOAD, claim.tenant) as connection:
            return results.hits(connection, run, claim.start, claim.stop)

    def _source_file(self, tenant: str, state: Campaign) -> str:
        source = state.spec.source
        if isinstance(source, Pattern):
            return ""
        return str(self._store.source_file(tenant, source.sha256, self._home / "sources"))

    def _lab(self, dns: DnsPersona, http: HttpPersona) -> LabPorts | None:
        if "lab" not in dns.resolvers and http.connect_ports != "lab" and http.trust != "lab":
            return None
        ports = read_ports(self._home)
        if ports is None:
            raise Unavailable(f"no lab runs in {self._home}: start `domainflow lab`, or run with --lab")
        return ports


class Running(Struct):
    """One item that a worker has."""

    claim: Claim
    retries: int
