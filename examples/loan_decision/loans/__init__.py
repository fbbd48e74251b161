"""A loan is assessed; a large one waits for an approval, and then it is paid out or declined."""
