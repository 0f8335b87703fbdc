# pyright: basic
"""Reading and using the elements of the live page in a browser's tab."""

import json

ROWS = """[...document.querySelectorAll('.ag-center-cols-container .ag-row')]
.sort((a, b) => a.ariaRowIndex - b.ariaRowIndex)"""


def read_column(tab, field):
    """The cells of a column, from top to bottom."""
    cell = f"""[...document.querySelectorAll('.ag-row')]
    .map(row => [+row.getAttribute('row-index'), row.querySelector('[col-id="{field}"]')])
    .filter(pair => pair[1]).sort((a, b) => a[0] - b[0]).map(pair => pair[1].textContent)"""
    return tab.ask(cell)


def wait_for_rows(tab, most=1):
    """Wait until the table has as many rows."""
    tab.wait(f"document.querySelectorAll('.ag-center-cols-container .ag-row').length >= {most}")


def sort_by(tab, field):
    """Press the head of a column."""
    tab.click(f"document.querySelector('.ag-header-cell[col-id=\"{field}\"] .ag-header-cell-text')")


def press(tab, words):
    """Press the button, tab, link or entry of a list that says this."""
    # Not by the mouse: menus move while they open.
    found = f"""[...document.querySelectorAll('button, .q-tab, a, .q-item, .q-checkbox')]
    .find(e => e.offsetParent !== null && e.textContent.trim().startsWith({json.dumps(words)}))"""
    tab.wait(f"!!{found}")
    tab.ask(f"{found}.click()")


def fill(tab, label, text):
    """Write into a field."""
    tab.click(f"document.querySelector('input[aria-label={json.dumps(label)}]')")
    tab.call("Input.insertText", text=text)


def choose(tab, label, words):
    """Choose an entry of a list of choices."""
    tab.click(f"""[...document.querySelectorAll('.q-select')]
    .find(e => e.querySelector('.q-field__label')?.textContent === {json.dumps(label)})""")
    press(tab, words)


def read_traces(tab, place=0):
    """What a plot draws: name and values of each of its lines, once there are any."""
    # While it is drawn anew it has none for a moment.
    plot = f"document.querySelectorAll('.js-plotly-plot')[{place}]"
    lines = f"({plot}?.data || []).map(t => ({{name: t.name, x: [...t.x], y: [...t.y]}}))"
    return tab.wait(lines)
