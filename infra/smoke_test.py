"""Does the deployed service work? Sends it a program that compiles and one that does not, as users do.

Until a runner has fetched its image, which takes minutes, and until a stage that scaled to zero notices a
job, which takes a minute, the answer is 503 or a job that waits. That is normal.
"""

from infra.context import DeployContext, Reply
from infra.errors import DeployError

GOOD_PROGRAM = {"source_code": "int main(void) { return 0; }\n", "language": "c", "cache": False}
BAD_PROGRAM = {"source_code": "int main(void) { return x; }\n", "language": "c", "cache": False}
# From zero runners, a job is noticed within 90 s, and a task takes three minutes to start, because it fetches
# the whole image of 2.4 GB. The same again for a task that Spot does not start or stops, and two minutes for
# a runner that tests every compiler because it does not trust the image's record. The rest is a reserve.
LONGEST_WAIT_SECONDS = 900
# The longest wait of one call (docs/api.md); API Gateway ends a call after 29 s.
WAIT_SECONDS = 25


def check_service(context: DeployContext, url: str) -> str:
    """Compiles both programs through the API at `url`: one sentence, or `DeployError` on a wrong verdict."""
    started = context.now()
    for program, expected in ((GOOD_PROGRAM, "compiles"), (BAD_PROGRAM, "rejected")):
        result = _await_verdict(context, url, program, started + LONGEST_WAIT_SECONDS).body
        if result.get("verdict") != expected:
            raise DeployError(
                f"{url} answers {result.get('verdict')!r} ({result.get('error')}) instead of {expected!r}",
                "see the log /will-it-compile/<stage>/runner in CloudWatch",
            )
    seconds = context.now() - started
    return f"{url} gave a good and a bad program their verdicts after {seconds:.0f} s"


def _await_verdict(context: DeployContext, url: str, program: dict[str, object], deadline: float) -> Reply:
    """Submits a program and asks for its result until there is a verdict."""
    method, address, body = "POST", f"{url}/api/v1/compile?wait={WAIT_SECONDS}", dict(program)
    while True:
        try:
            reply = context.http(method, address, body if method == "POST" else None)
        except OSError as error:
            answer = str(error)
        else:
            if reply.body.get("verdict"):
                return reply
            if reply.status in (200, 202) and reply.body.get("job_id"):
                # The job is submitted: from now on ask for its result, and do not submit it again.
                method = "GET"
                address = f"{url}/api/v1/compile/{reply.body['job_id']}?wait={WAIT_SECONDS}"
            elif reply.status not in (403, 404, 429, 500, 502, 503, 504):
                raise DeployError(f"{url} answers {reply.status}: {reply.body.get('message')}")
            # 403 and 404: the stage of a new API does not reach every server of API Gateway at once.
            answer = f"{reply.status} {reply.body.get('message') or reply.body.get('status') or ''}".strip()
        if context.now() > deadline:
            raise DeployError(
                f"no verdict from {url} within {LONGEST_WAIT_SECONDS} s; the last answer: {answer}",
                "see `python -m infra status`, and the log /will-it-compile/<stage>/runner in CloudWatch",
            )
        context.say(f"  not yet ({answer})")
        context.sleep(context.poll_seconds)
