"""The templates agree with the capacity model: the numbers of scaling, and the metrics in the bill."""

from tests.aws.templates import METRICS, resources, template, walk
from tools.capacity import cost
from tools.capacity.recommend import RECOMMENDED
from tools.capacity.simulation import (
    FROM_ZERO_COOLDOWN_SECONDS,
    FROM_ZERO_STEPS,
    METRIC_DELAY_SECONDS,
    TASK_START_SECONDS,
)


def test_the_numbers_of_scaling_are_those_of_the_model() -> None:
    """Target, bounds, cooldowns and steps of the template are those that the model recommends."""
    parameters = template("runners")["Parameters"]
    assert {
        "TargetBacklogPerTask": RECOMMENDED.target_backlog_per_task,
        "MinTasks": RECOMMENDED.min_tasks,
        "MaxTasks": RECOMMENDED.max_tasks,
        "ScaleOutCooldownSeconds": RECOMMENDED.scale_out_cooldown_seconds,
        "ScaleInCooldownSeconds": RECOMMENDED.scale_in_cooldown_seconds,
        "IdleSeconds": RECOMMENDED.idle_seconds,
    } == {
        name: parameters[name]["Default"]
        for name in (
            "TargetBacklogPerTask",
            "MinTasks",
            "MaxTasks",
            "ScaleOutCooldownSeconds",
            "ScaleInCooldownSeconds",
            "IdleSeconds",
        )
    }
    policies = resources("AWS::ApplicationAutoScaling::ScalingPolicy")
    step = policies["FromZero"]["StepScalingPolicyConfiguration"]
    assert step["Cooldown"] == FROM_ZERO_COOLDOWN_SECONDS
    # The bounds are relative to the alarm's threshold, which is one job.
    steps = {
        (each["MetricIntervalLowerBound"] + 1, each["ScalingAdjustment"]) for each in step["StepAdjustments"]
    }
    assert steps == set(FROM_ZERO_STEPS)
    assert resources("AWS::CloudWatch::Alarm")["BacklogWithoutRunners"]["Threshold"] == 1


def test_a_step_from_zero_is_not_repeated_while_its_tasks_start() -> None:
    """The cooldown is longer than the start of a task and the time until a metric shows it."""
    seen_seconds = TASK_START_SECONDS + 60 + METRIC_DELAY_SECONDS
    policies = resources("AWS::ApplicationAutoScaling::ScalingPolicy")
    assert policies["FromZero"]["StepScalingPolicyConfiguration"]["Cooldown"] > seen_seconds


def test_a_start_from_zero_raises_no_alarm() -> None:
    """The alarm on the oldest job allows for the time that the first job after a quiet time waits."""
    longest_seconds = 60 + METRIC_DELAY_SECONDS + TASK_START_SECONDS
    assert template("api")["Parameters"]["OldestQueuedSeconds"]["Default"] > longest_seconds


def test_runners_are_stopped_only_when_metrics_show_that_no_job_waited_ran_or_ended() -> None:
    """The step to zero uses the metrics of the whole idle time, and does nothing when values are missing."""
    policies = resources("AWS::ApplicationAutoScaling::ScalingPolicy")
    step = policies["ToZero"]["StepScalingPolicyConfiguration"]
    assert step["AdjustmentType"] == "ExactCapacity"
    assert step["StepAdjustments"] == [{"MetricIntervalUpperBound": 0, "ScalingAdjustment": 0}]
    alarm = resources("AWS::CloudWatch::Alarm")["RunnersWithoutJobs"]
    assert alarm["TreatMissingData"] == "notBreaching"
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
    work, *inputs = alarm["Metrics"]
    assert work["Expression"] == {"Fn::Sub": "IF(known < ${IdleSeconds} / 75, 1, most - least + backlog)"}
    assert {each["MetricStat"]["Period"]["Ref"] for each in inputs} == {"IdleSeconds"}
    assert {
        each["Id"]: (each["MetricStat"]["Metric"]["MetricName"], each["MetricStat"]["Stat"])
        for each in inputs
    } == {
        "known": ("EndedJobs", "SampleCount"),
        "most": ("EndedJobs", "Maximum"),
        "least": ("EndedJobs", "Minimum"),
        "backlog": ("Backlog", "Maximum"),
    }


def test_the_bill_counts_every_metric_and_alarm() -> None:
    """The bill has the metrics that are published, and those that alarms and target tracking read."""
    assert template("store")["Parameters"]["Cache"]["Default"] == "nodes", "the bill is that of nodes"
    alarms = resources("AWS::CloudWatch::Alarm")
    del alarms["RedisRefuses"]  # only of a serverless cache
    # A metric may be inside a condition.
    in_alarms = sum(
        sum(1 for each in walk(alarm["Metrics"]) if isinstance(each, dict) and "MetricStat" in each)
        if "Metrics" in alarm
        else 1
        for alarm in alarms.values()
    )
    # Target tracking makes one alarm above its target and one below.
    assert (len(METRICS), in_alarms + 2) == (cost.METRICS, cost.ALARMS)


def test_fetching_the_layers_of_an_image_is_free() -> None:
    """A new network always routes the runners' traffic to S3 through the free gateway, also with a NAT."""
    s3 = template("network")["Resources"]["S3Endpoint"]
    assert s3["Condition"] == "NewVpc"
    assert s3["Properties"]["VpcEndpointType"] == "Gateway"
    assert s3["Properties"]["RouteTableIds"] == [{"Ref": "PrivateRoutes"}]
