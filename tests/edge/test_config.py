"""The edge's configuration: each thing that is wrong is said in one sentence that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from consortium.seal import public_key
from edge.config import ConfigError, EdgeConfig, load

KEY, OTHER = (key.public.hex() for key in (public_key(bytes(range(32))), public_key(bytes(range(32, 64)))))
GOOD = f"""
branch = "251020-01"
data = "data"
hub_url = "http://127.0.0.1:8080/"
broker_url = "mqtt://127.0.0.1:1883"
node_token_file = "node.token"
site_key_file = "site.key"
policy_keys = ["{KEY}"]

[http]
port = 0

[[sip2.accounts]]
user = "kiosk1"
password_file = "kiosk1.password"
pad = "pad1"

[[devices]]
id = "gate1"
kind = "osdp"
url = "tcp://127.0.0.1:9001"
options = {{ address = 0, reverse_bytes = true }}

[[devices]]
id = "pad1"
kind = "feig"
url = "tcp://127.0.0.1:9002"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"node.token": "tj_node\n", "site.key": "ab" * 32, "kiosk1.password": "pa55word\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    return tmp_path


def read(folder: Path, text: str = GOOD, **env: str) -> EdgeConfig:
    path = folder / "edge.toml"
    path.write_text(text)
    path.chmod(0o644)
    return load(path, env)


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        (("branch", "brnach"), "CONFIG_KEY", "brnach"),
        (('branch = "251020-01"\n', ""), "CONFIG_MISSING", "branch"),
        (('"251020-01"', '"251020"'), "CONFIG_VALUE", "branch"),
        (("branch =", 'org = "990001"\nbranch ='), "CONFIG_VALUE", "org"),
        ((f'policy_keys = ["{KEY}"]\n', ""), "CONFIG_MISSING", "policy_keys"),
        ((f'["{KEY}"]', "[]"), "CONFIG_MISSING", "policy_keys"),
        ((f'["{KEY}"]', f'"{KEY}"'), "CONFIG_TYPE", "policy_keys"),
        ((f'["{KEY}"]', "[7]"), "CONFIG_POLICY_KEY", "policy_keys"),
        ((KEY, KEY[2:]), "CONFIG_POLICY_KEY", "policy_keys"),
        ((KEY, "0" * 64), "CONFIG_POLICY_KEY", "policy_keys"),
        (("policy_keys", "policy_seals_needed = 2\npolicy_keys"), "CONFIG_VALUE", "policy_seals_needed"),
        (("[http]", "policy_party_keys = 7\n[http]"), "CONFIG_TYPE", "policy_party_keys"),
        (("[http]", f'[policy_party_keys]\n"x y" = ["{KEY}"]\n[http]'), "CONFIG_VALUE", "policy_party_keys"),
        (("[http]", f'[policy_party_keys]\n990001 = "{KEY}"\n[http]'), "CONFIG_TYPE", "policy_party_keys.990001"),
        (("[http]", "[policy_party_keys]\n990001 = [7]\n[http]"), "CONFIG_POLICY_KEY", "policy_party_keys.990001"),
        (("port = 0", 'port = "x"'), "CONFIG_TYPE", "http.port"),
        (("port = 0", "port = true"), "CONFIG_TYPE", "http.port"),
        (("port = 0", "port = 70000"), "CONFIG_VALUE", "http.port"),
        (("mqtt://", "http://"), "CONFIG_VALUE", "broker_url"),
        (('pad = "pad1"', 'pad = "pad9"'), "CONFIG_VALUE", "pad9"),
        (('id = "pad1"', 'id = "gate1"'), "CONFIG_VALUE", "gate1"),
        (('kind = "feig"\n', ""), "CONFIG_MISSING", "devices.kind"),
        (('password_file = "kiosk1.password"', 'password = "open"'), "CONFIG_SECRET_MODE", "sip2.accounts.password"),
        (('password_file = "kiosk1.password"\n', ""), "CONFIG_MISSING", "sip2.accounts.password"),
        (('node_token_file = "node.token"\n', ""), "CONFIG_MISSING", "node_token"),
        (('"node.token"', '"none"'), "CONFIG_UNREADABLE", "node_token_file"),
        (("[[devices]]", "[devices]"), "CONFIG_NOT_TOML", "edge.toml"),
        (("branch =", 'mode = "fast"\nbranch ='), "CONFIG_VALUE", "mode"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, change: tuple[str, str], code: str, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(folder, GOOD.replace(*change))
    assert caught.value.code == code
    assert named in str(caught.value)


def test_a_key_that_others_may_read_is_refused(folder: Path) -> None:
    (folder / "site.key").chmod(0o640)
    with pytest.raises(ConfigError) as caught:
        read(folder)
    assert caught.value.code == "CONFIG_SECRET_MODE"
    assert "chmod 600" in str(caught.value)


def test_a_key_of_another_length_is_refused(folder: Path) -> None:
    (folder / "site.key").write_text("ab" * 31)
    with pytest.raises(ConfigError, match="64 hex digits"):
        read(folder)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "edge.toml", {})
    assert caught.value.code == "CONFIG_UNREADABLE"


def test_what_is_left_out_follows_from_the_branch(folder: Path) -> None:
    config = read(folder)
    assert (config.node, config.org, config.branch) == ("edge-251020-01", "251020", "251020-01")
    assert config.hub_url == "http://127.0.0.1:8080"
    assert config.data == folder / "data"
    account = config.accounts[0]
    assert (account.institution, account.device, account.password, account.pad) == (
        "251020",
        "kiosk1",
        "pa55word",
        "pad1",
    )
    assert config.devices[0].options == {"address": 0, "reverse_bytes": True}
    assert config.site_key == bytes.fromhex("ab" * 32)


def test_a_variable_goes_over_the_file(folder: Path) -> None:
    config = read(
        folder,
        TONGJIE_EDGE_HTTP_PORT="9000",
        TONGJIE_EDGE_HUB_URL="https://hub.example",
        TONGJIE_EDGE_NODE_TOKEN="tj_other",
    )
    assert (config.http_port, config.hub_url, config.node_token) == (9000, "https://hub.example", "tj_other")


def test_a_variable_of_the_wrong_type_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match="TONGJIE_EDGE_HTTP_PORT"):
        read(folder, TONGJIE_EDGE_HTTP_PORT="eighty")


def test_secrets_may_stand_inline_in_a_private_file_or_in_a_demo(folder: Path) -> None:
    inline = GOOD.replace('password_file = "kiosk1.password"', 'password = "open"')
    assert read(folder, 'mode = "demo"\n' + inline).accounts[0].password == "open"
    path = folder / "edge.toml"
    path.write_text(inline)
    path.chmod(0o600)
    assert load(path, {}).accounts[0].password == "open"


def test_no_secret_is_printed(folder: Path) -> None:
    shown = repr(read(folder))
    assert "tj_node" not in shown
    assert "pa55word" not in shown
    assert "\\xab" not in shown


def test_the_keys_of_the_policy_are_named_by_file_or_variable(folder: Path) -> None:
    assert [key.public.hex() for key in read(folder).policy_trust.keys] == [KEY]
    two = read(folder, TONGJIE_EDGE_POLICY_KEYS=f"{KEY},{OTHER} {KEY}", TONGJIE_EDGE_POLICY_SEALS_NEEDED="2")
    assert ([key.public.hex() for key in two.policy_trust.keys], two.policy_trust.needed) == ([KEY, OTHER], 2)
    parties = read(folder, GOOD.replace("[http]", f'[policy_party_keys]\n990001 = ["{OTHER}"]\n[http]'))
    assert {org: [key.id for key in keys] for org, keys in parties.policy_trust.party_keys.items()} == {
        "990001": [public_key(bytes(range(32, 64))).id]
    }
