/* SPDX-License-Identifier: MIT */
#include "api/settings.h"

#include "base/assert.h"
#include "base/log.h"
#include "codec/json_doc.h"

#include <pthread.h>
#include <stdatomic.h>

#define LEVEL_TIMESTAMPS 1u
#define LEVEL_TENSORS    2u

#define RATE_DEFAULT 1000
#define COUNT_MIN    (-1)

/* The members of a trace setting; those set here alone hide the server's. */
enum { LEVEL, RATE, COUNT, LOG_FREQUENCY, N_TRACE };

static const struct {
    const char *name;
    int64_t value, min, max; /* value: the default */
} trace_rows[N_TRACE] = {
    {"trace_level", 0, 0, 0},
    {"trace_rate", RATE_DEFAULT, 0, UINT32_MAX},
    {"trace_count", COUNT_MIN, COUNT_MIN, INT32_MAX},
    {"log_frequency", 0, 0, UINT32_MAX},
};

typedef struct trace {
    int64_t value[N_TRACE];
    bool is_set[N_TRACE];
    uint64_t n_requests;
} trace;

typedef struct model_trace {
    char *model; /* owned */
    trace own;
} model_trace;

struct vly_settings {
    pthread_mutex_t lock;
    trace server;        /* guarded by lock, as the next two */
    model_trace *models; /* [VLY_TRACE_MODELS_MAX] */
    size_t n_models;
    _Atomic uint64_t verbose_level;
    bool is_traced;         /* immutable after start */
    _Atomic bool has_level; /* TIMESTAMPS was set somewhere, so the lock is worth its while */
};

vly_status vly_settings_new(vly_settings **ret, vly_err *err)
{
    vly_settings *s = vly_calloc(VLY_MEM_BASE, 1, sizeof(*s));
    model_trace *models = vly_calloc(VLY_MEM_BASE, VLY_TRACE_MODELS_MAX, sizeof(*models));

    if (s == NULL || models == NULL) {
        vly_free(s);
        vly_free(models);
        return vly_fail(err, VLY_ENOMEM, "out of memory for the settings");
    }
    pthread_mutex_init(&s->lock, NULL);
    s->models = models;
    for (int i = 0; i < N_TRACE; i++)
        s->server.value[i] = trace_rows[i].value;
    *ret = s;
    return VLY_OK;
}

void vly_settings_free(vly_settings *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n_models; i++)
        vly_free(s->models[i].model);
    pthread_mutex_destroy(&s->lock);
    vly_free(s->models);
    vly_free(s);
}

/* ---- trace: reading ---- */

/* What an update does: sets, or with clear gives back to the default. */
typedef struct change {
    trace to;
    bool clear[N_TRACE];
} change;

static vly_status read_level_name(yyjson_val *v, size_t n_names, int64_t *ret, vly_err *err)
{
    vly_str name = {yyjson_get_str(v), yyjson_get_len(v)};

    if (!yyjson_is_str(v))
        return vly_fail(err, VLY_EINVAL, "Unable to parse 'trace_level': expected strings, got %s",
                        yyjson_get_type_desc(v));
    if (vly_str_is(name, "OFF") && n_names > 1)
        return vly_fail(err, VLY_EINVAL, "Expect only one trace level 'OFF' is specified");
    if (vly_str_is(name, "TIMESTAMPS"))
        *ret |= LEVEL_TIMESTAMPS;
    else if (vly_str_is(name, "TENSORS"))
        *ret |= LEVEL_TENSORS;
    else if (!vly_str_is(name, "OFF"))
        return vly_fail(err, VLY_EINVAL,
                        "Unable to parse 'trace_level': expected OFF, TIMESTAMPS or TENSORS, got "
                        "'%.*s'",
                        VLY_STR_ARG(name));
    return VLY_OK;
}

static vly_status read_level(yyjson_val *v, int64_t *ret, vly_err *err)
{
    size_t i, n;
    yyjson_val *name;
    int64_t level = 0;

    if (!yyjson_is_arr(v))
        return vly_fail(err, VLY_EINVAL, "Unable to parse 'trace_level': expected an array, got %s",
                        yyjson_get_type_desc(v));
    yyjson_arr_foreach(v, i, n, name)
    {
        vly_status st = read_level_name(name, n, &level, err);
        if (st != VLY_OK)
            return st;
    }
    *ret = level;
    return VLY_OK;
}

static vly_status read_number(int row, yyjson_val *v, int64_t *ret, vly_err *err)
{
    const char *name = trace_rows[row].name;
    int64_t n;

    if (yyjson_is_arr(v) && yyjson_arr_size(v) == 1)
        v = yyjson_arr_get_first(v);
    vly_str text = {yyjson_get_str(v), yyjson_get_len(v)};
    if (!yyjson_is_str(v))
        return vly_fail(err, VLY_EINVAL, "Unable to parse '%s': expected a string, got %s", name,
                        yyjson_get_type_desc(v));
    if (!vly_str_to_i64(text, &n))
        return vly_fail(err, VLY_EINVAL, "Unable to parse '%s', got: %.*s", name,
                        VLY_STR_ARG(text));
    if (row == COUNT && n < COUNT_MIN)
        return vly_fail(err, VLY_EINVAL,
                        "Unable to parse 'trace_count'. Expecting value >= %d, got:%.*s", COUNT_MIN,
                        VLY_STR_ARG(text));
    if (n < trace_rows[row].min || n > trace_rows[row].max)
        return vly_fail(err, VLY_EINVAL,
                        "Unable to parse '%s', value is out of range [ %lld, %lld ], got: %.*s",
                        name, (long long)trace_rows[row].min, (long long)trace_rows[row].max,
                        VLY_STR_ARG(text));
    *ret = n;
    return VLY_OK;
}

static vly_status read_change(yyjson_val *root, change *ret, vly_err *err)
{
    if (yyjson_obj_get(root, "trace_file") != NULL)
        return vly_fail(err, VLY_EUNSUPPORTED,
                        "trace file location can not be updated through network protocol");
    for (int i = 0; i < N_TRACE; i++) {
        yyjson_val *v = yyjson_obj_get(root, trace_rows[i].name);
        bool is_clear =
            v != NULL && (yyjson_is_null(v) || (yyjson_is_arr(v) && yyjson_arr_size(v) == 0));
        ret->clear[i] = is_clear;
        if (v == NULL || is_clear)
            continue;
        vly_status st = i == LEVEL ? read_level(v, &ret->to.value[i], err)
                                   : read_number(i, v, &ret->to.value[i], err);
        if (st != VLY_OK)
            return st;
        ret->to.is_set[i] = true;
    }
    return VLY_OK;
}

/* ---- trace: keeping ---- */

static bool is_empty(const change *c)
{
    for (int i = 0; i < N_TRACE; i++)
        if (c->to.is_set[i] || c->clear[i])
            return false;
    return true;
}

static trace *find_model(vly_settings *s, vly_str model)
{
    for (size_t i = 0; i < s->n_models; i++)
        if (vly_str_is(model, s->models[i].model))
            return &s->models[i].own;
    return NULL;
}

static vly_status add_model(vly_settings *s, vly_str model, trace **ret, vly_err *err)
{
    if (s->n_models == VLY_TRACE_MODELS_MAX)
        return vly_fail(err, VLY_ELIMIT, "expected at most %d models with trace settings",
                        VLY_TRACE_MODELS_MAX);
    char *name = vly_strndup(VLY_MEM_BASE, model.ptr, model.len);
    if (name == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the settings");
    s->models[s->n_models] = (model_trace){.model = name};
    *ret = &s->models[s->n_models++].own;
    return VLY_OK;
}

/* Under the lock. *ret: what holds for the model, or for the server. */
static vly_status apply(vly_settings *s, vly_str model, const change *c, trace *ret, vly_err *err)
{
    trace *own = model.len > 0 ? find_model(s, model) : &s->server;
    vly_status st = VLY_OK;

    VLY_ASSERT(s != NULL);
    if (own == NULL && !is_empty(c))
        st = add_model(s, model, &own, err);
    if (st != VLY_OK)
        return st;
    for (int i = 0; own != NULL && i < N_TRACE; i++) {
        if (c->clear[i])
            own->value[i] = trace_rows[i].value;
        if (c->clear[i])
            own->is_set[i] = false;
        if (c->to.is_set[i])
            own->value[i] = c->to.value[i];
        if (c->to.is_set[i])
            own->is_set[i] = true;
    }
    if ((c->to.value[LEVEL] & LEVEL_TIMESTAMPS) != 0)
        s->has_level = true;
    *ret = s->server;
    for (int i = 0; own != NULL && own != &s->server && i < N_TRACE; i++)
        if (own->is_set[i])
            ret->value[i] = own->value[i];
    return VLY_OK;
}

static void put_trace(vly_buf *out, const trace *t, const char *mode)
{
    int64_t level = t->value[LEVEL];
    const char *both = level == (LEVEL_TIMESTAMPS | LEVEL_TENSORS) ? "," : "";

    vly_buf_printf(out, "{\"trace_level\":[%s%s%s%s]", level == 0 ? "\"OFF\"" : "",
                   (level & LEVEL_TIMESTAMPS) != 0 ? "\"TIMESTAMPS\"" : "", both,
                   (level & LEVEL_TENSORS) != 0 ? "\"TENSORS\"" : "");
    for (int i = RATE; i < N_TRACE; i++)
        vly_buf_printf(out, ",\"%s\":\"%lld\"", trace_rows[i].name, (long long)t->value[i]);
    vly_buf_printf(out, ",\"trace_file\":\"\",\"trace_mode\":\"%s\"}", mode);
}

static const char *warning_of(const vly_settings *s, int64_t level)
{
    if (level != 0 && !s->is_traced)
        return "traces are not written";
    return (level & LEVEL_TENSORS) != 0 ? "tensors are not traced" : NULL;
}

vly_status vly_settings_trace(vly_settings *s, vly_str model, vly_str update, vly_arena *arena,
                              vly_buf *out, const char **ret_warning, vly_err *err)
{
    change c = {.to = {.value = {0}}};
    yyjson_val *root;
    trace now;
    vly_status st = vly_json_doc_read(update, arena, &root, err);

    if (st == VLY_OK)
        st = read_change(root, &c, err);
    if (st != VLY_OK)
        return st;
    pthread_mutex_lock(&s->lock);
    st = apply(s, model, &c, &now, err);
    pthread_mutex_unlock(&s->lock);
    if (st != VLY_OK)
        return st;
    const char *warning = warning_of(s, now.value[LEVEL]);
    if (c.to.is_set[LEVEL] && warning != NULL)
        vly_warn("trace settings were changed, but %s", warning);
    if (ret_warning != NULL)
        *ret_warning = warning;
    put_trace(out, &now, s->is_traced ? "opentelemetry" : "triton");
    return VLY_OK;
}

void vly_settings_set_traced(vly_settings *s)
{
    s->is_traced = true;
}

/* Under the lock: one more request by what holds for it. A model has each setting of its own or the
 * server's; it is counted down where it was set. */
static bool take_trace(vly_settings *s, trace *own)
{
    trace *of[N_TRACE];

    for (int i = 0; i < N_TRACE; i++)
        of[i] = own != NULL && own->is_set[i] ? own : &s->server;
    int64_t rate = of[RATE]->value[RATE], *count = &of[COUNT]->value[COUNT];
    if ((of[LEVEL]->value[LEVEL] & LEVEL_TIMESTAMPS) == 0 || rate == 0 || *count == 0)
        return false;
    uint64_t *n = own != NULL ? &own->n_requests : &s->server.n_requests;
    *n += 1;
    if (*n % (uint64_t)rate != 0)
        return false;
    *count -= *count > 0;
    return true;
}

bool vly_settings_take_trace(vly_settings *s, vly_str model)
{
    if (!atomic_load_explicit(&s->has_level, memory_order_relaxed)) /* publishes nothing */
        return false;
    pthread_mutex_lock(&s->lock);
    bool is_taken = take_trace(s, model.len > 0 ? find_model(s, model) : NULL);
    pthread_mutex_unlock(&s->lock);
    return is_taken;
}

/* ---- log ---- */

static const struct {
    const char *name;
    vly_log_level level;
} log_rows[] = {
    {"log_info", VLY_LOG_INFO}, {"log_warning", VLY_LOG_WARN}, {"log_error", VLY_LOG_ERROR}};

static bool is_given(yyjson_val *v)
{
    return v != NULL && !yyjson_is_null(v);
}

static vly_status check_format(yyjson_val *v, vly_err *err)
{
    vly_str name = {yyjson_get_str(v), yyjson_get_len(v)};

    if (!is_given(v) || vly_str_is(name, "ISO8601"))
        return VLY_OK;
    if (vly_str_is(name, "default"))
        return vly_fail(err, VLY_EUNSUPPORTED, "log_format 'default' is not offered, only ISO8601");
    return vly_fail(err, VLY_EUNAVAILABLE, "invalid argument for --log_format, got: %.*s",
                    VLY_STR_ARG(name));
}

static vly_status check_log(yyjson_val *root, vly_err *err)
{
    yyjson_val *level = yyjson_obj_get(root, "log_verbose_level");

    if (is_given(yyjson_obj_get(root, "log_file")))
        return vly_fail(err, VLY_EUNSUPPORTED,
                        "log file location can not be updated through network protocol");
    for (size_t i = 0; i < VLY_COUNT(log_rows); i++) {
        yyjson_val *v = yyjson_obj_get(root, log_rows[i].name);
        if (is_given(v) && !yyjson_is_bool(v))
            return vly_fail(err, VLY_EINVAL, "Unable to parse '%s': expected a boolean, got %s",
                            log_rows[i].name, yyjson_get_type_desc(v));
    }
    if (is_given(level) && !(yyjson_is_uint(level) && yyjson_get_uint(level) <= INT32_MAX))
        return vly_fail(err, VLY_EINVAL,
                        "Unable to parse 'log_verbose_level': expected an unsigned integer");
    return check_format(yyjson_obj_get(root, "log_format"), err);
}

vly_status vly_settings_log(vly_settings *s, vly_str update, vly_arena *arena, vly_buf *out,
                            vly_err *err)
{
    yyjson_val *root;
    vly_status st = vly_json_doc_read(update, arena, &root, err);

    if (st == VLY_OK)
        st = check_log(root, err);
    if (st != VLY_OK)
        return st;
    for (size_t i = 0; i < VLY_COUNT(log_rows); i++) {
        yyjson_val *v = yyjson_obj_get(root, log_rows[i].name);
        if (is_given(v))
            vly_log_enable(log_rows[i].level, yyjson_get_bool(v));
    }
    yyjson_val *level = yyjson_obj_get(root, "log_verbose_level");
    if (is_given(level)) {
        atomic_store(&s->verbose_level, yyjson_get_uint(level));
        vly_log_enable(VLY_LOG_DEBUG, yyjson_get_uint(level) > 0);
    }
    uint64_t verbose = atomic_load(&s->verbose_level);
    if (verbose == 0 && vly_log_is_on(VLY_LOG_DEBUG))
        verbose = 1; /* by the setting log.level */
    vly_buf_puts(out, "{\"log_file\":\"\"");
    for (size_t i = 0; i < VLY_COUNT(log_rows); i++)
        vly_buf_printf(out, ",\"%s\":%s", log_rows[i].name,
                       vly_log_is_on(log_rows[i].level) ? "true" : "false");
    vly_buf_printf(out, ",\"log_verbose_level\":%llu,\"log_format\":\"ISO8601\"}",
                   (unsigned long long)verbose);
    return VLY_OK;
}
