"""Pass phrases of shares: what is taken, and what is stored of it.

People choose them, so a digest must be slow: scrypt with 32 MiB. A hash is the algorithm, its parameters, the salt and
the key, so that later versions can change the parameters.
"""

import hashlib
import hmac
import unicodedata

LEAST, MOST = 8, 200
"""Characters."""
COST, BLOCK, PARALLEL, KEY_BYTES = 15, 8, 1, 32
"""Parameters of scrypt; the cost is the logarithm to the base 2."""
MEMORY = 64 * 1024 * 1024
SALT_BYTES = 16


def problem(text: str) -> str | None:
    """Returns what is wrong with a new pass phrase, without the pass phrase; None: nothing."""
    if not LEAST <= len(_normal(text)) <= MOST:
        return f"has {len(_normal(text))} characters; give {LEAST} to {MOST}"
    return None


def hashed(text: str, salt: bytes) -> str:
    """Returns what is stored of a pass phrase. Takes about 0.1 s and 32 MiB."""
    return f"scrypt${COST}${BLOCK}${PARALLEL}${salt.hex()}${_key(text, salt, COST, BLOCK, PARALLEL).hex()}"


def matches(text: str, stored: str) -> bool:
    """Returns whether a pass phrase is the one of a hash. Takes as long as `hashed`."""
    _, cost, block, parallel, salt, key = stored.split("$")
    found = _key(text, bytes.fromhex(salt), int(cost), int(block), int(parallel))
    return hmac.compare_digest(found, bytes.fromhex(key))


def _key(text: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    given = _normal(text).encode()
    return hashlib.scrypt(given, salt=salt, n=1 << cost, r=block, p=parallel, maxmem=MEMORY, dklen=KEY_BYTES)


def _normal(text: str) -> str:
    """Returns one spelling: keyboards differ in how they compose a letter with its accent."""
    return unicodedata.normalize("NFC", text)
