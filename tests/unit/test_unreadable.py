"""What the log says about keys that cannot be read: enough to find them, and never too much."""

import pytest

from chalicelib.storage.redis.unreadable import LINES_PER_MINUTE, UnreadableKeys, reason_of
from tests.support.factories import make_request


def test_each_key_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The second time says nothing new; another key does."""
    unreadable = UnreadableKeys()
    for key in ("job:a", "job:a", "job:b"):
        unreadable.log(key, "half of it is missing", "it is left out")
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "job:a cannot be read (half of it is missing): it is left out" in caplog.messages[0]


def test_many_keys_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """However many there are, the lines of a minute are bounded."""
    unreadable = UnreadableKeys()
    for number in range(10 * LINES_PER_MINUTE):
        unreadable.log(f"job:{number}", "", "")
    # The test may begin at the end of a minute.
    assert LINES_PER_MINUTE <= len(caplog.records) <= 2 * LINES_PER_MINUTE


def test_a_reason_is_one_short_line_without_the_data() -> None:
    """Neither a client's source nor a control character reaches the log."""
    text = make_request("int secret;").model_dump_json().replace('"stage":"compile"', '"stage":"sec\\nret"')
    with pytest.raises(ValueError, match="stage") as caught:
        make_request().model_validate_json(text)
    reason = reason_of(caught.value)
    assert reason.startswith("stage: ")
    assert "sec" not in reason
    assert reason_of(ValueError("a\nb\x1b\udcff" + "x" * 5000)).startswith("a\\nb\\x1b\\udcffx")
    assert len(reason_of(ValueError("x" * 5000))) == 200
