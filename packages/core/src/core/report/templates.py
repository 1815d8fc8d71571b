"""The Jinja environments of the page and of the documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def markdown() -> Environment:
    """Give the environment of Markdown documents: nothing is escaped that the template does not escape."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("core.report", ""),
        autoescape=False,  # Markdown, not HTML: texts of the record go through ``escaped``
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def html() -> Environment:
    """Give the environment of the page: everything is escaped, figures carry their pointers."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from core.report.html_filters import FILTERS
    from core.report.formatting import display_name

    environment = Environment(
        loader=PackageLoader("core.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters.update(FILTERS, named=display_name)
    return environment
