"""Who asks, on whose behalf, and why: carried by every message and recorded with every change.

Values only. Whether something is allowed is decided in `gate`.
"""

from typing import Final

from msgspec import Struct


class Principal(Struct, frozen=True, kw_only=True):
    """Somebody who asks. `id` and `tenant` obey `input.check_identifier`."""

    id: str
    roles: tuple[str, ...] = ()
    tenant: str = "default"


class Context(Struct, frozen=True, kw_only=True):
    """What travels with a message beside its words."""

    principal: Principal
    correlation_id: str  # the whole story
    causation_id: str = ""  # the message that made this one
    idempotency_key: str = ""  # of the command, unique a (tenant, principal); empty: none
    deadline_s: float | None = None  # on this process's monotonic clock
    chain: tuple[str, ...] = ()  # paths of the actors that wait for the answer


# What the runtime does by itself (admission, accounting, reconciling) it does under this name.
SYSTEM: Final = Principal(id="system", roles=("super_admin",), tenant="system")
