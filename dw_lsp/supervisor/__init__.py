"""Owns the worker process and the runs. Knows neither LSP nor what a workflow is."""
