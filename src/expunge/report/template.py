"""Fill a template of this room. Every string is escaped, and a name that is missing is an error, not a blank."""

from collections.abc import Mapping
from importlib.resources import files

from expunge.core.errors import MissingExtra


def filled(template: str, values: Mapping[str, object]) -> str:
    """One HTML text from a template file and what it shows.

    Raises: MissingExtra, without jinja2 and matplotlib.
    """
    try:
        import matplotlib  # noqa: F401
        from jinja2 import Environment, FunctionLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError as e:
        raise MissingExtra(f"a page needs {e.name}, which is not installed; run `pip install 'expunge[report]'`") from e

    loader = FunctionLoader(lambda name: files(__package__).joinpath(name).read_text(encoding="utf-8"))
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    css = Markup(files(__package__).joinpath("page.css").read_text(encoding="utf-8"))
    return environment.get_template(template).render(css=css, **values)
