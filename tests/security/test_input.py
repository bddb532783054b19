"""Spec files and identifiers: what is taken, and the one line that refuses the rest."""

from pathlib import Path

import pytest

from domainflow.errors import InvalidInput
from domainflow.security.input import check_identifier, checked_spec, load_spec
from domainflow.spec import CampaignSpec, DnsPersona, NamesSource, PatternSource, WordsSource
from domainflow.vocabulary import Mode, PatternType, Phase

NAME = 'name = "spring sale"\n'
SOURCE = (
    '[source]\nkind = "pattern"\npattern_type = "prefix"\nvariable_length = 2\ncharacter_set = "abc"\ntld = "com"\n'
)
SPEC = NAME + SOURCE


def a_spec_file(folder: Path, content: str | bytes) -> Path:
    path = folder / "job.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal_of(path: Path) -> str:
    with pytest.raises(InvalidInput) as refusal:
        load_spec(path)
    message = str(refusal.value)
    assert "\n" not in message
    prefix = f"{path}: "
    assert message.startswith(prefix)
    return message.removeprefix(prefix)


def test_a_spec_is_read_with_all_its_parts(tmp_path: Path) -> None:
    path = a_spec_file(
        tmp_path,
        'mode = "step_by_step"\nskip = ["analysis"]\nkeywords = ["shoes"]\ndescription = """two\n\tlines"""\n'
        + SPEC
        + "[dns]\nquery_timeout_s = 1\n[http]\nconnect_ports = { 80 = 8080 }\nheaders = [['Accept', '*/*']]\n"
        + '[[keyword_rules]]\nkind = "regex"\ntext = "sale\\\\d+"\n',
    )
    spec = load_spec(path)
    assert (spec.name, spec.mode, spec.skip) == ("spring sale", Mode.STEP_BY_STEP, (Phase.ANALYSIS,))
    assert spec.description == "two\n\tlines"
    assert spec.source == PatternSource(
        pattern_type=PatternType.PREFIX, variable_length=2, character_set="abc", tld="com"
    )
    assert spec.dns == DnsPersona(query_timeout_s=1.0)
    assert spec.http.connect_ports == {"80": 8080}
    assert spec.http.headers == (("Accept", "*/*"),)
    assert spec.keyword_rules[0].text == "sale\\d+"


def test_relative_paths_are_taken_from_the_folder_of_the_spec(tmp_path: Path) -> None:
    words = '[source]\nkind = "words"\nwords = "lists/words.txt"\ntlds = ["com"]\n'
    spec = load_spec(a_spec_file(tmp_path, NAME + words + '[http]\ntrust = "ca.pem"\n'))
    assert isinstance(spec.source, WordsSource)
    assert spec.source.words == f"{tmp_path}/lists/words.txt"
    assert spec.http.trust == f"{tmp_path}/ca.pem"
    names = '[source]\nkind = "names"\nfile = "/srv/names.txt"\n'
    spec = load_spec(a_spec_file(tmp_path, NAME + names + '[http]\ntrust = "lab"\n'))
    assert spec.source == NamesSource(file="/srv/names.txt")
    assert spec.http.trust == "lab"


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        # unknown and missing keys
        (SPEC + "[dns]\nretrys = 1\n", "dns.retrys: unknown key, did you mean retries?"),
        ("keyword = ['a']\n" + SPEC, "keyword: unknown key, did you mean keywords?"),
        (SPEC + "variable_lenght = 1\n", "source.variable_lenght: unknown key, did you mean variable_length?"),
        (
            SPEC + "[[keyword_rules]]\ntext = 'a'\nzzz = 1\n",
            "keyword_rules[0].zzz: unknown key; known are text, kind, case_sensitive, category, context_chars",
        ),
        (SPEC + '"cons\\ntant" = 1\n', "source.cons\\ntant: unknown key, did you mean constant?"),
        (SOURCE, "name: is required"),
        (NAME, "source: is required"),
        (SPEC.replace('tld = "com"\n', ""), "source.tld: is required"),
        (SPEC.replace('kind = "pattern"\n', ""), "source.kind: is required"),
        ("", "name: is required"),
        # types
        (SPEC + "[dns]\nretries = '1'\n", "dns.retries: Expected `int`, got `str`"),
        (SPEC + "[dns]\nretries = 1.0\n", "dns.retries: Expected `int`, got `float`"),
        (SPEC + "[dns]\nretries = true\n", "dns.retries: Expected `int`, got `bool`"),
        ("keywords = 'abc'\n" + SPEC, "keywords: Expected `array`, got `str`"),
        ("keywords = ['abc', 1]\n" + SPEC, "keywords[1]: Expected `str`, got `int`"),
        (NAME + "source = 3\n", "source: Expected `object`, got `int`"),
        (SPEC + "[http]\nheaders = [['Accept']]\n", "http.headers[0]: Expected `array` of length 2, got 1"),
        # ranges
        ("name = 'ab'\n" + SOURCE, "name: Expected `str` of length >= 3"),
        (f"name = '{'a' * 101}'\n" + SOURCE, "name: Expected `str` of length <= 100"),
        (f"description = '{'a' * 1001}'\n" + SPEC, "description: Expected `str` of length <= 1000"),
        ("batch_size = 0\n" + SPEC, "batch_size: Expected `int` >= 1"),
        ("batch_size = 100001\n" + SPEC, "batch_size: Expected `int` <= 100000"),
        (SPEC + "[dns]\nretries = 11\n", "dns.retries: Expected `int` <= 10"),
        (SPEC + "[dns]\nquery_timeout_s = nan\n", "dns.query_timeout_s: Expected `float` >= 0.05"),
        (SPEC + "[scoring]\nfreshness = inf\n", "scoring.freshness: inf is not a finite number"),
        (SPEC + "count = -1\n", "source.count: Expected `int` >= 0"),
        (SPEC + "count = 9223372036854775808\n", "source.count: Expected `int` <= 9223372036854775807"),
        (SPEC.replace("= 2", "= 0"), "source.variable_length: Expected `int` >= 1"),
        (SPEC.replace("= 2", "= 21"), "source.variable_length: Expected `int` <= 20"),
        (SPEC.replace('"abc"', '""'), "source.character_set: Expected `str` of length >= 1"),
        (SPEC.replace('"com"', '""'), "source.tld: Expected `str` of length >= 1"),
        (SPEC + f"constant = '{'a' * 51}'\n", "source.constant: Expected `str` of length <= 50"),
        (SPEC + "[http]\nports = [0]\n", "http.ports[0]: Expected `int` >= 1"),
        (SPEC + "[http]\nconnect_ports = {80 = 65536}\n", "http.connect_ports[...]: Expected `int` <= 65535"),
        (SPEC + "[http]\nconnect_ports = {https = 1}\n", "http.connect_ports.https: must be a port, from 1 to 65535"),
        # words of the domain
        (SPEC.replace('pattern"', 'patern"'), "source.kind: Invalid value 'patern'"),
        (SPEC.replace('"prefix"', '"infix"'), "source.pattern_type: Invalid enum value 'infix'"),
        ("mode = 'fast'\n" + SPEC, "mode: Invalid enum value 'fast'"),
        ("skip = ['dns']\n" + SPEC, "skip[0]: Invalid enum value 'dns'"),
        # rules between fields and of texts
        (
            SPEC + "[dns]\nresolvers = ['a', 'b']\nstrategy = 'weighted_rotation'\nweights = [1]\n",
            "dns.weights: must hold one weight a resolver for weighted_rotation",
        ),
        (SPEC + "[dns]\nresolvers = ['a b']\n", "dns.resolvers[0]: 'a b' must be system, lab or HOST[:PORT]"),
        (
            SPEC + "[dns]\nresolvers = ['lab', '127.0.0.1:65536']\n",
            "dns.resolvers[1]: '127.0.0.1:65536' must be system, lab or HOST[:PORT]",
        ),
        (SPEC + "[http]\nheaders = [['A B', 'c']]\n", "http.headers[0][0]: 'A B' is no header name"),
        (
            SPEC + '[http]\nheaders = [["A", "b\\r\\nC: d"]]\n',
            "http.headers[0][1]: holds the control character U+000D",
        ),
        (
            SPEC + "[[keyword_rules]]\nkind = 'regex'\ntext = '(a'\n",
            "keyword_rules[0].text: is no RE2 expression: missing ): (a",
        ),
        (
            SPEC
            + "[scoring]\nkeyword_density = 0\nunique_keyword_coverage = 0\nnon_parked = 0\n"
            + "content_length_quality = 0\ntitle_keyword = 0\nfreshness = 0\n",
            "scoring: at least one weight must be above 0",
        ),
        ('name = "a\\u0000bc"\n' + SOURCE, "name: holds the control character U+0000"),
        ('name = "a\\nbc"\n' + SOURCE, "name: holds the control character U+000A"),
        ('name = "abc\\u202E"\n' + SOURCE, "name: holds the control character U+202E"),
        ('description = "a\\u001b[2J"\n' + SPEC, "description: holds the control character U+001B"),
        ('keywords = ["a", "b\\u0007"]\n' + SPEC, "keywords[1]: holds the control character U+0007"),
        # no TOML
        ("name = 'abc'\nname = 'abd'\n", "line 2: Cannot overwrite a value"),
        ("name = \n", "line 1: Invalid value"),
        ("name = 'abc'\n[dns]\n[dns]\n", "line 3: Cannot declare ('dns',) twice"),
        ("name = [", "end of document: Invalid value"),
        (f"batch_size = {'9' * 5000}\n", "holds a number of too many digits"),
        ("a = " + "[" * 4999 + "\n", "is nested too deeply"),
        ("dn." * 3000 + "a = 1\n", "dn: unknown key, did you mean dns?"),
        # no text
        (b"name = 'a\0bc'\n", "line 1: holds a NUL byte; a text file is needed"),
        (b"\x7fELF\x02\x01\x01\0\0", "line 1: holds a NUL byte; a text file is needed"),
        (b"# ok\nname = '\xff'\n", "line 2: byte 9 is not UTF-8"),
        (b"# ok\n#" + b"x" * 10_000, "line 2: longer than 10000 bytes"),
        (b"x" * 10_000_000, "10000000 bytes are more than 1048576"),
    ],
    ids=lambda value: repr(value)[-40:],
)
def test_a_bad_spec_is_refused_in_one_line_with_file_key_and_rule(
    tmp_path: Path, content: str | bytes, refusal: str
) -> None:
    assert refusal_of(a_spec_file(tmp_path, content)) == refusal


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert refusal_of(tmp_path / "missing.toml") == "cannot be read (No such file or directory)"
    assert refusal_of(tmp_path) == "is a directory; a file is needed"
    assert refusal_of(Path("/dev/null")) == "is no regular file"


def test_a_refusal_stays_on_one_line_whatever_the_name_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a\nb.toml"
    path.write_text("")
    with pytest.raises(InvalidInput) as refusal:
        load_spec(path)
    assert str(refusal.value) == f"{tmp_path}/a\\nb.toml: name: is required"


def test_a_long_refusal_is_cut(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as refusal:
        load_spec(a_spec_file(tmp_path, f"mode = '{'a' * 9000}'\n{SPEC}"))
    assert len(str(refusal.value)) == 500


def test_a_spec_made_in_code_goes_through_the_same_checks() -> None:
    source = PatternSource(pattern_type=PatternType.PREFIX, variable_length=2, character_set="abc", tld="com")
    sound = CampaignSpec(name="spring sale", source=source)
    assert checked_spec(sound) == sound
    with pytest.raises(InvalidInput) as refusal:
        checked_spec(CampaignSpec(name="ab", source=source))
    assert str(refusal.value) == "spec: name: Expected `str` of length >= 3"


@pytest.mark.parametrize("value", ["a", "ops@example.com", "team-7_x.y", "a" * 100])
def test_an_identifier_is_returned(value: str) -> None:
    assert check_identifier(value, "tenant") == value


@pytest.mark.parametrize("value", ["", "a" * 101, "a,b", "a b", "a/b", "a\n", "é", "a\0", "a;b"])
def test_any_other_identifier_is_refused(value: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        check_identifier(value, "tenant")
    assert str(refusal.value) == f"tenant: {value!a} must be 1 to 100 of letters, digits and . _ @ -"
