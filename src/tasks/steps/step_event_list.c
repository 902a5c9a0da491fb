/* SPDX-License-Identifier: MIT */
#include "tasks/steps/step_event_list.h"

#include "base/mem.h"

#include <string.h>

static bool make_room(vly_step_event_list *list, size_t n)
{
    size_t cap = list->cap > 0 ? list->cap : 256;

    while (cap < list->n + n)
        cap *= 2;
    if (cap == list->cap)
        return true;
    vly_step_event *more = vly_realloc(VLY_MEM_BASE, list->events, cap * sizeof(*more));
    if (more == NULL)
        return false;
    list->events = more;
    list->cap = cap;
    return true;
}

void vly_step_event_list_add(void *arg, const vly_step_event *events, size_t n)
{
    vly_step_event_list *list = arg;

    if (n == 0 || list->failed)
        return;
    list->failed = !make_room(list, n);
    if (list->failed)
        return;
    memcpy(list->events + list->n, events, n * sizeof(*events));
    list->n += n;
}

void vly_step_event_list_release(vly_step_event_list *list)
{
    vly_free(list->events);
    *list = (vly_step_event_list){0};
}

vly_status vly_step_event_list_check(const vly_step_event_list *list, vly_err *err)
{
    return list->failed ? vly_fail(err, VLY_ENOMEM, "out of memory for %zu events", list->n)
                        : VLY_OK;
}
