"""Who may do what, as data: roles to permissions. No decision is taken here."""

from typing import Final

PERMISSIONS: Final = frozenset(
    f"{thing}:{verb}"
    for thing, verbs in {
        "campaigns": ("create", "read", "update", "delete", "execute"),
        "personas": ("create", "read", "update", "delete", "execute"),
        "proxies": ("create", "read", "update", "delete", "execute"),
        "keyword_sets": ("create", "read", "update", "delete", "execute"),
        "schedules": ("create", "read", "update", "delete", "execute"),
        "config": ("read", "write"),
        "audit": ("read", "export"),
        "alerts": ("read", "resolve"),
        "system": ("admin", "config"),
        "users": ("manage",),
        "reports": ("generate",),
    }.items()
    for verb in verbs
)

ROLES: Final[dict[str, frozenset[str]]] = {
    "super_admin": PERMISSIONS,
    "admin": frozenset(p for p in PERMISSIONS if not p.startswith("system:")),
    "operator": frozenset(
        {
            "campaigns:create",
            "campaigns:read",
            "campaigns:update",
            "campaigns:execute",
            "alerts:read",
            "alerts:resolve",
            "personas:read",
            "proxies:read",
        }
    ),
    "viewer": frozenset(p for p in PERMISSIONS if p.endswith(":read")),
}
# What is not only theirs to do, of everybody's things in their tenant.
SEE_ALL: Final = frozenset({"super_admin", "admin"})
