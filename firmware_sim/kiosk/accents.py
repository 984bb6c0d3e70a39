"""How kiosks in the field deviate from the standard's letter, by name.

They are dialects that were seen, claimed of no vendor but the standard's own. An accent turns a request as
`protocols.sip2.requests` has it into the text that such a kiosk sends; the server is to understand all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from protocols.sip2 import Outgoing

__all__ = ["ACCENTS", "Accent", "accent_of"]

_BLANK_DATE = " " * 18
_AM_WIDTH = 40


@dataclass(frozen=True, slots=True)
class Accent:
    """One way of speaking. ``terminator`` ends what is sent (any is understood), ``error_detection`` adds AY and AZ.

    ``version`` stands in the 99. ``blank_dates``: 18 blanks for dates of loans and returns. ``without``: fields that are
    never sent, even where the standard requires them. ``final_bar`` ends the last field. ``strays``: what buggy kiosks
    add, such as ``001`` before the date of a 17, a bar after the fixed part, a renew-all without its date.
    ``code_points``: AZ is counted over characters. ``pieces``: a message goes out in so many segments, cut anywhere.
    """

    name: str
    encoding: str = "utf-8"
    terminator: bytes = b"\r"
    error_detection: bool = True
    version: str = "2.00"
    blank_dates: bool = False
    without: frozenset[str] = frozenset()
    final_bar: bool = True
    strays: bool = False
    code_points: bool = False
    pieces: int = 1

    def text(self, out: Outgoing) -> str:
        """The request as this kiosk writes it, without AY, AZ and terminator."""
        fixed = dict(out.fixed)
        if out.code == "99":
            fixed["protocol_version"] = self.version
            fixed["max_print_width"] = (
                f"{int(fixed['max_print_width']):3d}" if self.strays else fixed["max_print_width"]
            )
        if self.blank_dates:
            fixed |= {name: _BLANK_DATE for name in ("nb_due_date", "return_date") if name in fixed}
        if self.strays and out.code == "65":
            fixed = {}
        if self.strays and out.code == "17":
            fixed = {"stray": "001", **fixed}
        words = [name + self._value(name, value) for name, value in out.fields if name not in self.without]
        bar = "|" if self.strays and out.code in ("23", "63") else ""
        body = f"{out.code}{''.join(fixed.values())}{bar}{'|'.join(words)}"
        return f"{body}|" if words and self.final_bar else body

    def _value(self, name: str, value: str) -> str:
        if not self.strays:
            return value
        if name in ("BP", "BQ"):
            return value.rjust(5, "0")
        return value.ljust(_AM_WIDTH) if name == "AP" else value

    def sealed(self, text: str, sequence: int) -> str:
        """The text with AY and AZ over code points, for the kiosk that counts so; else as it is, for the session to seal."""
        if not (self.code_points and self.error_detection):
            return text
        body = f"{text}AY{sequence}AZ"
        return f"{body}{-sum(map(ord, body)) & 0xFFFF:04X}"


_ALL = (
    Accent("plain"),
    Accent("3m", encoding="cp850"),
    Accent("crlf", terminator=b"\r\n", blank_dates=True),
    Accent("lf-gb18030", terminator=b"\n", encoding="gb18030"),
    Accent("gbk-noaz", encoding="gbk", error_detection=False, without=frozenset({"AC"})),
    Accent(
        "old-1.00", encoding="latin-1", version="1.00", error_detection=False, final_bar=False, blank_dates=True,
        without=frozenset({"AC", "AO"}),
    ),
    Accent("stray", strays=True),
    Accent("code-points", code_points=True),
    Accent("split", pieces=4, terminator=b"\r\n"),
)  # fmt: skip

ACCENTS: dict[str, Accent] = {accent.name: accent for accent in _ALL}
"""The accents by name. ``3m`` is the standard as its publisher wrote it, with the encoding that it has by default."""


def accent_of(name: str, *, encoding: str | None = None, terminator: bytes | None = None) -> Accent:
    """An accent by name, changed where more is given. Raises ValueError naming those there are."""
    if name not in ACCENTS:
        raise ValueError(f"no accent {name!r}; there are {', '.join(ACCENTS)}")
    found = ACCENTS[name]
    if encoding is not None:
        "".encode(encoding)
        found = replace(found, encoding=encoding)
    return found if terminator is None else replace(found, terminator=terminator)
