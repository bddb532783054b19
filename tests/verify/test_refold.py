"""A snapshot that is not the fold of its events is found by chance, said aloud, not used, and replaced."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest
from copies import Copy
from plant import done
from stored import ALICE, TENANT
from stream_plants import falsify_snapshot
from structlog.testing import capture_logs

from domainflow import Principal, Runtime
from domainflow.actors import refold
from domainflow.actors.campaign.actor import RULES
from domainflow.actors.campaign.state import Campaign
from domainflow.actors.refold import ONE_IN, Refold
from domainflow.actors.rules import AuditContext
from domainflow.errors import Corrupt, Unavailable
from domainflow.meters import METERS
from domainflow.security.context import system
from domainflow.store.faults import Fault
from domainflow.store.port import Loaded
from domainflow.verify import Kind, verify

Noted = tuple[str, Principal, str, str, str]
UNREADABLE: Final = b"\xc1"


class Scene:
    """The done campaign of a copy, and what compares its snapshot; whatever is noted and reported is kept."""

    def __init__(self, copy: Copy, *, chance: float = 0.0) -> None:
        self.copy = copy
        self.stream = done(copy.hand)
        self.reported: list[Fault] = []
        self.noted: list[Noted] = []
        self.refold = Refold(
            copy.store,
            {RULES.name: RULES},
            chance=lambda: chance,
            note=self.note,
            report=self.reported.append,
        )

    def note(self, what: str, principal: Principal, command: str, rule: str, *, stream: str) -> None:
        self.noted.append((what, principal, command, rule, stream))

    def load(self) -> Loaded:
        return self.copy.store.peek(self.stream, fold_version=RULES.fold_version)

    @property
    def stored(self) -> bytes:
        (row,) = self.copy.hand.connection.execute(
            "select state from domainflow.snapshot where stream = %s", (self.stream,)
        )
        return bytes(row[0])


@pytest.fixture
def right(copy: Copy) -> bytes:
    """The snapshot as it is before anybody falsifies it."""
    return Scene(copy).stored


def reason(loaded: Loaded) -> str:
    return RULES.fold(loaded).reason


def test_one_that_differs_is_reported_recorded_not_used_and_replaced(copy: Copy, right: bytes) -> None:
    scene = Scene(copy)
    falsify_snapshot(copy.hand)
    loaded = scene.load()
    assert reason(loaded) == "another"
    started = scene.refold.sampled(loaded)
    assert started == msgspec.structs.replace(loaded, snapshot=right)
    text = f"its snapshot is not the fold of versions 1 to {loaded.version}: reason"
    assert scene.reported == [Fault(Kind.SNAPSHOT_DIFFERS, scene.stream, text)]
    rule = "super_admin has campaigns:execute"
    assert scene.noted == [("mended", system(TENANT), "snapshot.replace", rule, scene.stream)]
    assert scene.stored == right
    assert list(verify(copy.store)) == []


def test_one_that_is_right_is_left_as_it_is(copy: Copy) -> None:
    scene = Scene(copy)
    loaded = scene.load()
    assert loaded.snapshot is not None
    assert scene.refold.sampled(loaded) is loaded
    assert (scene.reported, scene.noted) == ([], [])


@pytest.mark.parametrize(("chance", "found"), [(0.999 / ONE_IN, 1), (1.0 / ONE_IN, 0), (0.9, 0)])
def test_one_start_in_so_many_is_compared(copy: Copy, chance: float, found: int) -> None:
    scene = Scene(copy, chance=chance)
    falsify_snapshot(copy.hand)
    scene.refold.sampled(scene.load())
    assert len(scene.reported) == found


def test_a_long_one_is_left_to_the_verifier(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(copy)
    falsify_snapshot(copy.hand)
    monkeypatch.setattr(refold, "MOST_EVENTS", scene.load().version - 1)
    scene.refold.sampled(scene.load())
    assert scene.reported == []
    assert [fault.kind for fault in verify(copy.store)] == [Kind.SNAPSHOT_DIFFERS]
    scene.refold.checked(scene.load())
    assert len(scene.reported) == 1


def test_a_stream_of_another_kind_is_started_from_as_it_came(copy: Copy) -> None:
    scene = Scene(copy)
    loaded = msgspec.structs.replace(scene.load(), stream="other/1")
    assert scene.refold.sampled(loaded) is loaded


def test_one_that_cannot_be_read_is_compared_whatever_chance_says(copy: Copy, right: bytes) -> None:
    scene = Scene(copy, chance=0.9)
    copy.hand.do("update domainflow.snapshot set state = %s where stream = %s", UNREADABLE, scene.stream)
    with pytest.raises(Corrupt, match=f"the snapshot of {scene.stream} cannot be read"):
        RULES.fold(scene.load())
    assert scene.refold.sampled(scene.load()).snapshot == right
    assert scene.reported[0].text.startswith("its snapshot cannot be read: ")
    assert scene.stored == right


def test_pages_make_no_difference(copy: Copy, right: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(copy)
    falsify_snapshot(copy.hand)
    monkeypatch.setattr(refold, "PAGE", 3)
    assert scene.refold.sampled(scene.load()).snapshot == right


def test_where_the_chain_is_broken_nothing_is_replaced(copy: Copy) -> None:
    scene = Scene(copy)
    falsify_snapshot(copy.hand)
    false = scene.stored
    copy.hand.do("update domainflow.event set context = context || '\\x00' where stream = %s", scene.stream)
    assert reason(scene.refold.sampled(scene.load())) == ""
    assert len(scene.reported) == 1
    assert (scene.noted, scene.stored) == ([], false)


def test_what_cannot_be_folded_is_reported_and_left_to_who_starts_from_it(copy: Copy) -> None:
    scene = Scene(copy)
    copy.hand.do("update domainflow.event set body = %s where stream = %s and version = 2", UNREADABLE, scene.stream)
    loaded = scene.load()
    assert scene.refold.sampled(loaded) is loaded
    assert [fault.kind for fault in scene.reported] == [Kind.EVENT_UNREADABLE]
    assert RULES.fold(loaded).business_status is None  # as its snapshot says


def test_what_cannot_be_recorded_is_not_replaced_and_not_used_either(copy: Copy) -> None:
    def nowhere(*_: object, **__: object) -> None:
        raise Unavailable("the store is away")

    scene = Scene(copy)
    falsify_snapshot(copy.hand)
    false = scene.stored
    comparing = Refold(copy.store, {RULES.name: RULES}, chance=lambda: 0.0, note=nowhere, report=scene.reported.append)
    assert reason(comparing.sampled(scene.load())) == ""
    assert (len(scene.reported), scene.stored) == (1, false)


def test_a_snapshot_that_came_since_is_not_touched(copy: Copy) -> None:
    scene = Scene(copy)
    falsify_snapshot(copy.hand)
    loaded = scene.load()
    copy.hand.do("update domainflow.snapshot set state = %s where stream = %s", b"newer", scene.stream)
    assert reason(scene.refold.sampled(loaded)) == ""
    assert scene.stored == b"newer"


# --- in a runtime


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every start is compared."""
    monkeypatch.setattr(refold, "ONE_IN", 1)
    return


def archived(copy: Copy) -> list[dict[str, Any]]:
    """Have the done campaign's actor started by a command, and return what was logged."""
    with capture_logs() as said, Runtime.open(copy.store.dsn, home=copy.home, work=False) as runtime:
        runtime.as_principal(ALICE).campaign(copy.hand.ids.done).archive()
    return [dict(line) for line in said]


def found() -> int:
    return sum(m.number for m in METERS.snapshot() if (m.name, m.labels) == ("faults_found", ("snapshot_differs",)))


@pytest.mark.usefixtures("always")
def test_an_actor_starts_from_the_right_one_and_the_record_says_so(copy: Copy, right: bytes) -> None:
    falsify_snapshot(copy.hand)
    before = found()
    said = archived(copy)
    (line,) = [line for line in said if line["event"] == "fault_found"]
    assert (line["kind"], line["where"], line["log_level"]) == ("snapshot_differs", done(copy.hand), "error")
    assert found() == before + 1
    (context, body) = copy.hand.connection.execute(
        "select context, body from domainflow.event where type = 'audit.mended'"
    ).fetchone() or (b"", b"")
    assert msgspec.msgpack.decode(context, type=AuditContext).command == "snapshot.replace"
    assert msgspec.msgpack.decode(body) == {"stream": done(copy.hand)}
    assert Scene(copy).stored == right
    assert list(verify(copy.store)) == []


@pytest.mark.usefixtures("always")
def test_without_the_comparison_it_goes_on_from_what_never_was(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    compare = refold.difference

    def with_itself(snapshot: bytes, _: object, version: int) -> str | None:
        return compare(snapshot, msgspec.msgpack.decode(snapshot, type=Campaign), version)

    monkeypatch.setattr(refold, "difference", with_itself)
    falsify_snapshot(copy.hand)
    assert [line for line in archived(copy) if line["event"] == "fault_found"] == []
    assert [fault.kind for fault in verify(copy.store)] == [Kind.SNAPSHOT_DIFFERS]
