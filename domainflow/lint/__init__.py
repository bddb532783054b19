"""Reads source for what no actor may do: wait, lock, start threads, share what changes. A host's actors too.

    python -m domainflow.lint PATH...

A behaviour is a class that derives from `Behaviour`, by the names in the files that are read together; a core is a
module named as one. Nothing is imported or run, and calls into other modules are not followed: what a behaviour is
handed, such as a store, is known by its annotation. Why these rules: docs/concurrency.md.
"""

import ast
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from domainflow.lint.rules import Finding, Rules
from domainflow.lint.source import Module, Source

__all__ = ["Finding", "check", "main"]

CLEAN: Final = 0
BROKEN: Final = 1
NOTHING_READ: Final = 2  # no behaviour and no core: most likely not what was meant


def read(paths: Iterable[Path]) -> Source:
    """Read Python files, and those of folders.

    Raises:
        OSError: a file cannot be read.
        SyntaxError: a file is no Python.
    """
    files = [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    return Source([Module(file, ast.parse(file.read_bytes(), str(file))) for file in files])


def check(source: Source) -> list[Finding]:
    """What breaks a rule, in the order of files and lines."""
    found: list[Finding] = []
    for module in source.modules:
        rules = Rules(source, module)
        rules.visit(module.tree)
        found += sorted(rules.found)
    return found


def main(argv: Sequence[str]) -> int:
    """Print what breaks a rule in these files and folders; the exit status says whether anything did."""
    source = read(map(Path, argv))
    found = check(source)
    for finding in found:
        print(finding)  # noqa: T201 - standard output is what this is for
    behaviours, cores = len(source.behaviours), sum(module.is_core for module in source.modules)
    print(f"{behaviours} behaviours, {cores} modules of cores, {len(found)} rules broken")  # noqa: T201 - likewise
    if not behaviours and not cores:
        return NOTHING_READ
    return BROKEN if found else CLEAN
