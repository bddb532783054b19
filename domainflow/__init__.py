"""DomainFlow: an actor runtime for domain campaigns, embedded in a host process. This is its public surface.

A name is imported when it is first asked for: worker processes and the lab are part of this package too, and must not
pay for a runtime that they never open.
"""

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from domainflow.aio import AsyncRuntime
    from domainflow.handle import CampaignHandle
    from domainflow.operations import Operations
    from domainflow.projections import Projection, Projector
    from domainflow.runtime import Runtime
    from domainflow.security.context import Principal
    from domainflow.security.input import load_spec
    from domainflow.settings import Settings
    from domainflow.spec import CampaignSpec
    from domainflow.subscriptions import Subscription
    from domainflow.views import Change, FeedChange, PhaseView, View

__version__: Final = "0.1.0"

_HOMES: Final = {
    "AsyncRuntime": "domainflow.aio",
    "CampaignHandle": "domainflow.handle",
    "CampaignSpec": "domainflow.spec",
    "Change": "domainflow.views",
    "FeedChange": "domainflow.views",
    "Operations": "domainflow.operations",
    "PhaseView": "domainflow.views",
    "Principal": "domainflow.security.context",
    "Projection": "domainflow.projections",
    "Projector": "domainflow.projections",
    "Runtime": "domainflow.runtime",
    "Settings": "domainflow.settings",
    "Subscription": "domainflow.subscriptions",
    "View": "domainflow.views",
    "load_spec": "domainflow.security.input",
}

__all__ = [
    "AsyncRuntime",
    "CampaignHandle",
    "CampaignSpec",
    "Change",
    "FeedChange",
    "Operations",
    "PhaseView",
    "Principal",
    "Projection",
    "Projector",
    "Runtime",
    "Settings",
    "Subscription",
    "View",
    "load_spec",
]


def __getattr__(name: str) -> object:
    """Import a public name from where it lives."""
    if name not in _HOMES:
        raise AttributeError(f"module domainflow has no attribute {name}")
    return getattr(importlib.import_module(_HOMES[name]), name)
