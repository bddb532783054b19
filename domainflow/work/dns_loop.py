"""The question loop of a worker: many names in flight over few UDP sockets, callbacks instead of a future a query.

One `Asker` a persona and worker, shared by all batches, so that windows and rates hold for the worker as a whole.
What a message means is in `dns_wire`, which resolver is next in `dns_resolvers`; nothing here knows campaigns.
"""

import asyncio
import os
import random
from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from time import monotonic
from typing import Final

from domainflow.spec import DnsPersona
from domainflow.work import dns_wire as wire
from domainflow.work.dns_lookup import Link, Lookup, Question
from domainflow.work.dns_resolvers import Endpoint, Resolver, choose
from domainflow.work.dns_tcp import ask_over_tcp
from domainflow.work.rate import TokenBucket

_SOCKETS: Final = 2  # a resolver, each with a source port of its own
_DRAIN: Final = 64  # datagrams a wake-up, so that other batches get their turn
_MESSAGE_BYTES: Final = 4096
_READ_AHEAD: Final = 64  # questions made before they are sent
_TICK_S: Final = 0.005  # time-outs are noticed this much later at most
_LATE_S: Final = 10.0  # an id is not used again so long after a time-out,
_LATE: Final = 16_384  # or until so many others have timed out: ids must not run out
_IDENTS_BYTES: Final = 4096


class Asker:
    """Asks a persona's resolvers for names, within their windows and the persona's rate."""

    def __init__(self, persona: DnsPersona, endpoints: Iterable[Endpoint], rate_share: float) -> None:
        self._persona = persona
        self._loop = asyncio.get_running_loop()
        self._bucket = TokenBucket(persona.rate_limit_qps * rate_share, persona.rate_limit_burst * rate_share)
        self._resolvers = [Resolver(index, place, persona.max_in_flight) for index, place in enumerate(endpoints)]
        self._links = [[Link(resolver) for _ in range(_SOCKETS)] for resolver in self._resolvers]
        self._feeds: deque[Iterator[Lookup]] = deque()
        self._fresh: deque[Question] = deque()
        self._again: deque[Question] = deque()
        self._in_flight = 0
        self._due: deque[tuple[float, Question]] = deque()  # every try has the same time-out, so this is in order
        self._late: deque[tuple[float, Link, int]] = deque()
        self._idents = iter(array("H"))
        self._tick: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._tcp: set[asyncio.Task[None]] = set()
        for link in self._all_links():
            self._loop.add_reader(link.socket, self._readable, link)

    def _all_links(self) -> Iterator[Link]:
        return (link for links in self._links for link in links)

    def ask(self, lookups: Iterator[Lookup]) -> None:
        """Ask for names, drawn as they can be sent; each lookup's `on_done` is called once, from the loop."""
        self._feeds.append(lookups)
        self._pump()

    async def aclose(self) -> None:
        """Close the sockets; what is still open is never answered."""
        for timer in (self._tick, self._pause):
            if timer is not None:
                timer.cancel()
        for task in self._tcp:
            task.cancel()
        await asyncio.gather(*self._tcp, return_exceptions=True)
        for link in self._all_links():
            self._loop.remove_reader(link.socket)
            link.socket.close()

    # --- sending

    def _pump(self) -> None:
        """Send what may be sent now. Further tries go first: their names have waited longest."""
        now_s = monotonic()
        while self._again and self._send_one(self._again, now_s):
            pass
        while (self._fresh or self._refill()) and self._send_one(self._fresh, now_s):
            pass
        if self._tick is None and self._due:
            self._tick = self._loop.call_later(max(_TICK_S, self._due[0][0] - now_s), self._expire)

    def _refill(self) -> bool:
        while self._feeds and not self._fresh:
            drawn = list(islice(self._feeds[0], _READ_AHEAD))
            self._fresh.extend(Question(lookup, wire.A, 1 + self._persona.retries) for lookup in drawn)
            if not drawn:
                self._feeds.popleft()
        return bool(self._fresh)

    def _send_one(self, queue: deque[Question], now_s: float) -> bool:
        """Send the head of a queue; False if it must wait."""
        question = queue[0]
        if question.lookup.code:
            queue.popleft()
            return True
        if self._in_flight >= self._persona.max_in_flight:
            return False
        resolver = choose(self._persona.strategy, self._resolvers, question.tried, now_s)
        if resolver is None:
            return False  # one of those under way makes room, so there will be a next time
        if (wait_s := self._bucket.take(now_s)) > 0:
            self._wait(wait_s)
            return False
        queue.popleft()
        self._send(question, resolver, now_s)
        return True

    def _wait(self, wait_s: float) -> None:
        if self._pause is None:
            self._pause = self._loop.call_later(wait_s, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._pump()

    def _send(self, question: Question, resolver: Resolver, now_s: float) -> None:
        ident = self._draw()
        link = self._links[resolver.index][ident & (_SOCKETS - 1)]
        while ident in link.in_flight:
            ident = self._draw()
        question.link = link
        question.ident = ident
        question.tries_left -= 1
        question.tried |= 1 << resolver.index
        question.deadline_s = now_s + self._persona.query_timeout_s
        link.in_flight[ident] = question
        resolver.in_flight += 1
        self._in_flight += 1
        self._due.append((question.deadline_s, question))
        try:
            link.socket.send(wire.query(ident, question.asked))
        except BlockingIOError:
            pass  # a full send buffer is a lost query like any other: its time-out finds it
        except OSError:
            self._loop.call_soon(self._broken, link)

    def _draw(self) -> int:
        """A number that nobody can foresee: together with the source port it is what keeps forged answers out."""
        ident = next(self._idents, None)
        if ident is None:
            self._idents = iter(array("H", os.urandom(_IDENTS_BYTES)))
            ident = next(self._idents)
        return ident

    # --- hearing

    def _readable(self, link: Link) -> None:
        self._drain(link, _DRAIN)
        self._pump()

    def _drain(self, link: Link, most: int) -> None:
        receive = link.socket.recv
        for _ in range(most):
            try:
                message = receive(_MESSAGE_BYTES)
            except BlockingIOError:
                return
            except OSError:  # an earlier query met a closed port or a dead route
                self._broken(link)
                return
            self._hear(link, message)

    def _hear(self, link: Link, message: bytes) -> None:
        question = link.in_flight.get(int.from_bytes(message[:2], "big"))
        if question is None or (code := wire.classify(message, question.asked)) == wire.FOREIGN:
            return
        self._end_try(question)
        del link.in_flight[question.ident]
        if code == wire.REFUSED:
            link.resolver.refused()
            self._bench_if_sick(link.resolver)
        else:
            link.resolver.answered()
        if code == wire.TRUNCATED:
            self._ask_over_tcp(question)
        elif code == wire.POSITIVE:
            self._take_records(question, message)
        else:
            self._take(question, code)

    def _end_try(self, question: Question) -> None:
        question.deadline_s = 0.0
        question.link.resolver.in_flight -= 1
        self._in_flight -= 1

    def _take_records(self, question: Question, message: bytes) -> None:
        try:
            found = wire.addresses(message, question.asked, question.rrtype)
        except wire.GarbledAnswer:
            self._take(question, wire.ERROR)
        else:
            self._settle(question, wire.RESOLVED if found else wire.NOANSWER, found)

    def _take(self, question: Question, code: int) -> None:
        """Settle an answer without records, or try again. NXDOMAIN and NOANSWER are never asked again."""
        if code in (wire.NXDOMAIN, wire.NOANSWER):
            self._settle(question, code, ())
            return
        if question.lookup.code:
            return
        if question.rrtype == wire.A and question.lookup.open == 1 and not question.lookup.codes:
            # Asked beside A's next try and not after its last, a silent name takes no longer for having two questions.
            self._ask_aaaa(question.lookup, max(1, self._persona.retries))
        if question.tries_left:
            self._again.append(question)
        else:
            self._settle(question, code, ())

    def _settle(self, question: Question, code: int, addresses: tuple[str, ...]) -> None:
        lookup = question.lookup
        if lookup.code:
            return
        if question.rrtype == wire.A and lookup.open == 1 and not lookup.codes and code != wire.NXDOMAIN:
            self._ask_aaaa(lookup, 1 + self._persona.retries)
        lookup.settle(question.rrtype, code, addresses)

    def _ask_aaaa(self, lookup: Lookup, tries: int) -> None:
        lookup.open += 1
        self._again.append(Question(lookup, wire.AAAA, tries))

    # --- failures

    def _expire(self) -> None:
        """End the tries whose time is up, after hearing what came while the loop was busy elsewhere."""
        self._tick = None
        for link in self._all_links():
            self._drain(link, _MESSAGE_BYTES)
        now_s = monotonic()
        while self._due and (self._due[0][0] <= now_s or self._due[0][0] != self._due[0][1].deadline_s):
            deadline_s, question = self._due.popleft()
            if question.deadline_s == deadline_s:
                self._time_out(question, now_s)
        while self._late and (self._late[0][0] <= now_s or len(self._late) > _LATE):
            _, link, ident = self._late.popleft()
            del link.in_flight[ident]
        self._pump()

    def _time_out(self, question: Question, now_s: float) -> None:
        self._end_try(question)
        question.link.in_flight[question.ident] = None
        self._late.append((now_s + _LATE_S, question.link, question.ident))
        question.link.resolver.lost()
        self._bench_if_sick(question.link.resolver)
        self._take(question, wire.TIMEOUT)

    def _broken(self, link: Link) -> None:
        """The network refused a datagram, and does not say which: all that are under way on this port failed."""
        questions = [question for question in link.in_flight.values() if question is not None]
        for question in questions:
            self._end_try(question)
            del link.in_flight[question.ident]
            link.resolver.refused()
            self._bench_if_sick(link.resolver)
            self._take(question, wire.ERROR)
        self._loop.call_soon(self._pump)

    def _bench_if_sick(self, resolver: Resolver) -> None:
        """One resolver is always left off the bench: a batch's last names may all be silent through no fault of it."""
        now_s = monotonic()
        others = (other for other in self._resolvers if other is not resolver)
        if resolver.is_sick() and any(not other.on_probation for other in others):
            resolver.bench(now_s)

    def _ask_over_tcp(self, question: Question) -> None:
        """The same try goes on over TCP; it keeps its place in flight and counts once more against the rate."""
        question.link.resolver.in_flight += 1
        self._in_flight += 1
        task = self._loop.create_task(self._over_tcp(question))
        self._tcp.add(task)
        task.add_done_callback(self._tcp.discard)

    async def _over_tcp(self, question: Question) -> None:
        await asyncio.sleep(self._bucket.debit(monotonic()))
        endpoint = question.link.resolver.endpoint
        query = wire.query(random.getrandbits(16), question.asked)  # the connection is the secret
        try:
            async with asyncio.timeout(self._persona.query_timeout_s):
                message = await ask_over_tcp(endpoint.host, endpoint.port, query)
            code = wire.classify(message, question.asked) if message[:2] == query[:2] else wire.ERROR
        except TimeoutError:
            message, code = b"", wire.TIMEOUT
        except (OSError, EOFError):
            message, code = b"", wire.ERROR
        self._end_try(question)
        if code == wire.POSITIVE:
            self._take_records(question, message)
        else:
            self._take(question, code if code >= 0 else wire.ERROR)
        self._pump()
