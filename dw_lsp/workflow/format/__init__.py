"""The workflow format as data: one table for each object. Both dialects, as their union."""
