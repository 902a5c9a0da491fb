/* SPDX-License-Identifier: MIT */
/*
 * Status codes and the caller-owned error.
 *
 * Every function that can fail returns a vly_status: 0 is success, everything else is one row of
 * VLY_STATUS_MAP. The details go to a vly_err that the caller owns (no allocation, no thread-local:
 * a request hops threads). Success outputs stay untouched on failure.
 *
 * A message names its subject in quotes, what was expected and what came; lower case, no full stop:
 *     vly_fail(err, VLY_EINVAL, "input '%s': expected %d dimensions, got %d", name, want, got)
 */
#ifndef VLY_BASE_STATUS_H
#define VLY_BASE_STATUS_H

/*   name          value  text                     HTTP  gRPC (google.rpc.Code) */
#define VLY_STATUS_MAP(X)                                                                          \
    X(OK, 0, "ok", 200, 0)                                                                         \
    X(EINVAL, -1, "invalid argument", 400, 3)                                                      \
    X(ENOTFOUND, -2, "not found", 404, 5)                                                          \
    X(EUNSUPPORTED, -3, "unsupported", 501, 12)                                                    \
    X(ENOMEM, -4, "out of memory", 503, 8)                                                         \
    X(EIO, -5, "input/output error", 500, 13)                                                      \
    X(EFORMAT, -6, "malformed data", 400, 3)                                                       \
    X(ELIMIT, -7, "limit exceeded", 413, 8)                                                        \
    X(EBUSY, -8, "busy", 429, 14)                                                                  \
    X(EUNAVAILABLE, -9, "unavailable", 503, 14)                                                    \
    X(EDEADLINE, -10, "deadline exceeded", 504, 4)                                                 \
    X(ECANCELLED, -11, "cancelled", 400, 1)                                                        \
    X(EEXIST, -12, "already exists", 400, 6)                                                       \
    X(EINTERNAL, -13, "internal error", 500, 13)                                                   \
    X(EMEDIA, -14, "unsupported media type", 415, 3)                                               \
    X(EUNAUTHENTICATED, -15, "unauthenticated", 401, 16)                                           \
    X(EDENIED, -16, "permission denied", 403, 7)                                                   \
    X(EEXHAUSTED, -17, "too many requests", 429, 8)                                                \
    X(ECHANGED, -18, "changed meanwhile", 412, 10)

typedef enum vly_status {
#define VLY_STATUS_ENUM(name, value, text, http, grpc) VLY_##name = (value),
    VLY_STATUS_MAP(VLY_STATUS_ENUM)
#undef VLY_STATUS_ENUM
} vly_status;

#define VLY_ERR_MSG_MAX 512

/* Owner: the caller. Written only on failure. Longer messages are cut at VLY_ERR_MSG_MAX - 1. */
typedef struct vly_err {
    vly_status status;
    char msg[VLY_ERR_MSG_MAX];
} vly_err;

#define VLY_ERR_INIT                                                                               \
    {                                                                                              \
        .status = VLY_OK                                                                           \
    }

#define VLY_MUST_CHECK               __attribute__((warn_unused_result))
#define VLY_PRINTF(fmt_idx, arg_idx) __attribute__((format(printf, fmt_idx, arg_idx)))

/* Fills err (when not NULL) and returns st, so that `return vly_fail(...)` is one statement. */
vly_status vly_fail(vly_err *err, vly_status st, const char *fmt, ...) VLY_PRINTF(3, 4);

/* Puts "context: " before the message already in err, and returns st. For callers that know the
 * subject: a file, a node, a request. */
vly_status vly_fail_in(vly_err *err, vly_status st, const char *fmt, ...) VLY_PRINTF(3, 4);

/* The two as the compiler should see them: what comes back is st, so a caller that tests it for
 * VLY_OK is known to have failed. Without this gcc, clang and clang-tidy report uninitialised use.
 */
#define vly_fail(err, st, ...)                                                                     \
    ({                                                                                             \
        const vly_status vly_fail_st = (st);                                                       \
        (vly_fail)(err, vly_fail_st, __VA_ARGS__);                                                 \
        vly_fail_st;                                                                               \
    })
#define vly_fail_in(err, st, ...)                                                                  \
    ({                                                                                             \
        const vly_status vly_fail_st = (st);                                                       \
        (vly_fail_in)(err, vly_fail_st, __VA_ARGS__);                                              \
        vly_fail_st;                                                                               \
    })

const char *vly_status_name(vly_status st); /* "EINVAL" */
const char *vly_status_text(vly_status st); /* "invalid argument" */
int vly_status_http(vly_status st);
int vly_status_grpc(vly_status st);

#endif
