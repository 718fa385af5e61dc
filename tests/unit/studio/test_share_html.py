"""What the page of a share says of a file."""

import pytest
from i2v.v1 import shared_pb2

from services.studio import share_html


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [(1, "1 kB"), (999, "1 kB"), (24_429, "24 kB"), (999_999, "1.0 MB"), (12_345_678, "12.3 MB")],
)
def test_a_size_is_shown_so_that_it_is_never_zero(size_bytes: int, shown: str) -> None:
    asset = shared_pb2.SharedAsset(name=f"assets/{'0' * 64}", media_type="video/mp4", size_bytes=size_bytes)
    assert f"video/mp4, {shown}</span>" in share_html.asset("share.x", asset)
