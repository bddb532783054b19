"""The twin of `Runtime` and `Operations` for hosts that live in an event loop: the same methods, awaited.

Calls that wait for Postgres or an actor run on a few threads of their own, so the loop never does. Nothing is decided
here, and no state is kept: what a method does, takes and raises is said where its twin stands.

**Cancelling an await does not cancel what was asked for.** A command that was sent is carried out and recorded all the
same; only its answer is lost. Ask again with the same `idempotency_key` to hear it.
"""

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Concatenate, Final, ParamSpec, Self, TypeVar

from domainflow.actors.hub import LOOK_AGAIN_S
from domainflow.actors.system import STOP_S
from domainflow.awaiting import AsyncProjector, AsyncSubscription, Caller, LoopEar
from domainflow.errors import AskTimeout
from domainflow.handle import CampaignHandle, left_s, not_yet
from domainflow.meters import Count, Timing
from domainflow.operations import CREATE_S, Operations
from domainflow.projections import Projection
from domainflow.runtime import Runtime
from domainflow.security.context import Principal
from domainflow.settings import Settings
from domainflow.spec import CampaignSpec
from domainflow.store.pool import CONNECTION_S
from domainflow.subscriptions import Quiet
from domainflow.views import Change, View

LIFE: Final = "domainflow-aio-life"

P = ParamSpec("P")
R = TypeVar("R")
Twin = TypeVar("Twin", Operations, CampaignHandle)


class _Awaited:
    """What has a blocking twin and a way to call it."""

    def __init__(self, caller: Caller, twin: Operations | CampaignHandle) -> None:
        self._caller = caller
        self._blocking = twin


def _awaited(
    method: Callable[Concatenate[Twin, P], R],
) -> Callable[Concatenate[_Awaited, P], Coroutine[object, None, R]]:
    """Return a method of the blocking twin as a coroutine; signature and docstring are its own."""

    @functools.wraps(method)
    async def call(self: _Awaited, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._caller.call(functools.partial(method, self._blocking, *args, **kwargs))  # type: ignore[arg-type]  # each class below takes methods of one twin

    return call


class AsyncCampaignHandle(_Awaited):
    """One campaign in one principal's name; `CampaignHandle` says what each method does."""

    def __init__(self, caller: Caller, handle: CampaignHandle) -> None:
        """Use `AsyncOperations.campaign` or `create_campaign`."""
        super().__init__(caller, handle)
        self._handle = handle

    @property
    def id(self) -> str:
        """Its uuid."""
        return self._handle.id

    start = _awaited(CampaignHandle.start)
    pause = _awaited(CampaignHandle.pause)
    resume = _awaited(CampaignHandle.resume)
    cancel = _awaited(CampaignHandle.cancel)
    retry = _awaited(CampaignHandle.retry)
    archive = _awaited(CampaignHandle.archive)
    delete = _awaited(CampaignHandle.delete)
    configure_phase = _awaited(CampaignHandle.configure_phase)
    start_phase = _awaited(CampaignHandle.start_phase)
    skip_phase = _awaited(CampaignHandle.skip_phase)
    rerun_phase = _awaited(CampaignHandle.rerun_phase)
    listed = _awaited(CampaignHandle.listed)

    async def view(self, *, at_least: int = 0, timeout_s: float = CONNECTION_S) -> View:
        """Return what is durable now, and includes version `at_least`. Holds no thread between two looks."""
        deadline_s, ear = time.monotonic() + timeout_s, LoopEar()
        look = functools.partial(self._handle.reading.view, deadline_s)
        with self._handle.hub.listening(self._handle.stream, ear):
            while (view := await self._caller.call(look)).version < at_least:
                if time.monotonic() > deadline_s:
                    raise AskTimeout(not_yet(view, at_least, timeout_s))
                await ear.rest(left_s(deadline_s))
        return view

    async def watch(self, after: int = 0, timeout_s: float | None = None) -> AsyncIterator[Change]:
        """Yield every change above version `after`, in order, as it becomes durable; ends when the campaign has.

        Holds no thread between two looks. Raises AskTimeout when nothing happens for `timeout_s`.
        """
        quiet, ear = Quiet(timeout_s), LoopEar()
        with self._handle.hub.listening(self._handle.stream, ear):
            while True:
                look = functools.partial(self._handle.reading.look, after, quiet.deadline_s)
                seen = await self._caller.call(look)
                for change in seen.changes:
                    yield change
                    after = change.version
                    quiet.over()
                if seen.ended:
                    return
                quiet.check(f"campaign {self.id}, which is {seen.status},")
                if not seen.full:
                    await ear.rest(quiet.left_s(LOOK_AGAIN_S))

    async def wait(self, timeout_s: float = 600.0) -> View:
        """Return the view once it has come to rest; holds no thread between two looks. Raises AskTimeout."""
        deadline_s, ear = time.monotonic() + timeout_s, LoopEar()
        look = functools.partial(self._handle.reading.rest, deadline_s)
        with self._handle.hub.listening(self._handle.stream, ear):
            while (rest := await self._caller.call(look)).view is None:
                if time.monotonic() > deadline_s:
                    raise AskTimeout(f"campaign {self.id} is still {rest.status} after {timeout_s} s")
                await ear.rest(left_s(deadline_s))
        return rest.view


class AsyncOperations(_Awaited):
    """What one principal may ask of a runtime; `Operations` says what each method does."""

    def __init__(self, caller: Caller, operations: Operations) -> None:
        """Use `AsyncRuntime.as_principal`."""
        super().__init__(caller, operations)
        self._operations = operations

    @property
    def principal(self) -> Principal:
        """In whose name."""
        return self._operations.principal

    campaigns = _awaited(Operations.campaigns)
    release = _awaited(Operations.release)
    archive = _awaited(Operations.archive)
    alerts = _awaited(Operations.alerts)
    resolve_alert = _awaited(Operations.resolve_alert)

    async def subscribe(self, after: str | None = None, timeout_s: float | None = None) -> AsyncSubscription:
        """Subscribe to what the principal may see: `async for change in await operations.subscribe()`."""
        subscribe = functools.partial(self._operations.subscribe, after, timeout_s)
        return AsyncSubscription(self._caller, await self._caller.call(subscribe))

    async def projector(self, projection: Projection) -> AsyncProjector:
        """Return what applies a projection to all that happens in the tenant. Raises InvalidInput, Denied."""
        projector = functools.partial(self._operations.projector, projection)
        return AsyncProjector(self._caller, await self._caller.call(projector))

    async def create_campaign(
        self, spec: CampaignSpec, *, idempotency_key: str = "", timeout_s: float = CREATE_S
    ) -> AsyncCampaignHandle:
        """Create a campaign and reserve its names, in one commit. Cancelled, it may have been created all the same."""
        create = functools.partial(
            self._operations.create_campaign, spec, idempotency_key=idempotency_key, timeout_s=timeout_s
        )
        return AsyncCampaignHandle(self._caller, await self._caller.call(create))

    async def campaign(self, id_: str, *, deleted: bool = False) -> AsyncCampaignHandle:
        """Return a campaign by its id or a unique prefix of it, `deleted` or not. Raises NotFound."""
        find = functools.partial(self._operations.campaign, id_, deleted=deleted)
        return AsyncCampaignHandle(self._caller, await self._caller.call(find))


class AsyncRuntime:
    """A running DomainFlow for one event loop. `close` it, or use it in `async with`."""

    def __init__(self, runtime: Runtime, life: ThreadPoolExecutor) -> None:
        """Use `AsyncRuntime.open`."""
        self._runtime = runtime
        self._life = life
        self._caller = Caller()

    @classmethod
    def open(  # noqa: PLR0913 - those of `Runtime.open`
        cls,
        dsn: str | None = None,
        *,
        admin_dsn: str | None = None,
        home: Path | None = None,
        settings: Settings | None = None,
        campaigns: bool = True,
        work: bool = True,
    ) -> "Opening":
        """Open a runtime: `await` it, or enter it with `async with`. `Runtime.open` says what is taken and raised.

        Cancelled, the runtime is closed as soon as it is open.
        """
        return Opening(
            functools.partial(
                Runtime.open,
                dsn,
                admin_dsn=admin_dsn,
                home=home,
                settings=settings,
                campaigns=campaigns,
                work=work,
            )
        )

    @property
    def blocking(self) -> Runtime:
        """The twin, for what only threads may do, such as `domainflow.export`."""
        return self._runtime

    @property
    def id(self) -> str:
        """The uuid of this incarnation."""
        return self._runtime.id

    @property
    def home(self) -> Path:
        """The folder of server, lab and caches."""
        return self._runtime.home

    @property
    def kind(self) -> str:
        """Where Postgres is: "external", or which embedded one."""
        return self._runtime.kind

    def tree(self) -> list[tuple[str, str, int]]:
        """Return (path, status, messages waiting) of every actor, parents first. Reads memory only."""
        return self._runtime.tree()

    def metrics(self) -> tuple[Count | Timing, ...]:
        """Return what was counted and timed in this process since it began, by name and labels. Reads memory only."""
        return self._runtime.metrics()

    def as_principal(self, principal: Principal) -> AsyncOperations:
        """Return everything that can be asked for, in somebody's name. Raises InvalidInput: not a name."""
        return AsyncOperations(self._caller, self._runtime.as_principal(principal))

    async def close(self, timeout_s: float = STOP_S) -> None:
        """Stop the actors and leave; a second call does nothing. Cancelled, it goes on closing."""
        self._caller.threads.shutdown(wait=False)
        try:
            # Not on the threads of the calls: they may all be waiting for what only the close will answer.
            closing = self._life.submit(self._runtime.close, timeout_s)
        except RuntimeError:  # it takes no more since the first close
            return
        self._life.shutdown(wait=False)
        await asyncio.shield(asyncio.wrap_future(closing))

    async def __aenter__(self) -> Self:
        """Nothing more is needed."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()


class Opening:
    """A runtime that is about to be opened."""

    def __init__(self, open_: Callable[[], Runtime]) -> None:
        """Use `AsyncRuntime.open`."""
        self._open = open_
        self._opened: AsyncRuntime | None = None

    def __await__(self) -> Generator[object, None, AsyncRuntime]:
        """Open it."""
        return self._run().__await__()

    async def __aenter__(self) -> AsyncRuntime:
        """Open it."""
        self._opened = await self
        return self._opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        if self._opened is not None:
            await self._opened.close()

    async def _run(self) -> AsyncRuntime:
        life = ThreadPoolExecutor(1, LIFE)
        opening = life.submit(self._open)
        try:
            return AsyncRuntime(await asyncio.shield(asyncio.wrap_future(opening)), life)
        except BaseException:
            life.submit(_close_opened, opening)  # behind it on the same thread, so it has ended by then
            life.shutdown(wait=False)
            raise


def _close_opened(opening: "Future[Runtime]") -> None:
    if opening.exception() is None:
        opening.result().close()
