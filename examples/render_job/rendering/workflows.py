"""A video is rendered by another service, which takes minutes or hours; nothing runs here meanwhile."""

from datetime import timedelta

from pydantic import BaseModel

from fluxio import Again, Failure, Retry, RetryAfter, StepContext, any_of, failed, step, workflow
from rendering import farm


class Video(BaseModel):
    """What a run is started with."""

    video: str


class Job(BaseModel):
    """What the service calls it."""

    job_id: str


class Outcome(BaseModel):
    """What the customer reads."""

    text: str


class RenderingFailed(Exception):
    """The service has given the job up."""


@workflow(input=Video)
class RenderVideo:
    @step(retry=Retry(8, give_up_on=(ValueError,)))
    def submit(self, video: str, ctx: StepContext) -> Job:
        try:
            return Job(job_id=farm.submit(video, key=ctx.idempotency_key))
        except farm.Busy as busy:
            raise RetryAfter(busy.seconds, "the farm is busy") from busy

    @step(
        depends_on=[submit],
        retry=Retry(5, give_up_on=(RenderingFailed,)),
        deadline=timedelta(hours=6),
    )
    def wait_for_it(self, job_id: str, ctx: StepContext) -> Outcome | Again:
        state = farm.state(job_id)
        if state == "rendering":
            return Again(after=min(30 * (ctx.round + 1), 300))  # 30 s, 60 s, … 5 minutes
        if state == "broken":
            raise RenderingFailed(f"job {job_id}")
        return Outcome(text=f"{job_id} is done")

    @step(depends_on=[failed(wait_for_it, "StepDeadline", RenderingFailed)])
    def apologise(self, wait_for_it: Failure) -> Outcome:
        return Outcome(text=f"it could not be rendered: {wait_for_it.type}")

    @step(depends_on=[any_of(wait_for_it, apologise)], retry=20)
    def tell(self, text: str) -> dict:
        return {"told": text}
