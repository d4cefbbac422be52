"""What the templates allow: which connections the network permits, and which calls the roles permit."""

from collections.abc import Iterator
from typing import Any

from infra.stage import STACKS
from tests.aws.templates import resources, template, walk
from tests.contract.conftest import SERVICE_USER

# -- connections


def rules(direction: str) -> list[tuple[str, dict[str, Any]]]:
    """Every rule with its group, whether it is written inside the group or as a resource of its own."""
    inside = [
        (name, rule)
        for name, group in resources("AWS::EC2::SecurityGroup").items()
        for item in group.get(f"SecurityGroup{direction}", [])
        for rule in walk(item)
        if isinstance(rule, dict) and "IpProtocol" in rule
    ]
    separate = resources(f"AWS::EC2::SecurityGroup{direction}").values()
    return [*inside, *((rule["GroupId"]["Ref"], rule) for rule in separate)]


def test_redis_is_reached_from_two_groups_only() -> None:
    """The cache is only in the group of Redis, which lets in functions and runners, only on its ports."""
    caches = [
        *resources("AWS::ElastiCache::ServerlessCache").values(),
        *resources("AWS::ElastiCache::ReplicationGroup").values(),
    ]
    assert [cache["SecurityGroupIds"] for cache in caches] == [[{"Ref": "RedisGroupId"}]] * 3
    assert template("network")["Outputs"]["RedisGroupId"]["Value"] == {"Ref": "RedisGroup"}
    sources = [
        (rule["SourceSecurityGroupId"]["Ref"], rule["IpProtocol"], rule["FromPort"], rule["ToPort"])
        for group, rule in rules("Ingress")
        if group == "RedisGroup"
    ]
    assert sorted(sources) == [("FunctionGroup", "tcp", 6379, 6380), ("RunnerGroup", "tcp", 6379, 6380)]
    assert not any("CidrIp" in rule or "CidrIpv6" in rule for _, rule in rules("Ingress"))


def test_nobody_reaches_a_task_or_a_function() -> None:
    """Only Redis and the endpoints accept connections, and functions connect only to Redis."""
    assert {group for group, _ in rules("Ingress")} == {"RedisGroup", "EndpointGroup"}
    [service] = resources("AWS::ECS::Service").values()
    assert service["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] == "DISABLED"
    assert all(subnet["MapPublicIpOnLaunch"] is False for subnet in resources("AWS::EC2::Subnet").values())
    destinations = [
        (rule["DestinationSecurityGroupId"], rule["FromPort"], rule["ToPort"])
        for group, rule in rules("Egress")
        if group == "FunctionGroup"
    ]
    assert destinations == [({"Ref": "RedisGroup"}, 6379, 6380)]


def test_data_is_encrypted_in_transit_and_at_rest() -> None:
    """Nodes have both kinds of encryption, users and a second zone; a serverless cache always has them."""
    groups = resources("AWS::ElastiCache::ReplicationGroup")
    assert set(groups) == {"CacheNodes", "DurableCache"}
    for nodes in groups.values():
        for name in (
            "TransitEncryptionEnabled",
            "AtRestEncryptionEnabled",
            "AutomaticFailoverEnabled",
            "MultiAZEnabled",
        ):
            assert nodes[name] is True, name
        assert nodes["UserGroupIds"] == [{"Ref": "RedisUsers"}]
    [serverless] = resources("AWS::ElastiCache::ServerlessCache").values()
    assert serverless["UserGroupId"] == {"Ref": "RedisUsers"}


def test_the_redis_user_has_the_rights_of_the_contract_tests() -> None:
    """Its access string is that of the contract suite, plus what a cluster needs."""
    [user] = resources("AWS::ElastiCache::User").values()
    tested = set(SERVICE_USER.split()[2:]) - {">s3cret"}
    rights = set(user["AccessString"].split())
    assert tested <= rights
    # A cluster needs the hash tag of the coordination keys, and the commands that list its slots.
    assert (
        rights - tested == {"on", "~{job}:*", "+cluster|slots", "+cluster|shards", "+cluster|nodes"} - tested
    )


# -- calls of AWS


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement of every role's policies; the templates give rights in no other way."""
    kinds = {item["Type"] for part in STACKS for item in template(part)["Resources"].values()}
    assert {kind for kind in kinds if kind.startswith("AWS::IAM::")} == {"AWS::IAM::Role"}
    for name, role in resources("AWS::IAM::Role").items():
        assert "ManagedPolicyArns" not in role, name
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_no_role_may_do_everything() -> None:
    """No action is a wildcard; only actions that AWS cannot limit to a resource are for all resources."""
    everywhere = set()
    for name, statement in statements():
        if statement["Effect"] != "Allow":
            continue
        assert "NotAction" not in statement and "NotResource" not in statement, name
        actions = _as_list(statement["Action"])
        assert not [action for action in actions if "*" in action], (name, actions)
        if "*" in _as_list(statement["Resource"]):
            everywhere |= {(name, action.partition(":")[0]) for action in actions}
    assert everywhere == {("ExecutionRole", "ecr"), ("FunctionRole", "ec2")}
    [token] = [
        statement for name, statement in statements() if statement["Action"] == "ecr:GetAuthorizationToken"
    ]
    assert token["Resource"] == "*"


def test_a_task_may_only_protect_itself() -> None:
    """A job that broke out of its sandbox could only protect tasks of this cluster."""
    [statement] = [statement for name, statement in statements() if name == "TaskRole"]
    assert statement["Action"] == ["ecs:GetTaskProtection", "ecs:UpdateTaskProtection"]
    assert statement["Resource"]["Fn::Sub"].endswith(":task/will-it-compile-${Stage}/*")
    [task] = resources("AWS::ECS::TaskDefinition").values()
    assert task["TaskRoleArn"] == {"Fn::GetAtt": ["TaskRole", "Arn"]}
