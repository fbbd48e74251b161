"""The reference under docs/reference, written from the code that it describes.

    python -m dev.reference             write the pages (`make docs`)
    python -m dev.reference --check     fail if a page is not as the code says (a part of `make check`)

One module makes one page. Terraform is read by python-hcl2 and Python by griffe, both without running
anything, so that a page is the same on every Python; the command line is asked itself.
"""
