"""What chalice makes of a stage, found and removed without chalice's record of it.

chalice writes its record when all is done, so a deployment that was stopped before has functions, a rule or
an API that no record names. Functions and rules have names of their own. The API is called the same in every
stage; it is known by the function that it calls. One more handler in app.py: its name in `functions`, and its
rule in `rules`.
"""

from typing import Any

from botocore.exceptions import ClientError

from infra.context import Outside
from infra.stage import Stage

API_NAME = "will-it-compile"  # app_name in .chalice/config.json


def functions(stage: Stage) -> list[str]:
    """The names of the functions: the API's handler, and the one that a schedule calls."""
    return [stage.app, f"{stage.app}-sweep"]


def rules(stage: Stage) -> list[str]:
    """The names of the schedules."""
    return [f"{stage.app}-sweep-event"]


def apis(outside: Outside, stage: Stage) -> list[str]:
    """The ids of the REST APIs that call the function of this stage."""
    client = outside.client("apigateway")
    listed = client.get_paginator("get_rest_apis").paginate()
    named = [item["id"] for page in listed for item in page["items"] if item["name"] == API_NAME]
    return [identifier for identifier in named if _calls(client, identifier, f":function:{stage.app}/")]


def _calls(client: Any, identifier: str, function: str) -> bool:
    pages = client.get_paginator("get_resources").paginate(restApiId=identifier, embed=["methods"])
    methods = [
        method
        for page in pages
        for resource in page["items"]
        for method in resource.get("resourceMethods", {}).values()
    ]
    return any(function in method.get("methodIntegration", {}).get("uri", "") for method in methods)


def record_of(outside: Outside, stage: Stage) -> dict[str, Any] | None:
    """A record for chalice with the API that an unfinished deployment left, so that it makes no second one;
    None where there is none. Functions and rules it finds by itself."""
    found = apis(outside, stage)
    if not found:
        return None
    url = f"https://{found[0]}.execute-api.{outside.region_name}.amazonaws.com/{stage.name}/"
    api = {
        "name": "rest_api",
        "resource_type": "rest_api",
        "rest_api_id": found[0],
        "rest_api_url": url,
    }
    return {"resources": [api], "schema_version": "2.0", "backend": "api"}


def delete(outside: Outside, stage: Stage) -> list[str]:
    """Removes all of it; returns what there was."""
    gone = []
    for identifier in apis(outside, stage):
        outside.client("apigateway").delete_rest_api(restApiId=identifier)
        gone.append(f"REST API {identifier}")
    events = outside.client("events")
    gone += [f"rule {name}" for name in rules(stage) if _delete_rule(events, name)]
    for name in functions(stage):
        try:
            outside.client("lambda").delete_function(FunctionName=name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
        else:
            gone.append(f"function {name}")
    return gone


def _delete_rule(client: Any, name: str) -> bool:
    try:
        targets = client.list_targets_by_rule(Rule=name)["Targets"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return False
    if targets:
        client.remove_targets(Rule=name, Ids=[target["Id"] for target in targets])
    client.delete_rule(Name=name)
    return True
