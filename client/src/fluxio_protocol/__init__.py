"""What engine and client agree on: the state machine of a run, and how it stands in table and queue.

`transitions` is the table of every change that a run can go through; `expression` makes a conditional write of
its rows, and `store` sends it. `run` is what a reader sees, `graph` what depends on what, `layout` how both
become items. `queue` has the messages, `limits` what AWS accepts.

Both distributions ship in one version and use this package; it is no interface for others.
"""
