"""The pages of `fluxio ui`: runs in a browser on this machine, with the caller's own AWS credentials.

It needs the extra `ui` (starlette, uvicorn and jinja2, with those of `cli`). Nothing of it is imported by the
library, nor by the other commands.
"""
