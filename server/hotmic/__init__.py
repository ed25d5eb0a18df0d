"""hotmic: a real-time speech-to-text daemon whose models can be swapped while people speak."""

import os

# onnxruntime (1.31 does) gathers events for its makers and sends them, from C++ and out of Python's sight.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.1.0"
