"""What a run knows of its files: how they are written, and what the cells of each column are.

Made in prepare, saved as ``contract.json``, obeyed by every verb: a row means the same alone, among others, and in a
file of any kind.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype

from core.data.coercion import is_marker, is_numeric, odd_values, without_markers
from core.data.number_formats import NumberFormat
from core.data.readers.settings import MISSING, ReaderSettings
from core.data.times import read_times
from core.data.types import ColumnRoles, Dataset

if TYPE_CHECKING:
    from core.data.types import Json

VERSION = 1
_SPELLED = {"true": True, "false": False}


@dataclass(frozen=True)
class ColumnContract:
    """What the cells of one column are."""

    kind: str
    """number, boolean, text, time, or other (images, signals, lists)."""
    number: NumberFormat = field(default_factory=NumberFormat)
    """How numbers are written in text files."""
    booleans: tuple[str, str] | None = None
    """Names that the run has for false and true, where they are texts; None: they are booleans."""
    order: str = "auto"
    """How times are written, of ``core.data.times.ORDERS``; auto: told by each file."""


@dataclass(frozen=True)
class DataContract:
    """Reader settings and columns of a run.

    >>> frame = pd.DataFrame({"smoker": ["true", "false"], "age": [60, 40], "ill": [1, 0]})
    >>> roles = ColumnRoles(target=("ill",), numeric=("age",), categorical=("smoker",))
    >>> contract = DataContract.fit(Dataset(frame, roles, "ward.csv"))
    >>> contract.apply(pd.DataFrame({"smoker": [True, "FALSE"], "age": ["60", 40.0]})).to_numpy().tolist()
    [['true', 60.0], ['false', 40.0]]
    """

    reader: ReaderSettings
    columns: Mapping[str, ColumnContract]
    roles: ColumnRoles
    default_markers_everywhere: bool = False
    """Runs before 0.2.0 took NA, ? and the like for missing in typed files and requests too."""

    @classmethod
    def fit(cls, dataset: Dataset) -> DataContract:
        """Settle the columns that the run uses from all rows of its data."""
        roles = dataset.roles
        columns = {
            name: replace(
                _fitted(dataset.frame[name], name, roles, dataset.formats.get(name, NumberFormat())),
                order=dataset.date_orders.get(name, "auto"),
            )
            for name in used_columns(roles)
            if name in dataset.frame
        }
        return cls(dataset.reader or ReaderSettings(), columns, roles)

    @classmethod
    def derive(
        cls, config: Mapping[str, Json], roles: ColumnRoles, names: Mapping[str, Sequence[str]]
    ) -> DataContract:
        """Return what can be told of a run that kept no contract: from its ``data`` options and its categories."""
        columns = {}
        for name in used_columns(roles):
            found = tuple(names.get(name, ()))
            if name in roles.numeric:
                columns[name] = ColumnContract("number")
            elif name == roles.time:
                columns[name] = ColumnContract("time")
            elif found:
                columns[name] = _named(found)
            else:
                columns[name] = ColumnContract("text" if name in _texts(roles) else "other")
        missing = config.get("missing") or []
        reader = ReaderSettings(
            delimiter=config.get("delimiter", "auto"),
            encoding=config.get("encoding", "auto"),
            missing=(*MISSING, *missing) if missing else None,
        )
        return cls(reader, columns, roles, default_markers_everywhere=True)

    def asked(self, reader: ReaderSettings) -> DataContract:
        """Return the contract with the reader's settings that a user gives for one file."""
        changed, columns = self.reader.overridden(reader), dict(self.columns)
        if reader.date_order != "auto":
            columns = {
                name: replace(column, order=reader.date_order) if column.kind == "time" else column
                for name, column in columns.items()
            }
        if (changed.decimal, changed.thousands) != (self.reader.decimal, self.reader.thousands):
            point = "." if changed.decimal == "auto" else changed.decimal
            mark = changed.thousands if changed.thousands not in ("auto", "none") else ""
            columns = {name: replace(one, number=NumberFormat(point, mark)) for name, one in columns.items()}
        return replace(self, reader=changed, columns=columns)

    def verbatim(self) -> tuple[str, ...]:
        """Return the columns whose cells are texts, kept as they are written."""
        return _texts(self.roles)

    def apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return rows as the run reads them; what is read already stays. The frame given is not changed.

        Raises ``ValueError`` with column, row and cure for a cell of a number that is none.
        """
        changed = {}
        for name, column in self.columns.items():
            if name in frame and isinstance(frame[name], pd.Series):
                values = frame[name]
                read = self._read(values, name, column)
                if read is not values:
                    changed[name] = read
        return frame.assign(**changed) if changed else frame

    def _read(self, values: pd.Series[Any], name: str, column: ColumnContract) -> pd.Series[Any]:
        if name not in self.verbatim():
            values = without_markers(values, self._markers())
        if name in self.roles.numeric:
            return _numbers(values, name, column.number)
        if column.kind == "time" and column.order != "auto":
            return read_times(values, name, column.order)
        if column.kind == "boolean":
            return _each(values, lambda v: _boolean(v, column.booleans))
        if column.kind == "number" and name != self.roles.unit:
            return _each(values, lambda v: _number_or_text(v, column.number))
        return values

    def _markers(self) -> tuple[str, ...]:
        if self.default_markers_everywhere:
            return self.reader.markers()
        return self.reader.missing or ()

    def state(self) -> dict[str, Json]:
        """Return what ``restore`` needs, as JSON."""
        return {
            "version": VERSION,
            "reader": asdict(self.reader),
            "columns": {name: asdict(column) for name, column in self.columns.items()},
        }

    @classmethod
    def restore(cls, state: Mapping[str, Json], roles: ColumnRoles) -> DataContract:
        """Rebuild from ``state()``."""
        if state.get("version") != VERSION:
            raise ValueError(
                f"contract.json has version {state.get('version')!r}; this is version {VERSION}: open the run with the "
                "packages that wrote it"
            )
        columns = {
            name: ColumnContract(
                one["kind"],
                NumberFormat(**one["number"]),
                None if one["booleans"] is None else (one["booleans"][0], one["booleans"][1]),
                one.get("order", "auto"),
            )
            for name, one in state["columns"].items()
        }
        return cls(ReaderSettings.restore(state["reader"]), columns, roles)


def open_contract(
    folder: Path, config: Mapping[str, Json], roles: ColumnRoles, names: Mapping[str, Sequence[str]]
) -> DataContract:
    """Return the contract that a run kept, or what can be told of one that kept none."""
    path = folder / "contract.json"
    if path.is_file():
        return DataContract.restore(json.loads(path.read_text()), roles)
    return DataContract.derive(config, roles, names)


def used_columns(roles: ColumnRoles) -> tuple[str, ...]:
    """Return the columns of a run, each once: inputs, target, sensitive, unit, time."""
    more = [c for c in (roles.unit, roles.time) if c is not None]
    return tuple(dict.fromkeys((*roles.inputs(), *roles.target, *roles.sensitive, *more)))


def _texts(roles: ColumnRoles) -> tuple[str, ...]:
    return (*roles.text, *roles.references, *(() if roles.prompt is None else (roles.prompt,)))


def _fitted(values: pd.Series[Any], name: str, roles: ColumnRoles, number: NumberFormat) -> ColumnContract:
    if name == roles.time or is_datetime64_any_dtype(values.dtype):
        return ColumnContract("time", number)
    if name in roles.numeric or is_numeric(values):
        return ColumnContract("number", number)
    if is_bool_dtype(values.dtype):
        return ColumnContract("boolean")
    if name in _texts(roles) or name in (roles.image, roles.signal) or roles.mask_classes:
        return ColumnContract("text" if name in _texts(roles) else "other")
    cells = values.to_numpy(dtype=object)
    kinds = {type(v) for v, gone in zip(cells, values.isna(), strict=True) if not gone}
    if kinds and kinds <= {bool, np.bool_}:
        return ColumnContract("boolean")
    return _named(tuple(sorted(set(values.dropna())))) if kinds == {str} else ColumnContract("other")


def _named(names: tuple[str, ...]) -> ColumnContract:
    """Return the contract of a column of these texts: booleans, if they are spelled so."""
    spelled = {name.strip().lower(): name for name in names}
    if not set(spelled) <= set(_SPELLED) or len(spelled) != len(set(names)):
        return ColumnContract("text")
    capital = next(iter(spelled.values())).istitle()
    false, true = (spelled.get(n, n.title() if capital else n) for n in ("false", "true"))
    return ColumnContract("boolean", booleans=(false, true))


def _each(values: pd.Series[Any], read: Any) -> pd.Series[Any]:
    """Return a column with each cell read; cells that are lists and the like stay."""
    if not (
        values.dtype == object or isinstance(values.dtype, pd.StringDtype) or is_bool_dtype(values.dtype)
    ):
        return values
    cells = values.to_numpy(dtype=object)
    found = np.empty(len(cells), dtype=object)
    found[:] = [read(v) for v in cells]
    return pd.Series(found, index=values.index, dtype=object)


def _boolean(value: object, names: tuple[str, str] | None) -> object:
    if isinstance(value, str):
        flag = _SPELLED.get(value.strip().lower())
    else:
        flag = bool(value) if isinstance(value, bool | np.bool_) else None
    if flag is None:
        return value
    return flag if names is None else names[flag]


def _number_or_text(value: object, number: NumberFormat) -> object:
    """Return a category that is a number as such; a name that no float holds stays a text."""
    if not isinstance(value, str):
        return value
    found = number.read(value)
    return value if found is None or abs(found) >= 2**53 else found


def _numbers(values: pd.Series[Any], name: str, number: NumberFormat) -> pd.Series[Any]:
    """Return a column as floats; raises ``ValueError`` that lists what is no number, with counts and rows."""
    if not (values.dtype == object or isinstance(values.dtype, pd.StringDtype)):
        return values
    codes, distinct = pd.factorize(values.to_numpy(dtype=object), use_na_sentinel=True)
    texts = pd.Series(distinct, dtype=object)
    gone = is_marker(texts, MISSING)
    read = np.full(len(texts) + 1, np.nan)
    for i, value in enumerate(texts):
        if gone[i]:
            continue
        if isinstance(value, str):
            found = number.read(value)
            read[i] = _plain(value) if found is None and number == NumberFormat() else found
        elif isinstance(value, int | float | np.number | np.bool_):
            read[i] = float(value)
    wrong = np.append(np.isnan(read[:-1]) & ~gone, False)
    if wrong.any():
        raise ValueError(odd_values(values, wrong[codes], name))
    return pd.Series(read[codes], index=values.index, dtype=np.float64)


def _plain(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan
