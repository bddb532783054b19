"""Masks secrets in what is about to leave the process as text, judged by the name they stand under.

It knows names, not values: a secret under an innocent name passes, so secrets travel under their names.
"""

import re
from collections.abc import Mapping
from typing import Final

MASK: Final = "***"

# Whole words of a key, so that "tokens_a_second" is not a secret but "api_token" is.
_SECRET: Final = re.compile(
    r"(?:^|[^a-z])(?:password|passwd|passphrase|secrets?|token|dsn|conninfo|credentials?|authorization|cookie"
    r"|(?:api|private|signing|encryption)[_-]?key)(?:$|[^a-z])",
    re.IGNORECASE,
)
# user:password@ of a URL, wherever it stands in a text.
_URL_PASSWORD: Final = re.compile(r"(?P<head>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+(?=@)", re.IGNORECASE)
_CONNINFO_PASSWORD: Final = re.compile(r"(?P<head>\bpassword\s*=\s*)(?:'[^']*'|\S+)", re.IGNORECASE)


def is_secret(key: str) -> bool:
    """Whether what stands under this key must not be shown."""
    return _SECRET.search(key) is not None


def redact(value: object) -> object:
    """The same value with every secret masked, at any depth of mappings, lists and tuples; a new one."""
    match value:
        case str():
            return redact_text(value)
        case Mapping():
            return {
                key: MASK if isinstance(key, str) and is_secret(key) else redact(held) for key, held in value.items()
            }
        case list():
            return [redact(held) for held in value]
        case tuple():
            return tuple(redact(held) for held in value)
        case _:
            return value


def redact_text(text: str) -> str:
    """The same text without the passwords of URLs and connection strings in it."""
    without_urls = _URL_PASSWORD.sub(rf"\g<head>{MASK}", text)
    return _CONNINFO_PASSWORD.sub(rf"\g<head>{MASK}", without_urls)
