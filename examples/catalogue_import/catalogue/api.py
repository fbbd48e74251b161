"""Stands for the API of a shop, which has 25 products and tells ten at a time."""

from typing import Any

PRODUCTS = [{"sku": f"p-{number}", "cents": 100 * number} for number in range(1, 26)]
PAGE = 10


def products(cursor: str | None) -> dict[str, Any]:
    """A page of products, and the cursor of the next one; None if it is the last."""
    start = int(cursor or 0)
    end = start + PAGE
    return {
        "products": PRODUCTS[start:end],
        "next": str(end) if end < len(PRODUCTS) else None,
    }
