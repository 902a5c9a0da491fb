#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes beside each FILE.pbtxt what protobuf makes of it: FILE.json, as Triton answers it.

usage: triton_truth.py FILE.pbtxt...

The message is inference.ModelConfig of tritonclient; Triton prints 64-bit integers as numbers, and
protobuf in C++ floats that are whole without a fraction.
Needs `pip install tritonclient[grpc]`; tests do not run it, they compare with what it wrote.
"""
import json
import sys

from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2


def each(value, change):
    return [change(v) for v in value] if isinstance(value, list) else change(value)


def numbers(descriptor, message):
    for field in descriptor.fields:
        if field.name not in message:
            continue
        value = message[field.name]
        inner = field.message_type
        if inner is not None and inner.GetOptions().map_entry:
            inner = inner.fields_by_name["value"].message_type
            for entry in value.values() if inner is not None else ():
                numbers(inner, entry)
        elif inner is not None:
            for one in value if isinstance(value, list) else [value]:
                numbers(inner, one)
        elif field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64):
            message[field.name] = each(value, int)
        elif field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
            message[field.name] = each(value, lambda v: int(v) if v == int(v) else v)


for path in sys.argv[1:]:
    config = model_config_pb2.ModelConfig()
    with open(path, encoding="utf-8") as f:
        text_format.Parse(f.read(), config)
    answer = json.loads(json_format.MessageToJson(config, preserving_proto_field_name=True,
                                                  always_print_fields_with_no_presence=True))
    numbers(config.DESCRIPTOR, answer)
    with open(path.removesuffix(".pbtxt") + ".json", "w", encoding="utf-8") as f:
        json.dump(answer, f, indent=1)
        f.write("\n")
