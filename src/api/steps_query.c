/* SPDX-License-Identifier: MIT */
#include "api/steps_query.h"

vly_status vly_steps_query_text(vly_http_msg *msg, const char *name, vly_str *ret, vly_err *err)
{
    vly_status st = vly_http_msg_query(msg, name, ret);

    if (st == VLY_EFORMAT)
        return vly_fail(err, VLY_EINVAL, "'%s': a bad escape", name);
    if (st == VLY_ELIMIT)
        return vly_fail(err, st, "'%s': out of scratch memory", name);
    return VLY_OK;
}

vly_status vly_steps_query_source(vly_http_msg *msg, vly_steps_source *ret, vly_err *err)
{
    vly_status st = vly_steps_query_text(msg, "user", &ret->user, err);

    if (st == VLY_OK)
        st = vly_steps_query_text(msg, "device", &ret->device, err);
    if (st == VLY_OK)
        st = vly_steps_query_text(msg, "session", &ret->id, err);
    return st;
}

vly_status vly_steps_query_rate(vly_http_msg *msg, double *ret, vly_err *err)
{
    vly_str text = {NULL, 0};
    double rate_hz = 0;
    vly_status st = vly_steps_query_text(msg, "fs", &text, err);

    if (st == VLY_OK)
        st = vly_steps_query_text(msg, "rate", &text, err);
    if (st != VLY_OK || text.ptr == NULL)
        return st;
    if (!vly_str_to_f64(text, &rate_hz) || !(rate_hz >= 1 && rate_hz <= 10000))
        return vly_fail(err, VLY_EINVAL, "'rate': expected 1 to 10000 Hz, got '%.*s'",
                        VLY_STR_ARG(text));
    *ret = rate_hz;
    return VLY_OK;
}

vly_status vly_steps_query_bool(vly_http_msg *msg, const char *name, bool *ret, vly_err *err)
{
    vly_str text = {NULL, 0};
    vly_status st = vly_steps_query_text(msg, name, &text, err);

    if (st != VLY_OK || text.ptr == NULL)
        return st;
    bool is_true = vly_str_is(text, "true") || vly_str_is(text, "1");
    if (!is_true && !vly_str_is(text, "false") && !vly_str_is(text, "0"))
        return vly_fail(err, VLY_EINVAL, "'%s': expected true or false, got '%.*s'", name,
                        VLY_STR_ARG(text));
    *ret = is_true;
    return VLY_OK;
}
