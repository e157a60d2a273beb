"""A JSON document with comments as text: tokens, tree, positions, edits. Knows nothing of workflows or editors."""
