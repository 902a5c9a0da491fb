/* SPDX-License-Identifier: MIT */
/* docs/ops.md: what the engine implements, from its own tables. */
#ifndef VLY_TESTS_CONFORMANCE_OPS_MD_H
#define VLY_TESTS_CONFORMANCE_OPS_MD_H

#include "base/buf.h"
#include "base/status.h"

/* Counts the ops that the cases under these folders use: lines "domain<TAB>op<TAB>cases" sorted by
 * name. That is what cases_ops.tsv holds. */
vly_status ops_of_cases(char **dirs, int n_dirs, vly_buf *out, vly_err *err) VLY_MUST_CHECK;

/* The page; tsv: the text of cases_ops.tsv. */
vly_status ops_page(vly_str tsv, vly_buf *out, vly_err *err) VLY_MUST_CHECK;

#endif
