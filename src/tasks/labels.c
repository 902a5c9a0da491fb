/* SPDX-License-Identifier: MIT */
#include "tasks/labels.h"

#include "base/assert.h"

#include <stdio.h>

#define NAME(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static const vly_str coco_names[] = {
    NAME("person"),        NAME("bicycle"),      NAME("car"),
    NAME("motorcycle"),    NAME("airplane"),     NAME("bus"),
    NAME("train"),         NAME("truck"),        NAME("boat"),
    NAME("traffic light"), NAME("fire hydrant"), NAME("stop sign"),
    NAME("parking meter"), NAME("bench"),        NAME("bird"),
    NAME("cat"),           NAME("dog"),          NAME("horse"),
    NAME("sheep"),         NAME("cow"),          NAME("elephant"),
    NAME("bear"),          NAME("zebra"),        NAME("giraffe"),
    NAME("backpack"),      NAME("umbrella"),     NAME("handbag"),
    NAME("tie"),           NAME("suitcase"),     NAME("frisbee"),
    NAME("skis"),          NAME("snowboard"),    NAME("sports ball"),
    NAME("kite"),          NAME("baseball bat"), NAME("baseball glove"),
    NAME("skateboard"),    NAME("surfboard"),    NAME("tennis racket"),
    NAME("bottle"),        NAME("wine glass"),   NAME("cup"),
    NAME("fork"),          NAME("knife"),        NAME("spoon"),
    NAME("bowl"),          NAME("banana"),       NAME("apple"),
    NAME("sandwich"),      NAME("orange"),       NAME("broccoli"),
    NAME("carrot"),        NAME("hot dog"),      NAME("pizza"),
    NAME("donut"),         NAME("cake"),         NAME("chair"),
    NAME("couch"),         NAME("potted plant"), NAME("bed"),
    NAME("dining table"),  NAME("toilet"),       NAME("tv"),
    NAME("laptop"),        NAME("mouse"),        NAME("remote"),
    NAME("keyboard"),      NAME("cell phone"),   NAME("microwave"),
    NAME("oven"),          NAME("toaster"),      NAME("sink"),
    NAME("refrigerator"),  NAME("book"),         NAME("clock"),
    NAME("vase"),          NAME("scissors"),     NAME("teddy bear"),
    NAME("hair drier"),    NAME("toothbrush"),
};
_Static_assert(VLY_COUNT(coco_names) == 80, "COCO detection has 80 classes");

static const vly_str face_names[] = {NAME("face")};

const vly_labels vly_labels_coco = {coco_names, VLY_COUNT(coco_names)};
const vly_labels vly_labels_face = {face_names, VLY_COUNT(face_names)};

vly_str vly_label(const vly_labels *labels, int32_t class_id, char text[VLY_LABEL_TEXT_MAX])
{
    if (class_id >= 0 && (size_t)class_id < labels->count && labels->names[class_id].len > 0)
        return labels->names[class_id];
    snprintf(text, VLY_LABEL_TEXT_MAX, "class %d", (int)class_id);
    return vly_str_from(text);
}

int32_t vly_label_find(const vly_labels *labels, vly_str name)
{
    for (size_t i = 0; i < labels->count; i++)
        if (name.len > 0 && vly_str_eq_nocase(labels->names[i], name))
            return (int32_t)i;
    return -1;
}

vly_status vly_label_list(const vly_labels *labels, vly_str list, int32_t *ids, size_t max,
                          size_t *ret_n, vly_err *err)
{
    size_t n = 0;

    while (list.ptr != NULL) {
        vly_str item = vly_str_trim(vly_str_split(&list, ','));
        int64_t id = vly_label_find(labels, item);
        if (id < 0 && (!vly_str_to_i64(item, &id) || id < 0 || id > INT32_MAX))
            return vly_fail(err, VLY_EINVAL, "the model has no class '%.*s'", VLY_STR_ARG(item));
        if (n == max)
            return vly_fail(err, VLY_ELIMIT, "expected at most %zu classes", max);
        ids[n++] = (int32_t)id;
    }
    *ret_n = n;
    return VLY_OK;
}
