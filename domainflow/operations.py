"""Everything that can be asked for in somebody's name: campaigns created, listed, commanded, watched.

Blocking, for threads of the host; `aio` is its twin for event loops. Every change goes to the actor that owns the
stream, in this process or by way of the command box; every read comes from Postgres.
"""

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec.structs import replace

from domainflow.actors.campaign import actor as campaign
from domainflow.actors.campaign.messages import (
    ArchiveCampaign,
    CampaignCommand,
    CampaignCreated,
    CancelCampaign,
    ConfigurePhase,
    DeleteCampaign,
    Listed,
    PauseCampaign,
    PhaseConfig,
    RerunPhase,
    ResumeCampaign,
    RetryCampaign,
    SkipPhase,
    StartCampaign,
    StartPhase,
)
from domainflow.actors.pattern.actor import source_stream
from domainflow.actors.pattern.messages import ReserveOffsets
from domainflow.actors.rules import Ack
from domainflow.delivery import Delivery
from domainflow.errors import AskTimeout, Denied, InvalidInput, KeyReused, NotFound, VersionConflict
from domainflow.ids import new_id
from domainflow.security import gate
from domainflow.security.context import Context, Principal
from domainflow.security.input import check_key, check_parts, checked_spec
from domainflow.spec import CampaignSpec, KeywordRule, PatternSource, Source
from domainflow.store import campaigns, leases, sources, streams
from domainflow.store.campaigns import Summary
from domainflow.tree import Parts
from domainflow.views import RECENT, Change, View, change, view
from domainflow.vocabulary import CampaignStatus, Phase
from domainflow.work import dns_resolvers, freezing, generation

COMMAND_S: Final = 10.0
CREATE_S: Final = 60.0
LOOK_AGAIN_S: Final = 0.05
STILL: Final = frozenset(
    {CampaignStatus.COMPLETED, CampaignStatus.FAILED, CampaignStatus.CANCELLED, CampaignStatus.PAUSED}
)
FAR_FUTURE: Final = (datetime(9999, 1, 1, tzinfo=UTC), str(uuid.UUID(int=2**128 - 1)))


class Operations:
    """What one principal may ask of a runtime."""

    def __init__(self, parts: Parts, principal: Principal) -> None:
        """Use `Runtime.as_principal`."""
        self._parts = parts
        self.principal = principal

    def create_campaign(
        self, spec: CampaignSpec, *, idempotency_key: str = "", timeout_s: float = CREATE_S
    ) -> "CampaignHandle":
        """Create a campaign and reserve its names, in one commit.

        Args:
            spec: from TOML (`security.input.load_spec`) or from code; checked here either way.
            idempotency_key: the same key and spec give the same campaign, for 24 hours.
            timeout_s: for the commit; freezing a large file comes before and is not counted.

        Raises:
            InvalidInput, Denied, QuotaExceeded, SpaceExhausted, KeyReused: nothing was created.
            VersionConflict: others reserved on the same source all the time; nothing was created.
            AskTimeout: it is not known; ask again with the same key.
        """
        spec = checked_spec(spec)
        check_key(idempotency_key)
        dns_resolvers.check(spec.dns)
        self._must("campaigns:create")
        source, listed = self._frozen(spec)
        id_ = self._id_for(idempotency_key)
        stream = source_stream(self.principal.tenant, generation.source_hash(source))
        settings = self._parts.settings
        command = ReserveOffsets(
            campaign=id_,
            stream=stream,
            draft=replace(_draft(spec, source, self.principal, settings.window), listed=listed),
            count=spec.source.count,
            most_active=settings.most_active,
            most_created_a_day=settings.most_created_a_day,
        )
        context = Context(principal=self.principal, correlation_id=new_id(), idempotency_key=idempotency_key)
        self._reserve(command, context, timeout_s)
        return CampaignHandle(self._parts, self.principal, id_)

    def _reserve(self, command: ReserveOffsets, context: Context, timeout_s: float) -> None:
        """Ask the source's actor, and again while other runtimes reserve on the same stream faster than it can."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            left_s = max(deadline_s - time.monotonic(), LOOK_AGAIN_S)
            ref = self._parts.start("patterns", self._parts.pattern_spec(command.stream), left_s)
            try:
                ref.ask(command, context, timeout_s=left_s)
            except VersionConflict:
                if self._exists(command.campaign):
                    raise KeyReused(
                        f"idempotency key {context.idempotency_key} created campaign {command.campaign} more than a "
                        "day ago; nothing was created"
                    ) from None
                if time.monotonic() > deadline_s:
                    raise
            else:
                return

    def _exists(self, id_: str) -> bool:
        with self._parts.store.tenants(self.principal.tenant) as connection:
            return streams.head(connection, campaign.stream_of(id_)) is not None

    def campaign(self, id_: str) -> "CampaignHandle":
        """Return a campaign by its id or a unique prefix of it. Raises NotFound."""
        with self._parts.store.tenants(self.principal.tenant) as connection:
            found = campaigns.find(connection, id_)
        if len(found) != 1 or not self._sees(found[0]):
            which = "no campaign" if not found else "more than one campaign"
            raise NotFound(f"there is {which} {id_} that {self.principal.id} may see")
        return CampaignHandle(self._parts, self.principal, found[0].id)

    def campaigns(self, limit: int = 100, before: Summary | None = None) -> list[Summary]:
        """Return up to `limit` campaigns that the principal may read, newest first, those created before `before`."""
        at = (before.created_at, before.id) if before else FAR_FUTURE
        with self._parts.store.tenants(self.principal.tenant) as connection:
            page = campaigns.newest(connection, before=at, limit=limit)
        return [summary for summary in page if self._sees(summary)]

    def _sees(self, summary: Summary) -> bool:
        return gate.visible(self.principal, tenant=summary.tenant, owner=summary.principal)

    def _must(self, permission: str) -> None:
        decision = gate.check(self.principal, permission, tenant=self.principal.tenant)
        if not decision.allowed:
            self._parts.note_denied(self.principal, permission, decision.rule)
            raise Denied(f"{self.principal.id} may not {permission}: {decision.rule}")

    def _id_for(self, key: str) -> str:
        """A retry with the same key must speak of the same campaign."""
        if not key:
            return str(uuid.UUID(new_id()))
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.principal.tenant}/{self.principal.id}/{key}"))

    def _frozen(self, spec: CampaignSpec) -> tuple[Source, Listed | None]:
        """Return the canonical source; the bytes of a list are stored before anything names their hash."""
        generation.check(spec.source)
        if isinstance(spec.source, PatternSource):
            return generation.canonical(spec.source), None
        source, frozen = freezing.freeze(spec.source)
        stored = sources.StoredSource(
            sha256=frozen.sha256,
            kind=type(source).__struct_config__.tag,  # type: ignore[arg-type]  # a string, as spec says
            size_bytes=frozen.size_bytes,
            lines=frozen.count,
        )
        with frozen, self._parts.store.tenants(self.principal.tenant) as connection:
            sources.put(connection, self.principal.tenant, stored, frozen.chunks(sources.CHUNK_BYTES))
        dropped = tuple(sorted((str(reason), number) for reason, number in frozen.dropped.items()))
        return source, Listed(lines=frozen.count, lines_total=frozen.lines_total, dropped=dropped)


class CampaignHandle:
    """One campaign, in somebody's name. Holds no state: it may be made anew at any time, in any process."""

    def __init__(self, parts: Parts, principal: Principal, id_: str) -> None:
        """Use `Operations.campaign`."""
        self._parts = parts
        self._principal = principal
        self.id = id_
        self.stream = campaign.stream_of(id_)

    # --- commands: each returns when it is durable, and says at which version

    def start(self, *, timeout_s: float = COMMAND_S, idempotency_key: str = "") -> Ack:
        """Queue it; it begins when a run slot is free."""
        return self._command(StartCampaign(), timeout_s, idempotency_key)

    def pause(
        self, reason: str = "", holder: str = "user", *, timeout_s: float = COMMAND_S, idempotency_key: str = ""
    ) -> Ack:
        """Hold it; batches in hand are finished first."""
        return self._command(PauseCampaign(holder=holder, reason=reason), timeout_s, idempotency_key)

    def resume(self, holder: str = "user", *, timeout_s: float = COMMAND_S, idempotency_key: str = "") -> Ack:
        """Lift a holder's pause."""
        return self._command(ResumeCampaign(holder=holder), timeout_s, idempotency_key)

    def cancel(self, reason: str = "", *, timeout_s: float = COMMAND_S, idempotency_key: str = "") -> Ack:
        """End it for good."""
        return self._command(CancelCampaign(reason=reason), timeout_s, idempotency_key)

    def retry(self, *, timeout_s: float = COMMAND_S, idempotency_key: str = "") -> Ack:
        """Go on after a failure."""
        return self._command(RetryCampaign(), timeout_s, idempotency_key)

    def archive(self, *, timeout_s: float = COMMAND_S, idempotency_key: str = "") -> Ack:
        """Put it aside."""
        return self._command(ArchiveCampaign(), timeout_s, idempotency_key)

    def delete(self, *, timeout_s: float = COMMAND_S, idempotency_key: str = "") -> Ack:
        """Take it out of every list."""
        return self._command(DeleteCampaign(), timeout_s, idempotency_key)

    def configure_phase(
        self, phase: Phase, config: PhaseConfig, *, timeout_s: float = COMMAND_S, idempotency_key: str = ""
    ) -> Ack:
        """Change what a phase that has not begun will run with. Raises InvalidInput."""
        check_parts(phase, dns=config.dns, http=config.http, rules=config.keywords or (), scoring=config.scoring)
        if config.dns is not None:
            dns_resolvers.check(config.dns)
        return self._command(ConfigurePhase(phase=phase, config=config), timeout_s, idempotency_key)

    def start_phase(self, phase: Phase, *, timeout_s: float = COMMAND_S, idempotency_key: str = "") -> Ack:
        """Go on with the next phase of a step-by-step campaign."""
        return self._command(StartPhase(phase=phase), timeout_s, idempotency_key)

    def skip_phase(self, phase: Phase, *, timeout_s: float = COMMAND_S, idempotency_key: str = "") -> Ack:
        """Never run a phase that has not begun."""
        return self._command(SkipPhase(phase=phase), timeout_s, idempotency_key)

    def rerun_phase(self, phase: Phase, *, timeout_s: float = COMMAND_S, idempotency_key: str = "") -> Ack:
        """Run a completed phase again."""
        return self._command(RerunPhase(phase=phase), timeout_s, idempotency_key)

    # --- reading

    def view(self) -> View:
        """Return what is durable now. Raises NotFound."""
        summary = self._summary()
        rules = campaign.RULES
        with self._parts.store.tenants(summary.tenant) as connection:
            loaded = streams.load(connection, self.stream, fold_version=rules.fold_version)
            recent = streams.events(connection, self.stream, after=max(0, loaded.version - RECENT), limit=RECENT)
            owner = leases.owner(connection, self.stream)
        held_by = owner[1] if owner and owner[2] else None
        return view(summary, rules.fold(loaded), recent, version=loaded.version, held_by=held_by)

    def listed(self) -> Listed | None:
        """Return what its list of words or names came to, with what was left out; None: a pattern. Raises NotFound."""
        summary = self._summary()
        rules = campaign.RULES
        with self._parts.store.tenants(summary.tenant) as connection:
            return rules.fold(streams.load(connection, self.stream, fold_version=rules.fold_version)).spec.listed

    def watch(self, after: int = 0, timeout_s: float | None = None) -> Iterator[Change]:
        """Yield every change above version `after`, in order, as it becomes durable; ends when the campaign has.

        Resume with the version of the last change seen. Raises AskTimeout when nothing happens for `timeout_s`.
        """
        quiet_since_s = time.monotonic()
        while True:
            summary = self._summary()
            with self._parts.store.tenants(summary.tenant) as connection:
                page = streams.events(connection, self.stream, after=after, limit=500)
            for recorded in page:
                yield change(recorded)
                after, quiet_since_s = recorded.version, time.monotonic()
            if not page and summary.status in {"completed", "failed", "cancelled"} and summary.version <= after:
                return
            if timeout_s is not None and time.monotonic() - quiet_since_s > timeout_s:
                raise AskTimeout(f"nothing happened to campaign {self.id} for {timeout_s} s; it is {summary.status}")
            if not page:
                time.sleep(LOOK_AGAIN_S)

    def wait(self, timeout_s: float = 600.0) -> View:
        """Return the view once it is completed, failed, cancelled or paused. Raises AskTimeout."""
        deadline_s = time.monotonic() + timeout_s
        while (status := self._summary().status) not in STILL:
            if time.monotonic() > deadline_s:
                raise AskTimeout(f"campaign {self.id} is still {status} after {timeout_s} s")
            time.sleep(LOOK_AGAIN_S)
        return self.view()

    # --- within the house

    def _summary(self, *, deleted: bool = False) -> Summary:
        with self._parts.store.tenants(self._principal.tenant) as connection:
            found = campaigns.find(connection, self.id, deleted=deleted)
        if not found or not gate.visible(self._principal, tenant=found[0].tenant, owner=found[0].principal):
            raise NotFound(f"there is no campaign {self.id}")
        return found[0]

    def _command(self, command: CampaignCommand, timeout_s: float, idempotency_key: str) -> Ack:
        # Whoever may not know of it gets the same answer as if there were none. With a key this may be the deletion
        # over again, and the actor has its answer.
        self._summary(deleted=bool(idempotency_key))
        command = _checked(command)
        check_key(idempotency_key)
        context = Context(principal=self._principal, correlation_id=new_id(), idempotency_key=idempotency_key)
        return Delivery(self._parts, self.stream).deliver(command, context, timeout_s=timeout_s)


def _checked(command: CampaignCommand) -> CampaignCommand:
    """Return a command whose fields keep their bounds, which a Struct made in code need not. Raises InvalidInput."""
    try:
        return msgspec.msgpack.decode(msgspec.msgpack.encode(command), type=type(command))
    except (msgspec.ValidationError, UnicodeError) as error:
        raise InvalidInput(f"{type(command).__name__}: {error}") from error


def _draft(spec: CampaignSpec, source: Source, principal: Principal, window: int) -> CampaignCreated:
    """Return the first event of a campaign, but for what its reservation decides."""
    words = tuple(KeywordRule(text=text) for text in spec.keywords)
    return CampaignCreated(
        name=spec.name,
        description=spec.description,
        principal=principal.id,
        mode=spec.mode,
        source=source,
        base=0,
        count=0,
        created_at_us=0,
        batch_size=spec.batch_size,
        retries=spec.retries,
        window=window,
        skip=spec.skip,
        dns=spec.dns,
        http=spec.http,
        keywords=words + spec.keyword_rules,
        scoring=spec.scoring,
    )
