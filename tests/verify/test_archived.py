"""A stream that begins with its seal is proven from there, its archive with the folder; what is falsified is found."""

from pathlib import Path
from typing import Final

import pytest
from copies import Copy
from msgspec.structs import replace
from plant import done
from stored import ALICE, EVIDENCE, TENANT
from stream_plants import falsify_snapshot

from domainflow import Runtime
from domainflow.actors.campaign.actor import RULES
from domainflow.actors.campaign.history import StreamSealed
from domainflow.actors.campaign.state import Campaign
from domainflow.actors.refold import Refold
from domainflow.actors.rules import encode
from domainflow.store import archive_files
from domainflow.store.chain import link
from domainflow.store.faults import Fault
from domainflow.verify import Kind, verify

OF: Final = " where stream = %s"


class Kept:
    """A copy whose `done` campaign is archived."""

    def __init__(self, copy: Copy, home: Path) -> None:
        self.store, self.hand, self.folder = copy.store, copy.hand, home / "archive"
        self.stream = done(copy.hand)
        with Runtime.open(copy.store.dsn, home=home, campaigns=False, work=False) as runtime:
            (self.archive,) = runtime.as_principal(ALICE).archive(0)
        self.file = Path(self.archive.file)

    def found(self, *, folder: bool = True) -> list[Kind]:
        """What the verifier says."""
        return [fault.kind for fault in verify(self.store, archive=self.folder if folder else None)]

    @property
    def state(self) -> Campaign:
        """The sealed one."""
        (seal,) = self.store.events(self.stream, after=self.archive.version - 1, limit=1)
        event = RULES.decode_event(seal)
        assert isinstance(event, StreamSealed)
        return event.state

    def forge(self, state: Campaign) -> None:
        """Put another seal in the place of the one that is there, with a hash and a head that fit it."""
        body = encode(StreamSealed(fold_version=RULES.fold_version, state=state))
        (previous,) = self.hand.connection.execute("select previous from domainflow.archive").fetchone() or (b"",)
        digest = link(
            stream=self.stream,
            version=self.archive.version,
            previous=previous,
            tenant=TENANT,
            recorded_at_us=1_700_000_000_000_000,
            type_="campaign.sealed",
            type_version=1,
            context=EVIDENCE,
            body=body,
        )
        self.hand.do(
            "update domainflow.event set context = %s, body = %s, hash = %s, recorded_at = to_timestamp(1700000000)",
            *(EVIDENCE, body, digest, self.stream),
            where=OF,
        )
        self.hand.do("update domainflow.head set hash = %s", digest, self.stream, where=OF)


@pytest.fixture
def kept(copy: Copy, home: Path) -> Kept:
    return Kept(copy, home)


def test_what_is_archived_has_no_fault_with_its_folder_and_without(kept: Kept) -> None:
    assert kept.found() == []
    assert kept.found(folder=False) == []


def test_the_folder_is_told_of(kept: Kept) -> None:
    told: list[tuple[str, int, int]] = []
    assert list(verify(kept.store, archive=kept.folder, progress=lambda *step: told.append(step))) == []
    assert told[-1] == ("archives", 1, 1)


FALSIFICATIONS: Final = {
    "the seal was changed": (
        (Kind.CHAIN_BROKEN,),
        lambda k: k.hand.do("update domainflow.event set context = ''", k.stream, where=OF),
    ),
    "the hash before it was changed": (
        (Kind.CHAIN_BROKEN,),
        lambda k: k.hand.do("update domainflow.archive set previous = sha256('')", where=""),
    ),
    "nobody knows of the archive": (
        (Kind.VERSION_GAP,),
        lambda k: k.hand.do("delete from domainflow.archive"),
    ),
    "the seal is gone": (
        (Kind.HEAD_WITHOUT_EVENTS, Kind.RESERVATION_UNBORN),
        lambda k: k.hand.do("delete from domainflow.event", k.stream, where=OF),
    ),
    "the snapshot is another one": ((Kind.SNAPSHOT_DIFFERS,), lambda k: falsify_snapshot(k.hand)),
    "the snapshot is of a version that is archived": (
        (Kind.SNAPSHOT_MISPLACED,),
        lambda k: k.hand.do("update domainflow.snapshot set version = version - 1", k.stream, where=OF),
    ),
}


@pytest.mark.parametrize("label", FALSIFICATIONS)
def test_a_falsified_seal_is_found_without_the_folder(kept: Kept, label: str) -> None:
    kinds, falsify = FALSIFICATIONS[label]
    falsify(kept)
    assert kept.found(folder=False) == [*kinds]


def test_a_seal_that_is_forged_whole_differs_from_its_snapshot_and_from_its_archive(kept: Kept) -> None:
    kept.forge(replace(kept.state, reason="another"))
    assert kept.found(folder=False) == [Kind.SNAPSHOT_DIFFERS]
    kept.hand.do("delete from domainflow.snapshot", kept.stream, where=OF)
    assert kept.found(folder=False) == []
    assert kept.found() == [Kind.SEAL_DIFFERS]


def test_a_stream_cannot_begin_with_anything_but_its_seal(kept: Kept, home: Path) -> None:
    with Runtime.open(kept.store.dsn, home=home, campaigns=False, work=False) as runtime:
        runtime.as_principal(ALICE).campaign(kept.stream.removeprefix("campaign/")).archive()
    kept.hand.do(
        "update domainflow.archive a set version = a.version + 1, previous = e.hash from domainflow.event e"
        " where e.stream = a.stream and e.version = a.version and a.stream = %s",
        kept.stream,
    )
    assert kept.found(folder=False) == [Kind.SNAPSHOT_MISPLACED, Kind.EVENT_OUT_OF_PLACE]


def test_a_file_that_is_gone_or_another_one_is_found(kept: Kept) -> None:
    whole = kept.file.read_bytes()
    kept.file.write_bytes(whole + b"\0")
    assert kept.found() == [Kind.ARCHIVE_DIFFERS]
    kept.file.unlink()
    assert kept.found() == [Kind.ARCHIVE_MISSING]
    kept.file.write_bytes(whole)
    assert kept.found() == []


@pytest.mark.parametrize("shortened", [True, False])
def test_a_file_that_was_recorded_anew_must_still_lead_to_the_seal(kept: Kept, *, shortened: bool) -> None:
    events = list(archive_files.read(kept.file))
    forged = events[:-1] if shortened else [*events[:-1], replace(events[-1], context=b"")]
    digest = archive_files.write(kept.file, forged)
    kept.hand.do("update domainflow.archive set sha256 = %s", digest)
    assert Kind.ARCHIVE_DIFFERS in kept.found()


def test_a_file_that_is_no_archive_at_all_is_one_fault(kept: Kept) -> None:
    kept.file.write_bytes(b"nonsense")
    kept.hand.do("update domainflow.archive set sha256 = %s", archive_files.sha256(kept.file))
    assert kept.found() == [Kind.ARCHIVE_DIFFERS]


def test_what_a_run_before_the_last_one_left_is_passed_over(kept: Kept) -> None:
    """How it was cut stands in the archive alone; a run that was never started is as stray as ever."""
    again = tuple(replace(phase, run=2) for phase in kept.state.phases)
    kept.forge(replace(kept.state, phases=again))
    kept.hand.do("delete from domainflow.snapshot", kept.stream, where=OF)
    for table, columns in (
        ("batch", "campaign, phase, batch, tenant, start, stop, counts, outcomes"),
        ("hit", "campaign, phase, position, tenant, body"),
    ):
        kept.hand.connection.execute(
            f"insert into domainflow.{table} (run, {columns}) select 2, {columns} from domainflow.{table}"  # noqa: S608
            " where campaign = %s and run = 1",
            (kept.hand.ids.done,),
        )
    assert kept.found(folder=False) == []
    kept.hand.do("update domainflow.batch set run = 3 where campaign = %s and run = 1", kept.hand.ids.done)
    assert set(kept.found(folder=False)) == {Kind.RESULT_STRAY, Kind.HIT_STRAY}


def test_a_snapshot_behind_a_seal_is_compared_and_mended(kept: Kept) -> None:
    reported: list[Fault] = []
    refold = Refold(
        kept.store,
        {RULES.name: RULES},
        chance=lambda: 0.0,
        note=lambda *_, **__: None,
        report=reported.append,
    )

    def load() -> Campaign:
        return RULES.fold(refold.sampled(kept.store.peek(kept.stream, fold_version=RULES.fold_version)))

    assert load() == kept.state
    assert reported == []
    falsify_snapshot(kept.hand)
    assert load() == kept.state
    assert [fault.kind for fault in reported] == [Kind.SNAPSHOT_DIFFERS]
    assert kept.found() == []
