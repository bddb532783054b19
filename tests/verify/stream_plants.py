"""Falsifications of streams: their events and heads, their snapshots, and the rows that list them."""

from typing import Final

import msgspec
from plant import Plant, done, running, words
from stored import TENANT, Hand, fresh_uuid

from domainflow.actors.campaign.events import CampaignArchived, CampaignBegun, CampaignDeleted
from domainflow.actors.campaign.evolution import FOLD_VERSION
from domainflow.actors.campaign.history import StreamSealed
from domainflow.actors.campaign.state import Campaign
from domainflow.actors.rules import encode
from domainflow.verify import Kind

AT: Final = " where stream = %s and version = %s"


def falsify_snapshot(hand: Hand) -> None:
    row = hand.connection.execute("select state from domainflow.snapshot where stream = %s", (done(hand),)).fetchone()
    assert row is not None
    state = msgspec.structs.replace(msgspec.msgpack.decode(row[0], type=Campaign), reason="another")
    hand.do("update domainflow.snapshot set state = %s where stream = %s", encode(state), done(hand))


def _change_tenant(hand: Hand) -> None:
    hand.append(running(hand), CampaignDeleted(), tenant="other")


def _list_a_campaign_that_is_not(hand: Hand) -> None:
    hand.do(
        "insert into domainflow.campaign (id, tenant, principal, name, source_stream, base, count)"
        " values (%s, %s, 'alice', 'ghost', 'pattern/acme/none', 0, 1)",
        *(fresh_uuid(), TENANT),
    )


def _half_an_answer(hand: Hand) -> None:
    hand.do(
        "insert into domainflow.command (id, stream, tenant, body, context, deadline, answered_at)"
        " values (%s, %s, %s, '', '', now(), now())",
        *(fresh_uuid(), done(hand), TENANT),
    )


def _seal_another_state(hand: Hand) -> None:
    row = hand.connection.execute("select state from domainflow.snapshot where stream = %s", (done(hand),)).fetchone()
    assert row is not None
    state = msgspec.structs.replace(msgspec.msgpack.decode(row[0], type=Campaign), reason="another")
    hand.append(done(hand), StreamSealed(fold_version=FOLD_VERSION, state=state))


STREAM_PLANTS: Final = (
    Plant(Kind.SEAL_DIFFERS, done, _seal_another_state),
    Plant(
        Kind.VERSION_GAP,
        done,
        lambda h: h.do("delete from domainflow.event", done(h), 5, where=AT),
        "an event is missing",
    ),
    Plant(
        Kind.CHAIN_BROKEN,
        done,
        lambda h: h.do("update domainflow.event set body = body || '\\x00'", done(h), 3, where=AT),
        "a body was changed",
    ),
    Plant(
        Kind.CHAIN_BROKEN,
        done,
        lambda h: h.do(
            "update domainflow.event set recorded_at = recorded_at + interval '1 microsecond'", done(h), 3, where=AT
        ),
        "a time was changed",
    ),
    Plant(
        Kind.CHAIN_BROKEN,
        done,
        lambda h: h.do("update domainflow.event set recorded_at = 'infinity'", done(h), 3, where=AT),
        "a time is no time",
    ),
    Plant(
        Kind.CHAIN_BROKEN,
        done,
        lambda h: h.do("update domainflow.event set type_version = 2", done(h), 3, where=AT),
        "a type's version was changed",
    ),
    Plant(Kind.TENANT_DIFFERS, running, _change_tenant),
    Plant(
        Kind.HEAD_DIFFERS,
        done,
        lambda h: h.do(
            "delete from domainflow.event e using domainflow.head d"
            " where e.stream = d.stream and e.version = d.version and d.stream = %s",
            done(h),
        ),
        "the last event is missing",
    ),
    Plant(
        Kind.HEAD_DIFFERS,
        words,
        lambda h: h.do("update domainflow.head set hash = sha256(hash) where stream = %s", words(h)),
        "a hash was changed",
    ),
    Plant(
        Kind.HEAD_WITHOUT_EVENTS,
        lambda _: "audit/acme/ghost/0",
        lambda h: h.do(
            "insert into domainflow.head (stream, tenant, version, hash) values ('audit/acme/ghost/0', %s, 1, '')",
            TENANT,
        ),
    ),
    Plant(
        Kind.EVENTS_WITHOUT_HEAD,
        lambda _: "audit/acme/",
        lambda h: h.do("delete from domainflow.head where stream like 'audit/%%' and tenant = %s", TENANT),
    ),
    Plant(
        Kind.OWNERSHIP_WRONG,
        done,
        lambda h: h.do("update domainflow.head set epoch = null, owner = null where stream = %s", done(h)),
    ),
    Plant(
        Kind.SNAPSHOT_MISPLACED,
        done,
        lambda h: h.do("update domainflow.snapshot set version = version + 1 where stream = %s", done(h)),
    ),
    Plant(Kind.SNAPSHOT_DIFFERS, done, falsify_snapshot, "another state"),
    Plant(
        Kind.SNAPSHOT_DIFFERS,
        done,
        lambda h: h.do("update domainflow.snapshot set state = '\\xc1' where stream = %s", done(h)),
        "no state",
    ),
    Plant(
        Kind.EVENT_UNREADABLE,
        done,
        lambda h: h.append_bytes(done(h), "campaign.unknown", encode({"type": "campaign.unknown"})),
        "an unknown event",
    ),
    Plant(
        Kind.EVENT_UNREADABLE,
        done,
        lambda h: h.append_bytes(done(h), "campaign.deleted", encode(CampaignBegun())),
        "a mislabelled event",
    ),
    Plant(
        Kind.EVENT_UNREADABLE,
        done,
        lambda h: h.append_bytes(done(h), "campaign.archived", encode(CampaignArchived()), type_version=2),
        "an event of a newer program",
    ),
    Plant(Kind.EVENT_OUT_OF_PLACE, done, lambda h: h.append(done(h), CampaignBegun())),
    Plant(Kind.COMMAND_INCONSISTENT, lambda _: "command/", _half_an_answer),
    Plant(
        Kind.STATUS_DIFFERS,
        done,
        lambda h: h.do("update domainflow.head set status = 'failed' where stream = %s", done(h)),
    ),
    Plant(
        Kind.CAMPAIGN_ROW_MISSING, words, lambda h: h.do("delete from domainflow.campaign where id = %s", h.ids.words)
    ),
    Plant(
        Kind.CAMPAIGN_ROW_DIFFERS,
        done,
        lambda h: h.do("update domainflow.campaign set principal = 'bob' where id = %s", h.ids.done),
    ),
    Plant(Kind.CAMPAIGN_ROW_WITHOUT_STREAM, lambda _: "campaign/", _list_a_campaign_that_is_not),
)
