import json

import pytest
import structlog

from domainflow.logs import configure
from domainflow.redaction import MASK, is_secret, redact


@pytest.fixture(autouse=True)
def _restored() -> object:
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize(
    "key",
    ["password", "db_password", "PASSWORD", "api_key", "apiKey", "token", "api_token", "secret", "client-secret", "dsn",
     "DOMAINFLOW_ADMIN_DSN", "Authorization", "private_key", "credentials"],
)  # fmt: skip
def test_what_stands_under_a_secret_s_name_is_masked(key: str) -> None:
    assert is_secret(key)


@pytest.mark.parametrize("key", ["tokens_a_second", "tokenised", "secretary", "key", "keyword", "dsnx", "actor"])
def test_what_only_sounds_like_a_secret_is_not(key: str) -> None:
    assert not is_secret(key)


def test_secrets_are_masked_at_any_depth_and_the_original_is_left_alone() -> None:
    value = {"outer": [{"password": "canary"}, ("postgresql://bob:canary@host/db",)], "n": 1}
    masked = {"outer": [{"password": MASK}, (f"postgresql://bob:{MASK}@host/db",)], "n": 1}
    assert redact(value) == masked
    assert "canary" in str(value)


def test_passwords_of_connection_strings_are_masked_inside_texts() -> None:
    assert redact("failed: host=h password='can ary' user=u") == f"failed: host=h password={MASK} user=u"


def connect(password: str) -> None:
    raise ValueError(f"cannot connect to postgresql://bob:{password}@host/db")


@pytest.mark.parametrize("as_json", [True, False])
def test_no_secret_reaches_a_log_line_not_even_in_a_traceback(
    capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    configure("info", json=as_json)
    password = "canary"
    try:
        connect(password)
    except ValueError:
        structlog.get_logger().exception("connect_failed", token=password, attempt=2)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "connect_failed" in captured.err
    assert "cannot connect" in captured.err
    assert password not in captured.err


def test_a_json_line_is_one_object_with_its_time_and_level(capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", json=True)
    structlog.get_logger().debug("too_fine")
    structlog.get_logger().info("phase_started", attempt=1)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"], line["attempt"]) == ("phase_started", "info", 1)
    assert line["timestamp"].endswith("Z")


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="not LOUD"):
        configure("LOUD")
