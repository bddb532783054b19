"""`domainflow phase …`: tell a single phase of a campaign what to do."""

from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter

from domainflow.actors.campaign.events import PhaseConfig
from domainflow.cli.hosting import carry_out, how, tell
from domainflow.cli.options import AS_USUAL, ELSEWHERE, CampaignId, Given, Global, Here
from domainflow.cli.session import aimed_at_lab
from domainflow.security.input import load_spec
from domainflow.spec import CampaignSpec, KeywordRule
from domainflow.vocabulary import Phase

PhaseName: TypeAlias = Annotated[Phase, Parameter(name_transform=str.lower, help="Which phase.")]


def configure(  # noqa: PLR0913 - one an option
    campaign: CampaignId,
    phase: PhaseName,
    spec: Path,
    /,
    *,
    for_lab: Annotated[bool, Parameter(help="Change the spec as `run --lab` does.")] = False,
    given: Given = AS_USUAL,
    options: Global,
) -> int:
    """Give a phase that has not begun the settings of another spec file.

    Parameters
    ----------
    spec
        A spec file. What it says of this phase (dns, http with keywords, scoring) is taken; the rest is only checked.
    """
    wanted = load_spec(spec)
    config = phase_config(phase, aimed_at_lab(wanted) if for_lab else wanted)
    return tell(options, campaign, lambda handle: handle.configure_phase(phase, config, **how(given)))


def start(
    campaign: CampaignId, phase: PhaseName, /, *, given: Given = AS_USUAL, here: Here = ELSEWHERE, options: Global
) -> int:
    """Go on with the next phase of a step-by-step campaign."""
    return carry_out(options, campaign, lambda handle: handle.start_phase(phase, **how(given)), here=here)


def skip(campaign: CampaignId, phase: PhaseName, /, *, given: Given = AS_USUAL, options: Global) -> int:
    """Never run a phase that has not begun."""
    return tell(options, campaign, lambda handle: handle.skip_phase(phase, **how(given)))


def rerun(
    campaign: CampaignId, phase: PhaseName, /, *, given: Given = AS_USUAL, here: Here = ELSEWHERE, options: Global
) -> int:
    """Run a completed phase again; in a full sequence the phases after it too."""
    return carry_out(options, campaign, lambda handle: handle.rerun_phase(phase, **how(given)), here=here)


def phase_config(phase: Phase, spec: CampaignSpec) -> PhaseConfig:
    """What a spec says of one phase."""
    match phase:
        case Phase.DOMAIN_GENERATION:
            return PhaseConfig()
        case Phase.DNS_VALIDATION:
            return PhaseConfig(dns=spec.dns)
        case Phase.HTTP_KEYWORD_VALIDATION:
            words = tuple(KeywordRule(text=text) for text in spec.keywords)
            return PhaseConfig(http=spec.http, keywords=words + spec.keyword_rules)
        case Phase.ANALYSIS:
            return PhaseConfig(scoring=spec.scoring)
