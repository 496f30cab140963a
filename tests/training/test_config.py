from pathlib import Path

import pytest

from training import config


def test_a_setting_that_is_missing_or_unknown_is_named(tmp_path: Path) -> None:
    content = config.DEFAULT.read_text()
    (tmp_path / "config.toml").write_text(content.replace("dropout =", "drop_out ="))
    with pytest.raises(ValueError, match="drop_out"):
        config.read(tmp_path / "config.toml")
