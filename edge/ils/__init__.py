"""A member's own ILS at its branch: asked, told, watched (domain §10)."""
