"""MkDocs hook: pages written from the code, and links between files of the repository that become links of the site."""

import json
import posixpath
import re
from pathlib import Path
from typing import Any

from api_pages import api_pages
from command_pages import command_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from recipe_pages import recipe_pages

ROOT = Path(__file__).parents[2]
RESULTS = {"tests/benchmarks/results": "results", "tests/benchmarks/gpu": "results/gpu"}  # where they stand on the site
PROJECT = {"Contributing": "CONTRIBUTING.md", "Changes": "CHANGELOG.md"}
# Where files of the repository outside docs/ stand on the site.
_MOVED = {"README.md": "index.md"} | {name: name.lower() for name in PROJECT.values()}
_LINK = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)\s]*)?\))")
_FENCE = re.compile(r"^(```\w+)[ \t]+needs-network$", re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the generated pages into the navigation."""
    written = _written_pages()
    sections: dict[str, Any] = {title: entries for entry in config.nav or [] for title, entries in entry.items()}
    sections["Reference"] += [{title: place} for title, (place, _) in written.items()]
    sections["Project"] += [{title: _MOVED[name]} for title, name in PROJECT.items()]
    sections["Guides"] += [_site_place(path) for path in _notebooks()]
    sections["Benchmarks"] += [_site_place(path) for path in _results() if path.endswith(".md")]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    for place, text in _written_pages().values():
        files.append(File.generated(config, place, content=text))
    for path in _notebooks():
        if (old := files.get_file_from_path(path.removeprefix("docs/"))) is not None:
            files.remove(old)
        files.append(File.generated(config, _site_place(path), content=_notebook_text(ROOT / path)))
    for path in (*_MOVED, *_results()):
        files.append(File.generated(config, _site_place(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links between files of the repository point to the pages that these are on the site."""
    here = _repository_place(page.file.src_uri)

    def moved(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(here), match[2]))
        target = posixpath.relpath(_site_place(path), posixpath.dirname(page.file.src_uri) or ".")
        return match[1] + target + match[3]

    return _FENCE.sub(r"\1", _LINK.sub(moved, markdown))


def _written_pages() -> dict[str, tuple[str, str]]:
    """Title, place and text of every page that is written from the code."""
    pages = {f"Recipe keys: {title}": (f"reference/{place}", text) for title, place, text in recipe_pages()}
    pages["Commands"] = ("reference/commands.md", command_page())
    return pages | {title: (f"reference/{place}", text) for title, place, text in api_pages(ROOT / "tfkit")}


def _notebooks() -> list[str]:
    return sorted(_repository_path(path) for path in (ROOT / "docs/notebooks").glob("*.ipynb"))


def _results() -> list[str]:
    """Tables of measured figures, and their pictures."""
    found = [path for folder in RESULTS for path in (ROOT / folder).iterdir() if path.suffix in (".md", ".svg")]
    return sorted(map(_repository_path, found))


def _notebook_text(path: Path) -> str:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = [("".join(cell["source"]), cell["cell_type"]) for cell in cells]
    return "\n\n".join(f"```python\n{text}\n```" if kind == "code" else text for text, kind in texts)


def _repository_path(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _site_place(path: str) -> str:
    """Where a file of the repository stands on the site."""
    if path in _MOVED:
        return _MOVED[path]
    if path.startswith("docs/notebooks/"):
        return path.removeprefix("docs/").replace(".ipynb", ".md")
    folder, name = posixpath.split(path)
    return f"{RESULTS[folder]}/{name}" if folder in RESULTS else path.removeprefix("docs/")


def _repository_place(uri: str) -> str:
    """The file of the repository that a page of the site was made from."""
    outside = {_site_place(path): path for path in (*_MOVED, *_results())}
    return outside.get(uri, f"docs/{uri}")
