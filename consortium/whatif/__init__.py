"""What-if: recorded decisions made again under a draft agreement, and compared (docs/whatif.md)."""

from __future__ import annotations

from consortium.whatif.comparison import Counts, DueDates, WhatIf
from consortium.whatif.draft import Draft, DraftError, read_draft
from consortium.whatif.replay import KINDS, Step, replay, step_of

__all__ = ["KINDS", "Counts", "Draft", "DraftError", "DueDates", "Step", "WhatIf", "read_draft", "replay", "step_of"]
