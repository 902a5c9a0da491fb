/* SPDX-License-Identifier: MIT */
/*
 * A TLS session that a stranger writes to: the first byte says into which pieces the rest is cut.
 * OpenSSL's own state machine is fuzzed elsewhere; this looks after what is around it: no byte is
 * left over, nothing is written early, what waits to be sent is bounded, a failure stays.
 */
#include "base/assert.h"
#include "net/tls.h"
#include "support/certificate.h"
#include "support/temp_dir.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

/* Process: one for all inputs. */
static vly_tls *shared_tls(void)
{
    static vly_tls *tls;
    char dir[TEMP_DIR_PATH_MAX];
    certificate c;

    if (tls != NULL)
        return tls;
    VLY_ASSERT(temp_dir_make(dir) && certificate_make(dir, "fuzz", &c));
    const vly_tls_opts opts = {.certificate = c.certificate, .key = c.key};
    vly_status st = vly_tls_new(&opts, &tls, NULL);
    VLY_ASSERT(st == VLY_OK && temp_dir_remove(dir));
    return tls;
}

static void check(vly_tls_session *s, vly_status st, const vly_buf *plain)
{
    size_t taken;

    VLY_ASSERT((st != VLY_OK) == (vly_tls_session_state(s) == VLY_TLS_FAILED));
    VLY_ASSERT(vly_tls_session_out_len(s) <= VLY_TLS_OUT_MIN_BYTES);
    if (vly_tls_session_state(s) != VLY_TLS_OPEN) {
        VLY_ASSERT(plain->len == 0);
        VLY_ASSERT(vly_tls_session_write(s, VLY_STR("x"), &taken, NULL) == VLY_OK && taken == 0);
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    vly_tls_session *s;
    vly_buf plain;

    if (n == 0)
        return 0;
    vly_str in = {(const char *)bytes + 1, n - 1};
    size_t piece = bytes[0] != 0 ? bytes[0] : SIZE_MAX;
    vly_status st = vly_tls_session_new(shared_tls(), VLY_TLS_OUT_MIN_BYTES, &s, NULL);
    VLY_ASSERT(st == VLY_OK);
    vly_buf_init(&plain, VLY_MEM_NET, (size_t)1 << 20);
    while (in.len > 0 && st == VLY_OK) {
        size_t len = in.len < piece ? in.len : piece;
        st = vly_tls_session_feed(s, (vly_str){in.ptr, len}, &plain, NULL);
        in = (vly_str){in.ptr + len, in.len - len};
        check(s, st, &plain);
    }
    vly_tls_session_end(s);
    vly_tls_session_free(s);
    vly_buf_release(&plain);
    return 0;
}
