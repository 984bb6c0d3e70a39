"""Coverage-guided fuzzing of SIP2 (``python -m tests.fuzz.run``), and the replay of its corpus as an ordinary test."""
