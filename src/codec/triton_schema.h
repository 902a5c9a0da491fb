/* SPDX-License-Identifier: MIT */
/*
 * The messages of Triton's model_config.proto as tables, in the order in which the file declares
 * their fields. One description for all that reads and writes configurations. Private to the
 * triton_*.c files; immutable.
 */
#ifndef VLY_CODEC_TRITON_SCHEMA_H
#define VLY_CODEC_TRITON_SCHEMA_H

#include "codec/triton_config.h"

#define VLY_TRITON_ROWS_MAX 64 /* fields of one message */

/* How a value is written, and the type that holds it. */
typedef enum vly_tfield_kind {
    VLY_TFIELD_STR,     /* vly_str */
    VLY_TFIELD_BOOL,    /* bool */
    VLY_TFIELD_INT32,   /* int64_t, as the next two */
    VLY_TFIELD_UINT32,  /* */
    VLY_TFIELD_INT64,   /* */
    VLY_TFIELD_UINT64,  /* uint64_t */
    VLY_TFIELD_FLOAT,   /* double, as the next */
    VLY_TFIELD_DOUBLE,  /* */
    VLY_TFIELD_ENUM,    /* unsigned: index into names, and number */
    VLY_TFIELD_TYPE,    /* vly_str: KServe's name of a DataType */
    VLY_TFIELD_MESSAGE, /* child */
} vly_tfield_kind;

typedef enum vly_tfield_count {
    VLY_TFIELD_ONE,   /* a message: a pointer to it, NULL when not given */
    VLY_TFIELD_VALUE, /* a message that lies in its parent: the value of a map's entry */
    VLY_TFIELD_LIST,  /* a pointer, and a size_t at n_offset */
    VLY_TFIELD_MAP,   /* a list of messages {key = 1, value = 2} */
} vly_tfield_count;

typedef struct vly_tschema vly_tschema;

typedef struct vly_tfield {
    const char *name;
    uint32_t number;
    vly_tfield_kind kind;
    vly_tfield_count count;
    size_t offset;
    size_t n_offset;
    size_t has_offset;        /* of a bool that tells whether the field is there; 0: none */
    int64_t lo, hi;           /* INT32 .. INT64, when not both 0: narrower than the type */
    bool is_choice;           /* member of a oneof: written only when it is there */
    const vly_tschema *child; /* MESSAGE */
    const char *const *names; /* ENUM */
    size_t n_names;
    const char *ignored; /* why Volley does nothing with it; NULL: it does */
} vly_tfield;

struct vly_tschema {
    const vly_tfield *fields;
    size_t n_fields; /* at most VLY_TRITON_ROWS_MAX */
    size_t bytes;    /* of the struct */
};

/* Size of one value, an element of a list or a message. */
size_t vly_tfield_bytes(const vly_tfield *field);

extern const vly_tschema vly_tschema_config; /* vly_triton_config */

/* Number of a DataType by KServe's name; 0, TYPE_INVALID: it is none. */
unsigned vly_triton_type_number(vly_str kserve);
vly_str vly_triton_type_kserve(unsigned number); /* "BYTES"; empty: TYPE_INVALID, or none */
#define VLY_TRITON_TYPES 15
extern const char *const vly_triton_type_names[VLY_TRITON_TYPES]; /* "TYPE_FP32" */

#endif
