"""hotmic: a real-time speech-to-text daemon whose models can be swapped while people speak."""

__version__ = "0.1.0"
