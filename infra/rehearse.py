"""`rehearse`: deploys a stage of its own, tests it while parts of it fail, and removes everything.

For the owner of an account: what AWS's documents leave open, an hour and a few dollars settle. The stage must
not exist yet. The service is tested from outside, through its API, and its store from inside, by the contract
tests in a task. A check that fails does not end the rehearsal: the next one may still say something. However
it ends, with Ctrl-C too, the stage is removed. For another check, write a method and add it to `_checks`.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra import chalice_deploy, chalice_resources, doctor, elasticache, image, smoke_test
from infra.context import DeployContext
from infra.deploy import deploy
from infra.destroy import destroy
from infra.errors import DeployError, step
from infra.stacks import Stack
from infra.stage import ROOT, STACKS, Stage

# Enough for several runners and for the step from zero, and done in minutes on one of them.
LOAD_JOBS = 500
# Jobs that are under way while something fails.
JOBS_DURING_FAULTS = 60
# Clients of the load: API Gateway lets in 100 calls a second, and each of these makes some.
CLIENTS = 20
# All jobs of a check. From zero runners a task needs four minutes; another one for a task that Spot stops.
LONGEST_LOAD_SECONDS = 1800
# The suite needs five minutes here; a small task is slower, and has to fetch its image.
LONGEST_CONTRACT_SECONDS = 3600
LONGEST_FAILOVER_SECONDS = 900
CONTRACT = "contract"
# What the contract tests need beyond the rights of the service: each test empties the store.
MORE_RIGHTS = "+flushall"


@dataclass
class Outcome:
    """How a check ended: `failure` is empty when it passed."""

    name: str
    seconds: float
    sentence: str
    failure: bool = False


def steps(stage: Stage) -> list[str]:
    """What a rehearsal does, for `--dry-run`."""
    return [
        "doctor: ask the account what will not work",
        f"deploy: make the stage {stage.name}, and compile a good and a bad program",
        "contract: run the contract tests of the store in a task inside the network, without runners",
        "compile: one program that compiles and one that does not",
        f"load: submit {LOAD_JOBS} jobs from {CLIENTS} clients, and wait for every verdict",
        f"interruption: stop a runner while {JOBS_DURING_FAULTS} jobs are under way, as Spot does",
        f"failover: let Redis fail over while {JOBS_DURING_FAULTS} jobs are under way (not serverless)",
        "bill: read what AWS has counted for the account today",
        "destroy: remove everything, however the rehearsal ends",
    ]


def rehearse(
    context: DeployContext,
    stage: Stage,
    *,
    chosen_image: str | None = None,
    dry_run: bool = False,
    root: Path = ROOT,
) -> None:
    """All steps; `DeployError` when a check failed."""
    with step("credentials"):
        context.say(f"rehearsal with the stage {stage.name}, region {context.region_name}")
        context.client("sts").get_caller_identity()
        for part in STACKS:
            if Stack(context, stage, part).status():
                raise DeployError(
                    f"the stage {stage.name} exists, and a rehearsal removes its stage",
                    "choose another --stage, or first remove what an earlier rehearsal left with "
                    f"`python -m infra destroy --stage {stage.name}`",
                )
    if dry_run:
        for number, line in enumerate(steps(stage), start=1):
            context.say(f"  {number}. {line}")
        context.say("nothing was changed; without --dry-run it takes about two hours")
        return
    with step("doctor"):
        context.say("doctor")
        if not doctor.report(context, doctor.examine(context, stage, root=root)):
            raise DeployError("the account is not ready", "see the lines that begin with NOT")
    # What chalice's configuration says about other stages must stay as it is.
    config = (root / chalice_deploy.CONFIG).read_text()
    rehearsal = Rehearsal(context, stage, root)
    try:
        rehearsal.url = deploy(context, stage, chosen_image=chosen_image, root=root)
        rehearsal.run()
    finally:
        _remove(context, stage, root, config)
    failed = [outcome.name for outcome in rehearsal.outcomes if outcome.failure]
    for outcome in rehearsal.outcomes:
        mark = doctor.FAULT if outcome.failure else doctor.OK
        context.say(f"{mark:<3} {outcome.name:<12} {outcome.seconds:5.0f} s  {outcome.sentence}")
    if failed:
        error = DeployError(f"these checks failed: {', '.join(failed)}", "see their lines above")
        error.step = "rehearse"
        raise error


def _remove(context: DeployContext, stage: Stage, root: Path, config: str) -> None:
    context.say("destroy")
    try:
        destroy(context, stage, root=root)
    except DeployError as error:
        error.hint = (
            f"the stage is still there and costs money: `python -m infra destroy --stage {stage.name}`"
        )
        raise
    finally:
        (root / chalice_deploy.CONFIG).write_text(config)


@dataclass
class Rehearsal:
    """The checks over a deployed stage."""

    context: DeployContext
    stage: Stage
    root: Path
    url: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    # Ends the calls of all clients.
    _stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """All checks, each whether the earlier ones passed or not; Ctrl-C ends them."""
        for name, check in self._checks():
            self.context.say(name)
            started = self.context.now()
            try:
                with step(name):
                    sentence, failure = check(), False
            except DeployError as error:
                if isinstance(error.__cause__, KeyboardInterrupt):
                    raise
                sentence, failure = error.message, True
            self.context.say(f"  {sentence}")
            self.outcomes.append(Outcome(name, self.context.now() - started, sentence, failure))

    def _checks(self) -> list[tuple[str, Callable[[], str]]]:
        return [
            (CONTRACT, self.contract),
            ("compile", self.compile),
            ("load", lambda: self.load(LOAD_JOBS)),
            ("interruption", self.interruption),
            ("failover", self.failover),
            ("bill", self.bill),
        ]

    # -- the store, from inside

    def contract(self) -> str:
        """Runs the contract tests in a task of their own, while no runner takes their jobs."""
        values: dict[str, str] = {}
        for part in STACKS:
            values |= Stack(self.context, self.stage, part).outputs()
        tests = image.ensure_tests(self.context, self.stage, values["RepositoryUri"], self.root)
        with self._without_runners(), self._with_more_rights():
            arn = self._start_contract(tests.uri, values)
            return self._await_contract(arn)

    @contextmanager
    def _without_runners(self) -> Iterator[None]:
        """Stops the runners, the scaling that would start them, and the scheduled function."""
        scaling, ecs = self.context.client("application-autoscaling"), self.context.client("ecs")
        events = self.context.client("events")
        target = {
            "ServiceNamespace": "ecs",
            "ResourceId": f"service/{self.stage.app}/runner",
            "ScalableDimension": "ecs:service:DesiredCount",
        }

        def suspend(*, on: bool) -> None:
            state = {"DynamicScalingInSuspended": on, "DynamicScalingOutSuspended": on}
            scaling.register_scalable_target(**target, SuspendedState=state)
            for rule in chalice_resources.rules(self.stage):
                (events.disable_rule if on else events.enable_rule)(Name=rule)

        try:
            suspend(on=True)
            ecs.update_service(cluster=self.stage.app, service="runner", desiredCount=0)
            self._await(
                lambda: not self._service()["runningCount"], LONGEST_LOAD_SECONDS, "the runners do not stop"
            )
            yield
        finally:
            suspend(on=False)
            ecs.update_service(cluster=self.stage.app, service="runner", desiredCount=1)

    @contextmanager
    def _with_more_rights(self) -> Iterator[None]:
        client, user = self.context.client("elasticache"), f"wic-{self.stage.name}"
        rights = client.describe_users(UserId=user)["Users"][0]["AccessString"]
        client.modify_user(UserId=user, AccessString=f"{rights} {MORE_RIGHTS}")
        try:
            self._await(
                lambda: client.describe_users(UserId=user)["Users"][0]["Status"] == "active",
                LONGEST_FAILOVER_SECONDS,
                "ElastiCache does not change the rights of the user",
            )
            yield
        finally:
            client.modify_user(UserId=user, AccessString=rights)

    def _start_contract(self, uri: str, values: dict[str, str]) -> str:
        ecs = self.context.client("ecs")
        runner = ecs.describe_task_definition(taskDefinition=f"{self.stage.app}-runner")["taskDefinition"]
        container = runner["containerDefinitions"][0]
        env = [each for each in container["environment"] if each["name"].startswith("REDIS_")]
        log = container["logConfiguration"]
        log = {**log, "options": {**log["options"], "awslogs-stream-prefix": CONTRACT}}
        definition = ecs.register_task_definition(
            family=f"{self.stage.app}-{CONTRACT}",
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="1024",
            memory="2048",
            executionRoleArn=values["ExecutionRoleArn"],
            containerDefinitions=[
                {
                    "name": CONTRACT,
                    "image": uri,
                    "essential": True,
                    "environment": env,
                    "secrets": container["secrets"],
                    "logConfiguration": log,
                }
            ],
        )["taskDefinition"]["taskDefinitionArn"]
        started = ecs.run_task(
            cluster=self.stage.app,
            taskDefinition=definition,
            launchType="FARGATE",
            networkConfiguration={
                "awsvpcConfiguration": {
                    "subnets": values["SubnetIds"].split(","),
                    "securityGroups": [values["RunnerGroupId"]],
                    "assignPublicIp": "DISABLED",
                }
            },
        )
        if not started["tasks"]:
            raise DeployError(f"ECS starts no task: {started.get('failures')}")
        return str(started["tasks"][0]["taskArn"])

    def _await_contract(self, arn: str) -> str:
        ecs = self.context.client("ecs")

        def task() -> dict[str, Any]:
            described: dict[str, Any] = ecs.describe_tasks(cluster=self.stage.app, tasks=[arn])["tasks"][0]
            return described

        try:
            self._await(
                lambda: task()["lastStatus"] == "STOPPED", LONGEST_CONTRACT_SECONDS, "the tests do not end"
            )
        except (DeployError, KeyboardInterrupt):
            ecs.stop_task(cluster=self.stage.app, task=arn, reason="the rehearsal ends")
            raise
        stopped = task()
        code = stopped["containers"][0].get("exitCode")
        where = f"the log /will-it-compile/{self.stage.name}/runner, streams {CONTRACT}/…"
        self._print_log()
        if code != 0:
            raise DeployError(
                f"the contract tests ended with {code} ({stopped.get('stoppedReason', 'no reason')}); {where}"
            )
        return "the store keeps its contract"

    def _print_log(self) -> None:
        """The last lines of the tests: the log is removed with the stage."""
        logs, group = self.context.client("logs"), f"/will-it-compile/{self.stage.name}/runner"
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{CONTRACT}/")
        for stream in streams["logStreams"]:
            events = logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], limit=200, startFromHead=False
            )
            for event in events["events"]:
                self.context.say(f"    {event['message']}")

    # -- the service, from outside

    def compile(self) -> str:
        """One good and one bad program."""
        return smoke_test.check_service(self.context, self.url)

    def load(self, count: int) -> str:
        """Submits this many jobs, waits for all, and checks every verdict."""
        started = self.context.now()
        jobs = self._submit(count)
        wrong, lost = self._collect(jobs)
        if lost or wrong:
            raise DeployError(
                f"of {count} jobs that were accepted, {lost} did not end and {wrong} got a wrong verdict"
            )
        return f"{count} jobs ended with the right verdict in {self.context.now() - started:.0f} s"

    def interruption(self) -> str:
        """Stops a runner as Spot does (SIGTERM, and SIGKILL 120 s later) while jobs are under way."""
        ecs = self.context.client("ecs")
        self._await(lambda: self._service()["runningCount"] > 0, LONGEST_LOAD_SECONDS, "no runner is running")
        jobs = self._submit(JOBS_DURING_FAULTS)
        tasks = ecs.list_tasks(cluster=self.stage.app, serviceName="runner")["taskArns"]
        if not tasks:
            raise DeployError("no runner is running")
        ecs.stop_task(cluster=self.stage.app, task=tasks[0], reason="rehearsal: as Spot does")
        self.context.say(f"  stopped {tasks[0].rpartition('/')[2]}")
        wrong, lost = self._collect(jobs)
        if lost or wrong:
            raise DeployError(f"of {len(jobs)} jobs, {lost} did not end and {wrong} got a wrong verdict")
        return f"a runner was stopped, and all {len(jobs)} jobs ended with the right verdict"

    def failover(self) -> str:
        """Lets a replica take over from the primary while jobs are under way."""
        kind = elasticache.kind(self.context, self.stage)
        if kind == "serverless":
            return "skipped: AWS has no way to let a serverless cache fail over"
        client, group = self.context.client("elasticache"), elasticache.group(self.context, self.stage)
        jobs = self._submit(JOBS_DURING_FAULTS)
        client.test_failover(ReplicationGroupId=group, NodeGroupId="0001")
        self._await(
            lambda: elasticache.status(self.context, self.stage) == "available",
            LONGEST_FAILOVER_SECONDS,
            "Redis is not available again",
        )
        wrong, lost = self._collect(jobs)
        if wrong or (lost and kind == "durable"):
            raise DeployError(
                f"of {len(jobs)} jobs, {lost} were lost and {wrong} got a wrong verdict, with Cache = {kind}"
            )
        self.load(JOBS_DURING_FAULTS)
        return f"it works again; {lost} of {len(jobs)} accepted jobs were lost (Cache = {kind})"

    def bill(self) -> str:
        """What AWS has counted for the account today; it needs up to a day for that."""
        today = datetime.now(UTC).date()
        try:
            answer = self.context.client("ce").get_cost_and_usage(
                TimePeriod={"Start": today.isoformat(), "End": (today + timedelta(days=1)).isoformat()},
                Granularity="DAILY",
                Metrics=["UnblendedCost"],
            )
        except (ClientError, BotoCoreError) as error:
            return f"skipped: Cost Explorer does not answer ({error})"
        dollars = sum(float(day["Total"]["UnblendedCost"]["Amount"]) for day in answer["ResultsByTime"])
        return (
            f"so far {dollars:.2f} dollars for the whole account today; AWS adds this rehearsal within a day"
        )

    # -- parts of the checks

    def _submit(self, count: int) -> list[tuple[str, str]]:
        """Submits jobs, every second of which does not compile; returns (id, right verdict) of each."""
        programs = [
            (f"int main(void) {{ return {number}; }}\n", "compiles")
            if number % 2
            else (f"int main(void) {{ return x{number}; }}\n", "rejected")
            for number in range(count)
        ]
        ids = self._in_parallel(self._submit_one, [source for source, _ in programs])
        self.context.say(f"  {count} jobs are accepted")
        return [(job, verdict) for job, (_, verdict) in zip(ids, programs, strict=True)]

    def _in_parallel(self, call: Callable[[str], str], arguments: list[str]) -> list[str]:
        """The answers in order, from `CLIENTS` threads; when one fails, or at Ctrl-C, all of them end."""
        clients = ThreadPoolExecutor(CLIENTS)
        try:
            return list(clients.map(call, arguments))
        except BaseException:
            self._stopped.set()
            raise
        finally:
            clients.shutdown(cancel_futures=True)
            self._stopped.clear()

    def _submit_one(self, source: str) -> str:
        body = {"source_code": source, "language": "c", "cache": False}
        reply = self._call("POST", "/api/v1/compile", body, lambda reply: bool(reply.body.get("job_id")))
        return str(reply.body["job_id"])

    def _collect(self, jobs: list[tuple[str, str]]) -> tuple[int, int]:
        """Waits for all of them; how many got a wrong verdict, and how many did not end."""
        verdicts = self._in_parallel(self._verdict, [job for job, _ in jobs])
        pairs = list(zip(verdicts, jobs, strict=True))
        lost = sum(1 for verdict, _ in pairs if not verdict)
        return sum(1 for verdict, (_, right) in pairs if verdict and verdict != right), lost

    def _verdict(self, job: str) -> str:
        """The verdict of a job; empty when the service does not know the job, or it does not end."""
        try:
            reply = self._call(
                "GET",
                f"/api/v1/compile/{job}?wait={smoke_test.WAIT_SECONDS}",
                None,
                lambda reply: bool(reply.body.get("verdict")) or reply.status == 404,
            )
        except DeployError:
            return ""
        return str(reply.body.get("verdict", ""))

    def _call(self, method: str, path: str, body: object, done: Callable[[Any], bool]) -> Any:
        """Calls until the answer is `done`: 429, 503 and cut connections are normal while something fails."""
        deadline, answer = self.context.now() + LONGEST_LOAD_SECONDS, ""
        while self.context.now() < deadline and not self._stopped.is_set():
            try:
                reply = self.context.http(method, f"{self.url}{path}", body)
            except OSError as error:
                answer = str(error)
            else:
                if done(reply):
                    return reply
                answer = f"{reply.status} {reply.body.get('message') or reply.body.get('status') or ''}"
            self.context.sleep(self.context.poll_seconds)
        raise DeployError(f"{method} {path} has no answer after half an hour; the last one: {answer}")

    def _service(self) -> dict[str, Any]:
        services = self.context.client("ecs").describe_services(cluster=self.stage.app, services=["runner"])
        service: dict[str, Any] = services["services"][0]
        return service

    def _await(self, condition: Callable[[], bool], longest_seconds: float, otherwise: str) -> None:
        deadline = self.context.now() + longest_seconds
        while not condition():
            if self.context.now() > deadline:
                raise DeployError(f"{otherwise} after {longest_seconds / 60:.0f} minutes")
            self.context.sleep(self.context.poll_seconds)
