"""The files of a bundle that are the same for every model but for a few values."""

import json
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

from tfkit.errors import ExportError
from tfkit.files import write_whole

PACKAGE = "tfkit._export"


def render_templates(
    kinds: str | Sequence[str],
    folder: Path,
    values: Mapping[str, Any],
    *,
    only: Collection[str] | None = None,
    leave_out: Collection[str] = (),
) -> tuple[Path, ...]:
    """Write the templates of a kind of bundle, and those that it shares with others, filled in, into its folder.

    Values stand between `@{` and `}@`, statements between `@%` and `%@`: Prometheus, Grafana, nginx and shells have
    uses of their own for braces.

    Args:
        kinds: The folder in `export/templates`, or several: of two files of one name the first folder's is taken.
        folder: The bundle's folder.
        values: What the templates name; one that is missing is an error.
        only: Which of them; all when None.
        leave_out: Which are left out.

    Returns:
        The files that were written, relative to the folder.

    Raises:
        ExportError: When tfkit was installed without its templates.

    Example:
        >>> files = render_templates(("serving", "servers"), Path("bundle"), values)  # doctest: +SKIP
    """
    import jinja2  # here: commands that write no bundle do without

    try:
        root = Path(str(resources.files(PACKAGE))) / "templates"
    except ModuleNotFoundError:
        raise ExportError(
            "the templates that come with tfkit are not installed", hint="install tfkit again: pip install -e ."
        ) from None
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([root / kind for kind in ([kinds] if isinstance(kinds, str) else kinds)]),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # no pages; every value is a name that was checked, or a number
        variable_start_string="@{",
        variable_end_string="}@",
        block_start_string="@%",
        block_end_string="%@",
        comment_start_string="@#",
        comment_end_string="#@",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["quoted"] = partial(json.dumps, ensure_ascii=False)
    wanted = environment.list_templates() if only is None else only
    names = sorted(set(wanted) - set(leave_out))
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, environment.get_template(name).render(values))
        if path.suffix == ".sh":
            path.chmod(0o755)
    return tuple(Path(name) for name in names)
