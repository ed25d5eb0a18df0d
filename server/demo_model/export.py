"""Export: checkpoint -> Hugging Face directory -> int8 CTranslate2 directory, plus word list and phrases to try.

transformers is needed here only. ``<|endoftext|>`` is not suppressed at the beginning, so that the model can answer
"nothing was said" at once.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from ctranslate2.converters import TransformersConverter
from torch import Tensor

from demo_model import grammar
from demo_model.network import MAX_SOURCE_POSITIONS, MAX_TARGET_POSITIONS, Shape
from demo_model.tokenizer import LANGUAGES, Tokens
from demo_model.train import ALIGNMENT_HEAD

CHUNK_SECONDS = 10
_FILES = ("model.bin", "config.json", "vocabulary.json", "tokenizer.json", "preprocessor_config.json")


def read_checkpoint(path: Path) -> tuple[Shape, dict[str, Tensor]]:
    """Return the shape and the parameters of a checkpoint: averaged ones once there are any."""
    saved = torch.load(path, map_location="cpu", weights_only=True)
    state = saved["average"] or saved["state"]
    return Shape(**saved["shape"]), {name: value for name, value in state.items() if name.startswith("model.")}


def write_transformers(folder: Path, shape: Shape, state: dict[str, Tensor], tokens: Tokens) -> None:
    """Write the model as a Hugging Face Whisper directory."""
    import transformers

    hub: Any = transformers
    end, blank = tokens.special("endoftext"), tokens.id("Ġ")
    ends = {"pad_token_id": end, "bos_token_id": end, "eos_token_id": end}
    start = tokens.special("startoftranscript")
    config = hub.WhisperConfig(
        vocab_size=shape.vocabulary,
        num_mel_bins=shape.mels,
        d_model=shape.width,
        encoder_layers=shape.encoder_layers,
        encoder_attention_heads=shape.heads,
        encoder_ffn_dim=shape.inner,
        decoder_layers=shape.decoder_layers,
        decoder_attention_heads=shape.heads,
        decoder_ffn_dim=shape.inner,
        max_source_positions=MAX_SOURCE_POSITIONS,
        max_target_positions=MAX_TARGET_POSITIONS,
        decoder_start_token_id=start,
        suppress_tokens=[],
        begin_suppress_tokens=[blank],
        **ends,
    )
    model = hub.WhisperForConditionalGeneration(config)
    missing, unexpected = model.load_state_dict(state, strict=False)
    untrained = {"model.encoder.embed_positions.weight", "proj_out.weight"}
    assert not unexpected, unexpected
    assert set(missing) <= untrained, missing
    generation = hub.GenerationConfig(decoder_start_token_id=start, max_length=MAX_TARGET_POSITIONS, **ends)
    generation.suppress_tokens = []
    generation.begin_suppress_tokens = [blank]
    generation.alignment_heads = [[shape.decoder_layers - 1, ALIGNMENT_HEAD]]
    generation.lang_to_id = {f"<|{code}|>": tokens.special(code) for code in LANGUAGES}
    generation.task_to_id = {task: tokens.special(task) for task in ("transcribe", "translate")}
    generation.no_timestamps_token_id = tokens.special("notimestamps")
    generation.is_multilingual = True
    model.generation_config = generation
    model.save_pretrained(folder)
    fast = hub.PreTrainedTokenizerFast(
        tokenizer_file=str(tokens.path), eos_token="<|endoftext|>", bos_token="<|endoftext|>", unk_token="<|endoftext|>"
    )
    fast.save_pretrained(folder)
    shutil.copy(tokens.path, folder / "tokenizer.json")
    hub.WhisperFeatureExtractor(feature_size=shape.mels, chunk_length=CHUNK_SECONDS).save_pretrained(folder)


def export(shape: Shape, state: dict[str, Tensor], tokens: Tokens, target: Path, *, quantization: str = "int8") -> None:
    """Write the CTranslate2 directory ``target``; other files in it, such as the model card, stay."""
    with tempfile.TemporaryDirectory() as folder:
        transformers, converted = Path(folder) / "transformers", Path(folder) / "converted"
        transformers.mkdir()
        write_transformers(transformers, shape, state, tokens)
        converter = TransformersConverter(str(transformers), copy_files=["tokenizer.json", "preprocessor_config.json"])
        converter.convert(str(converted), quantization=quantization)
        target.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            shutil.copyfile(converted / name, target / name)
    (target / "words.txt").write_text("\n".join(grammar.vocabulary()) + "\n")
    (target / "phrases.txt").write_text("\n".join(grammar.PHRASES_TO_TRY) + "\n")
