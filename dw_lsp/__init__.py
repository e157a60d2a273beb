"""Language server and warm GPU worker for diffusion workflow files."""

__version__ = "0.1.0"
