"""Falsifications of a filled database: each breaks one rule, and names the fault that must be found for it."""

from typing import Final

from plant import Plant
from source_plants import SOURCE_PLANTS
from stream_plants import STREAM_PLANTS
from work_plants import WORK_PLANTS

PLANTS: Final[tuple[Plant, ...]] = (*STREAM_PLANTS, *WORK_PLANTS, *SOURCE_PLANTS)
