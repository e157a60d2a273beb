"""What a workflow file means: its format, references, variables and identities. Knows nothing of what is installed."""
