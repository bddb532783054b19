"""Whether what comes from outside is fit to be looked at: spec files, specs made in code, identifiers.

Every refusal is one line: where it stands, the key path, the rule. What needs the whole of a source (its space, its
host names, its file) is checked by `work.generation` and `work.freezing`; nothing here decides who may do what.
"""

import difflib
import math
import re
import tomllib
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn, TypeAlias

import msgspec
import re2

from domainflow.errors import InvalidInput
from domainflow.security import textfile
from domainflow.security.textfile import shown
from domainflow.spec import (
    CampaignSpec,
    DnsPersona,
    HttpPersona,
    KeywordRule,
    NamesSource,
    PatternSource,
    ScoringProfile,
    WordsSource,
)
from domainflow.vocabulary import KeywordRuleType, PatternType, ResolverStrategy

MAX_SPEC_BYTES: Final = 1024 * 1024
MAX_PORT: Final = 65_535
MAX_VERSION: Final = 2**63
MAX_KEY_CHARS: Final = 200
_MAX_MESSAGE_CHARS: Final = 500

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9._@-]{1,100}")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")  # token of RFC 9110, 5.6.2
_RESOLVER: Final = re.compile(
    r"system|lab|https://\S{1,500}|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?|[^\s:/@]{1,253}(:\d{1,5})?"
)
_RE2_OPTIONS: Final = re2.Options()
_RE2_OPTIONS.log_errors = False  # it would write to stderr what is raised as well
# Bidirectional overrides and isolates: they make a text look like another one.
_DIRECTION_MARKS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_PARTS: Final[dict[str, type[msgspec.Struct]]] = {
    "": CampaignSpec,
    "dns": DnsPersona,
    "http": HttpPersona,
    "keyword_rules": KeywordRule,
    "scoring": ScoringProfile,
}
_SOURCES: Final[dict[object, type[msgspec.Struct]]] = {
    "pattern": PatternSource,
    "words": WordsSource,
    "names": NamesSource,
}

Data: TypeAlias = dict[str, object]
Scoring: TypeAlias = ScoringProfile | None


def load_spec(path: Path) -> CampaignSpec:
    """The campaign that a TOML file describes; relative paths in it are taken from its folder.

    Raises `InvalidInput`: `FILE: key.path: rule` for a value, `FILE: line N: rule` for what is no TOML, `FILE: rule`
    for what is no text file of at most 1 MiB.
    """
    where = shown(str(path))
    text = "".join(f"{line}\n" for _, line in textfile.lines(path, max_file_bytes=MAX_SPEC_BYTES))
    try:
        data: Data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{where}: {_toml_rule(str(error))}") from error
    except ValueError as error:  # Python bounds the digits of a number
        raise InvalidInput(f"{where}: holds a number of too many digits") from error
    except RecursionError as error:
        raise InvalidInput(f"{where}: is nested too deeply") from error
    return _with_paths_from(path.absolute().parent, _converted(data, where))


def checked_spec(spec: CampaignSpec, where: str = "spec") -> CampaignSpec:
    """The same campaign, made in code, after all checks that a file goes through. Raises `InvalidInput`."""
    try:
        data: Data = msgspec.to_builtins(spec)
    except (TypeError, ValueError) as error:
        raise InvalidInput(_one_line(f"{where}: {error}")) from error
    return _converted(data, where)


def check_identifier(value: str, what: str) -> str:
    """`value` if it can name a principal or a tenant. Raises `InvalidInput`; `what` says whose name it is."""
    if not _IDENTIFIER.fullmatch(value):
        raise InvalidInput(_one_line(f"{what}: {value[:120]!a} must be 1 to 100 of letters, digits and . _ @ -"))
    return value


def check_key(value: str) -> str:
    """`value` if it can be an idempotency key. Raises `InvalidInput`."""
    if len(value) > MAX_KEY_CHARS or any(_is_unfit(character) for character in value):
        raise InvalidInput(f"idempotency key: must be at most {MAX_KEY_CHARS} characters, none of them for control")
    return value


def check_version(value: int | None) -> int | None:
    """`value` if a stream can be at it. Raises `InvalidInput`."""
    if value is not None and not (type(value) is int and 0 < value < MAX_VERSION):
        raise InvalidInput(f"expected version: must be a whole number from 1 on, and is {value!r:.60}")
    return value


def check_parts(
    where: str, *, dns: DnsPersona | None, http: HttpPersona | None, rules: tuple[KeywordRule, ...], scoring: Scoring
) -> None:
    """Check what a phase is to run with as in a spec. Raises `InvalidInput`."""
    source = PatternSource(pattern_type=PatternType.PREFIX, variable_length=1, character_set="a", tld="com")
    spec = CampaignSpec(
        name="parts",
        source=source,
        dns=dns or DnsPersona(),
        http=http or HttpPersona(),
        keyword_rules=rules,
        scoring=scoring or ScoringProfile(),
    )
    checked_spec(spec, where)


def _converted(data: Data, where: str) -> CampaignSpec:
    try:
        spec = msgspec.convert(data, CampaignSpec, strict=True)
    except msgspec.ValidationError as error:
        raise InvalidInput(_one_line(f"{where}: {_rule_of(str(error), data)}")) from error
    for key, value in _leaves("", data):  # behind the conversion, which has bounded depth and size
        _check_leaf(where, key, value)
    _check_personas(where, spec)
    _check_scoring(where, spec.scoring)
    return spec


def _leaves(key: str, value: object) -> Iterator[tuple[str, object]]:
    """Every key path with its value; of tables and arrays their items, of a table its keys too."""
    if isinstance(value, dict):
        for name, item in value.items():
            inner = f"{key}.{name}" if key else str(name)
            yield inner, str(name)
            yield from _leaves(inner, item)
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield from _leaves(f"{key}[{place}]", item)
    else:
        yield key, value


def _check_leaf(where: str, key: str, value: object) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        _refuse(where, key, f"{value} is not a finite number")
    if isinstance(value, str):
        # A description may have paragraphs.
        allowed = "\n\t" if key == "description" else ""
        unfit = next((character for character in value if _is_unfit(character) and character not in allowed), None)
        if unfit is not None:
            _refuse(where, key, f"holds the control character U+{ord(unfit):04X}")


def _is_unfit(character: str) -> bool:
    return character in _DIRECTION_MARKS or unicodedata.category(character) in {"Cc", "Cs"}


def _check_personas(where: str, spec: CampaignSpec) -> None:
    for place, resolver in enumerate(spec.dns.resolvers):
        port = re.search(r":(\d+)$", resolver)
        if not _RESOLVER.fullmatch(resolver) or (port and not _is_port(port[1])):
            _refuse(where, f"dns.resolvers[{place}]", f"{resolver!a} must be system, lab or HOST[:PORT]")
    weighted = spec.dns.strategy is ResolverStrategy.WEIGHTED_ROTATION
    if len(spec.dns.weights) != (len(spec.dns.resolvers) if weighted else len(spec.dns.weights)):
        _refuse(where, "dns.weights", "must hold one weight a resolver for weighted_rotation")
    _check_ports(where, spec.http)
    for place, (name, _) in enumerate(spec.http.headers):
        if not _HEADER_NAME.fullmatch(name):
            _refuse(where, f"http.headers[{place}][0]", f"{name!a} is no header name")
    for place, rule in enumerate(spec.keyword_rules):
        if rule.kind is KeywordRuleType.REGEX:
            _check_regex(where, f"keyword_rules[{place}].text", rule.text)


def _check_ports(where: str, http: HttpPersona) -> None:
    ports = http.connect_ports if isinstance(http.connect_ports, dict) else {}
    for port in ports:
        if not _is_port(port):
            _refuse(where, f"http.connect_ports.{port}", "must be a port, from 1 to 65535")


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 1 <= int(text) <= MAX_PORT


def _check_regex(where: str, key: str, text: str) -> None:
    try:
        re2.compile(text, _RE2_OPTIONS)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        _refuse(where, key, f"is no RE2 expression: {reason.decode() if isinstance(reason, bytes) else reason}")


def _check_scoring(where: str, scoring: ScoringProfile) -> None:
    weights = ("keyword_density", "unique_keyword_coverage", "non_parked", "content_length_quality", "title_keyword")
    if not any(getattr(scoring, weight) for weight in (*weights, "freshness")):
        _refuse(where, "scoring", "at least one weight must be above 0")


def _with_paths_from(folder: Path, spec: CampaignSpec) -> CampaignSpec:
    source = spec.source
    if isinstance(source, WordsSource):
        source = msgspec.structs.replace(source, words=str(folder / source.words))
    elif isinstance(source, NamesSource):
        source = msgspec.structs.replace(source, file=str(folder / source.file))
    http = spec.http
    if http.trust not in {"system", "lab"}:
        http = msgspec.structs.replace(http, trust=str(folder / http.trust))
    return msgspec.structs.replace(spec, source=source, http=http)


def _toml_rule(message: str) -> str:
    """`Cannot overwrite a value (at line 3, column 5)` as `line 3: Cannot overwrite a value`."""
    place = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|(end of document))\)", message, re.DOTALL)
    if place is None:
        return _one_line(message)
    return _one_line(f"line {place[2]}: {place[1]}" if place[2] else f"{place[3]}: {place[1]}")


def _rule_of(message: str, data: Data) -> str:
    """What msgspec words as `RULE - at `$.key.path`` as `key.path: rule`, naming the missing or the nearest key."""
    rule, _, place = message.partition(" - at `$")
    parent = place.rstrip("`").removeprefix(".")
    named = re.fullmatch(r"Object (?:contains unknown|missing required) field `(.*)`", rule, re.DOTALL)
    if named is None:
        return f"{parent or 'the file'}: {rule}"
    key = f"{parent}.{named[1]}" if parent else named[1]
    if "missing" in rule.partition("`")[0]:
        return f"{key}: is required"
    return f"{key}: unknown key{_nearest(named[1], _part_at(parent, data))}"


def _part_at(parent: str, data: Data) -> type[msgspec.Struct] | None:
    source = data.get("source")
    if parent == "source" and isinstance(source, dict):
        return _SOURCES.get(source.get("kind"))
    return _PARTS.get(parent.partition("[")[0])


def _nearest(key: str, part: type[msgspec.Struct] | None) -> str:
    known = part.__struct_encode_fields__ if part else ()
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f", did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"


def _refuse(where: str, key: str, rule: str) -> NoReturn:
    raise InvalidInput(_one_line(f"{where}: {key}: {rule}"))


def _one_line(message: str) -> str:
    return shown(message)[:_MAX_MESSAGE_CHARS]
