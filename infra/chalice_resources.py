"""The AWS resources that chalice makes for a stage, found and deleted without a deployment record.

chalice writes its record when everything is done. A deployment that was stopped earlier leaves functions, a
rule or an API that no record names. Functions and rules have fixed names. The API has the same name in every
stage and is recognised by the function that it calls. For one more handler in app.py, add its name to
`functions`, and its rule to `rules`.
"""

from typing import Any

from botocore.exceptions import ClientError

from infra.context import DeployContext
from infra.stage import Stage

API_NAME = "will-it-compile"  # app_name in .chalice/config.json


def functions(stage: Stage) -> list[str]:
    """The names of the functions: the handler of the API, and the scheduled one."""
    return [stage.app, f"{stage.app}-sweep"]


def rules(stage: Stage) -> list[str]:
    """The names of the schedules."""
    return [f"{stage.app}-sweep-event"]


def apis(context: DeployContext, stage: Stage) -> list[str]:
    """The ids of the REST APIs that call the function of this stage."""
    client = context.client("apigateway")
    pages = client.get_paginator("get_rest_apis").paginate()
    candidates = [item["id"] for page in pages for item in page["items"] if item["name"] == API_NAME]
    return [api for api in candidates if _calls(client, api, f":function:{stage.app}/")]


def _calls(client: Any, api: str, function: str) -> bool:
    pages = client.get_paginator("get_resources").paginate(restApiId=api, embed=["methods"])
    methods = [
        method
        for page in pages
        for resource in page["items"]
        for method in resource.get("resourceMethods", {}).values()
    ]
    return any(function in method.get("methodIntegration", {}).get("uri", "") for method in methods)


def deployment_record(context: DeployContext, stage: Stage) -> dict[str, Any] | None:
    """A deployment record for chalice that names the API of an unfinished deployment, or None without one.

    With it chalice makes no second API. Functions and rules chalice finds by their names.
    """
    ids = apis(context, stage)
    if not ids:
        return None
    url = f"https://{ids[0]}.execute-api.{context.region_name}.amazonaws.com/{stage.name}/"
    api = {
        "name": "rest_api",
        "resource_type": "rest_api",
        "rest_api_id": ids[0],
        "rest_api_url": url,
    }
    return {"resources": [api], "schema_version": "2.0", "backend": "api"}


def delete(context: DeployContext, stage: Stage) -> list[str]:
    """Deletes all of them; returns what was there."""
    deleted = []
    for api in apis(context, stage):
        context.client("apigateway").delete_rest_api(restApiId=api)
        deleted.append(f"REST API {api}")
    events = context.client("events")
    deleted += [f"rule {name}" for name in rules(stage) if _delete_rule(events, name)]
    for name in functions(stage):
        try:
            context.client("lambda").delete_function(FunctionName=name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
        else:
            deleted.append(f"function {name}")
    return deleted


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
