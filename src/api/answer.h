/* SPDX-License-Identifier: MIT */
/*
 * Answers in the shapes that every path uses. Each gives req up. Thread: any.
 *
 * Every answer carries the id of the request and where its time went; one that is large enough goes
 * out compressed when the client takes that: a worker or the desk (api/desk.h) does it. Not what
 * needs no key: a stranger makes nobody work.
 */
#ifndef VLY_API_ANSWER_H
#define VLY_API_ANSWER_H

#include "net/http_server.h"

/* As vly_http_respond; at most VLY_ANSWER_HEADERS_MAX headers. */
#define VLY_ANSWER_HEADERS_MAX 8
void vly_answer(vly_http_request *req, const vly_http_answer *answer);
/* answer has no parts: its body is plain, or gzip, the same compressed in advance. Both copied. */
void vly_answer_made(vly_http_request *req, const vly_http_answer *answer, vly_str plain,
                     vly_str gzip);
/* body moves to the server; one that failed (memory, or its bound) is answered with 503. */
void vly_answer_body(vly_http_request *req, int status, const char *content_type, vly_buf *body);
void vly_answer_json(vly_http_request *req, int status, vly_buf *body);
void vly_answer_empty(vly_http_request *req, int status);
/* {"error": "..."}, with Retry-After when the server is busy. Below /v2 with Triton's codes: what
 * is busy or late is unavailable there. */
void vly_answer_err(vly_http_request *req, const vly_err *err);
void vly_answer_not_allowed(vly_http_request *req, const char *allow);

#endif
