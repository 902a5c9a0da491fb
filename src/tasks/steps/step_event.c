/* SPDX-License-Identifier: MIT */
#include "tasks/steps/step_event.h"

#include "base/assert.h"

const char *vly_activity_name(vly_activity a)
{
    static const char *const names[VLY_ACTIVITIES] = {"standing", "walking", "stairs_up",
                                                      "stairs_down"};

    VLY_ASSERT((unsigned)a < VLY_ACTIVITIES);
    return names[a];
}

const char *vly_step_event_name(vly_step_event_type type)
{
    return type == VLY_STEP_START ? "step.start" : "step.end";
}
