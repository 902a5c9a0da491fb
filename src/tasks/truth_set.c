/* SPDX-License-Identifier: MIT */
#include "tasks/truth_set.h"

#include "base/buf.h"
#include "sys/file.h"

#include <math.h>
#include <stdlib.h>
#include <yyjson.h>

#define ANNOTATIONS_BYTES_MAX ((size_t)2 << 30)
#define LABELS_BYTES_MAX      ((size_t)16 << 20)
#define IMAGES_MAX            10000000

static vly_status out_of_memory(vly_err *err)
{
    return vly_fail(err, VLY_ENOMEM, "out of memory for labelled pictures");
}

/* ---- COCO --------------------------------------------------------------------------------- */

/* A number of the file with its place: an image or a category and its index in our lists. */
typedef struct id_slot {
    int64_t id;
    size_t idx;
} id_slot;

static int by_id(const void *a, const void *b)
{
    int64_t x = ((const id_slot *)a)->id, y = ((const id_slot *)b)->id;
    return (x > y) - (x < y);
}

static const id_slot *find_id(const id_slot *ids, size_t n, int64_t id)
{
    id_slot key = {.id = id};
    return n > 0 ? bsearch(&key, ids, n, sizeof(*ids), by_id) : NULL;
}

/* Ids of the objects in array, sorted, each with its place in the file. */
static vly_status read_ids(yyjson_val *array, const char *what, vly_arena *arena, id_slot **ret,
                           vly_err *err)
{
    id_slot *ids = vly_arena_calloc(arena, yyjson_arr_size(array), sizeof(*ids));
    size_t i, n;
    yyjson_val *item;

    if (ids == NULL)
        return out_of_memory(err);
    yyjson_arr_foreach(array, i, n, item)
    {
        yyjson_val *id = yyjson_obj_get(item, "id");
        if (!yyjson_is_int(id))
            return vly_fail(err, VLY_EFORMAT, "%s %zu: expected an integer 'id'", what, i);
        ids[i] = (id_slot){yyjson_get_sint(id), i};
    }
    qsort(ids, yyjson_arr_size(array), sizeof(*ids), by_id);
    *ret = ids;
    return VLY_OK;
}

typedef struct coco {
    yyjson_val *images, *annotations, *categories;
    id_slot *image_ids, *category_ids;
    vly_truth_set set;
} coco;

static vly_status read_images(coco *c, const char *images_dir, vly_arena *arena, vly_err *err)
{
    size_t i, n;
    yyjson_val *item;

    c->set.n_images = yyjson_arr_size(c->images);
    c->set.images = vly_arena_calloc(arena, c->set.n_images, sizeof(*c->set.images));
    if (c->set.images == NULL)
        return out_of_memory(err);
    yyjson_arr_foreach(c->images, i, n, item)
    {
        yyjson_val *file = yyjson_obj_get(item, "file_name");
        if (!yyjson_is_str(file) || strstr(yyjson_get_str(file), "..") != NULL)
            return vly_fail(err, VLY_EFORMAT, "image %zu: expected a plain 'file_name'", i);
        c->set.images[i].path = vly_arena_printf(arena, "%s/%s", images_dir, yyjson_get_str(file));
        if (c->set.images[i].path == NULL)
            return out_of_memory(err);
    }
    return VLY_OK;
}

/* bbox of the file is x, y, width, height. */
static bool read_box(yyjson_val *bbox, float box[4])
{
    double v[4];

    if (yyjson_arr_size(bbox) != 4)
        return false;
    for (size_t k = 0; k < 4; k++) {
        yyjson_val *x = yyjson_arr_get(bbox, k);
        v[k] = yyjson_get_num(x);
        if (!yyjson_is_num(x) || !isfinite(v[k]))
            return false;
    }
    box[0] = (float)v[0];
    box[1] = (float)v[1];
    box[2] = (float)(v[0] + v[2]);
    box[3] = (float)(v[1] + v[3]);
    return true;
}

static vly_status read_annotation(const coco *c, yyjson_val *item, size_t i, size_t *ret_image,
                                  vly_truth *ret, vly_err *err)
{
    yyjson_val *image_id = yyjson_obj_get(item, "image_id");
    yyjson_val *category_id = yyjson_obj_get(item, "category_id");
    size_t n_categories = yyjson_arr_size(c->categories);
    const id_slot *image = find_id(c->image_ids, c->set.n_images, yyjson_get_sint(image_id));
    const id_slot *category = find_id(c->category_ids, n_categories, yyjson_get_sint(category_id));
    vly_truth t = {.area = (float)yyjson_get_num(yyjson_obj_get(item, "area")),
                   .is_crowd = yyjson_get_num(yyjson_obj_get(item, "iscrowd")) != 0};

    if (image == NULL || category == NULL)
        return vly_fail(err, VLY_EFORMAT, "annotation %zu: unknown %s", i,
                        image == NULL ? "image_id" : "category_id");
    if (!read_box(yyjson_obj_get(item, "bbox"), t.bbox))
        return vly_fail(err, VLY_EFORMAT, "annotation %zu: expected 'bbox' [x, y, width, height]",
                        i);
    t.class_id = (int32_t)(category - c->category_ids);
    *ret_image = image->idx;
    *ret = t;
    return VLY_OK;
}

/* Two passes: count the annotations of each image, then fill its list. */
static vly_status read_annotations(coco *c, vly_arena *arena, vly_err *err)
{
    size_t i, n, image = 0;
    yyjson_val *item;
    vly_truth truth;

    for (int pass = 0; pass < 2; pass++) {
        yyjson_arr_foreach(c->annotations, i, n, item)
        {
            vly_status st = read_annotation(c, item, i, &image, &truth, err);
            if (st != VLY_OK)
                return st;
            vly_truth_image *to = &c->set.images[image];
            if (pass == 1)
                to->truths[to->n_truths] = truth;
            to->n_truths++;
        }
        for (i = 0; i < c->set.n_images && pass == 0; i++) {
            vly_truth_image *to = &c->set.images[i];
            to->truths = vly_arena_calloc(arena, to->n_truths, sizeof(*to->truths));
            if (to->truths == NULL)
                return out_of_memory(err);
            to->n_truths = 0;
        }
    }
    return VLY_OK;
}

vly_status vly_truth_parse_coco(vly_str json, const char *images_dir, vly_arena *arena,
                                vly_truth_set *ret, vly_err *err)
{
    yyjson_doc *doc = yyjson_read(json.ptr != NULL ? json.ptr : "", json.len, YYJSON_READ_NOFLAG);
    yyjson_val *root = yyjson_doc_get_root(doc);
    coco c = {.images = yyjson_obj_get(root, "images"),
              .annotations = yyjson_obj_get(root, "annotations"),
              .categories = yyjson_obj_get(root, "categories"),
              .set.source = "instances.json"};
    vly_status st = VLY_OK;

    if (!yyjson_is_arr(c.images) || !yyjson_is_arr(c.annotations) || !yyjson_is_arr(c.categories))
        st = vly_fail(err, VLY_EFORMAT,
                      "expected JSON with the lists 'images', 'annotations' and 'categories'");
    if (st == VLY_OK)
        st = read_ids(c.images, "image", arena, &c.image_ids, err);
    if (st == VLY_OK)
        st = read_ids(c.categories, "category", arena, &c.category_ids, err);
    if (st == VLY_OK)
        st = read_images(&c, images_dir, arena, err);
    if (st == VLY_OK)
        st = read_annotations(&c, arena, err);
    yyjson_doc_free(doc);
    if (st == VLY_OK)
        *ret = c.set;
    return st;
}

/* ---- YOLO --------------------------------------------------------------------------------- */

static bool parse_line(vly_str line, vly_truth *ret)
{
    double v[5];

    for (int k = 0; k < 5; k++) {
        line = vly_str_trim(line);
        vly_str word = vly_str_split(&line, ' ');
        if (!vly_str_to_f64(word, &v[k]) || !isfinite(v[k]))
            return false;
    }
    /* polygons of segmentation sets have more numbers; their boxes would be wrong */
    if (vly_str_trim(line).len > 0 || v[0] < 0 || v[0] > 1e6 || v[0] != floor(v[0]))
        return false;
    *ret = (vly_truth){.class_id = (int32_t)v[0],
                       .bbox = {(float)(v[1] - v[3] / 2), (float)(v[2] - v[4] / 2),
                                (float)(v[1] + v[3] / 2), (float)(v[2] + v[4] / 2)}};
    return true;
}

vly_status vly_truth_parse_yolo(vly_str text, vly_arena *arena, vly_truth_image *image,
                                vly_err *err)
{
    size_t n_lines = 1;
    vly_truth *truths;
    size_t n = 0, line_no = 0;

    for (size_t i = 0; i < text.len; i++)
        n_lines += text.ptr[i] == '\n';
    truths = vly_arena_calloc(arena, n_lines, sizeof(*truths));
    if (truths == NULL)
        return out_of_memory(err);
    while (text.ptr != NULL) {
        vly_str line = vly_str_trim(vly_str_split(&text, '\n'));
        line_no++;
        if (line.len == 0)
            continue;
        if (!parse_line(line, &truths[n++]))
            return vly_fail(err, VLY_EFORMAT, "line %zu: expected `class cx cy w h`, got '%.*s'",
                            line_no, (int)(line.len < 80 ? line.len : 80), line.ptr);
    }
    image->truths = truths;
    image->n_truths = n;
    image->is_relative = true;
    return VLY_OK;
}

void vly_truth_image_scale(vly_truth_image *image, uint32_t width, uint32_t height)
{
    if (!image->is_relative)
        return;
    for (size_t i = 0; i < image->n_truths; i++) {
        float *box = image->truths[i].bbox;
        box[0] *= (float)width;
        box[1] *= (float)height;
        box[2] *= (float)width;
        box[3] *= (float)height;
    }
    image->is_relative = false;
}

/* ---- files -------------------------------------------------------------------------------- */

static vly_status load_coco(const char *path, const char *images_dir, vly_arena *arena,
                            vly_truth_set *ret, vly_err *err)
{
    vly_mmap map;
    vly_status st = vly_mmap_open(path, ANNOTATIONS_BYTES_MAX, &map, err);

    if (st != VLY_OK)
        return st;
    st = vly_truth_parse_coco((vly_str){(const char *)map.ptr, map.len}, images_dir, arena, ret,
                              err);
    vly_mmap_close(&map);
    return st == VLY_OK ? st : vly_fail_in(err, st, "'%s'", path);
}

static vly_status load_label_file(const char *dir, const char *image_name, vly_arena *arena,
                                  vly_truth_image *image, vly_err *err)
{
    const char *dot = strrchr(image_name, '.');
    int stem = (int)(dot != NULL ? dot - image_name : (long)strlen(image_name));
    char *path = vly_arena_printf(arena, "%s/labels/%.*s.txt", dir, stem, image_name);
    vly_buf text;

    if (path == NULL)
        return out_of_memory(err);
    if (!vly_file_exists(path))
        return VLY_OK;
    vly_buf_init(&text, VLY_MEM_CODEC, LABELS_BYTES_MAX);
    vly_status st = vly_file_read(path, LABELS_BYTES_MAX, &text, err);
    if (st == VLY_OK) {
        st = vly_truth_parse_yolo(vly_buf_str(&text), arena, image, err);
        if (st != VLY_OK)
            vly_fail_in(err, st, "'%s'", path);
    }
    vly_buf_release(&text);
    return st;
}

static vly_status load_yolo(const char *dir, const char *images_dir, vly_arena *arena,
                            vly_truth_set *ret, vly_err *err)
{
    vly_truth_set set = {.source = "labels/"};
    vly_dir list = {0};
    vly_status st = vly_dir_list(images_dir, IMAGES_MAX, &list, err);

    if (st == VLY_OK) {
        set.images = vly_arena_calloc(arena, list.n_entries, sizeof(*set.images));
        st = set.images != NULL ? VLY_OK : out_of_memory(err);
    }
    for (size_t i = 0; i < list.n_entries && st == VLY_OK; i++) {
        vly_truth_image *image = &set.images[set.n_images];
        if (list.entries[i].is_dir)
            continue;
        image->path = vly_arena_printf(arena, "%s/%s", images_dir, list.entries[i].name);
        st = image->path != NULL ? VLY_OK : out_of_memory(err);
        if (st == VLY_OK)
            st = load_label_file(dir, list.entries[i].name, arena, image, err);
        set.n_images++;
    }
    vly_dir_release(&list);
    if (st == VLY_OK)
        *ret = set;
    return st;
}

vly_status vly_truth_set_load(const char *dir, vly_arena *arena, vly_truth_set *ret, vly_err *err)
{
    char *images_dir = vly_arena_printf(arena, "%s/images", dir);
    char *labels_dir = vly_arena_printf(arena, "%s/labels", dir);
    char *annotations = vly_arena_printf(arena, "%s/instances.json", dir);

    if (images_dir == NULL || labels_dir == NULL || annotations == NULL)
        return out_of_memory(err);
    if (!vly_dir_exists(images_dir))
        return vly_fail(err, VLY_ENOTFOUND, "'%s': expected a directory images/ in it", dir);
    if (vly_file_exists(annotations))
        return load_coco(annotations, images_dir, arena, ret, err);
    if (vly_dir_exists(labels_dir))
        return load_yolo(dir, images_dir, arena, ret, err);
    return vly_fail(err, VLY_ENOTFOUND, "'%s': expected instances.json or labels/ in it", dir);
}
