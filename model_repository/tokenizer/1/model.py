"""Triton's side of the tokenizer."""

from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils
from tokenize_prompt import PromptTokenizer


class TritonPythonModel:
    """Cuts prompts into tokens.

    Input:
        prompt          BYTES (1,)    UTF-8
    Outputs:
        input_ids       INT64 (1, L)  padded with 0, or cut off, to the length that text_encoder takes; ends with 1
        attention_mask  INT64 (1, L)  1 for tokens, 0 for padding
    Errors: INVALID_ARG for a prompt that is not one string of UTF-8. They concern their own request only.
    """

    def initialize(self, args: dict[str, Any]) -> None:
        self.tokenizer = PromptTokenizer(Path(args["model_repository"]) / args["model_version"])
        self.tokenizer("warm up")

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self.answer(request) for request in requests]

    def answer(self, request: Any) -> Any:
        prompt = pb_utils.get_input_tensor_by_name(request, "prompt").as_numpy()
        try:
            ids, mask = self.tokenizer(prompt.item().decode())
        except ValueError as bad:
            error = pb_utils.TritonError(f"prompt: {bad}", pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse(output_tensors=[], error=error)
        return pb_utils.InferenceResponse([pb_utils.Tensor("input_ids", ids), pb_utils.Tensor("attention_mask", mask)])
