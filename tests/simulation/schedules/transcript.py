"""What a printed schedule says of a call or of a message."""

from __future__ import annotations

from typing import Any

from fluxio.testing.aws import Call


def shown(record: dict[str, Any]) -> str:
    """A message as it was received."""
    received = record["attributes"]["ApproximateReceiveCount"]
    return f"{record['messageId']} (time {received}) {record['body']}"


def asked(call: Call) -> str:
    """What a call is about, in a few words."""
    arguments = call.arguments
    if call.operation == "send_message_batch":
        return "; ".join(entry["MessageDeduplicationId"] for entry in arguments["Entries"])
    if call.operation in ("receive_message", "delete_message", "change_message_visibility"):
        return f"{arguments['ReceiptHandle']} {arguments.get('VisibilityTimeout', '')}"
    if call.operation == "transact_write_items":
        return " + ".join(
            f"{kind} {filled(each.get('UpdateExpression', ''), each)}"
            for entry in arguments["TransactItems"]
            for kind, each in entry.items()
        )
    if call.operation == "query":
        return f"{arguments.get('IndexName', '')} {arguments['ExpressionAttributeValues']}"
    key = arguments.get("Key") or {n: arguments["Item"][n] for n in ("pk", "sk")}
    at = "/".join(part["S"] for part in key.values())
    condition = filled(arguments.get("ConditionExpression", ""), arguments)
    update = filled(arguments.get("UpdateExpression", ""), arguments)
    return f"{at} {update}" + (f" IF {condition}" if condition else "")


def filled(expression: str, arguments: dict[str, Any]) -> str:
    """An expression with the names and values that its placeholders stand for."""
    for alias, name in sorted(arguments.get("ExpressionAttributeNames", {}).items(), reverse=True):
        expression = expression.replace(alias, name)
    values = arguments.get("ExpressionAttributeValues", {})
    for alias, value in sorted(values.items(), key=lambda entry: (-len(entry[0]), entry[0])):
        ((_, content),) = value.items()
        expression = expression.replace(alias, content if isinstance(content, str) else "{…}")
    return expression
