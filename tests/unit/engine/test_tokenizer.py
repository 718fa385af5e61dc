"""Prompts to tokens without Triton: bytes, and a vocabulary in the form in which umT5's is published."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from tools.model_code import load

code = load("tokenizer", "tokenize_prompt")


def by_bytes(folder: Path, length: int = 8) -> Any:
    (folder / "settings.json").write_text(json.dumps({"tokenizer": "bytes", "length": length}))
    return code.PromptTokenizer(folder)


@pytest.fixture
def umt5(tmp_path: Path) -> Any:
    """A vocabulary of few pieces, with all that a published tokenizer.json does by itself: pad, cut off, end."""
    pieces = [
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", 0.0),
        *((f"▁{word}", -1.0) for word in ("a", "cat", "&", "dog’s")),
    ]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.enable_padding(length=30)
    tokenizer.enable_truncation(max_length=4)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "settings.json").write_text(json.dumps({"tokenizer": "file", "length": 6}))
    return code.PromptTokenizer(tmp_path)


def test_bytes_are_counted_from_3_and_end_with_1(tmp_path: Path) -> None:
    ids, mask = by_bytes(tmp_path)("ab")
    assert (ids.tolist(), mask.tolist()) == ([[100, 101, 1, 0, 0, 0, 0, 0]], [[1, 1, 1, 0, 0, 0, 0, 0]])


def test_a_long_prompt_is_cut_before_the_end_token(tmp_path: Path) -> None:
    ids, mask = by_bytes(tmp_path, length=4)("abcdef")
    assert (ids.tolist(), mask.tolist()) == ([[100, 101, 102, 1]], [[1, 1, 1, 1]])


def test_an_empty_prompt_is_only_the_end_token(tmp_path: Path) -> None:
    ids, mask = by_bytes(tmp_path, length=3)("")
    assert (ids.tolist(), mask.tolist()) == ([[1, 0, 0]], [[1, 0, 0]])


def test_a_published_vocabulary_gets_our_padding_and_end_token(umt5: Any) -> None:
    ids, mask = umt5("a cat")
    assert (ids.tolist(), mask.tolist()) == ([[3, 4, 1, 0, 0, 0]], [[1, 1, 1, 0, 0, 0]])
    ids, mask = umt5("a cat a cat a cat a cat")
    assert (ids.tolist(), mask.tolist()) == ([[3, 4, 3, 4, 3, 1]], [[1] * 6])


def test_a_prompt_is_cleaned_as_wan_cleans_it(umt5: Any) -> None:
    """Entities are decoded twice, broken text repaired, quotes made straight, white space made single."""
    assert code.cleaned("  a \n\t cat &amp;amp; ") == "a cat &"
    assert umt5(" a \n cat &amp;amp;")[0].tolist() == umt5("a cat &")[0].tolist()
    assert umt5("a catâ€™s")[0].tolist() == umt5("a cat's")[0].tolist()
