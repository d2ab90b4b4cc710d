"""What was measured, as tables and sentences: in the terminal, and as text that other programs read."""
