"""Pure functions from a document to what an editor shows: findings, lenses. Knows neither LSP nor torch."""
