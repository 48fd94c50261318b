"""Write docs/methods.md, docs/figures.md and the tables of other pages from docstrings, imports and bench/results.

`make docs` writes; `make check` fails where a page is not as this would write it.
"""

import ast
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import _rooms

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "methods.md"
EDIT = ROOT / "docs" / "edit.md"
FIGURES = ROOT / "docs" / "figures.md"
VISION = ROOT / "bench" / "results" / "approximate_vision.json"
DEMO = ROOT / "bench" / "results" / "demo.json"
README = ROOT / "README.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
TOFU = ROOT / "bench" / "results" / "approximate_tofu.json"
FIGURES_HEAD = """# Measured

Written by `make docs` from `bench/results/`, which `make bench` writes. A *claim* is a promise that its script checks; its
exit code is 0 only if every claim holds. A *finding* is what was found out, with its 95 % interval and the reason why it is
no promise; it fails nothing. Times are CPU seconds of one thread unless a claim says otherwise; ratios were
measured in one run.
"""
HEAD = """# Methods, learners and attacks

Written by `make docs` from the docstrings; edit those. A name is that of a file and of its entry in a registry.
"""
CORPORA = {
    "people": "**Fictitious people**: models of 0.19 million parameters, mean of three casts; battery `standard`.",
    "tofu": "**TOFU**, forget10: a model of 0.98 million parameters that knows the 20 authors to forget and 40 others, one seed; "
    "battery `short`. 44 of its answers are short enough to be asked for, so a figure is uncertain by about 0.2.",
}
LEAVING = {
    "mnist_class": "**MNIST, one class leaves** (a small convolutional network; mean of three classes)",
    "mnist_random": "**MNIST, a random tenth of the rows leaves** (mean of three draws)",
}
COLUMNS = ("time_ratio", "forget", "retain", "test", "auc_gap")
ROOMS = (
    ("Approximate methods", "approximate", "`expunge edit --method NAME`, `expunge.approximate.methods.get(NAME)`."),
    ("Learners with exact deletion", "exact", "`expunge.exact.learners.get(NAME)`."),
    ("Attacks", "verify/attacks", "`expunge.verify.attacks.attacks.get(NAME)`; a battery runs several."),
)


def page() -> str:
    """The whole page. Sources are parsed, not imported, so it takes no torch."""
    parts = [HEAD]
    for title, folder, how in ROOMS:
        parts.append(f"## {title}\n{how}\n")
        files = sorted((ROOT / "src" / "expunge" / folder).glob("*.py"))
        parts += [section(file) for file in files if not file.name.startswith("_")]
    return "\n".join(parts)


def edit_page() -> str:
    """docs/edit.md with its tables written anew: methods, and what they were measured to do."""
    lines = ["| method | idea | what a result may be called |", "|---|---|---|"]
    for file in sorted((ROOT / "src" / "expunge" / "approximate").glob("*.py")):
        if not file.name.startswith("_"):
            text = file.read_text("utf-8")
            idea = " ".join((ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0].split())
            found = " or ".join(sorted(set(re.findall(r"Guarantee\.([A-Z]+)", text)))) or "EMPIRICAL"
            lines.append(f"| `{file.stem}` | {idea} | {found} |")
    text = between("methods", "\n".join(lines), EDIT.read_text("utf-8"))
    return between("classifiers", classifiers(), between("measured", measured(), text))


def architecture() -> str:
    """docs/architecture.md with its map of rooms as the imports are."""
    text = ARCHITECTURE.read_text("utf-8")
    for name, table in _rooms.tables().items():
        text = between(f"rooms of {name}", table, text)
    return text


def between(name: str, new: str, text: str) -> str:
    """The text with what stands between `<!-- name -->` and `<!-- end -->` replaced."""
    return re.sub(
        f"<!-- {name} -->.*?<!-- end -->", lambda _: f"<!-- {name} -->\n{new}\n<!-- end -->", text, flags=re.DOTALL
    )


def readme() -> str:
    """The README with what the demo printed when it was last recorded."""
    found = json.loads(DEMO.read_text("utf-8"))
    peak = next(c["value"] for c in found["claims"] if c["claim"] == "peak memory, MB")
    machine = f"{found['date']}, {found['machine']['processor']}, {found['machine']['cores']} cores"
    lines = [
        f"What the demo prints, from `bench/results/demo.json` ({machine}, torch {found['versions']['torch']}; one run, "
        f"{found['seconds']:.0f} s, {peak} MB). Cost is CPU time against retraining; recovered is the share of what the "
        "original knew that the worst attack brought back.\n",
        "| method | promised | cost | plain answers | most recovered | retained skill | flags | assurance |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        shares = [f"{row[key]:.0%}" for key in ("cost", "recall")]
        worst = f"{row['recovered']:.2f} ({row['attack']})"
        said = [
            row["method"],
            row["guarantee"],
            *shares,
            worst,
            f"{row['retained']:.0%}",
            ", ".join(row["flags"]) or "none",
        ]
        lines.append(f"| {' | '.join([*said, row['assurance']])} |")
    return between("demo", "\n".join(lines), README.read_text("utf-8"))


def measured() -> str:
    """What every method cost, removed and kept on each kind of corpus, cheapest first."""
    if not TOFU.exists():
        return "Not measured yet."
    found = json.loads(TOFU.read_text("utf-8"))
    parts = []
    for kind, figures in found["figures"].items():
        plot = f"![what each method removed and kept](../bench/results/approximate_tofu_{kind}.svg)"
        skipped = [f"`{name}` ended: {reason}." for name, reason in figures["skipped"].items()]
        parts.append("\n\n".join([CORPORA[kind], plot, measured_table(figures["rows"]), *skipped]))
    machine = found["machine"]
    return "\n\n".join([*parts, f"{found['date']}, {machine['processor']}, torch {found['versions']['torch']}."])


def measured_table(rows: dict[str, Any]) -> str:
    lines = ["| method | cost | recovered at most | kept | flags |", "|---|---|---|---|---|"]
    for name, row in sorted(rows.items(), key=lambda item: item[1]["cost"]):
        flags = ", ".join(f"{flag} {n} of {len(row['each'])}" for flag, n in row["flags"].items())
        numbers = " | ".join("–" if row[k] is None else f"{row[k]:.2f}" for k in ("cost", "recovered", "kept"))
        lines.append(f"| `{name}` | {numbers} | {flags or 'none'} |")
    return "\n".join(lines)


def classifiers() -> str:
    """What every method did to a classifier of MNIST, by way of leaving, mean over tasks; dearest last."""
    found = json.loads(VISION.read_text("utf-8"))
    parts = []
    for leaves, title in LEAVING.items():
        lines = [
            f"{title}\n",
            "| method | cost | forgotten right | retained right | test right | membership AUC gap | within the spread |",
            "|---|---|---|---|---|---|---|",
        ]
        of: dict[str, list[dict[str, Any]]] = {}
        for row in found["table"]:
            if row["task"].startswith(leaves):
                of.setdefault(row["method"], []).append(row)
        means = {name: {key: mean_of(rows, key) for key in COLUMNS} | spread_of(rows) for name, rows in of.items()}
        for name, mean in sorted(means.items(), key=lambda item: item[1]["time_ratio"] or 0.0):
            numbers = " | ".join("–" if mean[key] is None else f"{mean[key]:.3f}" for key in COLUMNS[1:])
            cost = "–" if mean["time_ratio"] is None else f"{mean['time_ratio']:.2f}"
            lines.append(
                f"| {name if ' ' in name or name == 'original' else f'`{name}`'} | {cost} | {numbers} | {mean['within']} |"
            )
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def mean_of(rows: Sequence[dict[str, Any]], key: str) -> float | None:
    """Over the tasks that were not refused; gaps by their size."""
    values = [abs(row[key]) for row in rows if row.get(key) is not None]
    return sum(values) / len(values) if values else None


def spread_of(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """How many figures of all tasks lie where one more retrained model's would; a refusal has none."""
    if "half_widths" in rows[0]:
        return {"within": ""}
    refused = sum("refused" in row for row in rows)
    within = f"{sum(len(row['within']) for row in rows)} of {4 * len(rows)}"
    return {"within": within + (f", {refused} refused" if refused else "")}


def section(file: Path) -> str:
    """One file: what its module and its registered class say, and the class's parameters with their defaults."""
    module = ast.parse(file.read_text("utf-8"))
    cls = next(node for node in module.body if isinstance(node, ast.ClassDef) and is_registered(node))
    lines = [f"### {file.stem}", paragraphs(module), "", paragraphs(cls), ""]
    if found := parameters(cls):
        lines += [f"`{cls.name}({', '.join(found)})`", ""]
    if notes := class_notes(cls):
        lines += [notes, ""]
    return "\n".join(line for k, line in enumerate(lines) if line or (k and lines[k - 1]))


def is_registered(cls: ast.ClassDef) -> bool:
    return any(isinstance(d, ast.Attribute) and d.attr == "add" for d in cls.decorator_list)


def paragraphs(node: ast.Module | ast.ClassDef) -> str:
    parts = (ast.get_docstring(node) or "").split("\n\n")
    return "\n\n".join(f"```\n{part}\n```" if part.startswith(">>>") else " ".join(part.split()) for part in parts)


def parameters(cls: ast.ClassDef) -> list[str]:
    """Dataclass fields with a default, or the keyword arguments of `__init__`."""
    fields = [
        f"{node.target.id}={ast.unparse(node.value)}"
        for node in cls.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.value is not None
        and "ClassVar" not in ast.unparse(node.annotation)
    ]
    for node in cls.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            fields += [
                f"{a.arg}={ast.unparse(default)}"
                for a, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
                if default is not None
            ]
    return fields


def class_notes(cls: ast.ClassDef) -> str:
    """Guarantee or family, where the class states one; a method that states no guarantee is EMPIRICAL."""
    notes = {
        node.target.id: ast.unparse(node.value)
        for node in cls.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None
    }
    bases = {base.id for base in cls.bases if isinstance(base, ast.Name)}
    computed = any(isinstance(node, ast.FunctionDef) and node.name == "guarantee" for node in cls.body)
    if bases & {"Method", "Objective", "TwoSided"} and not computed:
        notes.setdefault("guarantee", "EMPIRICAL")
    said = []
    if "guarantee" in notes:
        said.append(f"Guarantee: {notes['guarantee'].removeprefix('Guarantee.')}.")
    if "family" in notes:
        said.append(f"Family: {ast.literal_eval(notes['family'])}.")
    return " ".join(said)


def figures() -> str:
    """Every claim of every recorded bench, with what it was measured on."""
    parts = [FIGURES_HEAD]
    for file in sorted((ROOT / "bench" / "results").glob("*.json")):
        found = json.loads(file.read_text("utf-8"))
        machine, versions = found["machine"], found["versions"]
        kept = f", beside {found['kept']} results that earlier starts had left" if found.get("kept") else ""
        libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
        parts += [
            f"## {found['bench']}",
            f"{found['date']}, {machine['processor']}, {machine['cores']} cores, Python {machine['python']}, {libraries}; "
            f"{found['seconds']:g} s in all{kept}.\n",
            "| claim | measured | bar | holds |\n|---|---|---|---|",
            *(
                f"| {c['claim']} | {shown(c['value'])} | {shown(c['bar'])} | {'yes' if c['ok'] else 'NO'} |"
                for c in found["claims"]
            ),
            "",
            *findings_table(found.get("findings", [])),
        ]
    return "\n".join(parts)


def findings_table(findings: Sequence[dict[str, Any]]) -> list[str]:
    """What was found out, the reason once for all that share it."""
    lines = []
    for why in dict.fromkeys(f["why"] for f in findings):
        lines += [f"Found out, not promised: {why}.\n", "| finding | measured | 95 % interval |\n|---|---|---|"]
        for f in findings:
            if f["why"] == why:
                interval = "not kept" if f["interval"] is None else f"{f['interval'][0]:.3g} to {f['interval'][1]:.3g}"
                lines.append(f"| {f['finding']} | {shown(f['value'])} | {interval} |")
        lines.append("")
    return lines


def shown(value: object) -> str:
    """A figure with as many digits as it carries; of several, each after its name."""
    if isinstance(value, dict):
        parts = [f"{name}: {shown(v)}" if isinstance(v, dict) else f"{name} {shown(v)}" for name, v in value.items()]
        return ("; " if any(isinstance(v, dict) for v in value.values()) else ", ").join(parts) or "none"
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value).replace("|", "\\|")
    return f"{value:.4g}"


def pages() -> dict[Path, str]:
    """Every page that is written here, whole or in part, as it should be."""
    return {PAGE: page(), EDIT: edit_page(), README: readme(), FIGURES: figures(), ARCHITECTURE: architecture()}


def main() -> int:
    """Write the pages; with `--check` write nothing, and fail where one is not as it should be."""
    stale = {path: text for path, text in pages().items() if path.read_text("utf-8") != text}
    if "--check" not in sys.argv[1:]:
        for path, text in stale.items():
            path.write_text(text, "utf-8")
        return 0
    for path in stale:
        sys.stderr.write(f"{path.relative_to(ROOT)} is not up to date with what it is written from; run `make docs`\n")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
