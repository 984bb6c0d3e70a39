"""Whether an owner code is an ISIL (ISO 15511): it then says which library it is, and a member's it would be known to be."""

from __future__ import annotations

import re

__all__ = ["looks_like_isil"]

_CODES = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG "
    "CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL "
    "GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA "
    "LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP "
    "NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV "
    "SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW"
)
_COUNTRIES = frozenset(_CODES.split())
"""ISO 3166-1 alpha-2."""

_OTHERS = frozenset({"EUR", "GTB", "O", "OCLC", "ZDB"})
"""Prefixes of ISIL that are no country's."""

_WITH_HYPHEN = re.compile(r"([A-Z]{1,4})-[A-Z0-9:/-]{1,11}")
_WITHOUT = re.compile(r"([A-Z]{2})[0-9][A-Z0-9:/-]{0,11}")
"""ISO 28560-3 drops the hyphen. A local word may begin with the same two letters, so a digit has to follow them."""


def looks_like_isil(code: str) -> bool:
    """Whether a code on a tag is some library's ISIL, with its hyphen or without; an empty one is none."""
    plain = code.strip().upper()
    found = _WITH_HYPHEN.fullmatch(plain)
    if found is not None:
        return found[1] in _COUNTRIES or found[1] in _OTHERS
    found = _WITHOUT.fullmatch(plain)
    return found is not None and found[1] in _COUNTRIES
