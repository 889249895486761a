"""Mends what moto's CloudFormation makes, how its IAM enforces policies, and its DynamoDB.

As it comes, moto
* gives a stack that was made by a change set, as sam deploy does, no outputs,
* keeps numbers in functions' environments, which Lambda has as text,
* makes each key of a stack a symmetric one, whatever KeySpec and KeyUsage say, and
  knows the tags of CloudFormation for none of KMS,
* keeps AWS::NoValue as null in lists, such as in a policy's statements,
* stores the policies that a role is made with as Python and not as JSON,
* when it enforces policies, takes every call of DynamoDB and KMS for one on resource *,
  and knows no condition that such a statement has; TransactWriteItems is an action to
  it, where IAM asks for the action of each item; and refuses in XML,
* fails with 500 at a condition with the size of an attribute that an item lacks, which
  does not hold.

What is not mended: policies of KMS keys, and of resources in general, are not looked at.
"""

import fnmatch
import json
import sys
from contextvars import ContextVar

from moto.awslambda.models import LambdaFunction
from moto.cloudformation import parsing
from moto.cloudformation.models import ChangeSet
from moto.core import authorization
from moto.core.exceptions import AccessDeniedError, JsonRESTError
from moto.dynamodb.comparisons import FuncSize
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.responses import DynamoHandler
from moto.iam import access_control
from moto.iam.models import Role
from moto.kms.models import Key, kms_backends
from moto.kms.responses import KmsResponse

# What the request at hand has for conditions, as lists by key; None for services that
# are not mended.
request_context = ContextVar("request_context", default=None)


def size(original):
    """None is neither more nor less than anything, to moto."""

    def mended(self, item):
        return None if self.attr.get_type(item) is None else original(self, item)

    return mended


def apply(original):
    def mended(self):
        original(self)
        self.stack.template, self.stack.template_dict = self.template, self.template_dict
        self.stack.output_map = self.stack._create_output_map()

    return mended


def create_function(original):
    def mended(cls, name, resource, *rest, **named):
        variables = resource["Properties"].get("Environment", {}).get("Variables", {})
        variables.update({key: str(value) for key, value in variables.items()})
        return original(name, resource, *rest, **named)

    return classmethod(mended)


def create_key(_):
    def mended(cls, name, resource, account_id, region_name, **_):
        properties = resource["Properties"]
        return kms_backends[account_id][region_name].create_key(
            policy=json.dumps(properties["KeyPolicy"]),
            key_usage=properties.get("KeyUsage", "ENCRYPT_DECRYPT"),
            key_spec=properties.get("KeySpec", "SYMMETRIC_DEFAULT"),
            description=properties.get("Description"),
            tags=[{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in properties.get("Tags", [])],
        )

    return classmethod(mended)


def clean_json(original):
    def mended(value, resources):
        if not isinstance(value, list):
            return original(value, resources)
        cleaned = (parsing.clean_json(element, resources) for element in value)
        return [element for element in cleaned if element is not None]

    return mended


def put_policy(original):
    def mended(self, name, document):
        return original(self, name, json.dumps(document) if isinstance(document, dict) else document)

    return mended


def kms_needs(handler):
    """The action, resource and context of a call to KMS."""
    body = json.loads(handler.body or "{}")
    key = body.get("KeyId")
    action = handler._get_action()
    context = {
        f"kms:{name}": [body[name]] for name in ("SigningAlgorithm", "MessageType", "KeySpec", "KeyUsage") if name in body
    }
    for tag in body.get("Tags", []):
        context[f"aws:RequestTag/{tag['TagKey']}"] = [tag["TagValue"]]
        context.setdefault("aws:TagKeys", []).append(tag["TagKey"])
    if key:
        backend = kms_backends[handler.current_account][handler.region]
        for tag in backend.list_resource_tags(backend.get_key_id(key)).get("Tags", []):
            context[f"aws:ResourceTag/{tag['TagKey']}"] = [tag["TagValue"]]
    arn = handler._display_arn(key) if key else "*"
    yield f"kms:{action}", arn, context
    if action == "CreateKey" and "Tags" in body:
        yield "kms:TagResource", arn, context


def dynamodb_needs(handler):
    """The actions, resources and contexts of a call to DynamoDB: one for each table and action."""
    body = json.loads(handler.raw_body or "{}")
    action = handler._get_action()
    if action == "TransactWriteItems":
        names = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
        for item in body["TransactItems"]:
            for name, part in item.items():
                yield table_need(handler, names[name], part["TableName"], [part.get("Key") or part.get("Item")])
    elif action == "BatchGetItem":
        for table, part in body["RequestItems"].items():
            yield table_need(handler, action, table, part["Keys"])
    elif action == "Query":
        yield table_need(handler, action, body["TableName"], [query_key(handler, body)])
    elif "TableName" in body:
        yield table_need(handler, action, body["TableName"], [body.get("Key") or body.get("Item") or {}])
    else:
        yield f"dynamodb:{action}", "*", {}


def table_need(handler, action, table, keys):
    found = dynamodb_backends[handler.current_account][handler.region].tables.get(table)
    values = [value for key in keys if found and found.hash_key_attr in key for value in key[found.hash_key_attr].values()]
    arn = f"arn:aws:dynamodb:{handler.region}:{handler.current_account}:table/{table}"
    return f"dynamodb:{action}", arn, {"dynamodb:LeadingKeys": values} if values else {}


def query_key(handler, body):
    """The partition key of a Query whose condition begins with it: #name = :value."""
    name, equals, value = body["KeyConditionExpression"].split()[:3]
    if equals != "=":
        raise ValueError("moto_stack.py: the condition must begin with the partition key: " + body["KeyConditionExpression"])
    names, values = body.get("ExpressionAttributeNames", {}), body["ExpressionAttributeValues"]
    return {names.get(name, name): values[value]}


def authorize(original):
    needs = {DynamoHandler: dynamodb_needs, KmsResponse: kms_needs}

    def mended(self, resource="*"):
        if type(self) not in needs:
            return original(self, resource)
        for action, arn, context in needs[type(self)](self):
            token = request_context.set(context)
            actual = self._get_action
            self._get_action = lambda action=action: action.partition(":")[2]
            try:
                original(self, arn)
            except AccessDeniedError as refusal:
                raise JsonRESTError("AccessDeniedException", refusal.message) from refusal
            finally:
                self._get_action = actual
                request_context.reset(token)

    return mended


OPERATORS = {
    "StringEquals": lambda have, want: bool(have) and all(h in want for h in have),
    "StringEqualsIfExists": lambda have, want: all(h in want for h in have),
    "Null": lambda have, want: want == ["false" if have else "true"],
    "ForAllValues:StringEquals": lambda have, want: all(h in want for h in have),
    "ForAllValues:StringLike": lambda have, want: all(any(fnmatch.fnmatchcase(h, w) for w in want) for h in have),
}


def holds(conditions, context):
    for operator, keys in conditions.items():
        for key, want in keys.items():
            want = [want] if isinstance(want, str) else want
            if not OPERATORS[operator](context.get(key, []), want):
                return False
    return True


def is_action_permitted(original):
    """A statement whose conditions do not hold says nothing; moto takes it for a denial."""

    def mended(self, action, *rest, **named):
        context = request_context.get()
        conditions = self._statement.get("Condition")
        if context is None or not conditions:
            return original(self, action, *rest, **named)
        if not self._check_element_matches("Action", action) or not holds(conditions, context):
            return access_control.PermissionResult.NEUTRAL
        plain = {name: part for name, part in self._statement.items() if name != "Condition"}
        return original(access_control.IAMPolicyStatement(plain), action, *rest, **named)

    return mended


def mend(owner, name, wrap):
    """Fails when moto has changed so that what is mended here is not what runs."""
    original = getattr(owner, name, None)
    if not callable(original):
        sys.exit(f"moto_stack.py: moto has no {owner.__name__}.{name} any more")
    setattr(owner, name, wrap(original))


mend(FuncSize, "expr", size)
mend(ChangeSet, "apply", apply)
mend(LambdaFunction, "create_from_cloudformation_json", create_function)
mend(Key, "create_from_cloudformation_json", create_key)
mend(parsing, "clean_json", clean_json)
mend(Role, "put_policy", put_policy)
mend(authorization.ActionAuthenticatorMixin, "_authenticate_and_authorize_normal_action", authorize)
mend(access_control.IAMPolicyStatement, "is_action_permitted", is_action_permitted)
