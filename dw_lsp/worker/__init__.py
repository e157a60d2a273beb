"""The process that has the models. Knows no editor; needs the standard library and the torch stack only."""
