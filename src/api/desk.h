/* SPDX-License-Identifier: MIT */
/*
 * The desk: one thread for what operators and monitors ask, so that it never waits behind the runs
 * of models, which it is to tell of or to end. What is not inference and takes longer than a loop
 * may goes here: files, lists, pages of figures, and the packing of their answers.
 */
#ifndef VLY_API_DESK_H
#define VLY_API_DESK_H

#include "api/api.h"
#include "store/key_file.h"

/* Who does the work of a request that needs this scope: the workers for inference, or where
 * api->desk is NULL; else the desk. */
vly_worker_pool *vly_desk_or_workers(const vly_api *api, vly_key_scope scope);
/* Runs work, which is of a request, at the desk. */
void vly_desk_submit(const vly_api *api, vly_work *work);
/* Calls answer there, which gives req up. */
void vly_desk_answer(vly_api *api, vly_http_request *req,
                     void (*answer)(vly_api *api, vly_http_request *req));

#endif
