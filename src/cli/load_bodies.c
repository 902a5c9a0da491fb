/* SPDX-License-Identifier: MIT */
/* What `volley load` sends: files, a text, or requests to a model that the server describes. */
#include "cli/load_setup.h"
#include "sys/file.h"

#include <stdio.h>
#include <sys/random.h>

#define FILE_MAX   ((size_t)256 << 20)
#define DIR_MAX    16384 /* entries of a directory of pictures */
#define ANSWER_MAX ((size_t)64 << 10)

/* ---- files --------------------------------------------------------------------------------- */

vly_status vly_load_setup_read(vly_load_setup *s, const char *path, vly_str *ret, vly_err *err)
{
    vly_buf file;

    vly_buf_init(&file, VLY_MEM_CLI, FILE_MAX);
    vly_status st = vly_file_read(path, FILE_MAX, &file, err);
    if (st == VLY_OK) {
        char *copy = vly_arena_alloc(&s->arena, file.len + 1);
        if (copy == NULL)
            st = vly_arena_fail(&s->arena, err);
        else if (file.len > 0)
            memcpy(copy, file.ptr, file.len);
        *ret = (vly_str){copy, file.len};
    }
    vly_buf_release(&file);
    return st;
}

static vly_status add_body(vly_load_setup *s, vly_load_body body, vly_err *err)
{
    if (s->run.n_bodies == VLY_LOAD_BODIES_MAX)
        return vly_fail(err, VLY_ELIMIT, "expected at most %d bodies", VLY_LOAD_BODIES_MAX);
    s->bodies[s->run.n_bodies++] = body;
    s->run.bodies = s->bodies;
    return VLY_OK;
}

static vly_status add_file(vly_load_setup *s, const char *path, bool is_picture, bool is_unique,
                           vly_err *err)
{
    vly_load_body body = {.mark = VLY_LOAD_MARK_NONE};
    vly_status st = vly_load_setup_read(s, path, &body.bytes, err);

    if (st == VLY_OK && is_unique && !is_picture)
        st =
            vly_fail(err, VLY_EUNSUPPORTED,
                     "--unique needs --picture or --model: it does not know what '%s' means", path);
    if (st == VLY_OK && is_unique) {
        st = vly_load_body_picture(body.bytes, &s->arena, &body, err);
        if (st != VLY_OK)
            return vly_fail_in(err, st, "'%s'", path);
    }
    return st == VLY_OK ? add_body(s, body, err) : st;
}

static bool is_picture_name(const char *name)
{
    static const char *const suffixes[] = {".jpg", ".jpeg", ".png", ".webp", ".JPG", ".JPEG"};

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
        if (vly_str_ends(vly_str_from(name), vly_str_from(suffixes[i])))
            return true;
    return false;
}

static vly_status add_directory(vly_load_setup *s, const char *path, bool is_unique, vly_err *err)
{
    vly_dir dir = {0};
    const size_t before = s->run.n_bodies;
    vly_status st = vly_dir_list(path, DIR_MAX, &dir, err);

    for (size_t i = 0; i < dir.n_entries && st == VLY_OK; i++) {
        if (dir.entries[i].is_dir || !is_picture_name(dir.entries[i].name))
            continue;
        const char *file = vly_arena_printf(&s->arena, "%s/%s", path, dir.entries[i].name);
        st =
            file != NULL ? add_file(s, file, true, is_unique, err) : vly_arena_fail(&s->arena, err);
    }
    vly_dir_release(&dir);
    if (st == VLY_OK && s->run.n_bodies == before)
        st = vly_fail(err, VLY_ENOTFOUND, "there are no pictures in '%s'", path);
    return st;
}

static const char *type_of_picture(vly_str bytes)
{
    if (vly_str_starts(bytes, VLY_STR("\xFF\xD8")))
        return "image/jpeg";
    if (vly_str_starts(bytes, VLY_STR("\x89PNG")))
        return "image/png";
    if (vly_str_starts(bytes, VLY_STR("RIFF")))
        return "image/webp";
    return "application/octet-stream";
}

static vly_status set_type(vly_load_setup *s, const char *type, vly_err *err)
{
    const char *header = vly_arena_printf(&s->arena, "Content-Type: %s", type);

    if (strncmp(s->transport, "http", 4) != 0 ||
        vly_load_target_has(&s->target, VLY_STR("content-type")))
        return VLY_OK;
    return header != NULL ? vly_load_setup_header(s, vly_str_from(header), err)
                          : vly_arena_fail(&s->arena, err);
}

static vly_status add_pictures(vly_load_setup *s, const vly_load_opts *o, vly_err *err)
{
    vly_status st = VLY_OK;

    for (size_t i = 0; i < o->pictures.n && st == VLY_OK; i++)
        st = vly_dir_exists(o->pictures.item[i])
                 ? add_directory(s, o->pictures.item[i], o->unique, err)
                 : add_file(s, o->pictures.item[i], true, o->unique, err);
    if (st == VLY_OK && vly_str_is(s->target.path, "/"))
        s->target.path = VLY_STR("/v1/images:detect");
    return st == VLY_OK
               ? set_type(s, o->type != NULL ? o->type : type_of_picture(s->bodies[0].bytes), err)
               : st;
}

static vly_status add_files(vly_load_setup *s, const vly_opt_list *files, const vly_load_opts *o,
                            const char *type, vly_err *err)
{
    vly_status st = VLY_OK;

    for (size_t i = 0; i < files->n && st == VLY_OK; i++)
        st = add_file(s, files->item[i], false, o->unique, err);
    return st == VLY_OK ? set_type(s, o->type != NULL ? o->type : type, err) : st;
}

/* ---- models -------------------------------------------------------------------------------- */

static bool is_grpc(const vly_load_setup *s)
{
    return strcmp(s->transport, "grpc") == 0;
}

/* ModelMetadataRequest: name 1. */
static vly_status ask_metadata(vly_load_setup *s, const char *name, vly_buf *answer, vly_err *err)
{
    vly_load_target target = s->target;
    vly_load_transport_opts t = s->run.transport;
    const char *path = vly_arena_printf(&s->arena, "/v2/models/%s", name);
    char *message = vly_arena_printf(&s->arena, "\n%c%s", (int)strlen(name), name);
    int status = 0;

    if (path == NULL || message == NULL)
        return vly_arena_fail(&s->arena, err);
    t.target = &target;
    t.is_streaming = false;
    t.check = (vly_str){NULL, 0};
    target.path =
        is_grpc(s) ? VLY_STR("/inference.GRPCInferenceService/ModelMetadata") : vly_str_from(path);
    target.method = is_grpc(s) ? VLY_STR("POST") : VLY_STR("GET");
    vly_status st = vly_load_ask(s->run.kind, &t, is_grpc(s) ? vly_str_from(message) : (vly_str){0},
                                 answer, &status, NULL, err);
    if (st == VLY_OK && status != (is_grpc(s) ? 0 : 200))
        st = vly_fail(err, VLY_ENOTFOUND, "model '%s': the server answers %d %.*s", name, status,
                      (int)(answer->len < 200 ? answer->len : 200),
                      answer->ptr != NULL ? answer->ptr : "");
    return st;
}

/* "INPUT=FILE.npy", or FILE.npy for the first input without data. */
static vly_status set_input(vly_load_setup *s, vly_load_model *m, const char *text, vly_err *err)
{
    vly_str rest = vly_str_from(text), name = vly_str_split(&rest, '='), npy;
    size_t i = 0;

    while (i < m->n_inputs &&
           (rest.ptr == NULL ? m->inputs[i].data != NULL : !vly_str_eq(m->inputs[i].name, name)))
        i++;
    if (i == m->n_inputs)
        return vly_fail(err, VLY_EINVAL, "option --input-data '%s': the model has no such input",
                        text);
    const char *path = rest.ptr != NULL ? rest.ptr : text;
    vly_status st = vly_load_setup_read(s, path, &npy, err);
    if (st == VLY_OK)
        st = vly_load_model_set(m, i, npy, &s->arena, err);
    return st == VLY_OK ? st : vly_fail_in(err, st, "'%s'", path);
}

static vly_status read_form(const vly_load_setup *s, const vly_load_opts *o, vly_load_form *ret,
                            vly_err *err)
{
    if (is_grpc(s))
        *ret = VLY_LOAD_FORM_GRPC;
    else if (o->form == NULL || strcmp(o->form, "json") == 0)
        *ret = VLY_LOAD_FORM_JSON;
    else if (strcmp(o->form, "binary") == 0)
        *ret = VLY_LOAD_FORM_BINARY;
    else
        return vly_fail(err, VLY_EINVAL, "option --form '%s': expected json or binary", o->form);
    return VLY_OK;
}

static vly_status write_request(vly_load_setup *s, const vly_load_model *m, vly_load_form form,
                                bool is_unique, vly_err *err)
{
    vly_buf b;
    vly_load_body body;
    size_t head_len = 0;

    vly_buf_init(&b, VLY_MEM_CLI, FILE_MAX);
    vly_status st = vly_load_model_request(m, form, &b, &body, &head_len, err);
    if (st == VLY_OK && is_unique && body.mark == VLY_LOAD_MARK_NONE)
        st = vly_fail(err, VLY_EUNSUPPORTED,
                      "--unique: no input of '%.*s' can carry a number; try --form binary",
                      VLY_STR_ARG(m->name));
    if (st == VLY_OK) {
        char *copy = vly_arena_alloc(&s->arena, b.len + 1);
        if (copy != NULL)
            memcpy(copy, b.ptr, b.len);
        body.bytes.ptr = copy;
        st = copy != NULL ? add_body(s, body, err) : vly_arena_fail(&s->arena, err);
    }
    vly_buf_release(&b);
    if (st != VLY_OK || form != VLY_LOAD_FORM_BINARY)
        return st;
    const char *header =
        vly_arena_printf(&s->arena, "Inference-Header-Content-Length: %zu", head_len);
    return header != NULL ? vly_load_setup_header(s, vly_str_from(header), err)
                          : vly_arena_fail(&s->arena, err);
}

static vly_status build_request(vly_load_setup *s, const vly_load_opts *o, vly_str metadata,
                                vly_err *err)
{
    vly_load_model *m = vly_arena_calloc(&s->arena, 1, sizeof(*m));
    vly_load_form form = VLY_LOAD_FORM_JSON;

    if (m == NULL)
        return vly_arena_fail(&s->arena, err);
    vly_status st = read_form(s, o, &form, err);
    if (st == VLY_OK)
        st = is_grpc(s) ? vly_load_model_from_grpc(metadata, &s->arena, m, err)
                        : vly_load_model_from_json(metadata, &s->arena, m, err);
    for (size_t i = 0; i < o->input_data.n && st == VLY_OK; i++)
        st = set_input(s, m, o->input_data.item[i], err);
    if (st == VLY_OK)
        st = vly_load_model_fill(m, o->rows, (uint64_t)o->seed, &s->arena, err);
    if (st == VLY_OK)
        st = write_request(s, m, form, o->unique, err);
    if (st == VLY_OK && form == VLY_LOAD_FORM_JSON)
        st = set_type(s, "application/json", err);
    return st;
}

static vly_status add_model(vly_load_setup *s, const vly_load_opts *o, vly_err *err)
{
    vly_buf answer;

    if (strlen(o->model) > 120)
        return vly_fail(err, VLY_EINVAL, "option --model: expected a name of 1 to 120 bytes");
    vly_buf_init(&answer, VLY_MEM_CLI, ANSWER_MAX);
    vly_status st = ask_metadata(s, o->model, &answer, err);
    if (st == VLY_OK)
        st = build_request(s, o, vly_buf_str(&answer), err);
    vly_buf_release(&answer);
    if (st == VLY_OK && vly_str_is(s->target.path, "/")) {
        const char *path = vly_arena_printf(&s->arena, "/v2/models/%s/infer", o->model);
        if (path == NULL)
            return vly_arena_fail(&s->arena, err);
        s->target.path = vly_str_from(path);
    }
    return st;
}

/* ---- all ----------------------------------------------------------------------------------- */

static vly_status add_data(vly_load_setup *s, const vly_load_opts *o, vly_err *err)
{
    const vly_load_body body = {.bytes = vly_str_from(o->data)};
    vly_status st = add_body(s, body, err);

    if (st == VLY_OK && o->unique)
        st = vly_fail(err, VLY_EUNSUPPORTED, "--unique needs --picture or --model");
    s->run.transport.is_text = true;
    return st == VLY_OK ? set_type(s, o->type != NULL ? o->type : "application/json", err) : st;
}

static const char *describe(vly_load_setup *s, const vly_load_opts *o)
{
    const size_t n = s->run.n_bodies;
    const char *unique = o->unique ? ", each made distinct" : "";
    const char *several = n > 1 ? "s in turn" : "";

    if (n == 0)
        return "requests without a body";
    if (o->model != NULL)
        return vly_arena_printf(&s->arena, "requests to model '%s' of %zu bytes%s", o->model,
                                s->bodies[0].bytes.len, unique);
    return vly_arena_printf(&s->arena, "%zu %s%s%s", n, o->pictures.n > 0 ? "picture" : "body",
                            o->pictures.n == 0 && n > 1 ? " (in turn)" : several, unique);
}

vly_status vly_load_setup_bodies(vly_load_setup *s, const vly_load_opts *o, vly_err *err)
{
    vly_status st = VLY_OK;

    if ((o->pictures.n > 0) + (o->bodies.n > 0) + (o->json_bodies.n > 0) + (o->data != NULL) +
            (o->model != NULL) >
        1)
        return vly_fail(err, VLY_EINVAL,
                        "expected one of --picture, --json-body, --body, --data and --model");
    s->run.is_unique = o->unique;
    if (o->unique && getrandom(&s->run.first_mark, sizeof(s->run.first_mark), 0) < 0)
        s->run.first_mark = vly_clock_now(); /* so that a second run is not known to a cache */
    if (o->pictures.n > 0)
        st = add_pictures(s, o, err);
    else if (o->json_bodies.n > 0)
        st = add_files(s, &o->json_bodies, o, "application/json", err);
    else if (o->bodies.n > 0)
        st = add_files(s, &o->bodies, o, "application/octet-stream", err);
    else if (o->data != NULL)
        st = add_data(s, o, err);
    else if (o->model != NULL)
        st = add_model(s, o, err);
    if (o->json_bodies.n > 0)
        s->run.transport.is_text = true;
    if (st != VLY_OK)
        return st;
    s->content = describe(s, o);
    return s->content != NULL ? VLY_OK : vly_arena_fail(&s->arena, err);
}
