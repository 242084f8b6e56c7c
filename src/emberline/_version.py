"""The version of Emberline."""

__version__ = "0.1.0"
