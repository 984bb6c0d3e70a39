"""Coverage-guided fuzzing of the protocols (``python -m tests.fuzz.run``), and the replay of its corpus as an ordinary test."""
