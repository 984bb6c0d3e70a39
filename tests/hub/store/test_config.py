"""hub.toml: one sentence for each thing that is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from consortium.seal import Trust, public_key
from hub.config import ConfigError, load, master_key, policy_trust, prepare, write_key

GOOD = 'data = "data"\nbroker_url = "mqtt://127.0.0.1:1883"\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "hub.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "code", "names"),
    [
        ("data = ", "CONFIG_NOT_TOML", "hub.toml"),
        ('broker_url = "mqtt://h:1"', "CONFIG_MISSING", "data"),
        ('data = "d"', "CONFIG_MISSING", "broker_url"),
        (GOOD + 'colour = "red"', "CONFIG_KEY", "colour"),
        (GOOD + "[http]\nprot = 1", "CONFIG_KEY", "http.prot"),
        (GOOD + "http = 1", "CONFIG_TYPE", "[http]"),
        (GOOD + '[http]\nport = "x"', "CONFIG_TYPE", "http.port"),
        (GOOD + "[http]\nport = true", "CONFIG_TYPE", "http.port"),
        (GOOD + "[http]\nport = 70000", "CONFIG_VALUE", "http.port"),
        (GOOD + 'database = "mysql://x"', "CONFIG_VALUE", "database"),
        (GOOD + 'node = "edge-1"', "CONFIG_VALUE", "node"),
        (GOOD + 'node = "HUB"', "CONFIG_VALUE", "node"),
        (GOOD.replace("mqtt://", "http://"), "CONFIG_VALUE", "broker_url"),
        (GOOD + 'policy_cosigners = "ab"', "CONFIG_TYPE", "policy_cosigners"),
        (GOOD + 'policy_cosigners = ["ab"]', "CONFIG_POLICY_KEY", "policy_cosigners"),
        (GOOD + "policy_seals_needed = 2", "CONFIG_VALUE", "policy_seals_needed"),
        (GOOD + "policy_party_keys = 1", "CONFIG_TYPE", "policy_party_keys"),
        (GOOD + '[policy_party_keys]\n"x y" = []', "CONFIG_VALUE", "policy_party_keys"),
        (GOOD + '[policy_party_keys]\n990001 = ["00"]', "CONFIG_POLICY_KEY", "policy_party_keys.990001"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, code: str, names: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        load(written(tmp_path, text), {})
    assert wrong.value.code == code
    assert names in str(wrong.value)


def test_a_file_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as wrong:
        load(tmp_path / "none.toml", {})
    assert (wrong.value.code, "--config" in str(wrong.value)) == ("CONFIG_UNREADABLE", True)


def test_defaults_lie_in_the_data_folder_beside_the_file(tmp_path: Path) -> None:
    config = load(written(tmp_path, GOOD), {})
    assert config.data == tmp_path / "data"
    assert config.database == f"sqlite+aiosqlite:///{tmp_path / 'data' / 'hub.sqlite'}"
    assert config.master_key_file == tmp_path / "data" / "master.key"
    assert config.policy_key_file == tmp_path / "data" / "policy.key"
    assert (config.http_host, config.http_port, config.node, config.base_url) == (
        "127.0.0.1",
        8080,
        "hub-1",
        "http://127.0.0.1:8080",
    )
    assert config.pin.memory_kib == 8192


def test_variables_override_the_file(tmp_path: Path) -> None:
    env = {"TONGJIE_HUB_HTTP_PORT": "0", "TONGJIE_HUB_NODE": "hub-2", "TONGJIE_HUB_PIN_MEMORY_KIB": "1024"}
    config = load(written(tmp_path, GOOD), env)
    assert (config.http_port, config.node, config.pin.memory_kib) == (0, "hub-2", 1024)
    with pytest.raises(ConfigError):
        load(written(tmp_path, GOOD), {"TONGJIE_HUB_HTTP_PORT": "many"})


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    config = load(written(tmp_path, GOOD), {})
    prepare(config)
    with pytest.raises(ConfigError) as wrong:
        master_key(config)
    assert wrong.value.code == "CONFIG_KEY_MISSING"
    write_key(config.master_key_file, bytes(range(32)))
    assert master_key(config) == bytes(range(32))
    config.master_key_file.chmod(0o640)
    with pytest.raises(ConfigError) as wrong:
        master_key(config)
    assert wrong.value.code == "CONFIG_KEY_MODE"
    config.master_key_file.chmod(0o600)
    config.master_key_file.write_text("short")
    with pytest.raises(ConfigError) as wrong:
        master_key(config)
    assert wrong.value.code == "CONFIG_KEY_FORM"
    with pytest.raises(FileExistsError):
        write_key(config.master_key_file, bytes(32))


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file stands here")
    with pytest.raises(ConfigError) as wrong:
        prepare(load(written(tmp_path, GOOD), {}))
    assert wrong.value.code == "CONFIG_DATA"
    assert os.fspath(tmp_path / "data") in str(wrong.value)


def test_cosigners_and_parties_are_trusted_beside_the_hub_s_own_key(tmp_path: Path) -> None:
    own, other = bytes(range(32)), public_key(bytes(range(32, 64)))
    text = GOOD + f'policy_seals_needed = 2\n[policy_party_keys]\n990001 = ["{other.public.hex()}"]\n'
    config = load(written(tmp_path, text), {"TONGJIE_HUB_POLICY_COSIGNERS": f"{other.public.hex()},"})
    assert policy_trust(config, own) == Trust((public_key(own), other), 2, {"990001": (other,)})


@pytest.mark.parametrize(
    "line", ['currency = "yuan"', 'currency = "cny"', 'currency = "CN1"', "currency = 156", "holds_most = -1"]
)
def test_a_currency_is_three_letters_of_iso_4217(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        load(written(tmp_path, f"{line}\n{GOOD}"), {})
    assert wrong.value.code in ("CONFIG_VALUE", "CONFIG_TYPE")
    assert "currency" in str(wrong.value) or "holds_most" in str(wrong.value)


def test_charges_are_in_yuan_unless_told_otherwise(tmp_path: Path) -> None:
    assert load(written(tmp_path, GOOD), {}).currency == "CNY"
    config = load(written(tmp_path, f'currency = "JPY"\nholds_most = 5\n{GOOD}'), {})
    assert (config.currency, config.holds_most) == ("JPY", 5)
