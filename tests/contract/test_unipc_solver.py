"""Each step of our solver against that of diffusers, on its grid of noise levels and on the authors'."""

import numpy as np
import pytest
import torch
from diffusers import UniPCMultistepScheduler

from tools.model_code import load

unipc = load("transformer", "unipc_solver")


def flowing(latents: torch.Tensor, timestep: float) -> torch.Tensor:
    """Stands in for a transformer: its output depends on both arguments, in a nonlinear way."""
    mixing = torch.randn(6, 6, generator=torch.Generator().manual_seed(8)).to(latents.dtype) / 2
    return torch.tanh(torch.einsum("ij,bjfhw->bifhw", mixing, latents)) + timestep / 1000 * latents


@pytest.mark.parametrize("grid", ["the authors'", "the library's"])
@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0])
@pytest.mark.parametrize("steps", [1, 2, 3, 20, 50])
def test_each_step_equals_the_librarys(grid: str, shift: float, steps: int) -> None:
    """In float64, which shows that nothing but rounding differs."""
    scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)
    if grid == "the authors'":  # before the shift, which the library applies to what it is given
        scheduler.set_timesteps(sigmas=np.linspace(np.float32(0.999), 0, steps + 1)[:-1])
    else:
        scheduler.set_timesteps(steps)
    given = unipc.Schedule(tuple(scheduler.sigmas.tolist()), tuple(scheduler.timesteps.tolist()))
    assert (given == unipc.schedule(steps, shift)) == (grid == "the authors'")
    scheduler.sigmas = scheduler.sigmas.double()
    wanted = torch.randn(1, 6, 2, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    made, solver = wanted.numpy(), unipc.UniPC(given.sigmas)
    for timestep in scheduler.timesteps:
        flow = flowing(torch.from_numpy(made), float(timestep)).numpy()
        made = solver.step(made, flow)
        wanted = scheduler.step(flowing(wanted, float(timestep)), timestep, wanted, return_dict=False)[0]
        assert np.abs(made - wanted.numpy()).max() < 1e-12
