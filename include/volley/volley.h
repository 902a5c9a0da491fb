/* SPDX-License-Identifier: MIT */
/*
 * libvolley: load an ONNX model, describe it, run it on tensors, find objects in encoded pictures.
 *
 *     volley_model *model;
 *     volley_session *session;
 *     volley_detections seen;
 *     volley_error err;
 *
 *     if (volley_model_load("yolov8n.onnx", NULL, &model, &err) != VOLLEY_OK ||
 *         volley_session_new(model, NULL, &session, &err) != VOLLEY_OK ||
 *         volley_session_detect(session, jpeg, jpeg_len, NULL, &seen, &err) != VOLLEY_OK)
 *         fprintf(stderr, "%s\n", err.message);
 *
 * Threads: a model is immutable and may be used by any number of threads at once; a session belongs
 * to one thread at a time. There is no global state. Functions that can fail return VOLLEY_OK or an
 * error code, and tell more in err, which may be NULL; results are untouched on failure.
 * Option structs begin with their own size, so that a newer library knows what an older caller has:
 * start from VOLLEY_..._OPTIONS_INIT. NULL options mean the defaults.
 * Header: C99 and C++.
 */
#ifndef VOLLEY_H
#define VOLLEY_H

#include <stddef.h>
#include <stdint.h>

#include <volley/version.h>

#if defined(__GNUC__)
#define VOLLEY_API __attribute__((visibility("default")))
#else
#define VOLLEY_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- errors ------------------------------------------------------------------------------- */

enum {
    VOLLEY_OK = 0,
    VOLLEY_EINVAL = -1,       /* an argument is out of its range */
    VOLLEY_ENOTFOUND = -2,    /* no such file */
    VOLLEY_EUNSUPPORTED = -3, /* valid, but not something this library can do */
    VOLLEY_ENOMEM = -4,
    VOLLEY_EIO = -5,
    VOLLEY_EFORMAT = -6, /* malformed model or picture */
    VOLLEY_ELIMIT = -7,  /* larger than a limit allows */
    VOLLEY_EINTERNAL = -13,
    VOLLEY_EMEDIA = -14 /* not a picture format that is known */
};

typedef struct volley_error {
    int code;
    char message[512]; /* names what was wrong and what was expected */
} volley_error;

/* "0.1.0": of the library in use, which may be newer than VOLLEY_VERSION of the header. */
VOLLEY_API const char *volley_version(void);

/* ---- models ------------------------------------------------------------------------------- */

typedef struct volley_model volley_model;

typedef struct volley_model_options {
    size_t size;             /* of this struct */
    const char *task;        /* how to read the outputs: "yolov8-detect"; NULL: find out */
    size_t max_file_bytes;   /* 0: 8 GiB */
    size_t max_memory_bytes; /* weights and intermediate tensors of a session; 0: 8 GiB */
    const char *precision;   /* "exact", "fp32", "bf16", "int8", "auto"; NULL: fp32 */
} volley_model_options;

#define VOLLEY_MODEL_OPTIONS_INIT                                                                  \
    {                                                                                              \
        sizeof(volley_model_options), NULL, 0, 0, NULL                                             \
    }

VOLLEY_API int volley_model_load(const char *path, const volley_model_options *options,
                                 volley_model **ret, volley_error *err);
/* Sessions keep what they need: a model may be freed before them. Accepts NULL. */
VOLLEY_API void volley_model_free(volley_model *model);

/* ONNX TensorProto.DataType */
enum {
    VOLLEY_FLOAT32 = 1,
    VOLLEY_UINT8 = 2,
    VOLLEY_INT8 = 3,
    VOLLEY_UINT16 = 4,
    VOLLEY_INT16 = 5,
    VOLLEY_INT32 = 6,
    VOLLEY_INT64 = 7,
    VOLLEY_BOOL = 9,
    VOLLEY_FLOAT16 = 10,
    VOLLEY_FLOAT64 = 11,
    VOLLEY_UINT32 = 12,
    VOLLEY_UINT64 = 13,
    VOLLEY_BFLOAT16 = 16
};

#define VOLLEY_RANK_MAX 8

/* An input or output of the graph; valid as long as the model. */
typedef struct volley_tensor_info {
    const char *name;
    int dtype;
    int rank;                     /* -1: the file does not say */
    int64_t dim[VOLLEY_RANK_MAX]; /* -1: chosen at run time */
} volley_tensor_info;

VOLLEY_API size_t volley_model_n_inputs(const volley_model *model);
VOLLEY_API size_t volley_model_n_outputs(const volley_model *model);
/* index < n_inputs or n_outputs; NULL beyond. */
VOLLEY_API const volley_tensor_info *volley_model_input(const volley_model *model, size_t index);
VOLLEY_API const volley_tensor_info *volley_model_output(const volley_model *model, size_t index);
/* "yolov8-detect"; "tensor" when the outputs fit no task. */
VOLLEY_API const char *volley_model_task(const volley_model *model);
/* NULL when the class has no name. */
VOLLEY_API const char *volley_model_class_name(const volley_model *model, int32_t class_id);

/* ---- sessions ----------------------------------------------------------------------------- */

typedef struct volley_session volley_session;

typedef struct volley_session_options {
    size_t size;              /* of this struct */
    unsigned n_threads;       /* cores one run may use; 0: all that the process may use */
    size_t max_picture_bytes; /* encoded; 0: 64 MiB */
    uint64_t max_pixels;      /* 0: 64 Mi */
} volley_session_options;

#define VOLLEY_SESSION_OPTIONS_INIT                                                                \
    {                                                                                              \
        sizeof(volley_session_options), 0, 0, 0                                                    \
    }

VOLLEY_API int volley_session_new(volley_model *model, const volley_session_options *options,
                                  volley_session **ret, volley_error *err);
VOLLEY_API void volley_session_free(volley_session *session); /* accepts NULL */

/* Dense, row-major. */
typedef struct volley_tensor {
    int dtype;
    int rank;
    int64_t dim[VOLLEY_RANK_MAX];
    void *data;   /* aligned for its type */
    size_t bytes; /* of the elements; checked against dtype and dim */
} volley_tensor;

/* inputs: [n_inputs], in the model's order, read only. outputs: [n_outputs]; their data belong to
 * the session and stay valid until its next run or detect, or its end. */
VOLLEY_API int volley_session_run(volley_session *session, const volley_tensor *inputs,
                                  volley_tensor *outputs, volley_error *err);

/* ---- detection ---------------------------------------------------------------------------- */

typedef struct volley_detect_options {
    size_t size;             /* of this struct */
    float confidence;        /* least confidence, 0..1 */
    float iou;               /* overlap above which one of two boxes of a class goes, 0..1 */
    uint32_t max_detections; /* 1..30000 */
} volley_detect_options;

#define VOLLEY_DETECT_OPTIONS_INIT                                                                 \
    {                                                                                              \
        sizeof(volley_detect_options), 0.25f, 0.45f, 300                                           \
    }

typedef struct volley_keypoint {
    float x, y;       /* pixels */
    float confidence; /* 0..1 */
} volley_keypoint;

typedef struct volley_detection {
    int32_t class_id;
    float confidence; /* 0..1 */
    float x1, y1, x2,
        y2; /* pixels of the upright picture; a classification has the whole picture */
    const char *class_name; /* NULL: none */
    const volley_keypoint *keypoints;
    size_t n_keypoints;
} volley_detection;

typedef struct volley_detections {
    uint32_t width, height; /* of the upright picture */
    size_t n;
    const volley_detection *items; /* by falling confidence */
} volley_detections;

/* bytes: a JPEG, PNG or WebP file. What *ret points to belongs to the session and stays valid until
 * its next run or detect, or its end. EUNSUPPORTED: the model has no picture task. */
VOLLEY_API int volley_session_detect(volley_session *session, const void *bytes, size_t len,
                                     const volley_detect_options *options, volley_detections *ret,
                                     volley_error *err);

#ifdef __cplusplus
}
#endif

#endif
