"""A stand-in for Triton's native `onnxruntime` backend, where there is none: a Python-based backend.

Serves any model whose config says `backend: "onnxruntime"` from its `<version>/model.onnx`, with the same inputs and
outputs and the parameter `intra_op_thread_count`, so that one repository runs here and in NVIDIA's container.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

NO_MEMORY = ("Failed to allocate memory", "out of memory")
"""What ONNX Runtime and CUDA report then."""


class TritonPythonModel:
    """Inputs and outputs are those of the graph, as the model's config.pbtxt names them.

    Errors: INVALID_ARG for inputs that the graph does not take; INTERNAL, its text beginning with OUT_OF_MEMORY, when
    there was no memory for them. They concern their own request only.
    """

    def initialize(self, args: dict[str, Any]) -> None:
        """Loads the graph and runs it once."""
        config = json.loads(args["model_config"])
        options = onnxruntime.SessionOptions()
        threads = config["parameters"].get("intra_op_thread_count", {"string_value": "0"})
        options.intra_op_num_threads = int(threads["string_value"])
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        file = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        providers: list[Any] = ["CPUExecutionProvider"]
        if args["model_instance_kind"] == "GPU":
            if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
                raise RuntimeError("it is to run on a GPU, and this ONNX Runtime has none: install onnxruntime-gpu")
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": args["model_instance_device_id"]}))
        self.session = onnxruntime.InferenceSession(str(file), options, providers=providers)
        self.outputs = [each["name"] for each in config["output"]]
        self.warm_up()

    def warm_up(self) -> None:
        """Runs the graph once on zeros, with 32 for each free size."""
        kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
        inputs = {
            each.name: np.zeros([size if isinstance(size, int) else 32 for size in each.shape], kinds[each.type])
            for each in self.session.get_inputs()
        }
        self.session.run(self.outputs, inputs)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answers each request by itself."""
        return [self.answer(request) for request in requests]

    def answer(self, request: Any) -> Any:
        """The outputs of one request, or its error."""
        inputs = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        try:
            made = self.session.run(self.outputs, inputs)
        except Exception as refused:  # the boundary of one request: others must go on
            starved = isinstance(refused, MemoryError) or any(word in str(refused) for word in NO_MEMORY)
            kind = pb_utils.TritonError.INTERNAL if starved else pb_utils.TritonError.INVALID_ARG
            error = pb_utils.TritonError(f"OUT_OF_MEMORY: {refused}" if starved else str(refused), kind)
            return pb_utils.InferenceResponse(output_tensors=[], error=error)
        pairs = zip(self.outputs, made, strict=True)
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in pairs])
