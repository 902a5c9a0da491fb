/* SPDX-License-Identifier: MIT */
/*
 * POST /v1/images:detect: pictures in, observations out.
 *
 * The body is one picture, or multipart/form-data with one or more files. One file is answered with
 * its observations, or with the picture and the boxes drawn when Accept asks for image/jpeg;
 * several with {"results": [...]} in the order sent, an {"error": ...} in place of what could not
 * be done. The answer's status is 200 when any file succeeded, else that of the first file's error.
 *
 * A picture of its own is queued from the loop thread. A multipart body is first taken apart on a
 * worker: searching tens of megabytes for a boundary is too long for a loop. Each file is one job,
 * so the files of one request run side by side.
 *
 * Lifetime: everything lives in the request's arena until it is answered by whoever ends last.
 */
#include "api/routes.h"

#include "api/answer.h"
#include "api/call.h"
#include "api/v1_options.h"
#include "tasks/draw.h"
#include "tasks/observation_json.h"

#define JPEG_QUALITY 90

struct detect_call;

typedef struct detect_file {
    vly_job job;
    struct detect_call *call;
    vly_str name; /* ptr NULL: none was sent */
    vly_buf body; /* JSON, or the drawn picture */
} detect_file;

typedef struct detect_call {
    vly_work split; /* first: the pool hands out a pointer to it */
    vly_api *api;
    vly_http_request *req;
    vly_served *model;
    vly_route_arm *arm; /* a reference; NULL: it is no route's */
    vly_v1_params params;
    detect_file *files;
    size_t n_files;
    _Atomic size_t n_left; /* files whose job is not done */
    bool wants_picture;
} detect_call;

static const vly_labels *labels_of(const vly_served *m)
{
    return &m->servable->decoder.labels;
}

/* On the worker, while the results are there. */
static vly_status encode_file(vly_job *job, vly_err *err)
{
    detect_file *f = job->ctx;
    const vly_served *m = f->call->model;
    vly_status st = VLY_OK;

    vly_buf_init(&f->body, VLY_MEM_NET, f->call->api->max_answer_bytes);
    if (f->call->wants_picture) {
        vly_draw_observations(&job->pixels, &job->observations, labels_of(m));
        st = vly_picture_encode_jpeg(&job->pixels, JPEG_QUALITY, &f->body, err);
    } else {
        vly_observations_json(&f->body, &job->observations, labels_of(m), vly_str_from(m->name),
                              vly_str_from(m->version));
        if (f->body.failed)
            st = vly_fail(err, VLY_ENOMEM, "out of memory for the answer");
    }
    return st;
}

/* The body moves out of the call first, which ends with the answer. */
static void answer_one(detect_call *c)
{
    detect_file *f = &c->files[0];
    vly_buf body = f->body;

    if (f->job.status != VLY_OK)
        vly_answer_err(c->req, &f->job.err);
    else
        vly_answer_body(c->req, 200, c->wants_picture ? "image/jpeg" : "application/json", &body);
}

static void put_file_error(vly_buf *b, const detect_file *f, size_t idx)
{
    vly_err err = f->job.err;

    if (f->name.ptr != NULL)
        vly_fail_in(&err, err.status, "'%.*s'", VLY_STR_ARG(f->name));
    else
        vly_fail_in(&err, err.status, "file %zu", idx + 1);
    vly_buf_puts(b, "{\"error\":");
    vly_buf_json_str(b, vly_str_from(err.msg));
    vly_buf_putc(b, '}');
}

static void answer_many(detect_call *c)
{
    int status = vly_status_http(c->files[0].job.status);
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, c->api->max_answer_bytes);
    vly_buf_puts(&b, "{\"results\":[");
    for (size_t i = 0; i < c->n_files; i++) {
        detect_file *f = &c->files[i];
        if (i > 0)
            vly_buf_putc(&b, ',');
        if (f->job.status == VLY_OK) {
            vly_buf_add_str(&b, vly_buf_str(&f->body));
            vly_buf_release(&f->body);
            status = 200;
        } else {
            put_file_error(&b, f, i);
        }
    }
    vly_buf_puts(&b, "]}");
    vly_answer_json(c->req, status, &b);
}

/* The last file answers for all. */
static void file_done(vly_job *job)
{
    detect_file *f = job->ctx;
    detect_call *c = f->call;

    if (job->status != VLY_OK)
        vly_buf_release(&f->body);
    if (c->arm != NULL)
        vly_route_arm_count(c->arm, vly_clock_now(), job->status, job->is_model_failure,
                            c->req->received_ns);
    if (atomic_fetch_sub(&c->n_left, 1) != 1)
        return;
    vly_call_set_arm(c->req, c->arm, c->model);
    vly_route_arm_unref(c->arm);
    if (c->n_files == 1)
        answer_one(c);
    else
        answer_many(c);
}

static void init_file(detect_call *c, detect_file *f, const vly_detector_options *options,
                      const vly_multipart_part *part)
{
    f->call = c;
    f->name = part->filename;
    f->job = (vly_job){.kind = VLY_JOB_PICTURE,
                       .ctx = f,
                       .is_cancelled = &c->req->is_cancelled,
                       .received_ns = c->req->received_ns,
                       .encode = encode_file,
                       .done = file_done,
                       .picture = part->data,
                       .options = *options,
                       .wants_pixels = c->wants_picture};
}

static bool is_file(const vly_multipart_part *part)
{
    return part->filename.ptr != NULL || vly_str_starts(part->content_type, VLY_STR("image/"));
}

static vly_status check_files(const detect_call *c, size_t n_files, vly_err *err)
{
    if (n_files == 0)
        return vly_fail(err, VLY_EINVAL, "expected at least one file in the form, got none");
    if (n_files > 1 && c->wants_picture)
        return vly_fail(err, VLY_EINVAL,
                        "'Accept: image/jpeg' answers with one picture, got %zu files", n_files);
    return VLY_OK;
}

/* Queues a job for each part that is a file; n_files are. */
static vly_status submit_files(detect_call *c, const vly_multipart_part *parts, size_t n_parts,
                               size_t n_files, vly_err *err)
{
    vly_arena *arena = &c->req->msg.arena;
    vly_detector_options options;
    vly_status st = vly_v1_options(&c->params, labels_of(c->model), &options, err);

    if (st != VLY_OK)
        return st;
    vly_job **jobs = vly_arena_calloc(arena, n_files, sizeof(*jobs));
    c->files = vly_arena_calloc(arena, n_files, sizeof(*c->files));
    if (jobs == NULL || c->files == NULL)
        return vly_fail(err, VLY_ELIMIT, "%zu files: out of scratch memory", n_files);
    for (size_t i = 0; i < n_parts; i++) {
        if (!is_file(&parts[i]))
            continue;
        init_file(c, &c->files[c->n_files], &options, &parts[i]);
        jobs[c->n_files] = &c->files[c->n_files].job;
        c->n_files++;
    }
    atomic_store(&c->n_left, n_files);
    return vly_scheduler_submit(c->model, jobs, n_files, err);
}

/* The jobs keep the model. Once they are queued, the call is theirs. */
static vly_status submit(detect_call *c, const vly_multipart_part *parts, size_t n_parts,
                         vly_err *err)
{
    vly_route_pick pick;
    size_t n_files = 0;

    for (size_t i = 0; i < n_parts; i++)
        n_files += is_file(&parts[i]);
    vly_status st = check_files(c, n_files, err);
    if (st == VLY_OK)
        st = vly_v1_pick(c->api, &c->params, &pick, err);
    if (st != VLY_OK)
        return st;
    c->model = pick.model;
    c->arm = pick.arm != NULL ? vly_route_arm_ref(pick.arm) : NULL;
    st = submit_files(c, parts, n_parts, n_files, err);
    if (st != VLY_OK && pick.arm != NULL) { /* nothing was queued */
        vly_route_arm_count(pick.arm, vly_clock_now(), st, false, c->req->received_ns);
        vly_route_arm_unref(pick.arm);
    }
    vly_route_pick_release(&pick);
    return st;
}

static vly_status split(detect_call *c, vly_err *err)
{
    vly_http_msg *msg = &c->req->msg;
    size_t max_parts = c->api->max_parts;
    vly_multipart_part *parts = vly_arena_calloc(&msg->arena, max_parts, sizeof(*parts));
    vly_str boundary;
    size_t n_parts;

    if (parts == NULL)
        return vly_fail(err, VLY_ELIMIT, "out of scratch memory for the form");
    vly_status st =
        vly_multipart_boundary(vly_http_msg_header(msg, "Content-Type"), &boundary, err);
    if (st == VLY_OK)
        st =
            vly_multipart_parse(vly_buf_str(&msg->body), boundary, parts, max_parts, &n_parts, err);
    if (st != VLY_OK)
        return st;
    c->params.parts = parts;
    c->params.n_parts = n_parts;
    return submit(c, parts, n_parts, err);
}

static void split_on_worker(vly_work *work)
{
    detect_call *c = (detect_call *)work;
    vly_http_request *req = c->req;
    vly_err err;

    if (split(c, &err) != VLY_OK)
        vly_answer_err(req, &err);
}

/* Takes the next item of a list of media types, without its parameters. */
static vly_str take_type(vly_str *list)
{
    vly_str item = vly_str_split(list, ',');
    return vly_str_trim(vly_str_split(&item, ';'));
}

/* The first type of Accept that this path has decides. */
static bool wants_picture(const vly_http_msg *msg)
{
    vly_str rest = vly_http_msg_header(msg, "Accept");

    while (rest.ptr != NULL) {
        vly_str type = take_type(&rest);
        if (vly_str_eq_nocase(type, VLY_STR("image/jpeg")) ||
            vly_str_eq_nocase(type, VLY_STR("image/*")))
            return true;
        if (vly_str_eq_nocase(type, VLY_STR("application/json")) || vly_str_is(type, "*/*"))
            return false;
    }
    return false;
}

/* The first bytes decide what a picture is, so a type that says nothing will do: none, the octet
 * stream, and the form type that curl sends with --data-binary unless told otherwise. */
static bool is_picture_type(vly_str type)
{
    return type.len == 0 || vly_str_starts(type, VLY_STR("image/")) ||
           vly_str_eq_nocase(type, VLY_STR("application/octet-stream")) ||
           vly_str_eq_nocase(type, VLY_STR("application/x-www-form-urlencoded"));
}

static vly_status begin(vly_api *api, vly_http_request *req, vly_err *err)
{
    vly_str types = vly_http_msg_header(&req->msg, "Content-Type");
    vly_str type = take_type(&types);
    detect_call *c = vly_arena_calloc(&req->msg.arena, 1, sizeof(*c));

    if (c == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the request");
    c->api = api;
    c->req = req;
    c->params.msg = &req->msg;
    c->wants_picture = wants_picture(&req->msg);
    if (vly_str_eq_nocase(type, VLY_STR("multipart/form-data"))) {
        c->split.run = split_on_worker;
        if (vly_worker_pool_submit(vly_scheduler_pool(api->scheduler), &c->split) != VLY_OK)
            return vly_fail(err, VLY_EBUSY, "the server is busy");
        return VLY_OK;
    }
    if (!is_picture_type(type))
        return vly_fail(err, VLY_EMEDIA,
                        "expected a picture (image/jpeg, image/png, image/webp, "
                        "application/octet-stream) or multipart/form-data, got '%.*s'",
                        VLY_STR_ARG(type));
    if (req->msg.body.len == 0)
        return vly_fail(err, VLY_EINVAL, "expected a picture in the body, got nothing");
    vly_multipart_part whole = {.content_type = VLY_STR("image/*"),
                                .data = vly_buf_str(&req->msg.body)};
    return submit(c, &whole, 1, err);
}

void vly_route_v1_detect(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_err err;

    (void)captures;
    if (begin(api, req, &err) != VLY_OK)
        vly_answer_err(req, &err);
}
