"""The page of providers is made from their files, and is up to date."""

from pathlib import Path

from dragoman.catalog.describe import BEGIN, END, insert_table, providers_table
from dragoman.catalog.files import definitions

PAGE = Path(__file__).parents[3] / "docs" / "providers.md"


def test_the_page_is_what_the_files_say() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == insert_table(text, definitions()), (
        "docs/providers.md lags behind the files. Make it anew with\n"
        '  python -c "from pathlib import Path; from dragoman.catalog.describe import insert_table; '
        "from dragoman.catalog.files import definitions; page = Path('docs/providers.md'); "
        'page.write_text(insert_table(page.read_text(), definitions()))"'
    )


def test_every_provider_and_every_variable_stands_in_the_table() -> None:
    table = providers_table(definitions())
    assert table.count("\n") == len(definitions()) + 1
    for name, definition in definitions().items():
        assert f"| {name} |" in table
        assert all(f"`{variable}`" in table for variable in definition.env.key)


def test_the_table_says_what_is_optional_and_what_must_be_said() -> None:
    rows = {
        line.split(" | ")[0].strip("| "): line
        for line in providers_table(definitions()).splitlines()
    }
    assert "(optional)" in rows["openai-compatible"]
    assert "| must be said |" in rows["openai-compatible"]
    assert "| none |" in rows["ollama"]
    assert "`sk-or-v1-…`, 40 or more" in rows["openrouter"]
    assert "chat (groq)" in rows["groq"]
    assert rows["perplexity"].endswith("|  |")


def test_only_what_stands_between_the_marks_is_made_anew() -> None:
    made = insert_table(f"before\n{BEGIN}\nold\n{END}\nafter\n", definitions())
    assert made.startswith(f"before\n{BEGIN}\n\n| provider |")
    assert made.endswith(f"|\n\n{END}\nafter\n")
