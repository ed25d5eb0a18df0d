"""What a decoder says when nothing was said: text that is taken out again.

Pure functions of one hypothesis. The causes are those known of Whisper: training on subtitles (thanks for watching),
repetition loops, and text on noise (Koenecke et al., "Careless Whisper", FAccT 2024).
"""

import re
import unicodedata
from collections.abc import Sequence

from hotmic.config.model import Guards
from hotmic.values import Guard, Value

NO_SPEECH = 0.6
"""A no-speech probability above this is believed when the text is unlikely too (Radford et al. 2022, section 4.5)."""
UNLIKELY = -1.0
"""Average log probability below which a text is unlikely."""
DOUBTFUL = 0.5
"""A VAD confidence below this is doubt."""
LOOP_TOKENS = 12
"""A repeated run shorter than this may have been said."""
LOOP_TIMES = 4
LOOP_PERIOD = 16
"""Longest repeated unit that is looked for, in tokens."""
TOKEN_LETTERS = 64
"""Letters that a token stands for at most; no more on average than Whisper's longest ones have."""
SPARSE_LANGUAGES = frozenset({"en", "de", "fr", "es", "it", "pt", "nl", "sv", "da", "no", "id", "ms", "ca", "gl"})
"""Languages of which Whisper's vocabulary holds whole words; others cost up to three tokens a letter."""

KNOWN_PHRASES = frozenset(
    {
        "you",
        "bye",
        "bye bye",
        "thank you",
        "thanks",
        "thank you very much",
        "thank you so much",
        "thanks for watching",
        "thank you for watching",
        "thank you so much for watching",
        "please subscribe",
        "please subscribe to my channel",
        "like and subscribe",
        "see you next time",
        "see you in the next video",
        "subtitles by the amara org community",
        "transcription by castingwords",
        "ขอบคุณ",
        "ขอบคุณครับ",
        "ขอบคุณค่ะ",
        "ขอบคุณที่รับชม",
        "ขอบคุณที่รับชมครับ",
        "ขอบคุณที่รับชมค่ะ",
        "โปรดติดตามตอนต่อไป",
        "สวัสดี",
        "धन्यवाद",
        "gracias",
        "gracias por ver el video",
        "merci",
        "merci d avoir regardé cette vidéo",
        "sous titres réalisés para la communauté d amara org",
        "untertitel der amara org community",
        "untertitel im auftrag des zdf für funk 2017",
        "vielen dank",
        "vielen dank fürs zuschauen",
        "ご視聴ありがとうございました",
        "感谢观看",
        "谢谢观看",
        "请不吝点赞 订阅 转发 打赏支持明镜与点点栏目",
        "시청해주셔서 감사합니다",
        "продолжение следует",
        "спасибо за просмотр",
    }
)
"""What models write over silence and noise, folded by ``fold``; only believed to be such when the VAD is in doubt."""


class Hypothesis(Value, frozen=True, kw_only=True):
    """What the guards look at."""

    tokens: tuple[int, ...]
    text: str
    seconds: float
    """Length of the audio."""
    language: str
    no_speech_probability: float
    average_logprob: float
    speech_probability: float
    """The VAD's opinion."""
    no_speech_threshold: float = 1.0
    """A no-speech probability above this needs no second witness; models differ in how well they know silence."""
    guards: Guards = Guards()
    """Which guards are on."""
    language_probability: float = 1.0


def judge(hypothesis: Hypothesis) -> Guard:
    """Return the first guard that objects, or an empty string."""
    guards = hypothesis.guards
    if not hypothesis.text:
        return ""
    if guards.no_speech and is_silence(hypothesis):
        return "no_speech"
    if guards.loop and is_loop(hypothesis.tokens):
        return "loop"
    if guards.token_rate and is_torrent(hypothesis):
        return "token_rate"
    if guards.known_phrase and is_known_phrase(hypothesis):
        return "known_phrase"
    return ""


def is_silence(hypothesis: Hypothesis) -> bool:
    """Return whether the model itself doubts that anything was said; a doubting VAD is a second witness."""
    if hypothesis.no_speech_probability > hypothesis.no_speech_threshold:
        return True
    if hypothesis.no_speech_probability <= NO_SPEECH:
        return False
    return hypothesis.average_logprob < UNLIKELY or hypothesis.speech_probability < DOUBTFUL


def is_loop(tokens: Sequence[int]) -> bool:
    """Return whether the text holds a run of one unit, again and again, longer than people repeat themselves.

    >>> is_loop([5, 6, 7] * 4), is_loop([5] * 6)
    (True, False)
    """
    for period in range(1, min(LOOP_PERIOD, len(tokens) // LOOP_TIMES) + 1):
        equal = 0
        for position in range(period, len(tokens)):
            equal = equal + 1 if tokens[position] == tokens[position - period] else 0
            if equal + period >= max(LOOP_TOKENS, LOOP_TIMES * period):
                return True
    return False


def is_torrent(hypothesis: Hypothesis) -> bool:
    """Return whether there are more tokens than can be spoken in the time, or more letters than so many tokens have."""
    limit = token_limit(hypothesis.seconds, dense=is_dense(hypothesis.language))
    return len(hypothesis.tokens) > limit or len(hypothesis.text) > limit * TOKEN_LETTERS


def is_known_phrase(hypothesis: Hypothesis) -> bool:
    """Return whether a doubtful sound became what models write over silence."""
    return hypothesis.speech_probability < DOUBTFUL and fold(hypothesis.text) in KNOWN_PHRASES


def token_limit(seconds: float, *, dense: bool) -> int:
    """Return how many tokens can be spoken in a time, generously: twice the fastest speech."""
    return round(16 + seconds * (40 if dense else 14))


def is_dense(language: str) -> bool:
    """Return whether a language needs many tokens a second."""
    return language not in SPARSE_LANGUAGES


def fold(text: str) -> str:
    """Return a text without case, punctuation and doubled spaces.

    >>> fold(" Thank you!")
    'thank you'
    """
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in unicodedata.normalize("NFC", text))
    return re.sub(r"\s+", " ", kept).strip().casefold()
