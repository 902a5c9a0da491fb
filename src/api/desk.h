/* SPDX-License-Identifier: MIT */
/*
 * The desk: two threads for what operators and monitors ask, so that it never waits behind the runs
 * of models, which it is to tell of or to end. What is not inference and takes longer than a loop
 * may goes here: pages of figures and the packing of answers to one; to the other, one after the
 * other, what may wait for a disk or a lock, so that figures do not: files, lists, changes.
 */
#ifndef VLY_API_DESK_H
#define VLY_API_DESK_H

#include "api/api.h"
#include "store/key_file.h"

/* Who does the work of a request that needs this scope: the workers for inference, or where
 * api->desk, api->files is NULL; else that one. */
vly_worker_pool *vly_desk_or_workers(const vly_api *api, vly_key_scope scope);
vly_worker_pool *vly_files_or_workers(const vly_api *api, vly_key_scope scope);
/* Runs work, which is of a request, on the thread for files. */
void vly_desk_submit(const vly_api *api, vly_work *work);
/* Calls answer, which gives req up and waits for nothing, on the thread for figures. */
void vly_desk_answer(vly_api *api, vly_http_request *req,
                     void (*answer)(vly_api *api, vly_http_request *req));

#endif
