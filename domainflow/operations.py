"""Everything that can be asked for in somebody's name: campaigns created, found and listed; of one, its handle.

Blocking, for threads of the host; `aio` is its twin for event loops. A creation goes to the source's actor in this
process; every read comes from Postgres.
"""

import time
import uuid
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from msgspec.structs import replace

from domainflow.actors.campaign import actor as campaign
from domainflow.actors.campaign.events import CampaignCreated, Listed
from domainflow.actors.monitor import alerts
from domainflow.actors.monitor.messages import ResolveAlert
from domainflow.actors.pattern.actor import source_stream
from domainflow.actors.pattern.messages import ReserveOffsets
from domainflow.actors.rules import Ack
from domainflow.archiving import Archiving
from domainflow.errors import Denied, InvalidInput, KeyReused, NotFound, VersionConflict
from domainflow.handle import CampaignHandle
from domainflow.ids import new_id
from domainflow.projections import Projection, Projector
from domainflow.security import gate
from domainflow.security.context import Context, Principal
from domainflow.security.input import check_key, checked_spec
from domainflow.spec import CampaignSpec, KeywordRule, PatternSource, Source
from domainflow.store import campaigns, feed, reconcile_sql, sources, streams
from domainflow.store.archives import Archive
from domainflow.store.campaigns import Summary
from domainflow.store.feed import Position
from domainflow.store.transaction import Kind
from domainflow.subscriptions import Following, Subscription
from domainflow.tree import Parts
from domainflow.views import AlertView, alert_view
from domainflow.work import dns_resolvers, freezing, generation

__all__ = ["CampaignHandle", "Operations"]

CREATE_S: Final = 60.0
MOST_DAYS: Final = 36_500
RESOLVE_S: Final = 10.0
MOST_SAID: Final = 500  # characters
LEAST_S: Final = 0.05  # that another try is given
MOST_LISTED: Final = 10_000
FAR_FUTURE: Final = (datetime(9999, 1, 1, tzinfo=UTC), str(uuid.UUID(int=2**128 - 1)))


class Operations:
    """What one principal may ask of a runtime."""

    def __init__(self, parts: Parts, principal: Principal) -> None:
        """Use `Runtime.as_principal`."""
        self._parts = parts
        self.principal = principal

    def create_campaign(
        self, spec: CampaignSpec, *, idempotency_key: str = "", timeout_s: float = CREATE_S
    ) -> CampaignHandle:
        """Create a campaign and reserve its names, in one commit.

        Args:
            spec: from TOML (`security.input.load_spec`) or from code; checked here either way.
            idempotency_key: the same key and spec give the same campaign, for 24 hours.
            timeout_s: for the commit; freezing a large file comes before and is not counted, but for the wait for a
                connection, which lasts as long at most.

        Raises:
            InvalidInput, Denied, QuotaExceeded, SpaceExhausted, KeyReused: nothing was created.
            VersionConflict: others reserved on the same source all the time; nothing was created.
            AskTimeout: it is not known; ask again with the same key.
        """
        spec = checked_spec(spec)
        check_key(idempotency_key)
        dns_resolvers.check(spec.dns)
        self._must("campaigns:create")
        source, listed = self._frozen(spec, timeout_s)
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
            left_s = _left_s(deadline_s)
            ref = self._parts.start("patterns", self._parts.pattern_spec(command.stream), left_s)
            try:
                ref.ask(command, context, timeout_s=left_s)
            except VersionConflict:
                if self._exists(command.campaign, _left_s(deadline_s)):
                    raise KeyReused(
                        f"idempotency key {context.idempotency_key} created campaign {command.campaign} more than a "
                        "day ago; nothing was created"
                    ) from None
                if time.monotonic() > deadline_s:
                    raise
            else:
                return

    def _exists(self, id_: str, timeout_s: float) -> bool:
        with self._parts.store.tenants(Kind.VIEW, self.principal.tenant, timeout_s=timeout_s) as connection:
            return streams.head(connection, campaign.stream_of(id_)) is not None

    def campaign(self, id_: str, *, deleted: bool = False) -> CampaignHandle:
        """Return a campaign by its id or a unique prefix of it. Raises NotFound.

        `deleted`: one that is in no list any more too, for who asks for its deletion again with the same key.
        """
        return CampaignHandle(self._parts, self.principal, self._find(id_, deleted=deleted).id)

    def release(self, id_: str) -> None:
        """Have the reconciler start a campaign's actor again, which it left alone since that came to nothing each time.

        Raises NotFound: it is not left alone, or there is no such campaign; Denied.
        """
        found = self._find(id_)
        stream = campaign.stream_of(found.id)
        rule = self._must("campaigns:execute", owner=found.principal)
        with self._parts.store.tenants(Kind.VIEW, self.principal.tenant) as connection:
            if not reconcile_sql.in_quarantine(connection, stream):
                raise NotFound(f"campaign {found.id} is not in quarantine; nothing was done")
        self._parts.note("released", self.principal, "quarantine.release", rule, stream=stream)
        with self._parts.store.upkeep(Kind.SWEEP) as connection:
            reconcile_sql.release(connection, stream)

    def archive(self, older_than_days: float, *, most: int = 100) -> list[Archive]:
        """Move the events of ended campaigns of the tenant into files of this host; return where each one's are now.

        Up to `most` (1 or higher): those that nothing has happened to for so long, and whatever is sealed already. What
        is interrupted at any point the next call completes. A campaign that moves meanwhile, or whose events do not
        prove its state, stays as it is; the latter is said in the log.

        Raises InvalidInput, Denied; OSError: a file cannot be written, and its events stay.
        """
        if not 0 <= older_than_days <= MOST_DAYS or most < 1:
            raise InvalidInput(f"archive: days: {older_than_days} must be from 0 to {MOST_DAYS}, and most 1 or higher")
        self._must("campaigns:delete")
        return list(islice(Archiving(self._parts, self.principal).archived(older_than_days), most))

    def alerts(self, *, resolved: bool = False) -> list[AlertView]:
        """Return what needs a person in the principal's tenant, oldest first. Raises Denied.

        `resolved`: what did, and was resolved lately, instead.
        """
        self._must("alerts:read")
        stream, rules = alerts.stream_of(self.principal.tenant), alerts.RULES
        with self._parts.store.tenants(Kind.VIEW, self.principal.tenant) as connection:
            state = rules.fold(streams.load(connection, stream, fold_version=rules.fold_version))
        return [alert_view(each) for each in (state.resolved if resolved else state.open)]

    def resolve_alert(self, number: int, how: str, *, idempotency_key: str = "", timeout_s: float = RESOLVE_S) -> Ack:
        """Call an alert done with, and say how. While its cause is there it is raised again, under another number.

        Raises NotFound: there is no such open alert; Denied; InvalidInput; AskTimeout: it is not known.
        """
        check_key(idempotency_key)
        if not 1 <= len(how) <= MOST_SAID:
            raise InvalidInput(f"how an alert was resolved: must be 1 to {MOST_SAID} characters")
        deadline_s = time.monotonic() + timeout_s
        command = ResolveAlert(number=number, by=self.principal.id, how=how, now_us=self._parts.clock.now_us())
        context = Context(principal=self.principal, correlation_id=new_id(), idempotency_key=idempotency_key)
        ref = self._parts.start("alerts", self._parts.alerts_spec(self.principal.tenant), timeout_s)
        answer = ref.ask(command, context, timeout_s=_left_s(deadline_s))
        assert isinstance(answer, Ack)  # noqa: S101 - it answers commands with nothing else
        return answer

    def _find(self, id_: str, *, deleted: bool = False) -> Summary:
        with self._parts.store.tenants(Kind.VIEW, self.principal.tenant) as connection:
            found = campaigns.find(connection, id_, deleted=deleted)
        if len(found) != 1 or not self._sees(found[0]):
            which = "no campaign" if not found else "more than one campaign"
            raise NotFound(f"there is {which} {id_} that {self.principal.id} may see")
        return found[0]

    def campaigns(self, limit: int = 100, before: Summary | None = None) -> list[Summary]:
        """Return up to `limit` campaigns that the principal may read, newest first, those created before `before`.

        `limit`: 1 to 10 000. Raises InvalidInput.
        """
        if not 1 <= limit <= MOST_LISTED:
            raise InvalidInput(f"campaigns: limit: {limit} must be from 1 to {MOST_LISTED}")
        at = (before.created_at, before.id) if before else FAR_FUTURE
        with self._parts.store.tenants(Kind.VIEW, self.principal.tenant) as connection:
            page = campaigns.newest(connection, before=at, limit=limit)
        return [summary for summary in page if self._sees(summary)]

    def subscribe(self, after: str | None = None, timeout_s: float | None = None) -> Subscription:
        """Yield what happens to every campaign that the principal may see, as it becomes durable, by whichever runtime.

        Each change once, in its campaign's order; between campaigns in no order that means anything. To go on after
        anything at all, keep a change's `bookmark`, or the subscription's, once its effect is kept.

        Args:
            after: a bookmark. None: what is committed from now on, and perhaps some of what was a moment before;
                "0.0.0": everything there is; of an archived campaign that begins with its seal.
            timeout_s: AskTimeout is raised when nothing happens for so long. None: never.

        Raises InvalidInput: no bookmark; Denied. What it yields from raises BookmarkLost: the database was set back;
        Archived: events behind the bookmark have left the database, of a campaign that has others before it.
        """
        position = None if after is None else Position.parse(after)
        self._must("campaigns:read")
        if position is None:
            with self._parts.store.upkeep(Kind.FEED) as connection:
                position = feed.now(connection)
        return Subscription(self._parts, Following(self._parts, self.principal, position), timeout_s)

    def projector(self, projection: Projection) -> Projector:
        """Return what applies a projection to all that happens in the tenant. Raises InvalidInput, Denied."""
        self._must("campaigns:read")
        return Projector(self._parts, self.principal, projection)

    def _sees(self, summary: Summary) -> bool:
        return gate.visible(self.principal, tenant=summary.tenant, owner=summary.principal)

    def _must(self, permission: str, owner: str | None = None) -> str:
        """Return the rule that allows it. Raises Denied."""
        decision = gate.check(self.principal, permission, tenant=self.principal.tenant, owner=owner)
        if not decision.allowed:
            self._parts.note("denied", self.principal, permission, decision.rule)
            raise Denied(f"{self.principal.id} may not {permission}: {decision.rule}")
        return decision.rule

    def _id_for(self, key: str) -> str:
        """A retry with the same key must speak of the same campaign."""
        if not key:
            return str(uuid.UUID(new_id()))
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.principal.tenant}/{self.principal.id}/{key}"))

    def _frozen(self, spec: CampaignSpec, timeout_s: float) -> tuple[Source, Listed | None]:
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
        with frozen:
            self._store(stored, frozen, timeout_s)
        dropped = tuple(sorted((str(reason), number) for reason, number in frozen.dropped.items()))
        return source, Listed(lines=frozen.count, lines_total=frozen.lines_total, dropped=dropped)

    def _store(self, stored: sources.StoredSource, frozen: freezing.Frozen, timeout_s: float) -> None:
        store, tenant = self._parts.store, self.principal.tenant
        with store.tenants(Kind.VIEW, tenant, timeout_s=timeout_s) as connection:
            if sources.is_stored(connection, tenant, stored.sha256):
                return
        packed = sources.packed(frozen.chunks(sources.CHUNK_BYTES))
        with packed as chunks, store.tenants(Kind.SOURCE, tenant, timeout_s=timeout_s) as connection:
            sources.put(connection, tenant, stored, chunks)


def _left_s(deadline_s: float) -> float:
    return max(deadline_s - time.monotonic(), LEAST_S)


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
