"""The language server: LSP on one side, analysis and supervisor on the other. Never imports torch."""
