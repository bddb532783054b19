"""Archives: each file is the one that was recorded, and what is in it leads to the seal that its stream begins with.

Needs the folder of the files. Memory is one event and one campaign's state.
"""

from collections.abc import Generator, Iterator
from pathlib import Path

from domainflow.actors.archiver import file_of
from domainflow.actors.campaign.actor import RULES
from domainflow.actors.campaign.history import StreamSealed
from domainflow.actors.campaign.state import Campaign
from domainflow.errors import Corrupt
from domainflow.store import archive_files, verify_rows
from domainflow.store.archives import Archive
from domainflow.store.chain import GENESIS, follows
from domainflow.store.faults import Fault, Kind
from domainflow.store.streams import beginning
from domainflow.store.verify_rows import Instant


def check_archive(instant: Instant, archive: Archive, folder: Path) -> Iterator[Fault]:
    """Yield what is wrong with one archive, whose file is looked for in a folder of archives."""
    file = file_of(folder, archive.tenant, archive.stream, archive.version)
    try:
        if archive_files.sha256(file) != archive.sha256:
            yield Fault(Kind.ARCHIVE_DIFFERS, archive.stream, f"{file} is not the file that was recorded")
            return
        state = yield from _fold(instant, archive, file)
    except OSError as error:
        yield Fault(Kind.ARCHIVE_MISSING, archive.stream, f"{file}: {error.strerror}")
    except Corrupt as error:
        yield Fault(Kind.ARCHIVE_DIFFERS, archive.stream, str(error))
    else:
        yield from _check_seal(instant, archive, state)


def _fold(instant: Instant, archive: Archive, file: Path) -> Generator[Fault, None, Campaign]:
    """Return the state at the end of a file; yield that it does not end where the stream begins."""
    state, before = RULES.initial, (0, GENESIS)
    for recorded in archive_files.read(file):
        if not follows(recorded, *before):
            raise Corrupt(f"{file}: the chain does not hold at version {recorded.version}")
        state, before = RULES.evolve(state, RULES.decode_event(recorded)), (recorded.version, recorded.hash)
    if before != beginning(instant, archive.stream):
        yield Fault(Kind.ARCHIVE_DIFFERS, archive.stream, f"{file} does not end where the seal begins")
    return state


def _check_seal(instant: Instant, archive: Archive, state: Campaign) -> Iterator[Fault]:
    first = verify_rows.first_event(instant, archive.stream)
    try:
        seal = RULES.decode_event(first) if first else None
    except Corrupt:
        return  # said where the campaign is judged
    if isinstance(seal, StreamSealed) and seal.fold_version == RULES.fold_version and seal.state != state:
        yield Fault(Kind.SEAL_DIFFERS, archive.stream, "its seal is not the fold of its archive")
