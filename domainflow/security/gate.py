"""The gate: whether a principal may do something to something. Deny by default; pure.

Every command passes here before it is decided on, and the decision is recorded with what came of it.
"""

from msgspec import Struct

from domainflow.security.context import Principal
from domainflow.security.policy import ROLES, SEE_ALL


class Decision(Struct, frozen=True, gc=False):
    """Whether it is allowed, and by which rule."""

    allowed: bool
    rule: str


def check(principal: Principal, permission: str | None, *, tenant: str, owner: str | None = None) -> Decision:
    """Decide on `permission` for a thing of `tenant` that belongs to `owner` (None: to nobody in particular).

    `permission` None: there is no rule for the command, so nobody may.
    """
    if permission is None:
        return Decision(allowed=False, rule="no rule for this command")
    if principal.tenant != tenant:
        return Decision(allowed=False, rule="another tenant")
    granting = [role for role in principal.roles if permission in ROLES.get(role, frozenset())]
    if not granting:
        return Decision(allowed=False, rule=f"no role with {permission}")
    if permission.endswith(":read") or owner in {None, principal.id}:
        return Decision(allowed=True, rule=f"{granting[0]} has {permission}")
    wide = next((role for role in granting if role in SEE_ALL), None)
    if wide is None:
        return Decision(allowed=False, rule="belongs to somebody else")
    return Decision(allowed=True, rule=f"{wide} has {permission}")


def visible(principal: Principal, *, tenant: str, owner: str) -> bool:
    """Whether a list may show this campaign."""
    return check(principal, "campaigns:read", tenant=tenant, owner=owner).allowed
