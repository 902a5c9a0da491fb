/* SPDX-License-Identifier: MIT */
/* Answers in the shapes that every path uses. Each gives req up. Thread: any. */
#ifndef VLY_API_ANSWER_H
#define VLY_API_ANSWER_H

#include "net/http_server.h"

/* body moves to the server; one that failed (memory, or its bound) is answered with 503. */
void vly_answer_body(vly_http_request *req, int status, const char *content_type, vly_buf *body);
void vly_answer_json(vly_http_request *req, int status, vly_buf *body);
void vly_answer_empty(vly_http_request *req, int status);
/* {"error": "..."}, with Retry-After when the server is busy. */
void vly_answer_err(vly_http_request *req, const vly_err *err);
void vly_answer_not_allowed(vly_http_request *req, const char *allow);

#endif
