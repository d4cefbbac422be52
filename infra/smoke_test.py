"""Whether the deployed service works, by what its users do: a program that compiles and one that does not.

A runner takes some minutes to fetch its image, and a stage that has scaled to zero notices a job only after a
minute; until then the answer is 503 or a job that waits, which is no failure.
"""

from infra.context import Outside, Reply
from infra.errors import Problem

GOOD = {"source_code": "int main(void) { return 0; }\n", "language": "c", "cache": False}
BAD = {"source_code": "int main(void) { return x; }\n", "language": "c", "cache": False}
# From zero, a job is noticed within a minute and a half, and a task takes three to start: it fetches the
# whole image of 2.4 GB. As long again for one that Spot refuses or takes back, and two minutes for a runner
# that tests every compiler because it does not trust the image's record; the rest is to be safe.
LONGEST_WAIT_SECONDS = 900
# The longest wait of one call (docs/api.md); API Gateway ends a call after 29 s.
WAIT_SECONDS = 25


def compile_through(outside: Outside, url: str) -> str:
    """Both programs through the API at `url`; a sentence about it, `Problem` for a wrong verdict."""
    started = outside.now()
    for program, wanted in ((GOOD, "compiles"), (BAD, "rejected")):
        reply = _verdict(outside, url, program, started + LONGEST_WAIT_SECONDS)
        if reply.body.get("verdict") != wanted:
            raise Problem(
                f"{url} answers {reply.body.get('verdict')!r} ({reply.body.get('error')}) "
                f"where it is {wanted!r}",
                "see the log /will-it-compile/<stage>/runner in CloudWatch",
            )
    return f"a good and a bad program got their verdicts from {url} after {outside.now() - started:.0f} s"


def _verdict(outside: Outside, url: str, program: dict[str, object], deadline: float) -> Reply:
    method, address, body = "POST", f"{url}/api/v1/compile?wait={WAIT_SECONDS}", dict(program)
    while True:
        said = ""
        try:
            reply = outside.http(method, address, body if method == "POST" else None)
        except OSError as error:
            said = str(error)
        else:
            if reply.body.get("verdict"):
                return reply
            if reply.status in (200, 202) and reply.body.get("job_id"):
                # It was taken; from now on the answer is asked for, and no second job is made.
                method = "GET"
                address = f"{url}/api/v1/compile/{reply.body['job_id']}?wait={WAIT_SECONDS}"
            elif reply.status not in (403, 404, 429, 500, 502, 503, 504):
                raise Problem(f"{url} answers {reply.status}: {reply.body.get('message')}")
            # 403 and 404: the stage of a new API is not everywhere at once.
            said = f"{reply.status} {reply.body.get('message') or reply.body.get('status') or ''}".strip()
        if outside.now() > deadline:
            raise Problem(
                f"no verdict from {url} within {LONGEST_WAIT_SECONDS} s; last: {said}",
                "see `python -m infra status`, and the log /will-it-compile/<stage>/runner in CloudWatch",
            )
        outside.say(f"  not yet ({said})")
        outside.sleep(outside.poll_seconds)
