"""An order is paid by card, or by invoice where the card is declined."""
