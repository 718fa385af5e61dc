"""Trains the prompt's side: a vocabulary of pieces of words, then umT5's encoder as a reader of captions.

Every token's embedding must encode the motion that the whole caption requests, so that a transformer that attends
to any of them has that information.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import nn
from transformers import UMT5EncoderModel

from tools.nano.captions import caption, random_motion
from tools.nano.motion import KINDS

VOCABULARY = 1536
"""Tokens, those of single bytes among them, so that there is nothing that cannot be written."""

SPECIAL = ("<pad>", "</s>", "<unk>")
"""0 pads, 1 ends: as umT5 has it."""


def captions(seed: int, count: int) -> Iterator[str]:
    """Captions alone."""
    rng = np.random.default_rng(seed)
    return (caption(rng, random_motion(rng)) for _ in range(count))


def vocabulary(seed: int) -> Tokenizer:
    """Learns byte-pair pieces of lower-case words from captions."""
    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions(seed, 40_000), trainer)
    return tokenizer


def tokens(tokenizer: Tokenizer, texts: list[str], length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, (texts, length) each, ended and padded as the model `tokenizer` does."""
    ids, mask = torch.zeros(len(texts), length, dtype=torch.long), torch.zeros(len(texts), length, dtype=torch.long)
    for row, text in enumerate(texts):
        found = [*tokenizer.encode(text, add_special_tokens=False).ids[: length - 1], 1]
        ids[row, : len(found)] = torch.tensor(found)
        mask[row, : len(found)] = 1
    return ids, mask


class Reader(nn.Module):  # type: ignore[misc]
    """The encoder, and a head that is used in training alone."""

    def __init__(self, encoder: UMT5EncoderModel) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.d_model, len(KINDS))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, L) each -> amounts of every motion, as every token has it, (B, L, kinds)."""
        return self.head(self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state)


LOUD = 8.0
"""Size of the embeddings: a prompt is few tokens among much padding, and would have little effect at umT5's own 1."""


def made_loud(reader: Reader) -> None:
    """Makes the embeddings LOUD; what the head reads of them stays."""
    with torch.no_grad():
        reader.encoder.encoder.final_layer_norm.weight *= LOUD
        reader.head.weight /= LOUD


def misspelt(rng: np.random.Generator, text: str) -> str:
    """Some captions with a typing error."""
    if rng.random() > 0.1 or len(text) < 4:
        return text
    at = int(rng.integers(1, len(text) - 1))
    return text[:at] + text[at + 1 :] if rng.random() < 0.5 else text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def reading_loss(
    reader: Reader, tokenizer: Tokenizer, rng: np.random.Generator, count: int = 64
) -> Mapping[str, torch.Tensor]:
    """The difference between the motions read from the tokens and those that captions request."""
    motions = [random_motion(rng) for _ in range(count)]
    ids, mask = tokens(tokenizer, [misspelt(rng, caption(rng, each)) for each in motions], 64)
    longest = int(mask.sum(1).max())
    predicted = reader(ids[:, :longest], mask[:, :longest])
    wanted = torch.tensor([each.motion.numbers() for each in motions]).unsqueeze(1).expand_as(predicted)
    each = nn.functional.smooth_l1_loss(predicted, wanted, reduction="none", beta=0.3).sum(2)
    here = mask[:, :longest]
    return {"loss": (each * here).sum() / here.sum(), "right": right(predicted, wanted, here).detach()}


def right(predicted: torch.Tensor, wanted: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The share of captions whose every motion the mean token gives to within a quarter of the usual pace."""
    mean = (predicted * mask.unsqueeze(2)).sum(1) / mask.sum(1, keepdim=True)
    return ((mean - wanted[:, 0]).abs().amax(1) < 0.25).float().mean()


def saved(tokenizer: Tokenizer, folder: Path) -> Path:
    """Writes tokenizer.json."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"
