"""A 64-bit hash of what the model sees of a row: rows with equal inputs have equal hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.coercion import is_numeric, to_categories
from core.data.types import ColumnRoles

# Not pandas.util.hash_pandas_object: it hashes a cell by its type (1, 1.0 and "1" differ), can't hash lists and arrays,
# and other numbers would put the rows of every data set without a unit into other splits than in runs written before.

_FIRST_BYTES = 1 << 16


def row_keys(frame: pd.DataFrame, columns: Sequence[str]) -> NDArray[np.uint64]:
    """Return a key for each row; rows with equal values in all columns have equal keys. Shape (N,).

    Texts are compared without regard to white space, images by their first 64 KiB and size, signals by value.
    Missing equals missing. The key does not depend on row order or on other rows.

    >>> frame = pd.DataFrame({"a": [1, 1, 2], "note": ["so  it is", "so it is", "so it is"]})
    >>> first, second, third = row_keys(frame, ["a", "note"])
    >>> bool(first == second), bool(first == third)
    (True, False)
    """
    keys = np.zeros(len(frame), np.uint64)
    for column in columns:
        keys = _mixed(keys, _keys(frame[column]))
    return keys


def input_keys(frame: pd.DataFrame, roles: ColumnRoles) -> NDArray[np.uint64]:
    """Return a key of each row's inputs. Shape (N,)."""
    return row_keys(frame, roles.inputs())


def seeded_hash(values: Sequence[object] | NDArray[Any], seed: int) -> NDArray[np.uint64]:
    """Return a pseudo-random number for each value, a function of the seed and the value alone. Shape (N,)."""
    salt = f"{seed}\x1f".encode()
    codes, uniques = pd.factorize(np.asarray(values), use_na_sentinel=False)
    digests = [hashlib.blake2b(salt + str(v).encode(), digest_size=8).digest() for v in uniques]
    return np.frombuffer(b"".join(digests), dtype=np.uint64)[codes]


def _mixed(keys: NDArray[np.uint64], more: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Combine keys so that order matters (the finalizer of MurmurHash3, public domain, A. Appleby)."""
    mixed = (keys * np.uint64(0x9E3779B97F4A7C15)) ^ more
    mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    return np.asarray(mixed ^ (mixed >> np.uint64(33)), dtype=np.uint64)


def _keys(values: pd.Series[Any]) -> NDArray[np.uint64]:
    if is_numeric(values):
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan) + 0.0  # -0.0 becomes 0.0
        return np.where(np.isnan(numbers), np.uint64(1), numbers.view(np.uint64))
    first = next((v for v in values.to_numpy(object) if v is not None and v is not pd.NA), None)
    if isinstance(first, list | tuple | np.ndarray):
        return np.array([_digest(_array_bytes(v)) for v in values], dtype=np.uint64)
    if isinstance(first, bytes | dict):  # Hugging Face keeps an image as {"bytes": ..., "path": ...}
        inside = [
            (v.get("bytes") or str(v.get("path")).encode()) if isinstance(v, dict) else v or b""
            for v in values
        ]
        return np.array([_digest(v) for v in inside], dtype=np.uint64)
    names = to_categories(values)
    codes, uniques = pd.factorize(names, use_na_sentinel=False)
    keys = np.array([_digest(_text_bytes(u)) for u in uniques], dtype=np.uint64)
    return keys[codes]


def _array_bytes(value: object) -> bytes:
    array = np.asarray(value)
    return (
        array.astype(np.float64).tobytes()
        if array.dtype.kind in "iufb"
        else "\x1f".join(map(str, array)).encode()
    )


def _text_bytes(value: object) -> bytes:
    if not isinstance(value, str):
        return b""
    return " ".join(value.split()).encode("utf-8", "surrogatepass")


def file_keys(paths: pd.Series[Any]) -> NDArray[np.uint64]:
    """Return a key of each file's size and first bytes, so that a copy under another name is the same. Shape (N,)."""
    keys = []
    for path in paths:
        file = Path(str(path))
        with file.open("rb") as content:
            keys.append(_digest(content.read(_FIRST_BYTES) + str(file.stat().st_size).encode()))
    return np.array(keys, dtype=np.uint64)


def _digest(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
