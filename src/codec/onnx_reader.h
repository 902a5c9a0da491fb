/* SPDX-License-Identifier: MIT */
/*
 * The machine under onnx.h, shared by the onnx_*.c files only: reads protobuf messages into C
 * structs as tables (schemas) tell it, with an explicit stack, so that hostile nesting cannot
 * exhaust ours.
 *
 * Each message is walked twice. The first walk counts the elements of its repeated fields, checks
 * every wire type, and allocates the arrays once, at their exact size; the second fills them,
 * pushing a frame for each nested message. When a message ends, its schema's finish() checks it as
 * a whole and may convert it.
 *
 *   frames[0] model   frames[1] graph   frames[2] node   frames[3] attribute   frames[4] graph ...
 */
#ifndef VLY_CODEC_ONNX_READER_H
#define VLY_CODEC_ONNX_READER_H

#include "base/arena.h"
#include "base/status.h"
#include "codec/onnx.h"
#include "codec/pbwire.h"

/* model and graph; node, attribute and graph for each nesting; then at most a value_info with its
 * type, tensor_type, shape and dim. */
#define VLY_ONNX_FRAMES_MAX (2 + 3 * VLY_ONNX_DEPTH_MAX + 3 + 5)

typedef enum vly_onnx_row_kind {
    VLY_ONNX_ROW_STR,         /* vly_str */
    VLY_ONNX_ROW_INT,         /* int64_t */
    VLY_ONNX_ROW_INT32,       /* int32_t */
    VLY_ONNX_ROW_FLOAT,       /* float */
    VLY_ONNX_ROW_MESSAGE,     /* child: fills the same struct */
    VLY_ONNX_ROW_MESSAGE_PTR, /* child: a struct of its own; a pointer to it */
    VLY_ONNX_ROW_STRS,        /* lists: a pointer at offset, a size_t at n_offset */
    VLY_ONNX_ROW_INTS,
    VLY_ONNX_ROW_FLOATS,
    VLY_ONNX_ROW_MESSAGES,
    VLY_ONNX_ROW_SEEN,      /* a message that is noted in frame->seen, not read */
    VLY_ONNX_ROW_COUNT,     /* messages that are counted at n_offset, not read */
    VLY_ONNX_ROW_N_VARINTS, /* only how many elements, at n_offset; finish() reads them */
    VLY_ONNX_ROW_N_FIXED32,
    VLY_ONNX_ROW_N_FIXED64,
} vly_onnx_row_kind;

typedef struct vly_onnx_schema vly_onnx_schema;
typedef struct vly_onnx_reader vly_onnx_reader;
typedef struct vly_onnx_frame vly_onnx_frame;

typedef struct vly_onnx_row {
    uint8_t number; /* protobuf field number */
    uint8_t kind;   /* vly_onnx_row_kind */
    uint16_t offset;
    uint16_t n_offset;
    const vly_onnx_schema *child;
    const char *name; /* of one element, for messages: "initializer" */
} vly_onnx_row;

#define VLY_ONNX_ROWS_MAX 20

struct vly_onnx_schema {
    const vly_onnx_row *rows;
    size_t n_rows;
    size_t bytes;  /* of the struct that a list of these holds */
    bool has_raw;  /* the fields go to frame->raw, and finish() makes the struct from it */
    bool is_scope; /* graph, function: error messages name nothing further out */
    uint8_t name_number, op_number; /* fields that name one element in messages; 0: none */
    /* Called with all fields read; optional. */
    vly_status (*finish)(vly_onnx_reader *r, vly_onnx_frame *f);
};

typedef struct vly_onnx_raw_attr {
    vly_str name, ref_attr_name;
    int64_t type;
    vly_str s;
    float f;
    int64_t i;
    const vly_onnx_tensor *t;
    const vly_onnx_graph *g;
    size_t n_floats, n_ints, n_strings, n_tensors, n_graphs;
    const float *floats;
    const int64_t *ints;
    const vly_str *strings;
    const vly_onnx_tensor *tensors;
    const vly_onnx_graph *graphs;
} vly_onnx_raw_attr;

typedef struct vly_onnx_raw_tensor {
    vly_str name, raw_data;
    int64_t data_type, data_location;
    size_t n_dims, n_strings, n_external;
    const int64_t *dims;
    const vly_str *strings;
    const vly_onnx_prop *external;
    size_t n_floats, n_int32s, n_int64s, n_doubles, n_uint64s;
} vly_onnx_raw_tensor;

struct vly_onnx_frame {
    const vly_onnx_schema *schema;
    const char *noun; /* row->name of the parent's row */
    size_t idx;       /* place in the parent's list */
    bool in_list;
    vly_str bytes;
    vly_pb cursor;
    uint32_t seen; /* bit i: the message holds the field of rows[i] */
    void *dest;
    union {
        vly_onnx_raw_attr attr;
        vly_onnx_raw_tensor tensor;
    } raw;
};

struct vly_onnx_reader {
    vly_arena *arena;
    vly_err *err;
    size_t n_nodes;
    size_t n_frames;
    vly_onnx_frame frames[VLY_ONNX_FRAMES_MAX];
};

/* Reads one message into dest, zeroed by the caller. noun names it in errors. */
vly_status vly_onnx__read(const vly_onnx_schema *schema, const char *noun, vly_str bytes,
                          vly_arena *arena, void *dest, vly_err *err) VLY_MUST_CHECK;

/* Does the message hold the field with this number? For finish(). */
bool vly_onnx__has(const vly_onnx_frame *f, unsigned number);

extern const vly_onnx_schema vly_onnx__graph_schema;
extern const vly_onnx_schema vly_onnx__tensor_schema;
extern const vly_onnx_schema vly_onnx__prop_schema;

#endif
