"""Translates template.yaml to plain CloudFormation, as AWS does when it is deployed.

    .tools/venv-sam/bin/python tools/translate.py TEMPLATE [BUCKET KEY-PREFIX] > plain.json

Functions get the code BUCKET, KEY-PREFIX and their name with .zip: a template that `sam
build` and `sam package` have not seen names a folder. Tests look at the result: at the
permissions as they will be, and not as SAM abbreviates them.
"""

import json
import logging
import os
import sys

logging.disable(logging.WARNING)
os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")

from samcli.yamlhelper import yaml_parse  # noqa: E402
from samtranslator.translator.transform import transform  # noqa: E402


class NoManagedPolicies:
    def load(self):
        return {}


def main(path, bucket="example-bucket", prefix=""):
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    template.get("Globals", {}).get("Function", {}).pop("CodeUri", None)
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = {"Bucket": bucket, "Key": f"{prefix}{name}.zip"}
    json.dump(transform(template, {}, NoManagedPolicies()), sys.stdout, indent=1)


main(*sys.argv[1:])
