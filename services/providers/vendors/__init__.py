"""The vendors, each in a file of its own. A new one is a file here, a line in VENDORS, and its simulator."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.providers.vendor import Vendor
from services.providers.vendor_client import VendorClient
from services.providers.vendors.fal import ERROR_TYPE, Fal
from services.providers.vendors.vendor_options import Options as Options
from services.providers.vendors.wavespeed import WaveSpeed


@dataclass(frozen=True, slots=True)
class Entry:
    """How to reach a vendor."""

    url: str
    """Of its API."""
    output_hosts: tuple[str, ...]
    """Hosts of its videos; see Destinations."""
    authorization: str
    """The scheme before the key."""
    open: Callable[[VendorClient, Options], Vendor]
    upload_hosts: tuple[str, ...] = ()
    """Hosts that take inputs, in addition to its API."""
    headers: tuple[str, ...] = ()
    """Headers of its answers that are used."""


VENDORS: Mapping[str, Entry] = {
    # Its own names, and the two distributions of CloudFront that its documentation and its users' outputs show.
    "wavespeed": Entry(
        "https://api.wavespeed.ai",
        ("*.wavespeed.ai", "d1q70pf5vjeyhc.cloudfront.net", "d11ewybssaphwx.cloudfront.net"),
        "Bearer",
        WaveSpeed,
    ),
    "fal": Entry(
        "https://queue.fal.run",
        ("fal.media", "*.fal.media"),
        "Key",
        Fal,
        ("rest.fal.ai", "*.fal.media"),
        (ERROR_TYPE,),
    ),
}
"""By the name that `python -m services.providers` takes."""
