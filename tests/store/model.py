"""Random stories that both stores live through; after each step they answered alike and hold the same rows."""

from typing import Any, Final
from uuid import UUID

from both import Both
from durable import birth
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule
from msgspec.structs import replace
from two_stores import BARRED, CAMPAIGNS, TwoStores

from domainflow.store.memory.tables import State
from domainflow.store.port import CampaignMark, Ledger
from domainflow.store.work_items import Failure, Result

PATTERN: Final = "pattern/acme/p"
COMPANY: Final = {"acme": "shared/acme", "other": "shared/other"}  # in the batch beside it: a stream of such a tenant

campaigns: Final = st.sampled_from(CAMPAIGNS)
twists: Final = st.sampled_from([None, None, None, "version", "hash", "tenant", "epoch", "no epoch"])
companies: Final = st.sampled_from([None, "acme", "other"])
statuses: Final = st.sampled_from(["queued", "running", "running", "pausing", "paused", "failed", "completed"])
rides: Final = st.sampled_from([None, "key", "box", "snapshot", "opens", "opens", "accounts", "accounts", "about"])
ledgers: Final = st.sampled_from([None, None, None, Ledger.PARK, Ledger.UNPARK, Ledger.REVIVE])
runtimes: Final = st.integers(0, 1)
few: Final = st.integers(0, 3)


class Alike(TwoStores):
    """What may happen to them."""

    # --- commits

    @initialize()
    def begin(self) -> None:
        for campaign in CAMPAIGNS[:2]:
            self.create(campaign, 2, 0, stale=False)
            self.commit(campaign, None, None, "running", "opens", None, 0, 0)

    @rule(campaign=campaigns, most=st.integers(1, 3), who=runtimes, stale=st.booleans())
    def create(self, campaign: str, most: int, who: int, *, stale: bool) -> None:
        pattern = self.next(PATTERN)
        pattern = replace(pattern, previous=b"\1" * 32, expected=pattern.expected + 1) if stale else pattern
        self.alike(who, lambda side: side.group(pattern, birth(campaign, most_active=most)))

    @rule(
        campaign=campaigns,
        twist=twists,
        company=companies,
        status=statuses,
        what=rides,
        ledger=ledgers,
        n=few,
        who=runtimes,
    )
    def commit(  # noqa: PLR0913, PLR0917 - what a batch may be made of
        self,
        campaign: str,
        twist: str | None,
        company: str | None,
        status: str,
        what: str | None,
        ledger: Ledger | None,
        n: int,
        who: int,
    ) -> None:
        made = replace(self.ride(self.move(campaign, status, twist=twist), what, n), ledger=ledger)
        company = "acme" if company and twist == "tenant" else company  # or the stream would not even be seen
        beside = (self.next(COMPANY[company], tenant=company),) if company else ()
        each = self.accounted(made, n) if what == "accounts" else lambda _: made
        before = self.pairs[who].postgres.see("select clock_timestamp()")[0]
        self.alike(who, lambda side: side.commit(*beside, each(side)))
        # What one statement made ready is due at one instant here, and at as many as there are rows there.
        self.pairs[who].postgres.upkeep.execute(
            "update domainflow.work_item set run_at = now() where run_at between %s and now()", (before,)
        )

    @rule(campaign=campaigns, how=st.sampled_from(["drop", "archive", "delete"]), twist=twists, who=runtimes)
    def end(self, campaign: str, how: str, twist: str | None, who: int) -> None:
        made = self.move(campaign, "cancelled", twist=twist)
        if how == "drop":
            made = replace(made, ledger=Ledger.DROP)
        else:
            marks = {"archive": CampaignMark(business_status="archived"), "delete": CampaignMark(deleted=True)}
            made = replace(made, mark=marks[how])
        self.alike(who, lambda side: side.group(made))

    @rule(n=few, who=runtimes)
    def take_one_key_twice_in_a_batch(self, n: int, who: int) -> None:
        both = [self.ride(self.next(stream), "key", n) for stream in (COMPANY["acme"], PATTERN)]
        self.alike(who, lambda side: side.commit(*both))

    @rule(campaign=campaigns, crash=st.sampled_from(["before", "after", "late"]), who=runtimes)
    def lose_a_connection(self, campaign: str, crash: str, who: int) -> None:
        """It is lost before the statement was sent, after it, or it arrives when nobody expects it any more."""
        made = self.move(campaign, "running")
        old = {}
        for side in self.pairs[who]:
            old[side] = side.another_lane(0)
            old[side].generation = side.lane.generation
        if crash == "after":
            self.alike(who, lambda side: side.commit(made))
        self.alike(who, lambda side: side.lane.raise_generation(side.app))
        if crash == "late":
            answer = self.alike(who, lambda side: side.commit_on(old[side], made))
            assert answer == BARRED
        self.alike(who, lambda side: side.was_committed(made))

    # --- runtimes

    @rule(campaign=campaigns, who=runtimes)
    def claim_stream(self, campaign: str, who: int) -> None:
        self.alike(who, lambda side: side.leases.claim_stream(side.upkeep, side.runtime, f"campaign/{campaign}"))

    @rule(campaign=campaigns, who=runtimes)
    def release_stream(self, campaign: str, who: int) -> None:
        self.alike(who, lambda side: side.leases.release_stream(side.upkeep, side.runtime, f"campaign/{campaign}"))

    @rule(who=runtimes, how=st.sampled_from(["die", "expire", "forget", "leave"]), rescued=st.booleans())
    def restart(self, who: int, how: str, *, rescued: bool) -> None:
        """It ends somehow, and another one comes in its place; the one that lives may clear up after it."""
        end = {"leave": lambda side: side.leases.unregister(side.upkeep, side.runtime)}
        self.alike(who, end.get(how, lambda side: getattr(side, how)()))
        self.same_rows()
        if rescued:
            self.rescue(1 - who)
        self.gone.append(self.pairs[who])
        self.pairs[who] = self.join()

    @rule(who=runtimes)
    def lose_the_session_for_a_while(self, who: int) -> None:
        self.alike(who, lambda side: side.die())
        self.claim_stream(CAMPAIGNS[0], 1 - who)
        self.alike(who, lambda side: side.reappear())

    # --- work

    def in_hand(self, n: int) -> tuple[str, int, int] | None:
        """A claimed item, or one that was: campaign, batch, fence."""
        items = sorted(
            self.store.tables.work_items.values(), key=lambda each: (each.state is not State.CLAIMED, each.id)
        )
        return (
            (items[n % len(items)].campaign, items[n % len(items)].batch, items[n % len(items)].fence)
            if items
            else None
        )

    @rule(who=runtimes, most=st.integers(1, 5), suspects=st.integers(0, 2))
    def claim(self, who: int, most: int, suspects: int) -> None:
        def claim(side: Both) -> list[Any]:
            claims = side.work_items.claim(side.upkeep, side.runtime, most, suspects=suspects)
            return sorted((replace(each, id=0) for each in claims), key=repr)

        self.alike(who, claim)

    @rule(who=runtimes, n=st.integers(0, 5), late=st.booleans())
    def complete(self, who: int, n: int, *, late: bool) -> None:
        if (found := self.in_hand(n)) is not None:
            campaign, batch, fence = found

            def complete(side: Both) -> bool:
                hits = ((10 * batch + 1, b"hit"),)
                counts = (("resolved", 7), ("unresolved", 3))
                id_ = side.item_id(campaign, batch)
                return side.complete(Result(item=id_, fence=fence - late, counts=counts, outcomes=b"v", hits=hits))

            self.alike(who, complete)

    @rule(
        who=runtimes,
        n=few,
        how=st.sampled_from(["fail", "unclaim", "put_off", "lose"]),
        later=st.sampled_from([0, 3600]),
    )
    def return_item(self, who: int, n: int, how: str, later: int) -> None:
        if (found := self.in_hand(n)) is not None:
            campaign, batch, fence = found

            def give_back(side: Both) -> None:
                work, one = side.work_items, (side.upkeep, side.item_id(campaign, batch), fence)
                match how:
                    case "fail":
                        work.fail(*one, Failure(reason=f"of {n}", retries=1, delay_s=later))
                    case "put_off":
                        work.put_off(*one, reason="no lab", delay_s=later)
                    case "lose":
                        work.return_lost(*one, alone=n > 1)
                    case _:
                        work.unclaim(*one)

            self.alike(who, give_back)

    @rule(who=runtimes)
    def give_back(self, who: int) -> None:
        self.alike(who, lambda side: side.work_items.give_back(side.upkeep, side.runtime, but=[]))

    @rule(who=runtimes)
    def rescue(self, who: int) -> None:
        self.alike(who, lambda side: side.work_items.rescue(side.upkeep, side.runtime))

    @rule(who=runtimes)
    def make_due(self, who: int) -> None:
        self.alike(who, lambda side: side.make_due())

    # --- the box

    @rule(campaign=campaigns, who=runtimes)
    def put(self, campaign: str, who: int) -> None:
        command = str(UUID(int=0xB0 + len(self.commands)))
        self.commands.append(command)
        self.alike(who, lambda side: side.put(command, f"campaign/{campaign}"))

    @rule(n=few, who=runtimes)
    def withdraw(self, n: int, who: int) -> None:
        command = self.commands[n % len(self.commands)]
        self.alike(who, lambda side: side.commands.withdraw(side.upkeep, command, b"never mind"))

    # --- looking

    @rule(campaign=campaigns, who=runtimes, n=few)
    def look(self, campaign: str, who: int, n: int) -> None:
        def see(side: Both) -> list[Any]:
            stream, store = f"campaign/{campaign}", side.upkeep
            done = side.work_items.done(store, [campaign])
            return [
                side.streams.load(store, stream, fold_version=n),
                side.leases.owner(store, stream),
                side.leases.held(store, side.runtime),
                [replace(each, left_s=each.left_s > 0) for each in side.commands.pending(store, side.runtime)],
                [side.commands.answer(store, command) for command in self.commands],
                side.work_items.ledger(store, list(CAMPAIGNS)),
                [replace(each, item=0) for each in done.get(campaign, [])],
            ]

        self.alike(who, see)
