"""Checks that every relative link in the project's Markdown leads to a file, and every anchor to a heading.

Never asks the network: links to other sites are left alone.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
CODE: Final = re.compile(r"^(```|~~~).*?^\1[^\n]*$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK: Final = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
HEADING: Final = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)
ELSEWHERE: Final = re.compile(r"^[a-z][a-z0-9+.-]*:")


def documents() -> list[Path]:
    """The root's Markdown and everything under docs/, in the order of their paths."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def anchors(document: Path) -> set[str]:
    """The anchors that a Markdown viewer gives the document's headings; a repeated heading gets -1, -2, …."""
    found: set[str] = set()
    text = re.sub(r"^(```|~~~).*?^\1[^\n]*$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    for heading in HEADING.findall(text):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        count = sum(1 for known in found if re.fullmatch(rf"{re.escape(slug)}(-\d+)?", known))
        found.add(f"{slug}-{count}" if slug in found else slug)
    return found


def broken_links(document: Path) -> Iterator[str]:
    """One line for each link of the document that leads nowhere."""
    for target in LINK.findall(CODE.sub("", document.read_text())):
        if ELSEWHERE.match(target):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        if not file.exists():
            yield f"{document.relative_to(ROOT)}: no such file: {target}"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            yield f"{document.relative_to(ROOT)}: no such heading: {target}"


def main() -> int:
    """Prints what is broken; the exit status says whether anything was."""
    broken = [line for document in documents() for line in broken_links(document)]
    for line in broken:
        print(line)
    print(f"{len(documents())} documents, {len(broken)} broken links")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
