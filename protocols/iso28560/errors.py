"""Why tag data cannot be read or built, by type and stable code."""

from collections.abc import Mapping

__all__ = ["BadTagCheck", "BlankTag", "LocalTagError", "TagError", "UnreadableTag"]


class TagError(ValueError):
    """The bytes on the tag are not what the format says; `code` is stable, `fields` say what was found."""

    code = "malformed"

    def __init__(self, message: str, **fields: str | bool) -> None:
        super().__init__(message)
        self.fields: Mapping[str, str | bool] = fields


class BadTagCheck(TagError):
    """The check value over the item's data is wrong: read again, and never guess an item from it."""

    code = "bad-crc"


class BlankTag(TagError):
    """Nothing was ever written to the tag, or it was wiped."""

    code = "blank"


class UnreadableTag(TagError):
    """No known format fits."""

    code = "unreadable"


class LocalTagError(ValueError):
    """We asked for data that the format cannot hold; never caused by a tag."""

    code = "bad-argument"
