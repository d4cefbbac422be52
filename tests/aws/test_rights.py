"""What the templates allow: who reaches what over the network, and who may do what."""

from collections.abc import Iterator
from typing import Any

from infra.stage import STACKS
from tests.aws.templates import resources, template, walk
from tests.contract.conftest import SERVICE_USER

# -- who reaches what


def rules(direction: str) -> list[tuple[str, dict[str, Any]]]:
    """Every rule of every security group, inside the group and beside it: group → rule."""
    found = [
        (name, rule)
        for name, group in resources("AWS::EC2::SecurityGroup").items()
        for listed in group.get(f"SecurityGroup{direction}", [])
        for rule in walk(listed)
        if isinstance(rule, dict) and "IpProtocol" in rule
    ]
    beside = resources(f"AWS::EC2::SecurityGroup{direction}").values()
    return [*found, *((rule["GroupId"]["Ref"], rule) for rule in beside)]


def test_redis_is_reached_from_two_groups_only() -> None:
    """The cache is in the group of Redis alone, which admits functions and runners, on its ports."""
    caches = [
        *resources("AWS::ElastiCache::ServerlessCache").values(),
        *resources("AWS::ElastiCache::ReplicationGroup").values(),
    ]
    assert [cache["SecurityGroupIds"] for cache in caches] == [[{"Ref": "RedisGroupId"}]] * 2
    assert template("network")["Outputs"]["RedisGroupId"]["Value"] == {"Ref": "RedisGroup"}
    admitted = [
        (rule["SourceSecurityGroupId"]["Ref"], rule["IpProtocol"], rule["FromPort"], rule["ToPort"])
        for group, rule in rules("Ingress")
        if group == "RedisGroup"
    ]
    assert sorted(admitted) == [("FunctionGroup", "tcp", 6379, 6380), ("RunnerGroup", "tcp", 6379, 6380)]
    assert not any("CidrIp" in rule or "CidrIpv6" in rule for _, rule in rules("Ingress"))


def test_nobody_reaches_a_task_or_a_function() -> None:
    """Only Redis and the endpoints admit anybody; functions speak to Redis only."""
    assert {group for group, _ in rules("Ingress")} == {"RedisGroup", "EndpointGroup"}
    [service] = resources("AWS::ECS::Service").values()
    assert service["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] == "DISABLED"
    assert all(subnet["MapPublicIpOnLaunch"] is False for subnet in resources("AWS::EC2::Subnet").values())
    spoken = [
        (rule["DestinationSecurityGroupId"], rule["FromPort"], rule["ToPort"])
        for group, rule in rules("Egress")
        if group == "FunctionGroup"
    ]
    assert spoken == [({"Ref": "RedisGroup"}, 6379, 6380)]


def test_data_is_encrypted_on_its_way_and_at_rest() -> None:
    """Nodes have both encryptions, users and a second zone; a serverless cache always has."""
    [nodes] = resources("AWS::ElastiCache::ReplicationGroup").values()
    for name in (
        "TransitEncryptionEnabled",
        "AtRestEncryptionEnabled",
        "AutomaticFailoverEnabled",
        "MultiAZEnabled",
    ):
        assert nodes[name] is True, name
    [serverless] = resources("AWS::ElastiCache::ServerlessCache").values()
    assert (nodes["UserGroupIds"], serverless["UserGroupId"]) == (
        [{"Ref": "RedisUsers"}],
        {"Ref": "RedisUsers"},
    )


def test_the_redis_user_has_the_rights_of_the_contract_tests() -> None:
    """Its access string is that of the contract suite, and what a cluster needs besides."""
    [user] = resources("AWS::ElastiCache::User").values()
    tested = set(SERVICE_USER.split()[2:]) - {">s3cret"}
    given = set(user["AccessString"].split())
    assert tested <= given
    # Besides: the tag of a cluster's coordination keys, and asking where its slots are.
    assert (
        given - tested == {"on", "~{job}:*", "+cluster|slots", "+cluster|shards", "+cluster|nodes"} - tested
    )


# -- who may do what


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement of every role's policies; rights are given in no other way."""
    kinds = {item["Type"] for part in STACKS for item in template(part)["Resources"].values()}
    assert {kind for kind in kinds if kind.startswith("AWS::IAM::")} == {"AWS::IAM::Role"}
    for name, role in resources("AWS::IAM::Role").items():
        assert "ManagedPolicyArns" not in role, name
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_no_role_may_do_everything() -> None:
    """No right is a wildcard, and none over all resources is more than AWS makes it."""
    everywhere = set()
    for name, statement in statements():
        if statement["Effect"] != "Allow":
            continue
        assert "NotAction" not in statement and "NotResource" not in statement, name
        actions = _listed(statement["Action"])
        assert not [action for action in actions if "*" in action], (name, actions)
        if "*" in _listed(statement["Resource"]):
            everywhere |= {(name, action.partition(":")[0]) for action in actions}
    assert everywhere == {("ExecutionRole", "ecr"), ("FunctionRole", "ec2")}
    [token] = [
        statement for name, statement in statements() if statement["Action"] == "ecr:GetAuthorizationToken"
    ]
    assert token["Resource"] == "*"


def test_a_task_may_only_protect_itself() -> None:
    """What a job could reach if it broke out is the protection of this cluster's tasks."""
    [statement] = [statement for name, statement in statements() if name == "TaskRole"]
    assert statement["Action"] == ["ecs:GetTaskProtection", "ecs:UpdateTaskProtection"]
    assert statement["Resource"]["Fn::Sub"].endswith(":task/will-it-compile-${Stage}/*")
    [task] = resources("AWS::ECS::TaskDefinition").values()
    assert task["TaskRoleArn"] == {"Fn::GetAtt": ["TaskRole", "Arn"]}
