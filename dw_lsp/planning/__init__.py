"""What a run would do, as a value, before it does it. Knows no process and no torch."""
