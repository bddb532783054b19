"""What every bench prints: one figure a line, for people or as JSON."""

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One line of the result."""

    name: str
    value: float
    unit: str
    baseline: float | None = None  # of the same run
    goal: float | None = None

    def line(self) -> dict[str, object]:
        """As it is printed."""
        return {
            "name": self.name,
            "value": round(self.value, 3),
            "unit": self.unit,
            "baseline": round(self.baseline, 3) if self.baseline else None,
            "ratio": round(self.value / self.baseline, 3) if self.baseline else None,
            "goal": self.goal,
        }


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """What every bench can be told."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser


def show(figures: Iterable[Figure], *, as_json: bool) -> None:
    """Print each as soon as it is there."""
    for figure in figures:
        line = figure.line()
        print(json.dumps(line) if as_json else "  ".join(f"{key}={value}" for key, value in line.items()), flush=True)
