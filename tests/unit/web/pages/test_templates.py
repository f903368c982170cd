"""No template has words of its own: they stand in the files of `locale`."""

import re
from pathlib import Path

import pytest

from chatwren.web.pages import page

TEMPLATES = sorted((Path(page.__file__).parent / "templates").iterdir())
OF_JINJA = re.compile(r"{[{%#].*?[}%#]}", re.DOTALL)
READ_OUT = re.compile(r'\b(?:alt|aria-label|content|placeholder|title|value)="([^"]*)"')
NO_WORDS = {"light dark", "width=device-width, initial-scale=1"}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_has_no_words(template: Path) -> None:
    text = OF_JINJA.sub("", template.read_text())
    assert set(READ_OUT.findall(text)) - NO_WORDS <= {""}
    assert re.findall(r"\w+", re.sub(r"<[^>]*>", "", text)) == []


def test_a_description_is_text_with_code_and_links_and_nothing_else() -> None:
    shown = page.render("error.html", status=404, message="<b>`code`</b>")
    assert "&lt;b&gt;`code`&lt;/b&gt;" in shown
    prose = page._environment.filters["prose"]
    assert prose('`<b>` & [here](#a"b)') == '<code>&lt;b&gt;</code> &amp; <a href="#a&#34;b">here</a>'
