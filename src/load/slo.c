/* SPDX-License-Identifier: MIT */
#include "load/slo.h"

#include "load/load_plan.h"

#include <math.h>

static vly_status refuse(vly_str text, vly_err *err)
{
    return vly_fail(err, VLY_EINVAL,
                    "'%.*s': expected an objective such as p99<50ms, errors<0.1%% or rate>=1000",
                    VLY_STR_ARG(text));
}

/* What stands before < <= > >=, and behind it. */
static bool cut(vly_str text, vly_load_slo *s, vly_str *ret_name, vly_str *ret_limit)
{
    size_t i = 0;

    while (i < text.len && text.ptr[i] != '<' && text.ptr[i] != '>')
        i++;
    if (i == text.len)
        return false;
    s->is_above = text.ptr[i] == '>';
    s->takes_limit = i + 1 < text.len && text.ptr[i + 1] == '=';
    const size_t behind = i + 1 + (s->takes_limit ? 1 : 0);
    *ret_name = vly_str_trim((vly_str){text.ptr, i});
    *ret_limit = vly_str_trim((vly_str){text.ptr + behind, text.len - behind});
    return true;
}

static bool parse_share(vly_str text, double *ret)
{
    const bool is_percent = vly_str_ends(text, VLY_STR("%"));
    double value;

    text.len -= is_percent ? 1 : 0;
    if (!vly_str_to_f64(text, &value) || !(value >= 0 && value <= (is_percent ? 100 : 1)))
        return false;
    *ret = is_percent ? value / 100 : value;
    return true;
}

static bool parse_quantile(vly_str name, double *ret)
{
    double percent;

    if (vly_str_is(name, "max")) {
        *ret = 1;
        return true;
    }
    if (name.len < 2 || name.ptr[0] != 'p' ||
        !vly_str_to_f64((vly_str){name.ptr + 1, name.len - 1}, &percent) ||
        !(percent > 0 && percent <= 100))
        return false;
    *ret = percent / 100;
    return true;
}

static bool parse_figure(vly_str name, vly_str limit, vly_load_slo *s)
{
    vly_nsec ns;

    if (vly_str_is(name, "errors")) {
        s->kind = VLY_LOAD_SLO_ERRORS;
        return !s->is_above && parse_share(limit, &s->limit);
    }
    if (vly_str_is(name, "rate")) {
        s->kind = VLY_LOAD_SLO_RATE;
        return s->is_above && vly_str_to_f64(limit, &s->limit) && s->limit >= 0;
    }
    s->kind = vly_str_is(name, "mean") ? VLY_LOAD_SLO_MEAN : VLY_LOAD_SLO_QUANTILE;
    if (s->is_above || (s->kind == VLY_LOAD_SLO_QUANTILE && !parse_quantile(name, &s->quantile)) ||
        vly_load_duration_parse(limit, &ns, NULL) != VLY_OK)
        return false;
    s->limit = (double)ns;
    return true;
}

vly_status vly_load_slo_parse(vly_str text, vly_load_slo *ret, vly_err *err)
{
    vly_load_slo s = {.text = text};
    vly_str name, limit;

    if (!cut(text, &s, &name, &limit) || !parse_figure(name, limit, &s))
        return refuse(text, err);
    *ret = s;
    return VLY_OK;
}

/* Over all requests: one that was not answered well is slower than any that was. */
static double quantile_of(const vly_load_slo *s, const vly_load_tally *t)
{
    const uint64_t rank = vly_load_histogram_rank(s->quantile, vly_load_n_all(&t->counts));

    if (rank > t->hits.n + t->computed.n)
        return HUGE_VAL;
    return (double)vly_load_histogram_at(&t->hits, &t->computed, rank);
}

static double mean_of(const vly_load_tally *t)
{
    const uint64_t n = t->counts.n_ok;

    return vly_load_n_errors(&t->counts) > 0 || n == 0
               ? HUGE_VAL
               : (t->hits.sum + t->computed.sum) / (double)n;
}

static double figure_of(const vly_load_slo *s, const vly_load_tally *t, double ok_per_s)
{
    switch (s->kind) {
    case VLY_LOAD_SLO_MEAN:
        return mean_of(t);
    case VLY_LOAD_SLO_ERRORS:
        return vly_load_error_share(&t->counts);
    case VLY_LOAD_SLO_RATE:
        return ok_per_s;
    case VLY_LOAD_SLO_QUANTILE:
        break;
    }
    return quantile_of(s, t);
}

bool vly_load_slo_check(const vly_load_slo *s, const vly_load_tally *t, double ok_per_s,
                        double *ret_figure)
{
    const double figure = figure_of(s, t, ok_per_s);
    const bool is_latency = s->kind == VLY_LOAD_SLO_QUANTILE || s->kind == VLY_LOAD_SLO_MEAN;

    *ret_figure = figure;
    if (is_latency && t->counts.n_ok == 0)
        return false;
    if (s->takes_limit && figure == s->limit)
        return true;
    return s->is_above ? figure > s->limit : figure < s->limit;
}
