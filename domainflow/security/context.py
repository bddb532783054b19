"""Who asks, on whose behalf, and why: carried by every message and recorded with every change.

Values only. Whether something is allowed is decided in `gate`.
"""

from msgspec import Struct


class Principal(Struct, frozen=True, kw_only=True, gc=False):
    """Somebody who asks. `id` and `tenant` obey `input.check_identifier`."""

    id: str
    roles: tuple[str, ...] = ()
    tenant: str = "default"


class Context(Struct, frozen=True, kw_only=True, gc=False):
    """What travels with a message beside its words."""

    principal: Principal
    correlation_id: str  # the whole story
    causation_id: str = ""  # the message that made this one
    idempotency_key: str = ""  # of the command, unique a (tenant, principal); empty: none
    expected_version: int | None = None  # of the stream when the command comes to it, or it is refused; None: any
    box_id: str = ""  # of the command box entry that this message came from; empty: it came by itself
    deadline_s: float | None = None  # on this process's monotonic clock
    chain: tuple[str, ...] = ()  # paths of the actors that wait for the answer


def system(tenant: str) -> Principal:
    """Who the runtime itself is when it acts for a tenant: admission, accounting, reconciling."""
    return Principal(id="system", roles=("super_admin",), tenant=tenant)
