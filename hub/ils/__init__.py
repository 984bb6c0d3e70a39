"""Members with an ILS of their own, seen from the hub: where each can be asked, what it says, what it has to book (domain §10)."""
