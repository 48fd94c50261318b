import re
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
HEADINGS = (
    "Try it",
    "What it proves",
    "What it does not",
    "Install",
    "Concepts",
    "Command line",
    "Service",
    "Write a method",
    "Layout",
    "Cite",
    "License",
)


def example() -> str:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    return str(block)


def test_the_example_runs_and_both_its_asserts_hold() -> None:
    exec(compile(example(), "README.md", "exec"), {})  # noqa: S102 – our own page


def test_the_example_is_short_and_ends_in_two_asserts() -> None:
    lines = [line for line in example().splitlines() if line.strip()]
    assert len(lines) <= 12
    assert [line.startswith("assert ") for line in lines[-3:]] == [False, True, True]


def test_the_sections_come_in_order() -> None:
    assert re.findall(r"^## (.+)$", README, re.MULTILINE) == list(HEADINGS)


def test_every_link_leads_to_a_file() -> None:
    root = Path(__file__).parents[2]
    for page in [root / "README.md", root / "CONTRIBUTING.md", *(root / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!http|#)([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(root)} links to {target}"
