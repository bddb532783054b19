"""Who is alive and who owns which stream; the twin of `store.leases`. A session ends here when it is told to."""

from typing import Final

from msgspec.structs import replace

from domainflow.store.leases import Held, Host
from domainflow.store.memory.tables import MemoryStore, Presence, State

EXECUTING: Final = frozenset({"queued", "running", "pausing"})
RESTING: Final = frozenset({"paused", "failed"})  # what was in hand then is done by and by
LONG_DEAD_US: Final = 3_600_000_000


def register(store: MemoryStore, runtime: str, *, host: Host, lease_s: float) -> None:
    """Announce a runtime whose session stands until `end_session`."""
    with store.lock:
        until = _until(store, lease_s)
        store.tables.runtimes[runtime] = Presence(host=host, lease_until_us=until, in_session=True)


def end_session(store: MemoryStore, runtime: str) -> None:
    """What the server does when a process dies: the lock is free, the lease runs on."""
    _change(store, runtime, in_session=False)


def move_lock(store: MemoryStore, runtime: str) -> None:
    """Stand by another lock, in a new session."""
    _change(store, runtime, in_session=True)


def renew(store: MemoryStore, runtime: str, *, lease_s: float) -> bool | None:
    """Extend the lease; return whether it was over until then. None: this runtime was forgotten."""
    with store.lock:
        known = store.tables.runtimes.get(runtime)
        lapsed = known is not None and known.lease_until_us < store.now_us()
        return lapsed if _change(store, runtime, lease_until_us=_until(store, lease_s)) else None


def release_some(store: MemoryStore, runtime: str) -> bool:
    """Give back its streams, here all at once; False: there are no more."""
    with store.lock:
        store.tables.owners = {stream: each for stream, each in store.tables.owners.items() if each != runtime}
        return False


def unregister(store: MemoryStore, runtime: str) -> None:
    """Give back all streams and leave."""
    with store.lock:
        release_some(store, runtime)
        _forget(store, runtime)


def claim_stream(store: MemoryStore, runtime: str, stream: str) -> int | None:
    """Make `runtime` the owner of an owned stream; return its new epoch. None: another live runtime owns it."""
    with store.lock:
        head, holder = store.tables.heads.get(stream), store.tables.owners.get(stream)
        if head is None or head.epoch is None:
            return None
        if holder not in {None, runtime} and store.is_alive(str(holder)):
            return None
        store.tables.heads[stream] = replace(head, epoch=head.epoch + 1)
        store.tables.owners[stream] = runtime
        return head.epoch + 1


def release_stream(store: MemoryStore, runtime: str, stream: str) -> None:
    """Give back one stream."""
    with store.lock:
        if store.tables.owners.get(stream) == runtime:
            del store.tables.owners[stream]


def owner(store: MemoryStore, stream: str) -> tuple[str, str, bool] | None:
    """Return (runtime, "host pid N", alive) of a stream's owner; None: it has none, or there is no such stream."""
    with store.lock:
        runtime = store.tables.owners.get(stream)
        if runtime is None:
            return None
        presence = store.tables.runtimes.get(runtime)
        where = (presence.host.name, presence.host.pid) if presence else (None, None)
        return runtime, f"{where[0]} pid {where[1]}", store.is_alive(runtime)


def held(store: MemoryStore, runtime: str) -> list[Held]:
    """Return the campaigns' streams that `runtime` owns and that execute, are to, or have work to account."""
    with store.lock:
        done = {f"campaign/{item.campaign}" for item in store.tables.work_items.values() if item.state is State.DONE}
        mine = sorted(stream for stream, owner_ in store.tables.owners.items() if owner_ == runtime)
        heads = [(stream, store.tables.heads[stream]) for stream in mine]
        return [
            Held(stream, head.tenant, head.status)
            for stream, head in heads
            if head.status in EXECUTING or (head.status in RESTING and stream in done)
        ]


def forget_dead(store: MemoryStore) -> None:
    """Delete runtimes that have been dead for an hour and hold nothing."""
    with store.lock:
        before = store.now_us() - LONG_DEAD_US
        working = {item.runtime for item in store.tables.work_items.values() if item.state is State.CLAIMED}
        dead = [
            id_ for id_, each in store.tables.runtimes.items() if each.lease_until_us < before and id_ not in working
        ]
        for runtime in dead:
            _forget(store, runtime)


def _until(store: MemoryStore, lease_s: float) -> int:
    return store.now_us() + round(lease_s * 1_000_000)


def _change(store: MemoryStore, runtime: str, **what: int | bool) -> bool:
    with store.lock:
        presence = store.tables.runtimes.get(runtime)
        if presence is None:
            return False
        store.tables.runtimes[runtime] = replace(presence, **what)
        return True


def _forget(store: MemoryStore, runtime: str) -> None:
    store.tables.runtimes.pop(runtime, None)
    for lane in [lane for lane in store.tables.lanes if lane[0] == runtime]:
        del store.tables.lanes[lane]
