"""A made-up vocabulary in the layout of multilingual Whisper: the same numbers of tokens in the same order.

Bytes first, then syllables and words of two and three syllables as merges of byte-pair encoding, the empty entry that
makes CTranslate2 call a model multilingual, then Whisper's special tokens and timestamps.
"""

import itertools
import json
from typing import Any

_CODES = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi ml "
    "cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd gu am "
    "yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue"
)
LANGUAGES = tuple(_CODES.split())
"""Whisper's languages in the order of their tokens; models before large-v3 lack the last."""

TEXT_TOKENS = 50_257
"""Entries before ``<|endoftext|>``, the empty one the last of them."""
TIMESTAMPS = 1501
SPOKEN = 104
"""Words in the chain that a stub says."""

_CONSONANTS, _VOWELS = "bdfghjklmnprstvwyz", "aeiou"


class Lexicon:
    """The tokens of a made-up model.

    Args:
        languages: How many of ``LANGUAGES`` it has.
    """

    def __init__(self, languages: int) -> None:
        self.languages = LANGUAGES[:languages]
        self.text, self.merges = _text_tokens()
        names = ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")
        self.special = [
            "<|endoftext|>",
            "<|startoftranscript|>",
            *(f"<|{code}|>" for code in (*self.languages, *names)),
        ]
        self.tokens = [*self.text, *self.special, *(f"<|{step * 0.02:.2f}|>" for step in range(TIMESTAMPS))]
        self._ids = {token: number for number, token in enumerate(self.tokens)}
        whole = [number for number, token in enumerate(self.text) if token.startswith("Ġ") and len(token) == 5]
        step = len(whole) // SPOKEN
        self.spoken, self.variants = whole[7::step][:SPOKEN], whole[7 + step // 2 :: step][:SPOKEN]
        """The words a stub says, one after the other, and what it might say instead; each is one token."""

    def __len__(self) -> int:
        return len(self.tokens)

    def id(self, token: str) -> int:
        """Return the number of a token."""
        return self._ids[token]

    def tokenizer(self) -> str:
        """Return ``tokenizer.json``."""
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        added = [
            {"id": self._ids[token], "content": token, "special": number < len(self.special), **flags}
            for number, token in enumerate(self.tokens[TEXT_TOKENS:])
        ]
        bytewise = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
        body: dict[str, Any] = {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            "normalizer": None,
            "pre_tokenizer": bytewise,
            "post_processor": None,
            "decoder": bytewise,
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "vocab": {token: number for number, token in enumerate(self.text)},
                "merges": [f"{left} {right}" for left, right in self.merges],
            },
        }
        return json.dumps(body, ensure_ascii=False)


def _bytes() -> list[str]:
    # How byte-level encoding writes the 256 bytes (Radford et al. 2019): those that cannot be seen come after the rest.
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    unseen = [byte for byte in range(256) if byte not in seen]
    return [chr(byte) for byte in seen] + [chr(256 + place) for place in range(len(unseen))]


def _text_tokens() -> tuple[list[str], list[tuple[str, str]]]:
    letters = _bytes()
    syllables = [consonant + vowel for consonant, vowel in itertools.product(_CONSONANTS, _VOWELS)]
    merges = [(syllable[0], syllable[1]) for syllable in syllables]
    merges += [("Ġ", syllable) for syllable in syllables]
    merges += [(f"Ġ{first}", second) for first, second in itertools.product(syllables, repeat=2)]
    longer = ((f"Ġ{a}{b}", c) for a, b, c in itertools.product(syllables, repeat=3))
    merges += itertools.islice(longer, TEXT_TOKENS - 1 - len(letters) - len(merges))
    return [*letters, *(left + right for left, right in merges), ""], merges
