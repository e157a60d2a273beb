"""The task commands: one function, one command, Pillow only. Knows images and texts, not steps or pipelines."""
