"""Who may do what: the roles of the domain, one table; and nothing is allowed that no rule allows."""

from typing import Any, Final, get_args

import pytest
from msgspec.structs import fields

from domainflow.actors.campaign import actor as campaign
from domainflow.actors.campaign.events import PhaseConfig
from domainflow.actors.campaign.messages import (
    ArchiveCampaign,
    CampaignCommand,
    CampaignReport,
    ConfigurePhase,
    DeleteCampaign,
    StartCampaign,
)
from domainflow.actors.pattern import actor as pattern
from domainflow.actors.pattern.messages import ReserveOffsets
from domainflow.security.context import Principal, system
from domainflow.security.gate import check, visible
from domainflow.security.policy import PERMISSIONS, ROLES, SEE_ALL
from domainflow.vocabulary import Phase

# Rows as in the domain's §7; what is missing in a row is denied.
THINGS: Final = ("campaigns", "personas", "proxies", "keyword_sets", "schedules")
VERBS: Final = ("create", "read", "update", "delete", "execute")
ALL: Final = {f"{thing}:{verb}" for thing in THINGS for verb in VERBS} | {
    "config:read", "config:write", "audit:read", "audit:export", "system:admin", "system:config", "users:manage",
    "reports:generate", "alerts:read", "alerts:resolve",
}  # fmt: skip
GRANTED: Final[dict[str, set[str]]] = {
    "super_admin": ALL,
    "admin": ALL - {"system:admin", "system:config"},
    "operator": {
        "campaigns:create", "campaigns:read", "campaigns:update", "campaigns:execute", "personas:read", "proxies:read",
        "alerts:read", "alerts:resolve",
    },
    "viewer": {
        "campaigns:read", "personas:read", "proxies:read", "keyword_sets:read", "schedules:read", "config:read",
        "audit:read", "alerts:read",
    },
}  # fmt: skip
ALICE: Final = Principal(id="alice", roles=("operator",), tenant="acme")


def test_the_policy_knows_these_roles_and_permissions_and_no_other() -> None:
    assert set(PERMISSIONS) == ALL
    assert set(ROLES) == set(GRANTED)
    assert set(SEE_ALL) == {"super_admin", "admin"}


@pytest.mark.parametrize("role", GRANTED)
def test_a_role_may_do_what_the_table_says_and_nothing_else(role: str) -> None:
    somebody = Principal(id="alice", roles=(role,), tenant="acme")
    assert {p for p in ALL if check(somebody, p, tenant="acme").allowed} == GRANTED[role]


@pytest.mark.parametrize("roles", [(), ("user",), ("Super_Admin",)])
def test_who_has_no_known_role_may_nothing(roles: tuple[str, ...]) -> None:
    nobody = Principal(id="eve", roles=roles, tenant="acme")
    assert not any(check(nobody, permission, tenant="acme").allowed for permission in ALL)


@pytest.mark.parametrize("role", GRANTED)
def test_no_role_reaches_into_another_tenant(role: str) -> None:
    somebody = Principal(id="alice", roles=(role,), tenant="acme")
    assert {check(somebody, permission, tenant="other").rule for permission in ALL} == {"another tenant"}


@pytest.mark.parametrize(
    ("role", "owner", "allowed"),
    [
        ("operator", "alice", True),
        ("operator", "bob", False),
        ("operator", None, True),
        ("admin", "bob", True),
        ("super_admin", "bob", True),
    ],
)
def test_what_belongs_to_somebody_else_is_theirs_and_the_admins(role: str, owner: str | None, allowed: bool) -> None:  # noqa: FBT001 - a column of the table
    somebody = Principal(id="alice", roles=(role,), tenant="acme")
    assert check(somebody, "campaigns:execute", tenant="acme", owner=owner).allowed == allowed


def test_a_wide_role_widens_only_what_it_grants_itself() -> None:
    both = Principal(id="alice", roles=("viewer", "operator"), tenant="acme")
    assert check(both, "campaigns:update", tenant="acme", owner="bob").rule == "belongs to somebody else"


def test_whoever_may_read_reads_everybodys_things() -> None:
    assert visible(ALICE, tenant="acme", owner="bob")
    assert not visible(ALICE, tenant="other", owner="alice")
    assert not visible(Principal(id="eve", tenant="acme"), tenant="acme", owner="eve")


def test_a_command_that_no_rule_speaks_of_is_denied_to_all() -> None:
    root = Principal(id="root", roles=("super_admin",), tenant="acme")
    assert check(root, None, tenant="acme").rule == "no rule for this command"
    assert not check(root, "campaigns:explode", tenant="acme").allowed


def test_a_decision_names_the_rule_that_it_rests_on() -> None:
    assert check(ALICE, "campaigns:read", tenant="acme").rule == "operator has campaigns:read"
    assert check(ALICE, "campaigns:delete", tenant="acme").rule == "no role with campaigns:delete"


def test_the_runtime_itself_stays_within_the_tenant_that_it_acts_for() -> None:
    assert check(system("acme"), "campaigns:execute", tenant="acme", owner="alice").allowed
    assert not check(system("acme"), "campaigns:execute", tenant="other", owner="alice").allowed


@pytest.mark.parametrize("kind", [*get_args(CampaignCommand), *get_args(CampaignReport)])
def test_every_command_of_a_campaign_asks_for_a_permission_that_exists(kind: type[Any]) -> None:
    assert campaign.permission(blank(kind)) in ALL


def test_what_a_command_asks_for_is_what_it_does() -> None:
    assert campaign.permission(StartCampaign()) == "campaigns:execute"
    assert campaign.permission(DeleteCampaign()) == "campaigns:delete"
    assert campaign.permission(ArchiveCampaign()) == "campaigns:update"
    assert campaign.permission(ConfigurePhase(phase=Phase.ANALYSIS, config=PhaseConfig())) == "campaigns:update"


def test_reserving_names_is_creating_a_campaign() -> None:
    assert pattern.RULES.permission(blank(ReserveOffsets)) == "campaigns:create"


def blank(kind: type[Any]) -> Any:  # noqa: ANN401 - one of any kind, whatever its fields are
    return kind(**{field.name: None for field in fields(kind) if field.required})
