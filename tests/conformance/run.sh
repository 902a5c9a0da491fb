#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh PROGRAM SOURCE_ROOT WORK_DIR SET: runs one set of ONNX backend cases.
#   apt    node, simple and pytorch cases of Debian's libonnx-testdata
#   node   node cases of $VOLLEY_SHARED/models/onnx-backend-tests.tar.xz (default ../shared)
#   other  simple and pytorch cases of the same archive
# Without its data a set is skipped (exit 77), saying why. Archives are unpacked once, to WORK_DIR.
set -eu
program=$1 source_root=$2 work=$3 set=$4

skip()
{
    echo "skipped: $1"
    exit 77
}

unpack()
{
    archive=${VOLLEY_SHARED:-$source_root/../shared}/models/onnx-backend-tests.tar.xz
    [ -r "$archive" ] || skip "no $archive"
    mkdir -p "$work"
    (
        flock 9
        [ -e "$work/unpacked" ] || { tar -xJf "$archive" -C "$work" && touch "$work/unpacked"; }
    ) 9>"$work/lock"
}

case $set in
apt)
    data=$(dpkg -L libonnx-testdata 2>/dev/null | grep '^/usr/share/.*/data$' | head -n 1) || true
    [ -n "${data:-}" ] || skip "libonnx-testdata is not installed"
    # Wrong in 1.17 (Debian 13): its int8 matmuls wrap around where they must saturate, casts to
    # 4 bits do the same, an average divides by cells beyond the padding. Later releases of ONNX
    # corrected the references; the shared archive holds them.
    set --
    for name in averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True \
        cast_FLOAT16_to_INT4 cast_FLOAT16_to_UINT4 cast_FLOAT_to_INT4 cast_FLOAT_to_UINT4 \
        qlinearmatmul_2D_int8_float16 qlinearmatmul_2D_int8_float32 \
        qlinearmatmul_3D_int8_float16 qlinearmatmul_3D_int8_float32; do
        set -- "$@" --outdated "test_$name"
    done
    exec "$program" --min-passed 850 "$@" "$data/node" "$data/simple" "$data/pytorch-converted" \
        "$data/pytorch-operator"
    ;;
node)
    unpack
    exec "$program" --min-passed 1300 "$work/node"
    ;;
other)
    unpack
    exec "$program" "$work/simple" "$work/pytorch-converted" "$work/pytorch-operator"
    ;;
esac
