"""Streams are verified span by span, each as of an instant of its own; and a few of them alone, again and again."""

import pytest
from copies import Copy
from plant import done, running, words

from domainflow.store import verify_sql
from domainflow.store.chain import GENESIS
from domainflow.store.verify_sql import Span
from domainflow.verify import Kind, check_streams, verify


def spans(copy: Copy) -> list[Span]:
    found = []
    with verify_sql.instant(copy.store.dsn) as instant:
        span = verify_sql.span_after(instant, "")
        while span is not None:
            found.append(span)
            span = verify_sql.span_after(instant, span.last)
    return found


def streams(copy: Copy) -> list[str]:
    rows = copy.hand.connection.execute("select stream from domainflow.head order by stream")
    return [row[0] for row in rows]


def test_a_span_ends_with_so_many_streams(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    assert spans(copy) == [Span(streams(copy)[0], streams(copy)[-1])]
    monkeypatch.setattr(verify_sql, "STREAMS_A_SPAN", 2)
    names = streams(copy)
    assert len(names) > 6
    assert [(span.first, span.last) for span in spans(copy)] == [
        (names[at], names[min(at + 1, len(names) - 1)]) for at in range(0, len(names), 2)
    ]


def test_a_span_ends_with_so_many_events(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_sql, "EVENTS_A_SPAN", 1)
    assert [(span.first, span.last) for span in spans(copy)] == [(name, name) for name in streams(copy)]


@pytest.mark.parametrize("kind", [Kind.EVENTS_WITHOUT_HEAD, Kind.SNAPSHOT_MISPLACED])
def test_what_has_no_head_lies_between_no_two_spans(copy: Copy, monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
    """Before the first head, between two, and behind the last."""
    monkeypatch.setattr(verify_sql, "STREAMS_A_SPAN", 1)
    names = ["a first", running(copy.hand) + "!", "zzz last"]
    for name in names:
        if kind is Kind.EVENTS_WITHOUT_HEAD:
            copy.hand.do(
                "insert into domainflow.head (stream, tenant, version, hash) values (%s, 'acme', 0, %s)", name, GENESIS
            )
            copy.hand.append_bytes(name, "test.ghost", b"")
            copy.hand.do("delete from domainflow.head where stream = %s", name)
        else:
            copy.hand.do(
                "insert into domainflow.snapshot (stream, tenant, version, fold_version, state)"
                " values (%s, 'acme', 1, 1, '')",
                name,
            )
    assert [(fault.kind, fault.where) for fault in verify(copy.store)] == [(kind, name) for name in names]


def test_each_span_is_seen_as_of_its_own_instant(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that vacuum waits for lasts longer than a span: what is mended before its turn is not found."""
    monkeypatch.setattr(verify_sql, "STREAMS_A_SPAN", 1)
    first, second = sorted((running(copy.hand), words(copy.hand)))
    for stream in (first, second):
        copy.hand.do("update domainflow.head set status = 'failed' where stream = %s", stream)
    faults = verify(copy.store)
    assert next(faults).where == first
    mended = "running" if second == running(copy.hand) else "pending"
    copy.hand.do("update domainflow.head set status = %s where stream = %s", mended, second)
    assert list(faults) == []


def test_a_slice_says_what_is_wrong_with_its_streams_and_of_no_other(copy: Copy) -> None:
    copy.hand.do("update domainflow.head set status = 'failed' where stream = %s", running(copy.hand))
    copy.hand.do(
        "update domainflow.event set body = body || '\\x00' where stream = %s and version = 3", done(copy.hand)
    )
    copy.hand.do("delete from domainflow.batch where campaign = %s and batch = 0", copy.hand.ids.running)
    found = check_streams(copy.store, (running(copy.hand), words(copy.hand), "campaign/none"))
    assert [(fault.kind, fault.where) for fault in found] == [
        (Kind.STATUS_DIFFERS, running(copy.hand)),
        (Kind.ITEM_WITHOUT_RESULT, f"{running(copy.hand)} dns_validation run 1 batch 0"),
    ]
    assert [fault.kind for fault in check_streams(copy.store, (done(copy.hand),))] == [Kind.CHAIN_BROKEN]
    assert check_streams(copy.store, ()) == ()
