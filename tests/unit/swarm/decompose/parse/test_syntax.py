"""Programs in other languages give the same steps and edges as the same program in Python."""

import pytest

pytest.importorskip("tree_sitter", reason="pip install 'neural-swarm[code]'")

from swarm.decompose.parse.code import parse_code
from swarm.decompose.parse.syntax import LANGUAGES, parse_syntax
from swarm.errors import Mistake

PYTHON = """
def clean(raw):
    return strip(raw)

page = fetch("notes.txt")
text = clean(page)
english = translate(text, "en")
report(english, count(text))
"""
SAME = {
    "javascript": """
function clean(raw) { return strip(raw); }
const page = fetch("notes.txt");
let text = clean(page);
const english = translate(text, "en");
report(english, count(text));
""",
    "typescript": """
function clean(raw: string): string { return strip(raw); }
const page: string = fetch("notes.txt");
let text = clean(page);
const english = translate(text, "en");
report(english, count(text));
""",
    "go": """
package main
func clean(raw string) string { return strip(raw) }
func main() {
    page := fetch("notes.txt")
    var text = clean(page)
    english := translate(text, "en")
    report(english, count(text))
}
""",
    "java": """
class Main {
    static String clean(String raw) { return strip(raw); }
    public static void main(String[] args) {
        String page = fetch("notes.txt");
        String text = clean(page);
        String english = translate(text, "en");
        report(english, count(text));
    }
}
""",
    "rust": """
fn clean(raw: String) -> String { strip(raw) }
fn main() {
    let page = fetch("notes.txt");
    let text = clean(page);
    let english = translate(text, "en");
    report(english, count(text));
}
""",
}


def test_every_language_has_its_program():
    assert SAME.keys() == LANGUAGES.keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_same_program_gives_the_same_steps(language):
    expected, found = parse_code(PYTHON), parse_syntax(SAME[language], language)
    assert found.form == language
    assert [step.action for step in found.steps] == [step.action for step in expected.steps]
    assert found.edges == expected.edges
    assert [step.given for step in found.steps] == [step.given for step in expected.steps]


def test_a_program_that_does_not_parse_is_refused_with_its_line():
    with pytest.raises(Mistake) as caught:
        parse_syntax("let a = f();\nlet = = 3;\n", "javascript")
    assert caught.value.place == "line 2"


def test_methods_need_what_they_are_called_on():
    found = parse_syntax("const a = load(); const b = a.filter(); save(b);", "javascript")
    assert [step.action for step in found.steps] == ["load", "a.filter", "save"]
    assert found.edges == (("load_1", "filter_2"), ("filter_2", "save_3"))
