"""DomainFlow: an actor runtime for domain campaigns, embedded in a host process. This is its public surface."""

from domainflow.operations import CampaignHandle, Operations
from domainflow.runtime import Runtime
from domainflow.security.context import Principal
from domainflow.security.input import load_spec
from domainflow.settings import Settings
from domainflow.spec import CampaignSpec
from domainflow.views import Change, PhaseView, View

__all__ = [
    "CampaignHandle",
    "CampaignSpec",
    "Change",
    "Operations",
    "PhaseView",
    "Principal",
    "Runtime",
    "Settings",
    "View",
    "load_spec",
]
