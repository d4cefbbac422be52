"""CloudFormation resources that moto's CloudFormation does not know, made in moto's own services.

moto skips a resource of an unknown type: Redis, its user, the secret, alarms and scaling, without which
nothing after them would work. Each class below makes the resource where moto has that service (Secrets
Manager, ElastiCache users and subnet groups, CloudWatch, Application Auto Scaling), and only records its name
in `RECORDED` where moto does not (user groups, parameter groups, caches). For another type, write a class:
moto_templates.py gives moto what `missing_types` lists.
"""

import itertools
import json
from typing import Any, ClassVar

from moto.applicationautoscaling.models import applicationautoscaling_backends
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.common_models import CloudFormationModel
from moto.elasticache.models import elasticache_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.wafv2.models import wafv2_backends

# Type → physical ids of resources that moto has no service for.
RECORDED: dict[str, set[str]] = {}


class Resource(CloudFormationModel):
    """A resource: `make` creates it, `remove` deletes it, and an update does both."""

    TYPE: ClassVar[str]
    physical_resource_id: str

    def __init__(self, properties: dict[str, Any], account: str, region: str) -> None:
        self.properties, self.account, self.region = properties, account, region
        self.physical_resource_id = self.make()

    def make(self) -> str:
        """Creates it; returns the physical id."""
        raise NotImplementedError

    def remove(self) -> None:
        """Deletes it."""
        raise NotImplementedError

    # -- what moto calls

    @classmethod
    def cloudformation_type(cls) -> str:
        return getattr(cls, "TYPE", "-")

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:  # noqa: ARG003 -- moto's signature
        return True

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,  # noqa: ARG003 -- moto's signature
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **_: Any,
    ) -> "Resource":
        return cls(cloudformation_json["Properties"], account_id, region_name)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: "Resource",
        new_resource_name: str,  # noqa: ARG003 -- moto's signature
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> "Resource":
        original_resource.remove()
        return cls(cloudformation_json["Properties"], account_id, region_name)

    @classmethod
    def delete_from_cloudformation_json(cls, *_: Any) -> None:
        raise NotImplementedError("moto calls delete() instead")

    def delete(self, _account: str, _region: str) -> None:
        self.remove()

    def is_created(self) -> bool:
        return True


class _Recorded(Resource):
    """A resource that moto has no service for: only its name is recorded."""

    NAME: ClassVar[str]

    def make(self) -> str:
        RECORDED.setdefault(self.TYPE, set()).add(self.properties[self.NAME])
        return str(self.properties[self.NAME])

    def remove(self) -> None:
        RECORDED[self.TYPE].discard(self.physical_resource_id)


class UserGroup(_Recorded):
    TYPE, NAME = "AWS::ElastiCache::UserGroup", "UserGroupId"


class ParameterGroup(_Recorded):
    TYPE, NAME = "AWS::ElastiCache::ParameterGroup", "CacheParameterGroupFamily"
    _serial = itertools.count(1)

    def make(self) -> str:
        # The template gives it no name, so CloudFormation invents one, and stages do not share it.
        self.properties = self.properties | {self.NAME: f"{self.properties[self.NAME]}-{next(self._serial)}"}
        return super().make()


class ServerlessCache(_Recorded):
    TYPE, NAME = "AWS::ElastiCache::ServerlessCache", "ServerlessCacheName"

    def get_cfn_attribute(self, name: str) -> Any:
        """The two attributes that our template uses."""
        return {
            "Endpoint.Address": f"{self.physical_resource_id}.serverless.cache.test",
            "Endpoint.Port": "6379",
        }[name]


class Secret(Resource):
    TYPE = "AWS::SecretsManager::Secret"

    def make(self) -> str:
        backend = secretsmanager_backends[self.account][self.region]
        recipe = self.properties["GenerateSecretString"]
        password = backend.get_random_password(
            password_length=int(recipe["PasswordLength"]),
            exclude_characters="",
            exclude_numbers=False,
            exclude_punctuation=bool(recipe["ExcludePunctuation"]),
            exclude_uppercase=False,
            exclude_lowercase=False,
            include_space=False,
            require_each_included_type=True,
        )
        value = json.loads(recipe["SecretStringTemplate"])
        value[recipe["GenerateStringKey"]] = json.loads(password)["RandomPassword"]
        secret = backend.create_secret(
            name=self.properties["Name"],
            secret_string=json.dumps(value),
            secret_binary=None,
            description=None,
            tags=[],
            kms_key_id=None,
            client_request_token=None,
            replica_regions=[],
            force_overwrite=False,
        )
        return str(json.loads(secret)["ARN"])

    def remove(self) -> None:
        backend = secretsmanager_backends[self.account][self.region]
        backend.delete_secret(self.physical_resource_id, None, force_delete_without_recovery=True)


def resolve(text: str, account: str, region: str) -> str:
    """What CloudFormation does with ``{{resolve:secretsmanager:ARN:SecretString:KEY}}``."""
    arn, _, key = (
        text.removeprefix("{{resolve:secretsmanager:").removesuffix("}}").rpartition(":SecretString:")
    )
    value = secretsmanager_backends[account][region].get_secret_value(arn, "", "")
    return str(json.loads(value["SecretString"])[key])


class User(Resource):
    TYPE = "AWS::ElastiCache::User"

    def make(self) -> str:
        elasticache_backends[self.account][self.region].create_user(
            user_id=self.properties["UserId"],
            user_name=self.properties["UserName"],
            engine="redis",  # the only one that moto knows
            passwords=[resolve(text, self.account, self.region) for text in self.properties["Passwords"]],
            access_string=self.properties["AccessString"],
            no_password_required=False,
            authentication_type="password",
        )
        return str(self.properties["UserId"])

    def remove(self) -> None:
        elasticache_backends[self.account][self.region].users.pop(self.physical_resource_id)


class SubnetGroup(Resource):
    TYPE = "AWS::ElastiCache::SubnetGroup"

    def make(self) -> str:
        elasticache_backends[self.account][self.region].create_cache_subnet_group(
            self.properties["CacheSubnetGroupName"],
            self.properties["Description"],
            self.properties["SubnetIds"],
            [],
        )
        return str(self.properties["CacheSubnetGroupName"])

    def remove(self) -> None:
        elasticache_backends[self.account][self.region].cache_subnet_groups.pop(self.physical_resource_id)


class ReplicationGroup(_Recorded):
    TYPE, NAME = "AWS::ElastiCache::ReplicationGroup", "ReplicationGroupId"

    def get_cfn_attribute(self, name: str) -> Any:
        """The attributes that our template uses."""
        return {
            "PrimaryEndPoint.Address": f"master.{self.physical_resource_id}.cache.test",
            "PrimaryEndPoint.Port": "6379",
            "ConfigurationEndPoint.Address": f"clustercfg.{self.physical_resource_id}.cache.test",
            "ConfigurationEndPoint.Port": "6379",
        }[name]


class Budget(_Recorded):
    TYPE, NAME = "AWS::Budgets::Budget", "BudgetName"

    def make(self) -> str:
        self.properties = {"BudgetName": "made by CloudFormation", **self.properties["Budget"]}
        return super().make()


class Subscription(_Recorded):
    TYPE, NAME = "AWS::SNS::Subscription", "Endpoint"


class WebAcl(Resource):
    TYPE = "AWS::WAFv2::WebACL"

    def make(self) -> str:
        self.backend = wafv2_backends[self.account][self.region]
        self.acl = self.backend.create_web_acl(
            name=self.properties["Name"],
            visibility_config=self.properties["VisibilityConfig"],
            default_action=self.properties["DefaultAction"],
            scope=self.properties["Scope"],
            description=self.properties["Description"],
            tags=[],
            rules=[],  # moto keeps them, and does not limit anything
            association_config=None,
            captcha_config=None,
            challenge_config=None,
            custom_response_bodies=None,
            token_domains=None,
        )
        return f"{self.acl.name}|{self.acl.id}|REGIONAL"

    def remove(self) -> None:
        assert self.acl.associated_resources == [], "AWS deletes no web ACL that is in use"
        del self.backend.wacls[self.acl.arn]

    def get_cfn_attribute(self, name: str) -> Any:
        """The attribute that our template uses."""
        return {"Arn": self.acl.arn}[name]


class ScalableTarget(Resource):
    TYPE = "AWS::ApplicationAutoScaling::ScalableTarget"

    def make(self) -> str:
        properties = self.properties
        applicationautoscaling_backends[self.account][self.region].register_scalable_target(
            properties["ServiceNamespace"],
            properties["ResourceId"],
            properties["ScalableDimension"],
            int(properties["MinCapacity"]),
            int(properties["MaxCapacity"]),
            properties["RoleARN"],
            {},  # type: ignore[arg-type]  # annotated as str, but moto returns it as it is
        )
        return (
            f"{properties['ResourceId']}|{properties['ScalableDimension']}|{properties['ServiceNamespace']}"
        )

    def remove(self) -> None:
        resource, dimension, namespace = self.physical_resource_id.split("|")
        backend = applicationautoscaling_backends[self.account][self.region]
        backend.deregister_scalable_target(namespace, resource, dimension)


class ScalingPolicy(Resource):
    TYPE = "AWS::ApplicationAutoScaling::ScalingPolicy"

    def make(self) -> str:
        self.target = self.properties["ScalingTargetId"].split("|")
        resource, dimension, namespace = self.target
        applicationautoscaling_backends[self.account][self.region].put_scaling_policy(
            self.properties["PolicyName"],
            namespace,
            resource,
            dimension,
            next((value for key, value in self.properties.items() if key.endswith("Configuration")), {}),
            # For target tracking moto would make alarms that it cannot read back itself.
            "StepScaling",
        )
        return (
            f"arn:aws:autoscaling:{self.region}:{self.account}:scalingPolicy:{self.properties['PolicyName']}"
        )

    def remove(self) -> None:
        resource, dimension, namespace = self.target
        applicationautoscaling_backends[self.account][self.region].delete_scaling_policy(
            self.properties["PolicyName"], namespace, resource, dimension
        )


class Alarm(Resource):
    TYPE = "AWS::CloudWatch::Alarm"

    def make(self) -> str:
        properties = self.properties
        cloudwatch_backends[self.account][self.region].put_metric_alarm(
            name=properties["AlarmName"],
            namespace=properties.get("Namespace", ""),
            metric_name=properties.get("MetricName", ""),
            comparison_operator=properties["ComparisonOperator"],
            evaluation_periods=int(properties["EvaluationPeriods"]),
            period=int(properties.get("Period", 60)),
            threshold=float(properties["Threshold"]),
            statistic=properties.get("Statistic", "Maximum"),
            description=properties["AlarmDescription"],
            dimensions=[],
            alarm_actions=properties["AlarmActions"],
        )
        return str(properties["AlarmName"])

    def remove(self) -> None:
        cloudwatch_backends[self.account][self.region].delete_alarms([self.physical_resource_id])


def missing_types() -> list[type[CloudFormationModel]]:
    """All types above, as a list for moto."""
    return [*Resource.__subclasses__(), *_Recorded.__subclasses__()]
