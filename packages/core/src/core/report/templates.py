"""The Jinja environments of the page and of the documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def markdown() -> Environment:
    """Return the environment of Markdown documents: nothing is escaped that the template does not escape."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from core.report.sentences import notices

    environment = Environment(
        loader=PackageLoader("core.report", ""),
        autoescape=False,  # Markdown, not HTML: texts of the record go through ``escape_markdown``
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["notices"] = notices
    return environment


def html() -> Environment:
    """Return the environment of the page: everything is escaped, numbers carry their pointers."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from core.report.glossary import display_name
    from core.report.html_filters import FILTERS
    from core.report.sentences import notices

    environment = Environment(
        loader=PackageLoader("core.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters.update(FILTERS, display_name=display_name)
    environment.globals["notices"] = notices
    return environment
