"""Events of devices for a person's eyes and for programs: each as a flat JSON object, and that as one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from consortium.card_learning import readings
from drivers.base import (
    CardRead,
    CodeScanned,
    DeviceEvent,
    DeviceState,
    DoorAlarm,
    InputChanged,
    PadTag,
    Passage,
    PeopleCounted,
    TagPassed,
    TagsOnPad,
    Tamper,
)
from protocols.iso28560 import Recognition, recognise_hf, recognise_uhf

__all__ = ["described", "sentence"]


def described(event: DeviceEvent) -> dict[str, Any]:
    """An event as JSON shows it: ``event`` and ``device`` first, bytes as upper-case hex, a card with every reading of it."""
    match event:
        case CardRead():
            told: dict[str, Any] = {
                "event": "card_read",
                "reader_no": event.reader_no,
                "direction": event.direction,
                "format": event.format,
                "bits": event.bits,
                "raw": event.raw.hex().upper(),
                "medium": event.medium,
                "readings": {one.name: one.text for one in readings(event.raw, event.bits, event.format)},
            }
        case CodeScanned():
            told = {"event": "code_scanned", "text": event.text}
        case DeviceState():
            told = {
                "event": "device_state",
                "state": event.state,
                "reason_code": event.reason_code,
                "facts": dict(event.facts),
            }
        case TagsOnPad():
            told = {"event": "tags_on_pad", "tags": [_tag(tag) for tag in event.tags]}
        case TagPassed():
            told = {"event": "tag_passed", "tag": _tag(event.tag), "antenna": event.antenna, "alarmed": event.alarmed}
        case PeopleCounted():
            told = {
                "event": "people_counted",
                "came": event.came,
                "left": event.left,
                "total_in": event.total_in,
                "total_out": event.total_out,
                "reset": event.reset,
            }
        case Passage():
            told = {"event": "passage", "direction": event.direction}
        case InputChanged():
            told = {"event": "input_changed", "input_no": event.input_no, "active": event.active}
        case DoorAlarm():
            told = {"event": "door_alarm", "code": event.code, "detail": event.detail}
        case Tamper():
            told = {"event": "tamper", "active": event.active}
        case _:
            assert_never(event)
    told = {"event": told.pop("event"), "device": event.device, **told}
    if not isinstance(event, DeviceState | TagsOnPad | Tamper):
        told["t_mono_ns"] = event.t_mono_ns
    return told


def _tag(tag: PadTag) -> dict[str, Any]:
    found: dict[str, Any] = {
        "uid": tag.uid,
        "tech": tag.tech,
        "afi": None if tag.afi is None else f"{tag.afi:02X}",
        "eas": tag.eas,
        "secured": tag.secured,
        "data": tag.data.hex().upper(),
    }
    if tag.tech == "UHF":
        found |= {"pc": None if tag.pc is None else f"{tag.pc:04X}", "epc": tag.epc.hex().upper()}
        seen = recognise_uhf(tag.pc or 0, tag.epc, tag.data, tag.uid)
    else:
        found |= {"dsfid": f"{tag.dsfid:02X}", "block_size": tag.block_size}
        seen = recognise_hf(tag.data, tag.dsfid, tag.afi, tag.uid)
    return {**found, **_content(seen)}


def _content(seen: Recognition) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": seen.kind}
    if seen.code != "OK":
        told["code"] = seen.code
    content = seen.content
    if content is None:
        return {**told, "error": seen.code}
    told |= {"format": content.format, "pii": content.pii, "owner": content.owner}
    if content.parts > 1:
        told |= {"part": content.part, "parts": content.parts}
    if content.divergences:
        told["divergences"] = list(content.divergences)
    return told


# --- one sentence ------------------------------------------------------------------------------------------------------


def sentence(told: Mapping[str, Any]) -> str:
    """A described event in words."""
    match told["event"]:
        case "card_read":
            lines = [f"card read{_where(told)}: {told['raw']} ({told['bits']} bits, {told['format']}{_medium(told)})"]
            lines += [f"    {name:<13} {text}" for name, text in told["readings"].items()]
            return "\n".join(lines)
        case "code_scanned":
            return f"code scanned: {told['text']}"
        case "device_state":
            facts = ", ".join(f"{name} {value}" for name, value in told["facts"].items() if value != "")
            return f"device {told['state']}: {told['reason_code']}" + (f" ({facts})" if facts else "")
        case "tags_on_pad":
            tags = told["tags"]
            return "\n".join([f"{_count(len(tags), 'tag')} on the pad", *(f"    {_tag_words(tag)}" for tag in tags)])
        case "tag_passed":
            sounded = {True: ", the gate sounded", False: ", the gate was silent", None: ""}[told["alarmed"]]
            antenna = f" at antenna {told['antenna']}" if told["antenna"] else ""
            return f"tag passed{antenna}{sounded}: {_tag_words(told['tag'])}"
        case "people_counted":
            started = "; the counter started anew" if told["reset"] else ""
            return f"people: {told['came']} in, {told['left']} out; totals {told['total_in']} and {told['total_out']}{started}"
        case "passage":
            return f"somebody went through{_way(told['direction'])}"
        case "input_changed":
            return f"input {told['input_no']} {'on' if told['active'] else 'off'}"
        case "door_alarm":
            return f"door alarm: {told['code']}" + (f" ({told['detail']})" if told["detail"] else "")
        case _:
            return "the case is open" if told["active"] else "the case is closed"


def _where(told: Mapping[str, Any]) -> str:
    return f" at cardreader {told['reader_no']}{_way(told['direction'])}"


def _way(direction: str) -> str:
    return {"IN": ", going in", "OUT": ", going out"}.get(direction, "")


def _medium(told: Mapping[str, Any]) -> str:
    return f", {told['medium']}" if told["medium"] else ""


def _count(n: int, word: str) -> str:
    return f"{n or 'no'} {word}{'' if n == 1 else 's'}"


def _tag_words(tag: Mapping[str, Any]) -> str:
    secured = {True: "secured", False: "not secured", None: "security not known"}[tag["secured"]]
    words = [f"{tag['tech']} {tag['uid']}", secured]
    if tag["afi"] is not None:
        words.append(f"AFI {tag['afi']}")
    if "pii" in tag:
        owner = f" of {tag['owner']}" if tag["owner"] else ", no owner"
        words.append(f"{tag['kind'].replace('_', ' ')} {tag['pii']}{owner} ({tag['format']})")
        if "parts" in tag:
            words.append(f"part {tag['part']} of {tag['parts']}")
    else:
        words.append(f"{tag['kind']} ({tag['code']})")
    words += [f"divergence {one}" for one in tag.get("divergences", ())]
    return ", ".join(words)
