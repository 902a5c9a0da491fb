# SPDX-License-Identifier: MIT
"""ONNX Runtime's own static quantisation of a model, in the forms that it recommends.

    quantise.py MODEL OUT_DIR PICTURE...   writes OUT_DIR/<model>_ort_<form>.onnx, prints paths
"""
import os
import sys

import onnx
import onnx.version_converter
import pictures
from onnxruntime.quantization import (CalibrationDataReader, QuantFormat, QuantType,
                                      quantize_static)
from onnxruntime.quantization.shape_inference import quant_pre_process

# name: operators to quantise (None: all that it knows), type of weights; activations are uint8
FORMS = {"all_u8s8": (None, QuantType.QInt8), "all_u8u8": (None, QuantType.QUInt8),
         "conv_u8s8": (["Conv"], QuantType.QInt8), "conv_u8u8": (["Conv"], QuantType.QUInt8)}

OPSET_MIN = 13  # per-channel scales


class Reader(CalibrationDataReader):
    def __init__(self, name, shape, files):
        self.feeds = iter([{name: pictures.tensor(shape, f)} for f in files])

    def get_next(self):
        return next(self.feeds, None)


def main():
    model, out, files = sys.argv[1], sys.argv[2], sys.argv[3:] or [None]
    stem = os.path.splitext(os.path.basename(model))[0]
    wanted = {form: os.path.join(out, f"{stem}_ort_{form}.onnx") for form in FORMS}
    missing = {form: path for form, path in wanted.items() if not os.path.exists(path)}
    if missing:
        prepared = os.path.join(out, f"{stem}_prepared.onnx")
        source = onnx.load(model)
        if source.opset_import[0].version < OPSET_MIN:
            source = onnx.version_converter.convert_version(source, OPSET_MIN)
        onnx.save(source, prepared)
        quant_pre_process(prepared, prepared, skip_symbolic_shape=True)
        x = pictures.input_of(source)
        for form, path in missing.items():
            ops, weights = FORMS[form]
            quantize_static(prepared, path, Reader(*x, files), quant_format=QuantFormat.QDQ,
                            op_types_to_quantize=ops, per_channel=True,
                            activation_type=QuantType.QUInt8, weight_type=weights)
    print("\n".join(wanted.values()))


if __name__ == "__main__":
    main()
