"""What is made to follow the event that a stream stands at."""

from domainflow.store.chain import link
from domainflow.store.port import AuditNote, Item, NewEvent


def event(  # noqa: PLR0913 - everything that the hash covers
    *,
    stream: str,
    version: int,
    previous: bytes,
    tenant: str,
    recorded_at_us: int,
    type_: str,
    type_version: int,
    context: bytes,
    body: bytes,
) -> NewEvent:
    """Return an event whose hash follows `previous`."""
    hash_ = link(
        stream=stream,
        version=version,
        previous=previous,
        tenant=tenant,
        recorded_at_us=recorded_at_us,
        type_=type_,
        type_version=type_version,
        context=context,
        body=body,
    )
    return NewEvent(
        version=version,
        type=type_,
        type_version=type_version,
        recorded_at_us=recorded_at_us,
        context=context,
        body=body,
        hash=hash_,
    )


def record(note: AuditNote, *, stream: str, after: int, previous: bytes, now_us: int) -> Item:
    """Return a note as the item that follows version `after` of an audit stream."""
    recorded = event(
        stream=stream,
        version=after + 1,
        previous=previous,
        tenant=note.tenant,
        recorded_at_us=now_us,
        type_=note.type,
        type_version=1,
        context=note.context,
        body=note.body,
    )
    return Item(
        stream=stream,
        tenant=note.tenant,
        expected=after,
        previous=previous,
        events=(recorded,),
        about=note.about,
        key=note.key,
        box=note.box,
    )
