"""Recipe of the bundled model ``demo-en``: data, training, export and evaluation in one command.

The model is a small Whisper-layout network of our own over a closed vocabulary. The recipe reads as a pipeline:
``grammar`` (what is said) -> ``voices`` and ``people`` (who says it) -> ``augment`` (where) -> ``corpus`` (shards of
features) -> ``network`` and ``train`` -> ``export`` -> ``evaluate``. ``README.md`` beside this file has the commands.
"""
