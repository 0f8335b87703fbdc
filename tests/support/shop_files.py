# pyright: basic
"""A catalogue in WebShop's file format."""

import json

from envs.shopping import catalogue

RECORD = {
    "asin": "b00shirt01",
    "name": "Acme Red Cotton Shirt",
    "full_description": "Soft.",
    "small_description": "Machine washable",
    "category": "fashion",
    "query": " Men's Shirts ",
    "product_category": "Clothing \u203a Men \u203a Shirts",
    "pricing": "$1,019.50$1,025.00",
    "customization_options": {"Size": [{"value": " 7/8 Wide "}, {"value": "XL"}], "Fit": None},
}


ABOUT = {
    "b00shirt01": {
        "attributes": ["machine wash"],
        "instruction": "Find me shirts",
        "instruction_attributes": ["machine wash"],
    }
}


def written(folder, records=None, about=None, human=None):
    """WebShop's files with these contents."""
    (folder / "items_shuffle_9.json").write_text(
        json.dumps([RECORD] if records is None else records)
    )
    (folder / "items_ins_v2_9.json").write_text(json.dumps(ABOUT if about is None else about))
    if human is not None:
        (folder / "items_human_ins.json").write_text(json.dumps(human))
    return catalogue.find_files(folder, human is not None)
