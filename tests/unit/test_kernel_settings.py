"""What a sandbox says of a host whose kernel lets a job take what nothing counts."""

from pathlib import Path

import pytest

from runner.sandbox.kernel_settings import weaknesses
from runner.sandbox.limits import MIB


@pytest.mark.parametrize(("watches", "sentences"), [("100000", 0), ("5491533", 1), ("?", 0)])
def test_too_many_watches_are_a_weakness_that_says_what_to_set(
    tmp_path: Path, watches: str, sentences: int
) -> None:
    """The sentence names how much a job may take and the setting; it is left out where that is little."""
    setting = tmp_path / "max_user_watches"
    setting.write_text(f"{watches}\n")
    weak = weaknesses(1024 * MIB, setting)
    assert len(weak) == sentences
    for sentence in weak:
        assert "1047 MiB" in sentence and "sysctl fs.epoll.max_user_watches=100000" in sentence


def test_a_kernel_without_the_setting_has_no_such_weakness(tmp_path: Path) -> None:
    """A missing file is no reason to say anything."""
    assert weaknesses(1024 * MIB, tmp_path / "missing") == ()
