"""What a tag says, in one form for all formats, and the AFI pair that says whether it is secured."""

from dataclasses import dataclass, field
from typing import Literal

from protocols.iso28560.errors import LocalTagError

__all__ = [
    "DEFAULT_AFI",
    "DISCARDED",
    "EQUIPMENT",
    "LIBRARY_AFIS",
    "READER_CARD",
    "AfiPair",
    "AfiState",
    "TagContent",
    "TagFormat",
]

TagFormat = Literal["28560-2", "28560-3", "28560-4", "gaoxiao", "3m"]
AfiState = Literal["secured", "on_loan", "foreign"]

DISCARDED = 7
"""Type of usage of an item that was discarded."""

READER_CARD = 8
"""Type of usage of a reader's card; such a tag is no item."""

EQUIPMENT = 9
"""Type of usage of the library's own equipment (a trolley, a shelf end); no item either."""

LIBRARY_AFIS = frozenset({0x00, 0x07, 0xC2, 0xD7, 0xDA, 0x21})
"""AFIs seen on library items: not set, ISO 28560's two, 3M's two, and the unsecured one of some Danish-model software."""


@dataclass(frozen=True, slots=True)
class AfiPair:
    """The two AFIs of a site: `secured` = in stock, the gate alarms; `on_loan` = it stays quiet. Default 07 and C2.

    Other pairs in use: 3M D7/DA; some Danish-model software writes 21 as unsecured.
    """

    secured: int = 0x07
    on_loan: int = 0xC2

    def __post_init__(self) -> None:
        if not (0 <= self.secured <= 0xFF and 0 <= self.on_loan <= 0xFF) or self.secured == self.on_loan:
            raise LocalTagError("an AFI pair is two different bytes")

    def state(self, afi: int) -> AfiState:
        """Return what `afi` means here; `foreign` = neither of the pair."""
        return "secured" if afi == self.secured else "on_loan" if afi == self.on_loan else "foreign"

    def of(self, secured: bool) -> int:
        """Return the AFI that says `secured`."""
        return self.secured if secured else self.on_loan


DEFAULT_AFI = AfiPair()
"""The pair that a site has until it says otherwise."""


@dataclass(frozen=True, slots=True)
class TagContent:
    """What a tag says about what carries it.

    `owner` is the owner institution as written (may be empty: the site decides whose it is). `usage` is the type of usage of
    ISO 28560-1 (0 acquisition, 1 circulating, 2 not circulating, 7 discarded, 8 reader card, 9 equipment) or None where the tag has
    none. `parts`, `part`: number of pieces of the item and which one this is. `divergences` name each way in which the tag departs
    from its standard.

    `elements` are the further elements as (OID of ISO 28560-1, value), ascending: text, or upper-case hex for elements of octets (19,
    the media of part 3). `own` are facts that only this format can say, as (name, text), sorted: gaoxiao `sort`, `version`,
    `temporary_location`, `subject`, `isbn`, `category`, `state`; 3M `type` and `custom`, which are numbers; part 3 `block_<id>` in hex;
    28560-2 and -4 `usage` in hex and `set` as written where they say more than the fields here.
    """

    format: TagFormat
    pii: str
    owner: str
    usage: int | None = 1
    parts: int = 1
    part: int = 1
    divergences: tuple[str, ...] = field(default=())
    afi: int | None = None
    uid: str | None = None
    elements: tuple[tuple[int, str], ...] = ()
    own: tuple[tuple[str, str], ...] = ()
    shelf_label: bool = False

    @property
    def is_reader_card(self) -> bool:
        """Whether this is a reader's card and not an item."""
        return self.usage == READER_CARD

    @property
    def is_equipment(self) -> bool:
        """Whether this is the library's equipment and not an item."""
        return self.usage == EQUIPMENT

    def element(self, oid: int) -> str:
        """Return the value of a further element, empty where the tag has none."""
        return dict(self.elements).get(oid, "")
