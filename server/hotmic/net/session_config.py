"""The configuration that a client secret carries, for sessions of other dialects than the one it is written in."""

import msgspec
import structlog

from hotmic.commands import SessionOptions
from hotmic.dialects.openai_configuration import common_options
from hotmic.dialects.openai_message import decode_session
from hotmic.errors import HotmicError
from hotmic.net.control import Control, merge

log = structlog.get_logger(__name__)


def configure(options: SessionOptions, config: str, control: Control) -> tuple[SessionOptions, str]:
    """Return options with what a configuration adds, and a sentence on what of it cannot be had; empty for nothing.

    Args:
        options: What the session would start with.
        config: What came with the client secret, JSON; empty for nothing.
        control: Knows the models.
    """
    if not config:
        return options, ""
    try:
        said, lacking = common_options(decode_session(config))
    except HotmicError as error:
        return options, _told([error.message])
    try:
        if said.model and control.meant(said.model) not in ("", control.greeting().current_model):
            lacking.append("'model' can only be the one that serves")
    except HotmicError as error:
        lacking.append(error.message.rstrip("."))
    said = msgspec.structs.replace(said, model=None)
    try:
        control.check(said, chosen=options.model)
    except HotmicError as error:
        lacking.append(error.message.rstrip("."))
        said = msgspec.structs.replace(said, language=None)
    return merge(options, said), _told(lacking)


def _told(lacking: list[str]) -> str:
    if not lacking:
        return ""
    sentence = f"Not all that the client secret says of the session can be had here: {'; '.join(lacking)}."
    log.info(sentence)
    return sentence
