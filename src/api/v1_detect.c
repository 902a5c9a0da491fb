/* SPDX-License-Identifier: MIT */
/*
 * POST /v1/images:detect: pictures in, observations out.
 *
 * The body is one picture, or multipart/form-data with one or more files. One file is answered with
 * its observations, or with the picture and the boxes drawn when Accept asks for image/jpeg;
 * several with {"results": [...]} in the order sent, an {"error": ...} in place of what could not
 * be done. The answer's status is 200 when any file succeeded, else that of the first file's error.
 *
 * A picture of its own is looked up in the cache and queued from the loop thread. A multipart body
 * is first taken apart on a worker: searching tens of megabytes for a boundary is too long for a
 * loop. Each file is one job, so the files of one request run side by side.
 *
 * Lifetime: everything lives in the request's arena until it is answered by whoever ends last.
 */
#include "api/routes.h"

#include "api/answer.h"
#include "api/call.h"
#include "api/detect_answer.h"
#include "api/v1_options.h"
#include "base/assert.h"
#include "sched/model_routes_shadow.h"

/* Pictures up to this size are looked up in the cache on the loop thread: some 50 us. */
#define QUICK_BYTES ((size_t)1 << 20)

struct detect_call;

typedef struct detect_file {
    vly_job job;
    struct detect_call *call;
    vly_str name; /* ptr NULL: none was sent */
    vly_buf body; /* JSON, or the drawn picture */
    vly_cache_get get;
    uint64_t members; /* of an ensemble, when it was looked up */
    vly_cache_outcome cache;
    bool was_known; /* and is no job */
    vly_route_shadow *shadow;
    bool leads; /* others wait for what this one computes */
    vly_work work;
} detect_file;

typedef struct detect_call {
    vly_work split; /* first: the pool hands out a pointer to it */
    vly_api *api;
    vly_http_request *req;
    vly_served *model;       /* a reference, until it is answered */
    vly_route_arm *arm;      /* likewise; NULL: it is no route's */
    vly_model_route *copied; /* likewise: its shadow gets a copy; NULL: none does */
    vly_v1_params params;
    vly_cache_wish wish;
    detect_file *files;
    size_t n_files;
    _Atomic size_t n_left; /* files that are not done, and one while they are being queued */
    bool wants_picture;
} detect_call;

static const vly_labels *labels_of(const vly_served *m)
{
    return &m->servable->decoder.labels;
}

/* ---- the cache ---- */

static void leave_cache(detect_file *f)
{
    if (f->leads)
        vly_cache_abandon(f->call->api->cache, &f->get);
    f->leads = false;
}

static void give_back(void *ctx)
{
    vly_cache_value_unref(ctx);
}

/* The answer is known, and unpacked: its body is the value itself. */
static void use_known(detect_file *f)
{
    vly_cache_value *v = f->get.value;

    f->cache = vly_cache_outcome_of(&f->get);
    vly_buf_lend(&f->body, v->bytes, v->len, 0, give_back, v);
    vly_served_count_known(f->call->model, f->call->req->received_ns);
    f->was_known = true;
}

/* ---- answers ---- */

static void copy_to_shadow(detect_file *f)
{
    const detect_call *c = f->call;

    if (c->copied != NULL)
        f->shadow = vly_route_shadow_take(c->api->model_routes, c->copied, c->model, &f->job,
                                          vly_call_id(c->req));
}

/* On the worker, while the results are there. */
static vly_status encode_file(vly_job *job, vly_err *err)
{
    detect_file *f = job->ctx;
    const detect_call *c = f->call;
    vly_status st = vly_detect_answer(job, c->model, c->wants_picture, &f->body, err);

    if (st == VLY_OK && f->leads) {
        f->leads = false;
        vly_cached_complete(c->api, c->model, f->members, &f->get, vly_buf_str(&f->body));
    }
    if (st == VLY_OK)
        copy_to_shadow(f);
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

/* Of several files what has taken longest. */
static void tell_cache(const detect_call *c)
{
    vly_cache_outcome all = c->files[0].cache;

    for (size_t i = 1; i < c->n_files; i++) {
        vly_cache_outcome one = c->files[i].cache;
        bool is_worse = one.origin == VLY_CACHE_FROM_NOBODY ||
                        (all.origin != VLY_CACHE_FROM_NOBODY && one.origin > all.origin);
        if (is_worse)
            all = one;
    }
    vly_call_set_cache(c->req, &all);
}

/* The last one answers for all. */
static void end_one(detect_call *c)
{
    vly_served *m = c->model;

    if (atomic_fetch_sub(&c->n_left, 1) != 1)
        return;
    tell_cache(c);
    vly_call_set_arm(c->req, c->arm, m);
    vly_route_arm_unref(c->arm);
    vly_model_route_unref(c->copied);
    if (c->n_files == 1)
        answer_one(c);
    else
        answer_many(c);
    vly_served_unref(m);
}

static void end_file(detect_file *f)
{
    const detect_call *c = f->call;
    vly_route_shadow *shadow = f->shadow;
    bool has_failed = f->job.status != VLY_OK;

    leave_cache(f);
    if (f->job.status != VLY_OK)
        vly_buf_release(&f->body);
    if (c->arm != NULL && f->was_known)
        vly_route_arm_count_known(c->arm);
    else if (c->arm != NULL)
        vly_route_arm_count(c->arm, vly_clock_now(), f->job.status, f->job.is_model_failure,
                            c->req->received_ns);
    end_one(f->call);
    if (has_failed)
        vly_route_shadow_drop(shadow);
    else
        vly_route_shadow_go(shadow);
}

static void file_done(vly_job *job)
{
    detect_file *f = job->ctx;

    if (f->call->n_files == 1)
        vly_call_set_times(f->call->req, &job->times);
    end_file(f);
}

static void fail_file(detect_file *f, vly_status st, const vly_err *err)
{
    f->job.status = st;
    f->job.err = *err;
    end_file(f);
}

/* ---- who has waited for the same picture ---- */

static detect_file *file_of(vly_work *work)
{
    return (detect_file *)(void *)((char *)work - offsetof(detect_file, work));
}

static void run_on_worker(vly_work *work)
{
    detect_file *f = file_of(work);
    vly_job *job = &f->job;
    vly_err err;
    vly_status st = vly_scheduler_submit(f->call->model, &job, 1, &err);

    if (st != VLY_OK)
        fail_file(f, st, &err);
}

static void use_on_worker(vly_work *work)
{
    detect_file *f = file_of(work);

    if (vly_cache_unpack(&f->get)) {
        use_known(f);
        end_file(f);
        return;
    }
    vly_cache_reject(f->call->api->cache, &f->get);
    f->leads = true;
    run_on_worker(work);
}

/* As resume of infer.c: somebody else's thread, who has others to tell. */
static void ready(vly_cache_get *g)
{
    detect_file *f = g->ctx;

    f->leads = g->value == NULL; /* it has no deadline: it is not late */
    if (f->leads)
        f->job.waiting_since_ns = g->begun_ns;
    f->work = (vly_work){.run = f->leads ? run_on_worker : use_on_worker};
    vly_status st = vly_worker_pool_submit(vly_scheduler_pool(f->call->api->scheduler), &f->work);
    VLY_ASSERT(st == VLY_OK); /* the pool's line has no bound of its own: see scheduler.c */
}

/* ---- files to jobs ---- */

static void init_file(detect_call *c, detect_file *f, const vly_detector_options *options,
                      const vly_multipart_part *part)
{
    f->call = c;
    f->name = part->filename;
    vly_buf_init(&f->body, VLY_MEM_NET, c->api->max_answer_bytes);
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

/* Asks the cache for the answer; LEAD without the lead when there is none for it. */
static vly_cache_found look_up(detect_call *c, detect_file *f)
{
    vly_cached_key key;

    if (c->wish.no_store || !vly_cached_has(c->api, c->model) ||
        !vly_detect_key(c->api, c->model, &c->wish, &f->job.options, c->wants_picture,
                        f->job.picture, &key) ||
        !vly_cached_begin_get(c->model, &c->wish, &c->req->msg.arena, &f->get))
        return VLY_CACHE_LEAD;
    f->get.key = key.key;
    f->members = key.members;
    f->get.class = c->wants_picture ? VLY_CACHE_RESPONSE : VLY_CACHE_PREDICTION;
    f->get.ctx = f;
    f->get.ready = ready;
    f->get.is_gone = f->job.is_cancelled;
    f->job.is_wanted = &f->get.has_company;
    f->job.starts_ns = &f->get.starts_ns;
    f->cache = (vly_cache_outcome){.was_asked = true};
    vly_cache_found found = vly_cached_ask(c->api, &c->wish, &f->get);
    if (found == VLY_CACHE_LEAD)
        f->leads = true;
    return found;
}

static void use_hit(detect_file *f)
{
    bool is_much = f->get.value->plain_len > VLY_CACHED_QUICK_BYTES;

    if (is_much || !vly_cache_unpack(&f->get)) {
        ready(&f->get);
        return;
    }
    use_known(f);
    end_file(f);
}

/* Takes what the cache knows; jobs of the others. */
static size_t look_up_all(detect_call *c, vly_job **jobs)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n_files; i++) {
        detect_file *f = &c->files[i];
        switch (look_up(c, f)) {
        case VLY_CACHE_HIT:
            use_hit(f);
            break;
        case VLY_CACHE_LEAD:
        case VLY_CACHE_LATE: /* never: it has no deadline */
            jobs[n++] = &f->job;
            break;
        case VLY_CACHE_WAIT:
            break;
        }
    }
    return n;
}

/* Queues what is not known. When nothing could be queued, and there is nothing else, the request
 * fails as a whole, with the status of that. */
static vly_status queue_files(detect_call *c, vly_job **jobs, vly_err *err)
{
    size_t n = look_up_all(c, jobs);
    vly_status st = n > 0 ? vly_scheduler_submit(c->model, jobs, n, err) : VLY_OK;

    if (st != VLY_OK && n == c->n_files) {
        for (size_t i = 0; i < n; i++)
            leave_cache(jobs[i]->ctx);
        return st;
    }
    for (size_t i = 0; st != VLY_OK && i < n; i++)
        fail_file(jobs[i]->ctx, st, err);
    end_one(c);
    return VLY_OK;
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

/* A file for each part that is one; n_files are. */
static vly_status submit_files(detect_call *c, const vly_multipart_part *parts, size_t n_parts,
                               size_t n_files, vly_err *err)
{
    vly_arena *arena = &c->req->msg.arena;
    vly_detector_options options;
    vly_status st = vly_v1_options(&c->params, labels_of(c->model), &options, err);

    if (st == VLY_OK)
        st = vly_cached_wish(c->api, &c->req->msg, &c->wish, err);
    if (st != VLY_OK)
        return st;
    vly_job **jobs = vly_arena_calloc(arena, n_files, sizeof(*jobs));
    c->files = vly_arena_calloc(arena, n_files, sizeof(*c->files));
    if (jobs == NULL || c->files == NULL)
        return vly_fail(err, VLY_ELIMIT, "%zu files: out of scratch memory", n_files);
    for (size_t i = 0; i < n_parts; i++)
        if (is_file(&parts[i]))
            init_file(c, &c->files[c->n_files++], &options, &parts[i]);
    atomic_store(&c->n_left, n_files + 1);
    return queue_files(c, jobs, err);
}

/* Nothing was queued. */
static void give_up(detect_call *c, vly_status st)
{
    if (c->arm != NULL)
        vly_route_arm_count(c->arm, vly_clock_now(), st, false, c->req->received_ns);
    vly_route_arm_unref(c->arm);
    vly_model_route_unref(c->copied);
    vly_served_unref(c->model);
}

/* Once it is VLY_OK, the call is gone, or others'. */
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
    c->model = vly_served_ref(pick.model);
    c->arm = pick.arm != NULL ? vly_route_arm_ref(pick.arm) : NULL;
    c->copied = pick.shadow;
    pick.shadow = NULL;
    st = submit_files(c, parts, n_parts, n_files, err);
    vly_route_pick_release(&pick);
    if (st != VLY_OK)
        give_up(c, st);
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

/* The body is one picture. */
static vly_status submit_whole(detect_call *c, vly_err *err)
{
    const vly_multipart_part whole = {.content_type = VLY_STR("image/*"),
                                      .data = vly_buf_str(&c->req->msg.body)};

    return submit(c, &whole, 1, err);
}

static void submit_on_worker(vly_work *work)
{
    detect_call *c = (detect_call *)work;
    vly_http_request *req = c->req;
    vly_err err;

    if (submit_whole(c, &err) != VLY_OK)
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

static vly_status go_to_worker(detect_call *c, void (*run)(vly_work *work), vly_err *err)
{
    c->split.run = run;
    vly_status st = vly_worker_pool_submit(vly_scheduler_pool(c->api->scheduler), &c->split);
    return st == VLY_OK ? st : vly_fail(err, VLY_EBUSY, "the server is busy");
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
    if (vly_str_eq_nocase(type, VLY_STR("multipart/form-data")))
        return go_to_worker(c, split_on_worker, err);
    if (!is_picture_type(type))
        return vly_fail(err, VLY_EMEDIA,
                        "expected a picture (image/jpeg, image/png, image/webp, "
                        "application/octet-stream) or multipart/form-data, got '%.*s'",
                        VLY_STR_ARG(type));
    if (req->msg.body.len == 0)
        return vly_fail(err, VLY_EINVAL, "expected a picture in the body, got nothing");
    if (api->cache != NULL && req->msg.body.len > QUICK_BYTES)
        return go_to_worker(c, submit_on_worker, err);
    return submit_whole(c, err);
}

void vly_route_v1_detect(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_err err;

    (void)captures;
    if (begin(api, req, &err) != VLY_OK)
        vly_answer_err(req, &err);
}
