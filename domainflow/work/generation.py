"""Sources: their canonical form, their size, their hash, and the names of any range of their offsets.

Nothing here hands out offsets (the pattern's actor does), stores a name or asks whether one exists; of files it reads
only canonical ones.
"""

import asyncio
import hashlib
from collections import Counter
from pathlib import Path
from typing import Final, NoReturn

import idna
import msgspec

from domainflow.errors import InvalidInput
from domainflow.spec import (
    INT64_MAX,
    Names,
    NamesSource,
    Pattern,
    PatternSource,
    Source,
    SourceSpec,
    Words,
    WordsSource,
)
from domainflow.vocabulary import PatternType
from domainflow.work import canonical_file, hostnames, radix
from domainflow.work.hostnames import Fault
from domainflow.work.port import BatchResult, BatchSpec

_SLICE_NAMES: Final = 2000  # made between two looks at the event loop: below 2 ms, or 60 ms where IDNA must encode


def check(source: SourceSpec) -> None:
    """Whether the source is sound as far as it can be told without reading its file. Raises `InvalidInput`."""
    match source:
        case PatternSource():
            check_count(source.count, canonical(source))
        case WordsSource():
            canonical_words(source, sha256="", words=1)
        case NamesSource():
            pass


def check_count(count: int, source: Source) -> None:
    """Whether `count` names (0: all that remain) can be asked of the source. Raises `InvalidInput`."""
    size = space(source)
    if count > size:
        _refuse("count", f"{count} names are more than the {size} of the source")


def canonical(source: PatternSource) -> Pattern:
    """The form that numbering and hash use.

    Raises `InvalidInput` for a pattern with a faulty part, one that can only make invalid names, or one whose space
    does not fit 64 bits.
    """
    if source.pattern_type is PatternType.BOTH and not source.constant:
        _refuse("constant", "must not be empty between two variable parts")
    pattern = Pattern(
        pattern_type=source.pattern_type,
        variable_length=source.variable_length,
        character_set=_alphabet(source.character_set),
        constant=_constant(source.constant),
        tld=_tld("tld", source.tld),
    )
    space(pattern)
    _refuse_if_never_valid(pattern)
    return pattern


def canonical_words(source: WordsSource, *, sha256: str, words: int) -> Words:
    """The canonical form over a frozen list of `words` words whose bytes hash to `sha256`.

    Raises `InvalidInput` for a faulty TLD, for a constant that makes every name invalid, or for a space that does not
    fit 64 bits.
    """
    constant = _constant(source.constant)
    tlds = tuple(sorted({_tld(f"tlds[{place}]", tld) for place, tld in enumerate(source.tlds)}))
    fault = hostnames.encoded_labels(f"a{constant}")
    if isinstance(fault, Fault):
        _refuse("constant", f"{source.constant!a} makes every name invalid ({fault})")
    canonical_source = Words(sha256=sha256, words=words, constant=constant, tlds=tlds)
    space(canonical_source)
    return canonical_source


def space(source: Source) -> int:
    """How many offsets the source has, those of invalid combinations included. At most 2**63 - 1.

    Raises `InvalidInput` with the number if there are more.
    """
    match source:
        case Pattern():
            digits = source.variable_length * (2 if source.pattern_type is PatternType.BOTH else 1)
            return _int64("variable_length", len(source.character_set) ** digits)
        case Words():
            return _int64("tlds", source.words * len(source.tlds))
        case Names():
            return _int64("file", source.names)


def source_hash(source: Source) -> str:
    """The source's identity: SHA-256 in hex of its compact JSON. Offsets mean something only beside it."""
    match source:
        case Pattern():
            return _sha256(
                patternType=source.pattern_type,
                variableLength=source.variable_length,
                characterSet=source.character_set,
                constantString=source.constant,
                tld=source.tld,
            )
        case Words():
            return _sha256(words=source.sha256, constantString=source.constant, tlds=source.tlds)
        case Names():
            return _sha256(names=source.sha256)


def names(source: Source, start: int, stop: int, file: Path | None = None) -> list[str | None]:
    """The names of offsets [start, stop), in order; None where the combination is no host name.

    `file` holds the canonical bytes of a `Words` or `Names` source. Raises `ValueError` for offsets outside of the
    space or a missing `file`, and what `CanonicalFile` raises.
    """
    if not 0 <= start <= stop <= space(source):
        raise ValueError(f"offsets {start} to {stop} are not within the {space(source)} of the source")
    match source:
        case Pattern():
            return radix.pattern_names(source, start, stop)
        case Words():
            tlds = len(source.tlds)
            return radix.word_names(source, _lines(source, start // tlds, -(-stop // tlds), file), start, stop)
        case Names():
            return [*_lines(source, start, stop, file)]


def batch_names(spec: BatchSpec) -> list[str | None]:
    """The names of a batch, one a position from `spec.start` on; see `names`."""
    return _names_of(spec, spec.start, spec.stop)


async def run(spec: BatchSpec) -> BatchResult:
    """Count the valid and the invalid names of the batch: nothing of them is kept, since all can be made again."""
    valid = 0
    for start in range(spec.start, spec.stop, _SLICE_NAMES):
        made = _names_of(spec, start, min(start + _SLICE_NAMES, spec.stop))
        valid += len(made) - made.count(None)
        await asyncio.sleep(0)  # other batches of this worker wait for the network, with time-outs
    counts = Counter(invalid=spec.stop - spec.start - valid, valid=valid)
    return BatchResult(item=spec.item, fence=spec.fence, counts=tuple(sorted(counts.items())))


def _names_of(spec: BatchSpec, start: int, stop: int) -> list[str | None]:
    file = Path(spec.source_file) if spec.source_file else None
    return names(spec.source, spec.base + start, spec.base + stop, file)


def _lines(source: Words | Names, start: int, stop: int, file: Path | None) -> list[str]:
    if file is None:
        raise ValueError("a source of words or names needs the file of its canonical bytes")
    return canonical_file.opened(file, source.sha256).lines(start, stop)


def _sha256(**fields: str | int | tuple[str, ...]) -> str:
    return hashlib.sha256(msgspec.json.encode(fields)).hexdigest()  # compact, in the order given


def _alphabet(character_set: str) -> str:
    """Lower case, sorted, without repeats."""
    characters = set()
    for character in character_set.lower():
        canonical_character = _variable_character(character)
        if canonical_character is None:
            _refuse("character_set", f"{character!a} cannot be a character of a variable part")
        characters.add(canonical_character)
    return "".join(sorted(characters))


def _variable_character(character: str) -> str | None:
    """The character as names spell it, or None.

    A dot would make names of several zones out of one pattern. Outside of ASCII each character must be a label by
    itself: that leaves out what only joins its neighbours, so that no two offsets spell the same name. What else
    can be in no name is not refused: it makes invalid combinations, which are counted.
    """
    if character.isascii():
        return None if character == "." else character
    label = hostnames.normalise_label(character)
    mapped = "" if isinstance(label, Fault) else idna.decode(label)
    return mapped if len(mapped) == 1 else None


def _constant(constant: str) -> str:
    if constant.isascii():
        return constant.lower()
    try:
        return idna.uts46_remap(constant, std3_rules=True, transitional=False)
    except idna.IDNAError:
        _refuse("constant", f"{constant!a} cannot be part of a name ({Fault.BAD_CHARACTER})")


def _tld(key: str, text: str) -> str:
    tld = hostnames.normalise_suffix(text)
    if isinstance(tld, Fault):
        _refuse(key, f"{text!a} is no TLD ({tld})")
    return tld


def _refuse_if_never_valid(pattern: Pattern) -> None:
    """One character repeated is valid wherever a mixture is, so the space need not be searched."""
    faults = [fault for character in pattern.character_set if (fault := _fault_of(pattern, character))]
    if len(faults) < len(pattern.character_set):
        return
    fault = _fault_of(pattern, "a")
    if fault:
        _refuse("constant", f"{pattern.constant!a} makes every name of this pattern invalid ({fault})")
    _refuse("character_set", f"{pattern.character_set!a} makes only invalid names here ({faults[0]})")


def _fault_of(pattern: Pattern, character: str) -> Fault | None:
    single = msgspec.structs.replace(pattern, character_set=character)
    name = hostnames.encoded("".join("".join(digit) for digit in radix.digits_of(single)))
    return name if isinstance(name, Fault) else None


def _int64(key: str, size: int) -> int:
    if size > INT64_MAX:
        _refuse(key, f"makes a space of {size} names, more than {INT64_MAX}")
    return size


def _refuse(key: str, rule: str) -> NoReturn:
    raise InvalidInput(f"source.{key}: {rule}")
