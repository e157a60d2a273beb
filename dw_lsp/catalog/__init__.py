"""What is on this machine: models and packages, read without importing them. Knows nothing of workflows."""
