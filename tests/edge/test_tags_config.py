"""``[tags]``: this library's words for owners, its list of chips, the formats its station writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.settings import ConfigError, Settings
from edge.tags_config import TagsConfig, tags_of


def read(folder: Path, tags: object, **env: str) -> TagsConfig:
    return tags_of(Settings({"tags": tags}, folder / "edge.toml", env))


@pytest.mark.parametrize(
    ("tags", "code", "named"),
    [
        ({"alias": {}}, "CONFIG_KEY", "tags.alias"),
        ("CQU", "CONFIG_TYPE", "tags"),
        ({"aliases": "CQU"}, "CONFIG_TYPE", "tags.aliases"),
        ({"aliases": {"CQU": 251020}}, "CONFIG_TYPE", "tags.aliases"),
        ({"aliases": {"": "251020"}}, "CONFIG_VALUE", "tags.aliases"),
        ({"aliases": {"X" * 33: "251020"}}, "CONFIG_VALUE", "tags.aliases"),
        ({"aliases": {str(n): "251020" for n in range(1001)}}, "CONFIG_VALUE", "tags.aliases"),
        ({"format": "28560-4"}, "CONFIG_VALUE", "tags.format"),
        ({"uhf_format": "3m"}, "CONFIG_VALUE", "tags.uhf_format"),
        ({"uid_map": 7}, "CONFIG_TYPE", "tags.uid_map"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, tags: object, code: str, named: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, tags)
    assert refused.value.code == code
    assert named in str(refused.value)


def test_nothing_said_is_the_usual(tmp_path: Path) -> None:
    assert read(tmp_path, {}) == TagsConfig({}, None, "28560-3", "28560-4")


def test_everything_said_and_overridden(tmp_path: Path) -> None:
    tags = {"aliases": {"CQU": "251020"}, "uid_map": "uids.csv", "format": "28560-2", "uhf_format": "gaoxiao"}
    read_so = read(tmp_path, tags, TONGJIE_EDGE_TAGS_FORMAT="3m")
    assert read_so == TagsConfig({"CQU": "251020"}, tmp_path / "uids.csv", "3m", "gaoxiao")
