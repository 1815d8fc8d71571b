"""Files: where they are, what is in them when decompressed, and how their text is encoded."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import zstandard


def resolve_path(path: str | Path, key: str = "data.path") -> Path:
    """Return a file or folder as given, or below the folder named by PLINTH_DATA, or the same name compressed.

    Raises ``ValueError`` that names the configuration key and every place that was searched.
    """
    if not str(path):
        raise ValueError(f"{key} is empty: give the path of your data")
    given = Path(path).expanduser()
    root = os.environ.get("PLINTH_DATA")
    places = [given] if given.is_absolute() or not root else [given, Path(root).expanduser() / given]
    for place in places:
        for ending in ("", *_DECOMPRESS):
            candidate = place.with_name(place.name + ending) if ending else place
            if candidate.exists():
                return candidate
    searched = " and ".join(str(p.absolute()) for p in places)
    hint = (
        ""
        if given.is_absolute() or root
        else " (PLINTH_DATA, which may name a folder of data sets, is not set)"
    )
    raise ValueError(f"{key}={str(path)!r} was not found: looked for {searched}{hint}")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def decompress(path: Path) -> tuple[Path, bytes]:
    """Return a file's name without the endings of compression, and its decompressed bytes.

    Raises ``ValueError`` for a damaged file.
    """
    data = path.read_bytes()
    try:
        while path.suffix.lower() in _DECOMPRESS:
            ending = path.suffix.lower()
            if ending == ".zip":
                name, data = _unzip(data)
                path = (
                    path.with_suffix("") if path.with_suffix("").suffix else path.with_name(Path(name).name)
                )
            else:
                data = _DECOMPRESS[ending](data)
                path = path.with_suffix("")
    except (OSError, EOFError, lzma.LZMAError, zstandard.ZstdError, zipfile.BadZipFile) as error:
        readable = data[:4096].isascii() and b"," in data[:4096] and b"\n" in data[:4096]
        cure = "it is plain text: take the ending away" if readable else "the file is damaged or truncated"
        raise ValueError(f"{path}: could not be decompressed ({error}): {cure}") from error
    return path, data


def _unzip(data: bytes) -> tuple[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        inside = [n for n in archive.namelist() if not n.endswith("/") and not _BESIDE.search(n)]
        if len(inside) != 1:
            raise zipfile.BadZipFile(f"{len(inside)} files inside, expected one")
        return inside[0], archive.read(inside[0])


_BESIDE = re.compile(r"(^|/)(__MACOSX/|\._|\.DS_Store$|Thumbs\.db$)")
"""What macOS and Windows put beside the file that was meant."""


def _unzstd(data: bytes) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True) as reader:
        return reader.read()


_DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
    ".zst": _unzstd,
    ".bz2": bz2.decompress,
    ".zip": lambda data: _unzip(data)[1],
}


def _wide(data: bytes) -> str:
    """Return the UTF-16 of a text without a byte order mark, told by the zero bytes of its Latin letters."""
    head = data[:4096]
    if len(data) % 2 or len(head) < 8:
        return ""
    even, odd = head[::2].count(0) / len(head[::2]), head[1::2].count(0) / len(head[1::2])
    if odd > 0.4 and even < 0.05:
        return "utf-16-le"
    return "utf-16-be" if even > 0.4 and odd < 0.05 else ""


def _legacy(path: Path, data: bytes, start: int) -> tuple[str, list[str]]:
    """Return a text that is not UTF-8 as Windows-1252, unless that is surely wrong."""
    line = data.count(b"\n", 0, start) + 1
    name = "data.encoding names the right one (cp1251, cp932, gb18030, ...)"
    lenient = data.decode("utf-8", errors="replace")
    damaged = lenient.count("\ufffd")
    if sum(not c.isascii() for c in lenient) > 2 * damaged:
        raise ValueError(
            f"{path}: line {line} holds a byte that is not UTF-8, as the rest of the file is: correct it; {name}"
        )
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError as error:
        wrong = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}: not UTF-8 (line {line}) and not Windows-1252 (line {wrong}): {name}"
        ) from error
    return text, [f"{path.name} is not UTF-8 (line {line}): read as Windows-1252; {name}."]


def decode(path: Path, data: bytes, encoding: str) -> tuple[str, list[str]]:
    """Return the text of a file's bytes and a sentence for an encoding that was inferred.

    ``auto``: a byte order mark's encoding, else UTF-16 by its zero bytes, UTF-8, or Windows-1252. Raises ``ValueError``
    with the line that is not in the encoding.
    """
    marks = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    if encoding == "auto":
        encoding = next((name for mark, name in marks.items() if data.startswith(mark)), "")
        encoding = encoding or _wide(data) or "utf-8"
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as error:
            if b"\0" in data[:4096]:
                raise ValueError(f"{path}: this is not a text file (it holds zero bytes)") from error
            return _legacy(path, data, error.start)
        return text, [] if encoding == "utf-8" else [
            f"{path.name}: read as {encoding.upper()}, as its first bytes say."
        ]
    try:
        return data.decode(encoding), []
    except LookupError as error:
        raise ValueError(f"data.encoding={encoding!r}: no such encoding; try auto or utf-8") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}: line {line} is not {encoding}: try data.encoding=auto") from error
