"""What moto's CloudFormation lacks to run our templates, beside the types in missing_resources.py.

It leaves resources behind that it has made itself (route tables, addresses, gateways, the cluster,
endpoints), reads neither `Fn::Cidr` nor the list form of `Fn::GetAtt`, and tells neither outputs nor events
of a change set.
"""

import functools
import ipaddress
from typing import Any

from moto.cloudformation import parsing
from moto.cloudformation.models import CloudFormationBackend, Event
from moto.core.common_models import CloudFormationModel
from moto.ec2.models import ec2_backends
from moto.ec2.models.elastic_ip_addresses import ElasticAddress
from moto.ec2.models.internet_gateways import InternetGateway
from moto.ec2.models.nat_gateways import NatGateway
from moto.ec2.models.route_tables import RouteTable
from moto.ec2.models.vpcs import VPCEndPoint
from moto.ecs.models import Cluster, ecs_backends

from tests.aws.missing_resources import missing_types


def _delete_route_table(table: RouteTable, account: str, region: str) -> None:
    table._associations.clear()  # the subnets go with the same stack
    ec2_backends[account][region].delete_route_table(table.id)


def _release_address(address: ElasticAddress, account: str, region: str) -> None:
    ec2_backends[account][region].release_address(allocation_id=address.allocation_id)


def _delete_nat(gateway: NatGateway, account: str, region: str) -> None:
    backend = ec2_backends[account][region]
    backend.delete_nat_gateway(gateway.id)
    backend.enis.pop(gateway._eni.id, None)


def _delete_way_out(gateway: InternetGateway, account: str, region: str) -> None:
    ec2_backends[account][region].internet_gateways.pop(gateway.id)  # its network goes with the same stack


def _delete_cluster(cluster: Cluster, account: str, region: str) -> None:
    ecs_backends[account][region].delete_cluster(cluster.name)


def _delete_endpoint(endpoint: VPCEndPoint, account: str, region: str) -> None:
    # Not moto's own way, which wants the route tables to be there still, and forgets the interfaces.
    backend = ec2_backends[account][region]
    backend.vpc_end_points.pop(endpoint.id)
    for interface in endpoint.network_interface_ids:
        backend.enis.pop(interface, None)


@functools.cache
def teach_moto() -> None:
    """Gives moto our types and the above; once per process, since it wraps moto's own functions."""
    known = [*CloudFormationModel.__subclasses__(), *missing_types()]
    parsing.get_model_map.cache_clear()
    parsing.get_name_type_map.cache_clear()
    parsing.get_model_list = lambda: known  # type: ignore[assignment]  # moto has it behind a cache
    plain = parsing.clean_json

    def clean(value: Any, resources: Any) -> Any:
        if isinstance(value, dict) and "Fn::Cidr" in value:
            block, count, bits = (plain(item, resources) for item in value["Fn::Cidr"])
            subnets = ipaddress.ip_network(block).subnets(new_prefix=32 - int(bits))
            return [str(subnet) for subnet, _ in zip(subnets, range(int(count)), strict=False)]
        if isinstance(value, dict) and "Fn::GetAtt" in value:
            name, *attribute = value["Fn::GetAtt"]
            value = {"Fn::GetAtt": [name, ".".join(attribute)]}
        return plain(value, resources)

    parsing.clean_json = clean  # type: ignore[assignment]  # other names of the same arguments

    # moto's CloudFormation makes these, and leaves them behind.
    RouteTable.delete = _delete_route_table  # type: ignore[attr-defined]  # moto looks for it when it runs
    ElasticAddress.delete = _release_address  # type: ignore[attr-defined]  # moto looks for it when it runs
    NatGateway.delete = _delete_nat  # type: ignore[attr-defined]  # moto looks for it when it runs
    InternetGateway.delete = _delete_way_out  # type: ignore[attr-defined]  # moto looks for it when it runs
    Cluster.delete = _delete_cluster  # type: ignore[attr-defined]  # moto looks for it when it runs
    VPCEndPoint.delete = _delete_endpoint  # type: ignore[attr-defined]  # moto looks for it when it runs

    execute = CloudFormationBackend.execute_change_set

    def execute_and_show(
        self: CloudFormationBackend, change_set_name: str, stack_name: str | None = None
    ) -> None:
        """With the outputs, and an event for each resource, which moto leaves out here."""
        execute(self, change_set_name, stack_name)
        change_set = self.change_sets[change_set_name]
        stack = self.stacks[change_set.stack_id]
        stack.parameters = change_set.parameters
        stack._parse_template()
        stack.output_map = stack._create_output_map()
        for change in change_set.changes:
            if stack.resource_map.get(change.logical_resource_id) is None:
                continue  # its condition does not hold
            made = Event(
                stack_id=stack.stack_id,
                stack_name=stack.name,
                logical_resource_id=change.logical_resource_id,
                physical_resource_id="",
                resource_type=change.resource_type,
                resource_status=f"{'CREATE' if change.action == 'Add' else 'UPDATE'}_COMPLETE",
                resource_status_reason=None,
                resource_properties=None,
            )
            stack.events.append(made)

    CloudFormationBackend.execute_change_set = execute_and_show  # type: ignore[method-assign]  # wraps moto's own
