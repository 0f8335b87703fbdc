"""Parts of a page: text is escaped, cells are aligned."""

import plotly.graph_objects as go

from tune_jobs.report.html_parts import Drawing, render, render_note, section, table


def test_headings_and_notes_are_escaped():
    assert section("a < b", "<p>x</p>", "y") == (
        "<section><h2>a &lt; b</h2>\n<p>x</p>y</section>\n"
    )
    assert render_note("a & b") == '<p class="missing">a &amp; b</p>'


def test_leading_columns_are_text_and_the_last_may_wrap():
    page = table(["name", "lr", "why"], [["<b>x</b>", "0.1", "because"]], text=1, sentence=True)
    assert '<th class="text">name</th><th>lr</th><th class="text sentence">why</th>' in page
    assert '<td class="text"><b>x</b></td><td>0.1</td>' in page
    assert '<td class="text sentence">because</td>' in page


def test_a_table_without_headings_has_no_head():
    assert "<thead>" not in table([], [["1"]], text=0)


def test_a_figure_has_its_caption_and_no_second_script():
    page = render(Drawing("curve", "loss < 1", go.Figure(), wide=True))
    assert page.startswith('<figure class="wide"><h3>loss &lt; 1</h3>')
    assert 'id="plot-curve"' in page and len(page) < 20_000
    assert "<h3>" not in render(Drawing("curve", "", go.Figure()))
