"""What stands on the tags of the demo's items: every member encodes in its own way, and one of them forgot its name on some.

251020 writes ISO 28560-3, older items 28560-2. 990001 writes 28560-3, on a fifth of them without an owner (a list of chips names
them, as a member would give it), and university UHF labels on newer items. 990002 writes 28560-3, some 3M (where a library is a
number), and 28560-4 on UHF.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from firmware_sim.consortium.policy import MAIN, PARTNER, PUBLIC

__all__ = ["ALIASES", "tag_of", "uid_map"]

ALIASES: Mapping[str, str] = {"10611": MAIN, "90001": PARTNER}
"""Ministry codes on university labels → members; 10611 is the university's own, 90001 is invented."""

_FORMS: Mapping[str, tuple[str, ...]] = {
    MAIN: ("28560-3", "28560-3", "28560-3", "28560-3", "28560-2"),
    PARTNER: ("28560-3", "28560-3", "28560-3", "28560-3 without owner", "gaoxiao"),
    PUBLIC: ("28560-3", "28560-3", "28560-3", "3m", "28560-4"),
}


def tag_of(owner: str, item_no: str) -> dict[str, str]:
    """The tag of an item: ``uid`` (chip number, TID on UHF), ``form``, and ``owner`` as it is written on it ("" = not at all)."""
    digest = hashlib.sha256(f"{owner}/{item_no}".encode()).digest()
    form, _, without = _FORMS[owner][digest[5] % 5].partition(" ")
    serial = digest[:5].hex().upper()
    uid = f"E2801105{serial}000000" if form in ("gaoxiao", "28560-4") else f"E00401{serial}"
    code = next(code for code, org in (*ALIASES.items(), ("", owner)) if org == owner)
    written = {"gaoxiao": code, "3m": owner}.get(form, f"CN-{owner}")
    return {"uid": uid, "form": form, "owner": "" if without else written}


def uid_map(items: Iterable[Mapping[str, Any]]) -> str:
    """The list of chips without an owner, as ``[tags] uid_map`` reads it."""
    lines = []
    for item in items:
        tag = tag_of(item["owner"], item["item_no"])
        if not tag["owner"]:
            lines.append(f"{tag['uid']},{item['owner']},{item['item_no']}\n")
    return "".join(lines)
