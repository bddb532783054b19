"""The life of a campaign, as the table of the domain has it: every status, every command."""

from typing import Final

import pytest
from msgspec.structs import replace
from story import (
    ANALYSIS,
    CREATED,
    DNS,
    GENERATING,
    GENERATION,
    HTTP,
    LIVES,
    RESOLVED,
    RESOLVING,
    USER_PAUSE,
    heard,
    of,
)

from domainflow.actors.campaign.core import decide
from domainflow.actors.campaign.events import (
    CampaignArchived,
    CampaignDeleted,
    CampaignPaused,
    CampaignQueued,
    CampaignResumed,
    HolderAdded,
    HolderLifted,
    PauseRequested,
    PhaseConfig,
    PhaseConfigured,
    PhaseFailed,
    PhaseSkipped,
    PhasesReopened,
)
from domainflow.actors.campaign.evolution import LEGAL_MOVES
from domainflow.actors.campaign.messages import (
    ArchiveCampaign,
    BeginCampaign,
    CampaignMessage,
    CancelCampaign,
    ConfigurePhase,
    DeleteCampaign,
    ObserveLedger,
    PauseCampaign,
    RerunPhase,
    ResumeCampaign,
    RetryCampaign,
    SkipPhase,
    StartCampaign,
    StartPhase,
)
from domainflow.actors.campaign.state import Campaign
from domainflow.errors import CommandRejected, NotFound
from domainflow.spec import DnsPersona
from domainflow.vocabulary import BusinessStatus, CampaignStatus, PhaseStatus

COMMANDS: Final[dict[str, CampaignMessage]] = {
    "start": StartCampaign(),
    "pause": PauseCampaign(),
    "resume": ResumeCampaign(),
    "cancel": CancelCampaign(),
    "retry": RetryCampaign(),
    "archive": ArchiveCampaign(),
    "delete": DeleteCampaign(),
    "step": StartPhase(phase=GENERATION),
    "skip": SkipPhase(phase=ANALYSIS),
    "config": ConfigurePhase(phase=ANALYSIS, config=PhaseConfig()),
    "rerun": RerunPhase(phase=DNS),
    "begin": BeginCampaign(),
    "drained": ObserveLedger(ready=0, claimed=0, done=0, dead=0),
    "died": ObserveLedger(ready=0, claimed=0, done=0, dead=1, reason="dead"),
}
# What the status becomes. "=": something is recorded, the status stays. ".": granted, nothing recorded. "-": refused.
TABLE: Final = """
          start  pause   resume  cancel    retry  archive delete step   skip config rerun  begin   drained died
pending   queued -       -       cancelled -      -       =      queued =    =      -      .       .       .
queued    .      paused  .       cancelled .      -       -      -      =    =      -      running .       .
running   .      pausing .       cancelled .      -       -      .      =    =      -      .       .       failed
pausing   -      .       running cancelled -      -       -      .      =    =      -      .       paused  failed
paused    -      .       queued  cancelled -      -       =      -      =    =      -      .       .       .
completed -      -       -       -         -      =       =      -      -    -      queued .       .       .
failed    -      -       -       -         queued =       =      -      -    -      -      .       .       .
cancelled -      -       -       .         -      =       =      -      -    -      -      .       .       .
"""
ALLOWED: Final = {
    "pending": "start, cancel, delete",
    "queued": "pause, cancel",
    "running": "pause, cancel",
    "pausing": "resume, cancel",
    "paused": "resume, start_phase, cancel, delete",
    "completed": "rerun_phase, archive, delete",
    "failed": "retry, archive, delete",
    "cancelled": "archive, delete",
}
STARTING_OR_ENDING: Final = {"start", "pause", "resume", "cancel", "retry", "archive", "delete", "rerun"}


def rows() -> list[tuple[str, str, str]]:
    header, *lines = (line.split() for line in TABLE.strip().splitlines())
    return [
        (status, command, becomes) for status, *cells in lines for command, becomes in zip(header, cells, strict=True)
    ]


def test_the_table_speaks_of_every_status() -> None:
    assert {status for status, _, _ in rows()} == set(CampaignStatus)
    assert {command for _, command, _ in rows()} == set(COMMANDS)
    assert {status: life.status for status, life in LIVES.items()} == {status: status for status in CampaignStatus}


@pytest.mark.parametrize(("status", "command", "becomes"), rows())
def test_a_command_does_what_the_table_says(status: str, command: str, becomes: str) -> None:
    given = LIVES[status]
    if becomes == "-":
        with pytest.raises(CommandRejected) as refused:
            decide(given, COMMANDS[command])
        if command in STARTING_OR_ENDING:
            assert f"a campaign that is {status}; allowed: {ALLOWED[status]}" in str(refused.value)
        return
    events = decide(given, COMMANDS[command])
    assert (events == ()) == (becomes == ".")
    assert of(*events, state=given).status == (status if becomes in {"=", "."} else becomes)


@pytest.mark.parametrize(("status", "command", "becomes"), [row for row in rows() if row[2] not in {"-", ".", "="}])
def test_a_change_of_status_is_known_to_the_coordinator(status: str, command: str, becomes: str) -> None:
    assert (status, becomes) in LEGAL_MOVES, command


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("given", [Campaign(), of(CREATED, CampaignDeleted())], ids=["unborn", "deleted"])
def test_of_what_is_not_there_every_command_hears_the_same(given: Campaign, command: CampaignMessage) -> None:
    with pytest.raises(NotFound, match="there is no such campaign"):
        decide(given, command)


def test_archiving_twice_records_it_once() -> None:
    archived = heard(LIVES["completed"], ArchiveCampaign())
    assert archived.business_status is BusinessStatus.ARCHIVED
    assert decide(archived, ArchiveCampaign()) == ()
    assert decide(LIVES["completed"], ArchiveCampaign()) == (CampaignArchived(),)


# --- who holds a pause


def test_a_campaign_stays_paused_while_any_holder_remains() -> None:
    given = LIVES["paused"]
    both = heard(given, PauseCampaign(holder="window:night", reason="quiet hours"))
    assert decide(given, PauseCampaign(holder="window:night", reason="quiet hours")) == (
        HolderAdded(holder="window:night", reason="quiet hours"),
    )
    assert decide(both, ResumeCampaign()) == (HolderLifted(holder="user"),)
    assert decide(heard(both, ResumeCampaign()), ResumeCampaign(holder="window:night")) == (
        HolderLifted(holder="window:night"),
        CampaignQueued(),
    )


def test_a_window_lifts_only_its_own_pause() -> None:
    with pytest.raises(CommandRejected, match="window:night does not hold this campaign; held by user"):
        decide(LIVES["paused"], ResumeCampaign(holder="window:night"))


def test_the_same_holder_holds_once() -> None:
    assert decide(LIVES["pausing"], PauseCampaign()) == ()


def test_a_queued_campaign_is_paused_at_once_for_it_has_nothing_in_hand() -> None:
    assert decide(LIVES["queued"], PauseCampaign(reason="later")) == (
        HolderAdded(holder="user", reason="later"),
        CampaignPaused(),
    )


def test_a_pause_that_is_lifted_before_it_took_hold_goes_on_running() -> None:
    assert decide(LIVES["pausing"], ResumeCampaign()) == (HolderLifted(holder="user"), CampaignResumed())


def test_a_retry_lets_go_of_whoever_held_it_when_it_failed() -> None:
    failed = heard(LIVES["pausing"], ObserveLedger(ready=0, claimed=0, done=0, dead=1, reason="no route"))
    assert decide(failed, RetryCampaign()) == (HolderLifted(holder="user"), CampaignQueued())
    paused_again = heard(failed, RetryCampaign(), BeginCampaign(), PauseCampaign())
    assert decide(paused_again, ResumeCampaign()) == (HolderLifted(holder="user"), CampaignResumed())


@pytest.mark.parametrize(("claimed", "done"), [(1, 0), (0, 1)])
def test_it_is_not_paused_while_anything_is_in_hand(claimed: int, done: int) -> None:
    assert decide(LIVES["pausing"], ObserveLedger(ready=3, claimed=claimed, done=done, dead=0)) == ()


# --- phases


def test_a_phase_that_has_not_begun_can_be_configured() -> None:
    persona = DnsPersona(resolvers=("10.0.0.1",))
    given = heard(LIVES["running"], ConfigurePhase(phase=DNS, config=PhaseConfig(dns=persona)))
    assert given.spec.dns == persona
    assert given.spec.http == CREATED.http


def test_configuring_a_phase_leaves_alone_what_other_phases_run_with() -> None:
    resolving = of(CREATED, *GENERATING, *RESOLVING)
    config = PhaseConfig(dns=DnsPersona(retries=9), keywords=())
    assert decide(resolving, ConfigurePhase(phase=HTTP, config=config)) == (
        PhaseConfigured(phase=HTTP, config=PhaseConfig(keywords=())),
    )


@pytest.mark.parametrize(
    "command", [ConfigurePhase(phase=GENERATION, config=PhaseConfig()), SkipPhase(phase=GENERATION)]
)
def test_a_phase_that_has_begun_can_neither_be_configured_nor_skipped(command: CampaignMessage) -> None:
    with pytest.raises(CommandRejected, match="it is in_progress and the campaign is running"):
        decide(LIVES["running"], command)


def test_skipping_twice_records_it_once() -> None:
    given = of(PhaseSkipped(phase=ANALYSIS), state=LIVES["running"])
    assert given.phase(ANALYSIS).status is PhaseStatus.SKIPPED
    assert decide(given, SkipPhase(phase=ANALYSIS)) == ()


def test_what_the_spec_skips_is_skipped_from_the_start() -> None:
    given = of(replace(CREATED, skip=(HTTP,)))
    assert [phase.status for phase in given.phases] == ["configured", "configured", "skipped", "configured"]


def test_a_dead_batch_fails_its_phase_and_the_campaign_with_the_reason() -> None:
    (failed, _) = decide(LIVES["running"], ObserveLedger(ready=0, claimed=2, done=0, dead=1, reason="no route"))
    assert failed == PhaseFailed(phase=GENERATION, reason="no route")
    after = heard(LIVES["running"], ObserveLedger(ready=0, claimed=2, done=0, dead=1, reason="no route"))
    assert (after.reason, after.phase(GENERATION).status) == ("no route", PhaseStatus.FAILED)


def test_a_retried_campaign_goes_on_with_the_phase_that_failed() -> None:
    queued = heard(LIVES["failed"], RetryCampaign())
    assert (queued.status, queued.reason) == (CampaignStatus.QUEUED, "")
    running = heard(queued, BeginCampaign())
    assert (running.status, running.phase(GENERATION).status) == (CampaignStatus.RUNNING, PhaseStatus.IN_PROGRESS)
    assert running.phase(GENERATION).run == 1


def test_a_pause_of_a_retried_campaign_leaves_the_failed_phase_to_be_retried() -> None:
    given = heard(LIVES["failed"], RetryCampaign(), PauseCampaign())
    assert given.phase(GENERATION).status is PhaseStatus.FAILED


# --- reruns


def test_in_a_full_sequence_the_phases_after_a_rerun_run_again_too() -> None:
    assert decide(LIVES["completed"], RerunPhase(phase=DNS)) == (
        PhasesReopened(phases=(DNS, HTTP, ANALYSIS)),
        CampaignQueued(),
    )
    begun = heard(LIVES["completed"], RerunPhase(phase=DNS), BeginCampaign())
    assert (begun.phase(DNS).run, begun.phase(DNS).status) == (2, PhaseStatus.IN_PROGRESS)
    assert (begun.phase(DNS).counts, begun.phase(DNS).accounted) == ((), 0)
    assert begun.rerun == (HTTP, ANALYSIS)


def test_only_a_completed_phase_runs_again() -> None:
    given = of(PhaseSkipped(phase=ANALYSIS), state=LIVES["completed"])
    with pytest.raises(CommandRejected, match="analysis is skipped; only a completed phase can run again"):
        decide(given, RerunPhase(phase=ANALYSIS))


def test_skipped_phases_stay_skipped_when_one_before_them_runs_again() -> None:
    given = of(PhaseSkipped(phase=HTTP), state=LIVES["completed"])
    assert decide(given, RerunPhase(phase=DNS))[0] == PhasesReopened(phases=(DNS, ANALYSIS))


# --- a pause at the seam of two phases


def test_a_campaign_that_is_resumed_after_its_last_batch_was_accounted_goes_on_with_the_next_phase() -> None:
    given = of(CREATED, *GENERATING, *RESOLVING, USER_PAUSE, *RESOLVED)
    after = heard(given, ResumeCampaign())
    assert after.status is CampaignStatus.RUNNING
    assert after.phase(HTTP).status is PhaseStatus.IN_PROGRESS


def test_a_pause_names_its_holder_and_reason() -> None:
    assert decide(LIVES["running"], PauseCampaign(holder="system", reason="disk")) == (
        PauseRequested(holder="system", reason="disk"),
    )
