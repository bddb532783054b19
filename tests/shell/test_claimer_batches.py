"""What the claimer has in hand: ended when nobody wants it, alone when suspected, failed when it cannot be stored.

Real worker processes that ask a resolver of the test's own, which keeps them waiting for as long as it likes.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
import pytest
from child import eventually
from durable import SOON_S, Actor, emptied, migrated
from msgspec.structs import replace
from shell_stage import SOURCE, actor, ask, house, reserve
from stage import Stage, context

from domainflow.actors.campaign import actor as campaign
from domainflow.actors.campaign.messages import BeginCampaign, CancelCampaign, PauseCampaign, StartCampaign
from domainflow.actors.children import ChildSpec
from domainflow.actors.claimer.actor import Claimer
from domainflow.actors.dynamic import StartChild
from domainflow.actors.effects import Wake
from domainflow.actors.pattern import actor as pattern
from domainflow.actors.ref import Ref
from domainflow.engines.local import LocalEngine
from domainflow.security.context import system
from domainflow.spec import DnsPersona
from domainflow.vocabulary import Phase

__all__ = ["actor", "emptied", "house", "migrated"]  # fixtures

DNS = tuple(Phase).index(Phase.DNS_VALIDATION)
READY, CLAIMED, DONE, DEAD = 0, 1, 2, 4


class Resolver:
    """Keeps what it was asked for; answers none of it until it is told to, then everything."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._held: list[tuple[dns.message.Message, Any]] = []
        self._addresses: tuple[str, ...] | None = None
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = self._socket.getsockname()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def answer(self, *addresses: str) -> None:
        """All names have these addresses; without any, no name exists."""
        with self._lock:
            self._addresses = addresses
            for query, sender in self._held:
                self._reply(query, sender, addresses)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.address)
        self._thread.join(SOON_S)
        self._socket.close()

    def _listen(self) -> None:
        while wire := self._socket.recv(4096, socket.MSG_PEEK):
            _, sender = self._socket.recvfrom(4096)
            query = dns.message.from_wire(wire)
            with self._lock:
                self.asked.append(query.question[0].name.to_text(omit_final_dot=True))
                if self._addresses is None:
                    self._held.append((query, sender))
                else:
                    self._reply(query, sender, self._addresses)

    def _reply(self, query: dns.message.Message, sender: Any, addresses: tuple[str, ...]) -> None:  # noqa: ANN401 - as the socket gave it
        response = dns.message.make_response(query)
        question = query.question[0]
        if not addresses:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype == dns.rdatatype.A:
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", *addresses))
        self._socket.sendto(response.to_wire(), sender)


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    made = Resolver()
    yield made
    made.close()


def a_campaign(house: Stage, resolver: Resolver, names: int) -> tuple[Ref[Any], str]:
    """One that runs and asks for names in DNS, each of which is a batch; its actor and its id."""
    command = reserve(names)
    draft = replace(
        command.draft,
        batch_size=1,
        window=names,
        retries=0,
        skip=tuple(phase for phase in Phase if phase is not Phase.DNS_VALIDATION),
        dns=DnsPersona(resolvers=("{}:{}".format(*resolver.address),), query_timeout_s=600.0),
    )
    ask(house.put_on(pattern.RULES, SOURCE, "source"), replace(command, draft=draft))
    ref = house.put_on(campaign.RULES, campaign.stream_of(command.campaign))
    ask(ref, StartCampaign())
    ask(ref, BeginCampaign(), context(system("acme")))
    return ref, command.campaign


def claim(house: Stage, home: Path, *, slots: int, tick_s: float = 0.05) -> list[LocalEngine]:
    """Have a claimer with one worker; its engines, one for each of its lives."""
    engines: list[LocalEngine] = []

    def engine(tell: Callable[[object], None]) -> LocalEngine:
        engines.append(
            LocalEngine(workers=1, batches_per_worker=slots, on_result=tell, on_lost=tell, on_free=lambda: tell(Wake()))
        )
        return engines[-1]

    made = partial(
        Claimer,
        house.store,
        engine,
        runtime=house.actor.runtime,
        holds_lease=house.ask_lease,
        home=home,
        tick_s=tick_s,
    )
    spec = ChildSpec(name="claimer", factory=made, dispatcher="pinned")
    house.find("actors").ask(StartChild(spec), context(system("")), timeout_s=SOON_S)
    return engines


def states(actor: Actor, campaign_id: str) -> list[int]:
    return actor.see("select state from domainflow.work_item where campaign = %s order by batch", campaign_id)


def test_what_is_in_hand_is_ended_by_a_cancel_and_finished_under_a_pause(
    house: Stage, actor: Actor, home: Path, resolver: Resolver
) -> None:
    (paused, paused_id), (cancelled, _) = a_campaign(house, resolver, 1), a_campaign(house, resolver, 2)
    (engine,) = claim(house, home, slots=4, tick_s=0.5)
    eventually(lambda: len(resolver.asked) == 3, "all names are asked for")
    ask(paused, PauseCampaign())
    ask(cancelled, CancelCampaign())

    def ended() -> bool:
        house.find("actors/claimer").signal(Wake())  # hints come all the time, and put no look off
        return engine.free() == 3

    eventually(ended, "the two that nobody wants are ended")
    resolver.answer()
    eventually(lambda: states(actor, paused_id) == [DONE], "the third is done")
    assert actor.see("select campaign::text from domainflow.batch") == [paused_id]


def test_an_item_that_is_claimed_again_is_not_worked_on_twice(
    house: Stage, actor: Actor, home: Path, resolver: Resolver
) -> None:
    a_campaign(house, resolver, 1)
    (engine,) = claim(house, home, slots=2, tick_s=600.0)
    eventually(lambda: len(resolver.asked) == 1, "it is worked on")
    actor.upkeep.execute("update domainflow.work_item set state = 0, fence = fence + 1, runtime = null")  # a rescue
    house.find("actors/claimer").signal(Wake())
    eventually(lambda: len(resolver.asked) == 2, "it is worked on under another claim")
    eventually(lambda: engine.free() == 1, "the first is ended")
    resolver.answer()
    eventually(lambda: actor.see("select state from domainflow.work_item") == [DONE], "the second is done")


def test_an_item_that_is_ours_under_a_claim_we_never_heard_of_is_taken_up(
    house: Stage, actor: Actor, home: Path, resolver: Resolver
) -> None:
    a_campaign(house, resolver, 1)
    (engine,) = claim(house, home, slots=2)
    eventually(lambda: len(resolver.asked) == 1, "it is worked on")
    actor.upkeep.execute("update domainflow.work_item set fence = fence + 1")  # rescued, and the answer of a claim lost
    eventually(lambda: len(resolver.asked) == 2, "it is worked on under another claim")
    eventually(lambda: engine.free() == 1, "the first is ended")
    resolver.answer()
    eventually(lambda: actor.see("select state from domainflow.work_item") == [DONE], "the second is done")


def test_an_item_that_must_run_alone_does_not_wait_for_ever_where_no_worker_is_ever_idle(
    house: Stage, actor: Actor, home: Path, resolver: Resolver
) -> None:
    _, id_ = a_campaign(house, resolver, 5)
    claim(house, home, slots=2)
    eventually(lambda: len(resolver.asked) == 2, "the worker has all that it takes")
    actor.upkeep.execute("update domainflow.work_item set losses = 3, run_at = clock_timestamp() where batch = 4")
    eventually(lambda: states(actor, id_) == [CLAIMED, CLAIMED, READY, READY, CLAIMED], "the suspect is taken too")
    resolver.answer()
    eventually(lambda: states(actor, id_) == [DONE] * 5, "all is done")
    assert sorted(resolver.asked[:2]) == ["00.com", "01.com"]
    assert resolver.asked[2] == "04.com"
    assert sorted(resolver.asked[3:]) == ["02.com", "03.com"]


def test_a_result_that_cannot_be_stored_fails_its_own_batch_and_no_other(
    house: Stage, actor: Actor, home: Path, resolver: Resolver
) -> None:
    _, id_ = a_campaign(house, resolver, 3)
    engines = claim(house, home, slots=3)
    eventually(lambda: len(resolver.asked) == 3, "all names are asked for")
    actor.upkeep.execute(
        "insert into domainflow.hit (campaign, tenant, phase, run, position, body) values (%s, 'acme', %s, 1, 1, '')",
        (id_, DNS),
    )
    resolver.answer("192.0.2.1")
    eventually(lambda: states(actor, id_) == [DONE, DEAD, DONE], "two are done and one has failed")
    reasons = actor.see("select reason from domainflow.work_item where reason is not null")
    assert reasons == ["its result cannot be stored: UniqueViolation"]
    assert len(engines) == 1  # it was not restarted
