/* SPDX-License-Identifier: MIT */
/*
 * Executor: one plan bound to memory of its own, ready to run.
 *
 * Binding lays out the arena and builds every step's context once; a run then only patches the data
 * pointers of the caller's inputs and of the outputs, and calls the steps in order. Steady state
 * allocates nothing, unless the caller still holds the outputs of the run before, or the plan has
 * dynamic steps.
 * Owner: one thread at a time.
 */
#ifndef VLY_ENGINE_NATIVE_EXEC_H
#define VLY_ENGINE_NATIVE_EXEC_H

#include "base/clock.h"
#include "engine/native/plan.h"

typedef struct vly_exec vly_exec;
struct vly_worker_pool;

/* Takes a reference to plan. pool: as vly_instance_new. max_memory_bytes bounds one dynamic step.
 */
vly_status vly_exec_new(vly_plan *plan, struct vly_worker_pool *pool, size_t max_memory_bytes,
                        vly_exec **ret, vly_err *err) VLY_MUST_CHECK;
void vly_exec_free(vly_exec *x); /* accepts NULL */
const vly_plan *vly_exec_plan(const vly_exec *x);

/* inputs: [n_inputs] of the plan's shapes and dtypes, data set and aligned for their type. outputs:
 * [n_outputs], new references, written only on success. step_ns: [n_steps], what each step took;
 * NULL: not measured. */
vly_status vly_exec_run(vly_exec *x, const vly_tensor *inputs, vly_tensor *outputs,
                        vly_nsec *step_ns, vly_err *err) VLY_MUST_CHECK;

#endif
