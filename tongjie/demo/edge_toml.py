"""The configuration of a branch in the demo: kiosks over TCP, TLS and a serial line, a sorter with bins, and the member's own ILS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consortium.seal import PolicyKey
from tongjie.demo.devices import device_toml
from tongjie.demo.ils import config as ils_config
from tongjie.demo.tags import ALIASES

if TYPE_CHECKING:
    from tongjie.demo.layout import BranchLayout, Layout

__all__ = ["edge_toml"]


def edge_toml(layout: Layout, branch: BranchLayout, policy: PolicyKey) -> str:
    """The whole file."""
    parts = [_head(layout, branch, policy), _listeners(branch), _accounts(layout, branch), _devices(branch)]
    if branch.ils is not None:
        parts.append(ils_config(branch.ils, [row["org"] for row in layout.data["bundle"]["libraries"]]))
    return "".join(parts)


def _head(layout: Layout, branch: BranchLayout, policy: PolicyKey) -> str:
    aliases = ", ".join(f'"{code}" = "{org}"' for code, org in ALIASES.items())
    return f"""# The demo's edge at {branch.id}.
mode = "demo"
node = "{branch.node}"
branch = "{branch.id}"
org = "{branch.library}"
data = "{branch.id}"
hub_url = "{layout.hub_url}"
broker_url = "{layout.broker_url}"
node_token = "{branch.node_token}"
site_key_file = "{branch.id}/site.key"
policy_keys = ["{policy.public.hex()}"]

[http]
port = {branch.http_port}

[tags]
uid_map = "uids.csv"
aliases = {{ {aliases} }}

[sip2]
port = {branch.sip2_port}
"""


def _listeners(branch: BranchLayout) -> str:
    text = f"""
[[sip2.listeners]]
name = "tls"
url = "tls://127.0.0.1:{branch.tls_port}"
certificate = "tls/server.pem"
key = "tls/server.key"
"""
    if branch.kiosk3_link is not None:
        text += f"""
[[sip2.listeners]]
name = "serial"
url = "pty:{branch.kiosk3_link}"
"""
    return text


def _account(branch: BranchLayout, user: str, password: str, more: str = "") -> str:
    return f"""
[[sip2.accounts]]
user = "{user}"
password = "{password}"
institution = "{branch.library}"
device = "{branch.id}-{user}"
{more}"""


def _accounts(layout: Layout, branch: BranchLayout) -> str:
    kiosk = branch.kiosk_password
    text = _account(branch, "kiosk1", kiosk, f'pad = "{branch.id}-pad1"\ntrusts_card = true\n')
    text += _account(branch, "kiosk2", kiosk, 'trusts_card = true\nlisteners = ["tls"]\n')
    if branch.kiosk3_link is not None:
        text += _account(branch, "kiosk3", kiosk, 'trusts_card = true\nlisteners = ["serial"]\n')
    bins = [("1", "SHELVE", ""), ("1", "STAY", ""), ("2", "HOLD_HERE", ""), ("2", "HOLD", "")]
    elsewhere = [other.id for other in layout.branches if other.id != branch.id]
    bins += [(str(3 + at), "TRANSIT", other) for at, other in enumerate(elsewhere)]
    rules = "".join(
        f'[[sip2.accounts.bins]]\nbin = "{number}"\naction = "{action}"\ndest = "{dest}"\n'
        for number, action, dest in bins
    )
    return text + _account(branch, "sorter1", branch.sorter_password, f'kind = "sorter"\nexception_bin = "9"\n{rules}')


def _devices(branch: BranchLayout) -> str:
    return "".join(device_toml(branch.id, device) for device in branch.devices)
