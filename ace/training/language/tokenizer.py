"""A word-level tokenizer in GPT-2's convention: a token carries the space before it, decoding gives the text back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ace.errors import InputError

END = "<|endoftext|>"  # begins and ends every text, as in GPT-2's training data
UNKNOWN = "<|unknown|>"
SPACE = "Ġ"  # how byte-level tokenizers write a space


def word_tokenizer(words: Sequence[str], positions: int) -> Any:
    """A `PreTrainedTokenizerFast` with two tokens a word, with and without a space before it.

    Encoding puts the end-of-text token in front; special tokens are left out with `add_special_tokens=False`.

    Args:
        words: without spaces, letters or single marks; a mark such as "." has no form with a space.
        positions: longest sequence of the model it is for.

    Raises:
        InputError: no words, a word twice, or one with a space.
    """
    from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    if not words or len(set(words)) != len(words) or any(not word or " " in word for word in words):
        raise InputError(f"words: expected different words without spaces, got {list(words)[:5]}")
    forms = [UNKNOWN, END, *(form for word in words for form in ((SPACE + word, word) if word.isalpha() else (word,)))]
    tokenizer = Tokenizer(WordLevel({form: index for index, form in enumerate(forms)}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{END} $A", special_tokens=[(END, forms.index(END))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=UNKNOWN,
        bos_token=END,
        eos_token=END,
        model_max_length=positions,
        clean_up_tokenization_spaces=False,
    )
