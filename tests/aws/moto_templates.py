"""What moto's CloudFormation lacks to run our templates, apart from the types in missing_resources.py.

It does not delete some resources that it creates (route tables, addresses, gateways, the cluster, endpoints),
knows neither `Fn::Cidr` nor the list form of `Fn::GetAtt`, and sets neither outputs nor events after a change
set.
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
    table._associations.clear()  # the subnets are deleted with the same stack
    ec2_backends[account][region].delete_route_table(table.id)


def _release_address(address: ElasticAddress, account: str, region: str) -> None:
    ec2_backends[account][region].release_address(allocation_id=address.allocation_id)


def _delete_nat(gateway: NatGateway, account: str, region: str) -> None:
    backend = ec2_backends[account][region]
    backend.delete_nat_gateway(gateway.id)
    backend.enis.pop(gateway._eni.id, None)


def _delete_way_out(gateway: InternetGateway, account: str, region: str) -> None:
    ec2_backends[account][region].internet_gateways.pop(
        gateway.id
    )  # its network is deleted with the same stack


def _delete_cluster(cluster: Cluster, account: str, region: str) -> None:
    ecs_backends[account][region].delete_cluster(cluster.name)


def _delete_endpoint(endpoint: VPCEndPoint, account: str, region: str) -> None:
    # moto's own method needs the route tables, which may be deleted already, and does not delete the
    # interfaces.
    backend = ec2_backends[account][region]
    backend.vpc_end_points.pop(endpoint.id)
    for interface in endpoint.network_interface_ids:
        backend.enis.pop(interface, None)


@functools.cache
def teach_moto() -> None:
    """Adds our types and the functions above to moto; once per process, because it wraps moto's functions."""
    known = [*CloudFormationModel.__subclasses__(), *missing_types()]
    parsing.get_model_map.cache_clear()
    parsing.get_name_type_map.cache_clear()
    parsing.get_model_list = lambda: known  # type: ignore[assignment]  # moto caches it
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

    parsing.clean_json = clean  # type: ignore[assignment]  # the same arguments by other names

    # moto's CloudFormation creates these and does not delete them.
    RouteTable.delete = _delete_route_table  # type: ignore[attr-defined]  # moto looks it up when it runs
    ElasticAddress.delete = _release_address  # type: ignore[attr-defined]  # moto looks it up when it runs
    NatGateway.delete = _delete_nat  # type: ignore[attr-defined]  # moto looks it up when it runs
    InternetGateway.delete = _delete_way_out  # type: ignore[attr-defined]  # moto looks it up when it runs
    Cluster.delete = _delete_cluster  # type: ignore[attr-defined]  # moto looks it up when it runs
    VPCEndPoint.delete = _delete_endpoint  # type: ignore[attr-defined]  # moto looks it up when it runs

    execute = CloudFormationBackend.execute_change_set

    def execute_and_report(
        self: CloudFormationBackend, change_set_name: str, stack_name: str | None = None
    ) -> None:
        """As moto, and sets the outputs and an event for each resource, which moto does not."""
        execute(self, change_set_name, stack_name)
        change_set = self.change_sets[change_set_name]
        stack = self.stacks[change_set.stack_id]
        stack.parameters = change_set.parameters
        stack._parse_template()
        stack.output_map = stack._create_output_map()
        for change in change_set.changes:
            if stack.resource_map.get(change.logical_resource_id) is None:
                continue  # its condition is false
            event = Event(
                stack_id=stack.stack_id,
                stack_name=stack.name,
                logical_resource_id=change.logical_resource_id,
                physical_resource_id="",
                resource_type=change.resource_type,
                resource_status=f"{'CREATE' if change.action == 'Add' else 'UPDATE'}_COMPLETE",
                resource_status_reason=None,
                resource_properties=None,
            )
            stack.events.append(event)

    CloudFormationBackend.execute_change_set = execute_and_report  # type: ignore[method-assign]  # wraps moto's
