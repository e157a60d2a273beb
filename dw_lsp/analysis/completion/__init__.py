"""Completion: what may stand at the cursor, as items that leave the document sound when they are accepted."""
