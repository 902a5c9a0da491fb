/* SPDX-License-Identifier: MIT */
/* .npy: what is accepted is written again, and that file must give the same array. */
#include "base/assert.h"
#include "codec/npy.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

static void check_array(const vly_npy *a)
{
    vly_npy again;
    vly_buf out;

    char *copy = vly_alloc(VLY_MEM_CODEC, a->n_bytes + 1);
    VLY_ASSERT(copy != NULL);
    vly_npy_copy(a, copy);
    vly_buf_init(&out, VLY_MEM_CODEC, a->n_bytes + 4096);
    VLY_ASSERT(vly_npy_write(&out, a->data_type, a->n_dims, a->dims, copy, a->n_bytes, NULL) ==
               VLY_OK);
    VLY_ASSERT(!out.failed);
    VLY_ASSERT(vly_npy_parse(out.ptr, out.len, &again, NULL) == VLY_OK);
    VLY_ASSERT(again.data_type == a->data_type && again.n_dims == a->n_dims);
    VLY_ASSERT(memcmp(again.dims, a->dims, a->n_dims * sizeof(a->dims[0])) == 0);
    VLY_ASSERT(again.n_bytes == a->n_bytes && again.n_elems == a->n_elems);
    VLY_ASSERT(a->n_bytes == 0 || memcmp(again.data, copy, a->n_bytes) == 0);
    vly_buf_release(&out);
    vly_free(copy);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    vly_npy a;
    vly_err err = VLY_ERR_INIT;

    vly_status st = vly_npy_parse(bytes, n, &a, &err);
    VLY_ASSERT(st == err.status);
    if (st == VLY_OK)
        check_array(&a);
    return 0;
}
