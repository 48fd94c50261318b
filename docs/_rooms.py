"""The map of rooms in docs/architecture.md: what each room says of itself, and which rooms it imports."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import grimp

SOURCE = Path(__file__).parents[1] / "src"
WINGS = ("expunge.workflow", "expunge.exact")  # rooms that are drawn from inside too


def tables() -> dict[str, str]:
    """The tables by the name of their place in the page: the whole house, and each of its wings."""
    graph = grimp.build_graph("expunge", cache_dir=None)
    return {parent.rpartition(".")[2]: table(graph, parent) for parent in ("expunge", *WINGS)}


def table(graph: grimp.ImportGraph, parent: str) -> str:
    """One line a room, those that nobody stands on first."""
    found = arrows(graph, parent)
    lines = ["| room | what it holds | files | imports |", "|---|---|---|---|"]
    for room in by_floor(found):
        name = f"{parent}.{room}"
        n_files = 1 + len(graph.find_descendants(name))
        targets = (
            ", ".join(f"`{target}`" for target in by_floor(found) if target in found[room]) or "nothing of Expunge"
        )
        lines.append(f"| `{room}` | {sentence(name)} | {n_files} | {targets} |")
    return "\n".join(lines)


def arrows(graph: grimp.ImportGraph, parent: str) -> dict[str, set[str]]:
    """Which children of a package import which of its other children, counted over all their files."""
    children = {child.rpartition(".")[2] for child in graph.find_children(parent)}
    found: dict[str, set[str]] = {child: set() for child in children}
    for child in children:
        for module in {f"{parent}.{child}", *graph.find_descendants(f"{parent}.{child}")}:
            for other in graph.find_modules_directly_imported_by(module):
                target = other.removeprefix(f"{parent}.").partition(".")[0] if other.startswith(f"{parent}.") else child
                if target in children - {child}:
                    found[child].add(target)
    return found


def by_floor(found: dict[str, set[str]]) -> list[str]:
    """Rooms from the top floor down; a room stands above all that it imports.

    Raises: graphlib.CycleError, where rooms import each other in a circle.
    """
    floors: dict[str, int] = {}
    for room in TopologicalSorter(found).static_order():
        floors[room] = 1 + max((floors[target] for target in found[room]), default=0)
    return sorted(found, key=lambda room: (-floors[room], room))


def sentence(module: str) -> str:
    """The first sentence of a package's or a file's docstring."""
    path = SOURCE / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    paragraph = (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").partition("\n\n")[0]
    return " ".join(paragraph.split()).partition(". ")[0].rstrip(".").replace("|", "\\|")
