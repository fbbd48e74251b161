"""Stands for a service that renders videos: a job is done 90 seconds after it was submitted."""

import time


class Busy(Exception):
    """The service asks to come again later: HTTP 429 with `Retry-After`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"busy for {seconds:g} s")
        self.seconds = seconds


def submit(video: str, key: str) -> str:
    """Submit a job, once for each key, and return its id."""
    return f"{int(time.time())}-{video}-{key}"


def state(job_id: str) -> str:
    """How far a job is: "rendering", "done" or "broken"."""
    submitted = int(job_id.partition("-")[0])
    return "done" if time.time() - submitted > 90 else "rendering"
