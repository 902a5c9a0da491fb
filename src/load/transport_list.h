/* SPDX-License-Identifier: MIT */
/* The kinds of transport, one line each: vly_load__NAME is in load_NAME.c. */
#ifndef VLY_LOAD_TRANSPORT_LIST_H
#define VLY_LOAD_TRANSPORT_LIST_H

#define VLY_LOAD_KINDS(X) X(http1)

#endif
