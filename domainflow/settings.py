"""Every setting of a runtime, with its unit in its name, its default and its range. Read once, at `Runtime.open`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from domainflow.errors import InvalidInput

PREFIX = "DOMAINFLOW_"


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one runtime behaves. What a campaign is to do stands in its spec."""

    workers: Annotated[int, Meta(ge=1, le=64)] = 2  # worker processes
    batches_per_worker: Annotated[int, Meta(ge=1, le=64)] = 8  # at once: a batch ends with its slowest name
    commit_lanes: Annotated[int, Meta(ge=1, le=2)] = 2  # a third one only costs
    window: Annotated[int, Meta(ge=1, le=1000)] = 32  # open work items a campaign
    most_running: Annotated[int, Meta(ge=1, le=10_000)] = 16  # campaigns this runtime executes at once
    most_active: Annotated[int, Meta(ge=1, le=1_000_000)] = 10  # campaigns of a principal that have not ended
    most_created_a_day: Annotated[int, Meta(ge=1, le=1_000_000)] = 50  # by one principal within 24 h
    lease_s: Annotated[float, Meta(ge=2, le=600)] = 15.0  # how long a silent runtime counts as alive
    sweep_s: Annotated[float, Meta(ge=0.05, le=60)] = 0.5  # between two looks for orphaned campaigns and items
    tick_s: Annotated[float, Meta(ge=0.01, le=10)] = 0.1  # between two looks for finished batches
    monitor_s: Annotated[float, Meta(ge=0.05, le=600)] = 5.0  # between two looks for what needs a person
    stall_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 60.0  # for which what should move may stand still
    held_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 600.0  # for which a batch may be in hand
    lag_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 60.0  # for which the feed may be held back, or a caller wait
    least_free_mib: Annotated[int, Meta(ge=200, le=1_000_000_000)] = 1_000  # on the disks of home and server
    verify_events_per_s: Annotated[int, Meta(ge=0, le=1_000_000)] = 100  # by the monitor, of all there are; 0: none
    retention_days: Annotated[float, Meta(ge=0, le=36_500)] = 0.0  # of an ended campaign, and it is archived; 0: never


def from_environment(base: Settings | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Return `base` with what DOMAINFLOW_<NAME> says; its own values are checked too, which a Struct does not do.

    `environment` None: the process's. Raises InvalidInput naming the variable or setting and its rule.
    """
    environment = os.environ if environment is None else environment
    values = msgspec.structs.asdict(base or Settings())
    for name in values:
        text = environment.get(PREFIX + name.upper())
        if text is not None:
            values[name] = _parsed(name, text)
    try:
        return msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"settings: {error}") from error


def dotenv(folder: Path) -> dict[str, str]:
    """Return the DOMAINFLOW_* lines of `.env` in a folder; empty where there is none."""
    file = folder / ".env"
    if not file.is_file():
        return {}
    pairs = (line.split("=", 1) for line in file.read_text().splitlines() if "=" in line and line.startswith(PREFIX))
    return {key.strip(): value.strip().strip("\"'") for key, value in pairs}


def _parsed(name: str, text: str) -> object:
    field = next(f for f in msgspec.structs.fields(Settings) if f.name == name)
    try:
        return msgspec.convert(text, field.type, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{PREFIX}{name.upper()}={text}: {error}") from error
